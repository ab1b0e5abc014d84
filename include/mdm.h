#ifndef ESCROWFS_MDM_H
#define ESCROWFS_MDM_H

#include "bytes.h"
#include "error.h"
#include "facts.h"
#include "secret.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Apple's messages in, replies out. Names are those of Apple's MDM protocol (Check-in; SecurityInfo
 * and DeviceInformation commands). Everything that comes in is the enemy's: guarded before libplist
 * sees it.
 *
 * MUST: no input makes the parser crash, crawl or use much more memory than its size.
 *       (test: guard_...)
 * MUST: a BootstrapToken's base64 is checked strictly. (test: token_data_strict)
 * MUST: the plaintext leaves in secure memory; other copies are wiped. (test: token_in_secret)
 * MUST: recovery keys, PINs, passwords and unlock tokens are never kept. (test: secrets_not_kept)
 */

#define MDM_MESSAGE_MAX (1024 * 1024)
#define MDM_DEPTH_MAX 32

enum message_kind {
	MESSAGE_OTHER, /* other results, Idle, NotNow, other check-ins: accepted, nothing done */
	MESSAGE_AUTHENTICATE,
	MESSAGE_TOKEN_UPDATE,
	MESSAGE_CHECK_OUT,
	MESSAGE_SET_BOOTSTRAP_TOKEN,
	MESSAGE_GET_BOOTSTRAP_TOKEN,
	MESSAGE_SECURITY_INFO,
	MESSAGE_DEVICE_INFORMATION,
	MESSAGE_COUNT
};

/* "Authenticate", "SecurityInfo" ...; "other". */
const char *message_word(enum message_kind);

struct message {
	enum message_kind kind;
	char id[UDID_MAX + 1]; /* UDID, else EnrollmentID; "" when the message names no device */
	bool user_enrolled;    /* it has an EnrollmentID and no UDID */
	bool user_channel;     /* UserID or EnrollmentUserID */
	bool awaiting_configuration;
	bool preflight_success; /* DeviceInformation: EACSPreflight is "success" */
	bool webhook;		/* it came inside a webhook's JSON */
	int64_t at;		/* when it was sent, as the envelope says; 0: not said */
	char identity[65];	/* the Identity: header, lower-case hex SHA-256; "" */
	struct facts reported;	/* at and source are set; at is message.at or `now` */
	struct secret token;	/* SetBootstrapToken; len 0: absent or empty, that is, remove */
};

/* Frees the token and zeroes the rest; for SCOPED. */
void message_free(struct message *);

/* ---- is it whole yet? ---- */

enum mdm_form {
	FORM_UNKNOWN, /* too few bytes to tell */
	FORM_BASE64,  /* anything else, in a token; in a check-in: nothing that it takes */
	FORM_XML,     /* whole at </plist> */
	FORM_BINARY,  /* whole when its trailer fits, or when the caller says so */
	FORM_PEM,     /* whole at -----END CMS----- */
	FORM_JSON,    /* whole when its braces close */
};

/* Tells a message's form by how it starts (white space and a BOM aside). */
enum mdm_form mdm_form(const uint8_t *, size_t);

/*
 * Where in `text` the first message of that form ends (the offset behind its last byte), or 0: it
 * isn't whole yet. `from` is where the search may go on: the length of what was looked at before,
 * so that a message that comes in small pieces costs no more than one that comes at once.
 * FORM_JSON looks at everything: for one in pieces there is json_scan(). FORM_XML ignores </plist>
 * inside comments and CDATA.
 */
size_t mdm_message_end(enum mdm_form, const uint8_t *text, size_t len, size_t from);

/* White space only: may follow a whole message. */
bool mdm_blank(const uint8_t *, size_t);

/* ---- reading ---- */

/*
 * The length of the header lines (`Name: value`, and the empty line that ends them) before a
 * message; 0: there are none; SIZE_MAX: they haven't ended yet. ERR_INVALID is left to mdm_read().
 */
size_t mdm_headers_end(const uint8_t *, size_t);

/*
 * Reads one whole message as /checkin takes it: header lines, then a property list (XML, binary) or
 * a webhook's JSON. `now` is the time of facts when the envelope has none (or one in the future).
 * ERR_INVALID says what is wrong; ERR_TOO_BIG. The caller frees `out` with message_free(), also
 * after an error.
 */
enum error mdm_read(const uint8_t *, size_t, int64_t now, struct message *out);

/*
 * Reads a SetBootstrapToken property list alone, as `token` takes it and as a seal holds it.
 * out->id is "" when it names no UDID. ERR_INVALID when it is another message, or of the user
 * channel.
 */
enum error mdm_read_token(const uint8_t *, size_t, struct message *out);

/* A token as base64 text. ERR_INVALID: bad base64, empty, or a FileVault recovery key; ERR_TOO_BIG:
 * more than 48 KiB of token (64 KiB of base64), here as in property lists. The caller frees. */
enum error mdm_read_base64(const uint8_t *, size_t, struct secret *token);

/* A token's own bytes, as they come: ERR_INVALID when it is empty or a FileVault recovery key, ERR_TOO_BIG. */
enum error mdm_check_token(const struct secret *token);

/* Splits concatenated property lists (a stream of messages): the offset behind the first, or 0 when
 * it isn't whole. */
size_t mdm_stream_next(const uint8_t *, size_t);

/* ---- writing ---- */

/* The reply to GetBootstrapToken: an XML property list; without the key when token is NULL. The
 * caller frees. */
enum error mdm_write_reply(const struct secret *token, struct secret *out);

/* A SetBootstrapToken message with the UDID, as devices send it: an XML property list. The caller frees. */
enum error mdm_write_token(const char *udid, const struct secret *token, struct secret *out);

/*
 * The same as a binary property list: what is sealed. It has no base64 in it, and is little more than
 * half as long. The same token gives the same bytes. The caller frees.
 */
enum error mdm_write_content(const char *udid, const struct secret *token, struct secret *out);
/*
 * What a seal holds, as mdm_read_token() does. What was written as above for this UDID, which is most likely,
 * is read without libplist as a rule (mold.h), and then lies nowhere but in secure memory; out->id says whose
 * it is.
 */
enum error mdm_read_content(const char *udid, const uint8_t *, size_t, struct message *out);

/*
 * The size of a token of which only the length of a seal's content is known. Contents are binary, or XML
 * in seals of older programs; where a length may be either's, XML is what is assumed. Of the three sizes
 * that one XML length stands for (base64 rounds up) the greatest. 0: no content is as long.
 */
enum error mdm_token_size(const char *udid, size_t content_len, uint32_t *size);

/* The token as one line of base64 and a newline: what the file `token` shows. The caller frees. */
enum error mdm_write_base64(const struct secret *token, struct secret *out);

#endif
