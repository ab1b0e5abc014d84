#ifndef ESCROWFS_FACTS_H
#define ESCROWFS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is known of a device. Each fact keeps when it was reported and by what, and an older report
 * never replaces a newer one. The numbers are the store's and never change; new facts go at the end
 * of the enum. The names, and which block of security.json shows a fact, are in facts_table
 * (src/base/facts.c).
 */
enum fact_name {
	/* DeviceSecurityInfo, in its order */
	FACT_PASSCODE_PRESENT,
	FACT_PASSCODE_COMPLIANT,
	FACT_ENCRYPTED,
	FACT_PERSONAL_RECOVERY_KEY, /* that there is one; never the key */
	FACT_INSTITUTIONAL_RECOVERY_KEY,
	FACT_ENROLLED_VIA_DEP,
	FACT_USER_APPROVED_ENROLLMENT,
	FACT_SIP_ENABLED,
	FACT_SECURE_BOOT,
	FACT_EXTERNAL_BOOT,
	FACT_ACTIVATION_LOCK_MANAGEABLE,
	FACT_AUTHENTICATED_ROOT,
	FACT_BT_ALLOWED, /* "allowed", "disallowed" or "not supported" */
	FACT_BT_REQUIRED_FOR_KEXT,
	FACT_BT_REQUIRED_FOR_UPDATE,
	FACT_RECOVERY_LOCK,
	/* the Escrow block */
	FACT_SERIAL_NUMBER,
	FACT_IMEI,
	FACT_MAC_ADDRESS, /* EthernetMAC, else WiFiMAC, as twelve hex digits */
	FACT_MODEL,
	FACT_OS_VERSION,
	FACT_APPLE_SILICON,
	FACT_SUPERVISED,
	FACT_USER_ENROLLMENT,
	/* not shown: what the rules and /search need besides */
	FACT_PRODUCT_NAME,
	FACT_MODEL_NAME,
	FACT_OS_NAME,
	FACT_WIFI_MAC,
	FACT_COUNT
};

enum fact_source {
	SOURCE_NONE,
	SOURCE_AUTHENTICATE,
	SOURCE_TOKEN_UPDATE,
	SOURCE_SECURITY_INFO,
	SOURCE_DEVICE_INFORMATION,
	SOURCE_BY_HAND, /* security.json was written */
	SOURCE_COUNT
};

enum fact_state {
	FACT_UNKNOWN, /* with a time: made unknown then (Authenticate, or null by hand) */
	FACT_KNOWN,
	FACT_OUT_OF_DATE, /* the device itself showed otherwise; counts as unknown */
};

#define FACT_TEXT 96 /* longest text of a fact, with its NUL */

struct fact {
	int64_t at; /* 0: never reported */
	enum fact_state state;
	enum fact_source source;
	bool flag;	      /* the value of a yes-or-no fact */
	char text[FACT_TEXT]; /* the value of the others */
};

struct facts {
	struct fact of[FACT_COUNT];
};

/* The word in bootstrap_status. The numbers are the store's. */
enum status {
	STATUS_UNENROLLED,
	STATUS_STALE,
	STATUS_ESCROWED,
	STATUS_NOT_SUPPORTED,
	STATUS_NOT_ELIGIBLE,
	STATUS_NOT_ESCROWED,
	STATUS_COUNT
};

enum fact_kind { FACT_FLAG, FACT_WORDS };
enum fact_block { BLOCK_SECURITY, BLOCK_SECURE_BOOT, BLOCK_ESCROW, BLOCK_HIDDEN };

/* What there is to say of a fact by its number. */
struct fact_info {
	const char *name; /* in security.json, or Apple's name when it isn't shown */
	enum fact_kind kind;
	enum fact_block block;
};

extern const struct fact_info facts_table[FACT_COUNT];

/* "SecurityInfo" and the rest, "by hand"; NULL for SOURCE_NONE. */
const char *fact_source_word(enum fact_source);

/* "escrowed" and the rest. */
const char *status_word(enum status);

/* Records that a flag or text was reported. Text that doesn't fit is cut at a character's boundary.
 */
void fact_set_flag(struct facts *, enum fact_name, bool, int64_t at, enum fact_source);
void fact_set_text(struct facts *, enum fact_name, const char *, int64_t at, enum fact_source);
void fact_set_unknown(struct facts *, enum fact_name, int64_t at, enum fact_source);

/* A known flag that is true / that is false; a known text, or NULL. */
bool fact_true(const struct facts *, enum fact_name);
bool fact_false(const struct facts *, enum fact_name);
const char *fact_text(const struct facts *, enum fact_name);

/*
 * Merges what was reported (at != 0) into `mine`, newer over older; a report of the same time wins.
 * Returns how many values changed; a fact that was only confirmed takes the new time and counts as
 * none.
 */
int facts_merge(struct facts *mine, const struct facts *reported);

/* Alike in everything: values, states, times and sources. */
bool facts_equal(const struct facts *, const struct facts *);
bool fact_equal(const struct fact *, const struct fact *);

/*
 * Writes "who: name, name ..." of the facts whose value or state differs, for the trail.
 */
void facts_changed(const struct facts *before, const struct facts *after, const char *who,
		   char *out, size_t size);

#endif
