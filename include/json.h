#ifndef ESCROWFS_JSON_H
#define ESCROWFS_JSON_H

#include "bytes.h"
#include "census.h"
#include "error.h"
#include "event.h"
#include "facts.h"
#include "secret.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * JSON in and out: webhook envelopes, security.json, lines of the trail. Plain values on this side,
 * text on the other.
 */

/* ---- webhooks ---- */

/* What NanoMDM and MicroMDM post: {"topic", "created_at", "checkin_event" or "acknowledge_event":
 * {"raw_payload"}}. */
struct json_webhook {
	int64_t created_at;    /* 0: none, or not a time after 1970 (real ones say 0001-01-01) */
	struct secret payload; /* raw_payload, decoded; len 0: the event carries none */
};

/* ERR_INVALID says what is wrong; ERR_TOO_BIG. Events of other kinds have no payload. The caller
 * frees out->payload. */
enum error json_webhook(const uint8_t *, size_t, struct json_webhook *out);

/*
 * Where the first JSON object in text that comes in pieces ends: the offset behind its brace, or
 * 0: not whole yet. Start with a zeroed scan, give all that is gathered so far each time: each
 * byte is looked at once. Text that starts with something else than an object (white space and a
 * BOM aside) ends right there, for the parser to refuse; nesting that is too deep is its
 * to refuse as well.
 */
struct json_scan {
	size_t at;
	int depth;
	bool in_string, escaped;
};
size_t json_scan(struct json_scan *, const uint8_t *text, size_t len);

/* ---- security.json ---- */

/* All that security.json shows of a device. */
struct json_security {
	const struct device *device;
	const struct facts *facts;
	bool given;	 /* BootstrapTokenEscrowStatus: the device would be given a token */
	bool token_keys; /* show the other Bootstrap Token keys: not for macOS 10.15 */
	const char *const *reasons;
	int reason_count;
	const struct version *versions;
	int version_count;
	int64_t facts_at; /* the newest report */
	bool sealed;	  /* for a backup: with Identity and Reports, which an import reads */
};

/* The text: two-space indent, the contract's order, a newline at the end. ERR_MEMORY. The caller
 * frees. */
enum error json_security_write(const struct json_security *, struct bytes *out);
/* How long that text is, and how long the sealed one. ERR_MEMORY. */
enum error json_security_sizes(const struct json_security *, uint32_t *plain, uint32_t *sealed);
/*
 * How long that is in either text which isn't facts or names: the texts of two states that differ in nothing
 * else differ in length by as much as these do. Of the versions those that are alike in both may be left
 * out, unless that leaves one of the two without any. ERR_MEMORY.
 */
enum error json_security_story(const struct json_security *, uint32_t *out);
/* By how much both grow when the first retrieval is shown, and nothing else is another. ERR_MEMORY. */
enum error json_security_growth_retrieved(int64_t at, uint32_t *out);

/*
 * Reads what somebody writes to a device's security.json: facts (with `at`, SOURCE_BY_HAND),
 * verdicts read over, null (or an empty text) for unknown. ERR_INVALID names the key that is
 * unknown or of the wrong type, or says that it is another device's (Udid). ERR_TOO_BIG.
 */
enum error json_security_read(const uint8_t *, size_t, const char *udid, int64_t at,
			      struct facts *out);

/* The same of a device that was taken away: its name, number and versions. */
enum error json_removed_write(const struct device *, const struct version *, int count,
			      struct bytes *out);

/* What a backup's security.json says of a device. */
struct json_kept {
	struct device device; /* udid, id, status, identity, user_enrolled, unenrolled and times */
	struct facts facts;   /* with the times and sources that they had */
	struct version *versions; /* number, escrowed_at, confirmed_at, ended_at, end */
	int version_count;
};
/*
 * Reads one that json_security_write() or json_removed_write() made. `udid` is the name of the
 * directory that it lies in. ERR_INVALID: it isn't one, is another device's, or its times and
 * numbers make no sense. The caller frees `out`, also after an error.
 */
enum error json_kept_read(const uint8_t *, size_t, const char *udid, struct json_kept *out);
void json_kept_free(struct json_kept *);

/* ---- status ---- */

struct json_recipient {
	struct recipient recipient;
	char fingerprint[65];
	int64_t expires_at;
};

/* What `status --json` shows. All pointers are the caller's. */
#define JSON_RECIPIENTS 64
struct json_status {
	const char *store, *served_by, *key_uri; /* served_by "": nobody */
	int64_t at;
	const uint64_t *devices; /* STATUS_COUNT */
	const struct census *census;
	const struct store_space *space;
	const struct trail_end *trail;
	struct json_recipient recipient[JSON_RECIPIENTS];
	int recipient_count;
	uint64_t unverified;
	bool key_present, unclean;
};
/* The text: two-space indent, a newline at the end. ERR_MEMORY. The caller frees. */
enum error json_status_write(const struct json_status *, struct bytes *out);

/* ---- the trail ---- */

/* One line without its chain, its last brace and its newline: {"seq":1,...,"command":"cat".
 * ERR_MEMORY. */
enum error json_event_write(const struct event *, int64_t seq, struct bytes *out);

/* What `verify` needs of a line. */
struct json_line {
	int64_t seq;
	char action[24], udid[UDID_MAX + 1], outcome[16];
	int version;
	char blob[65], chain[65]; /* "" when there is none */
	char time[TEXT_TIME];
	char reason[2048]; /* cut when it is longer than any of ours */
};
/*
 * Reads a whole line, with its newline. ERR_INVALID: not a line of the trail, or something stands
 * behind its chain, where the chain covers nothing.
 */
enum error json_event_read(const char *line, size_t len, struct json_line *out);

#endif
