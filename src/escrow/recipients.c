/*
 * The store's recipients, as rekey changes them: certificates come in as files and are retired by
 * their fingerprints, all of it in one transaction or nothing of it.
 */
#include "inside.h"
#include "told.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINGERPRINT (2 * SEAL_DIGEST)
#define SHORTEST 4 /* digits of a fingerprint that stand for all of it */

struct changing {
	struct escrow *escrow;
	const struct actor *actor;
	const struct escrow_rekey *how;
	struct bytes *certificate; /* one for each of how->add */
	int64_t now;
	struct escrow_rekeyed *out;
};

static void changing_free(struct changing *changing)
{
	for (int i = 0; changing->certificate && i < changing->how->add_count; i++)
		bytes_free(&changing->certificate[i]);
	free(changing->certificate);
}

static enum error fingerprint_of(const uint8_t *der, size_t len, char out[static FINGERPRINT + 1])
{
	uint8_t digest[SEAL_DIGEST];
	TRY(seal_digest(der, len, digest));
	hex_write(digest, sizeof digest, out);
	return OK;
}

static enum error record(struct tx *tx, struct changing *changing, const char *reason)
{
	return trail_add(tx, changing->escrow,
			 &(struct event){.at = changing->now,
					 .action = ACTION_REKEY,
					 .outcome = "ok",
					 .actor = changing->actor,
					 .reason = reason});
}

/* ---- adding ---- */

/* Files are read, and looked at, before the store is touched. */
static enum error read_certificates(struct changing *changing)
{
	const struct escrow_rekey *how = changing->how;
	SCOPED(recipients_scoped) struct recipients *fit = NULL;
	TRY(recipients_new(&fit));
	changing->certificate = calloc((size_t)how->add_count + 1, sizeof *changing->certificate);
	if (!changing->certificate)
		return fail(ERR_MEMORY, "out of memory");
	for (int i = 0; i < how->add_count; i++) {
		struct bytes *certificate = &changing->certificate[i];
		TRY(fail_named(seal_certificate_read(how->add[i], certificate), "--add ",
			       how->add[i]));
		enum error added = recipients_add(fit, certificate->data, certificate->len);
		if (added)
			return fail(added, "--add %s: %s", how->add[i], fail_why());
	}
	return OK;
}

static enum error add(struct tx *tx, struct changing *changing, int i)
{
	const char *path = changing->how->add[i];
	const struct bytes *certificate = &changing->certificate[i];
	struct recipient recipient = {.added_at = changing->now};
	snprintf(recipient.name, sizeof recipient.name, "%s", recipient_name_of(path));
	enum error added = store_recipient_add(tx, &recipient, certificate->data, certificate->len);
	if (added == ERR_EXISTS)
		return fail(added,
			    "--add %s: %s; without --add, `escrowfs rekey %s` goes on with a rekey "
			    "that "
			    "was stopped",
			    path, fail_why(), changing->escrow->path);
	TRY(added);
	char fingerprint[FINGERPRINT + 1], reason[256];
	TRY(fingerprint_of(certificate->data, certificate->len, fingerprint));
	snprintf(reason, sizeof reason, "recipient %s" SAYS_ADDED "%s", recipient.name,
		 fingerprint);
	return record(tx, changing, reason);
}

/* ---- retiring ---- */

/* As OpenSSL prints it, or as we do, or less of it: lower-case digits. */
static enum error read_fingerprint(const char *text, char out[static FINGERPRINT + 1])
{
	size_t n = 0;
	bool good = true;
	for (const char *c = text; *c && good; c++) {
		if (*c == ':')
			continue;
		good = isxdigit((unsigned char)*c) && n < FINGERPRINT;
		if (good)
			out[n++] = (char)tolower((unsigned char)*c);
	}
	out[n] = 0;
	if (!good)
		return fail(ERR_INVALID,
			    "`%.100s` is no fingerprint: it is the SHA-256 of a certificate, 64 "
			    "hexadecimal digits, or its first ones",
			    text);
	if (n < SHORTEST)
		return fail(ERR_INVALID,
			    "`%s` is too little of a fingerprint: give %d digits or more", text,
			    SHORTEST);
	return OK;
}

struct finding {
	const char *wanted;
	int matches;
	struct bytes der;
	struct recipient recipient;
	char fingerprint[FINGERPRINT + 1];
};

static void finding_free(struct finding *finding)
{
	bytes_free(&finding->der);
}

static enum error match(void *context, const struct recipient *recipient, const uint8_t *der,
			size_t len)
{
	struct finding *finding = context;
	char fingerprint[FINGERPRINT + 1];
	TRY(fingerprint_of(der, len, fingerprint));
	if (strncmp(fingerprint, finding->wanted, strlen(finding->wanted)) != 0 ||
	    finding->matches++)
		return OK;
	finding->recipient = *recipient;
	memcpy(finding->fingerprint, fingerprint, sizeof fingerprint);
	return bytes_add(&finding->der, der, len);
}

static enum error retire(struct tx *tx, struct changing *changing, const char *text)
{
	const char *store = changing->escrow->path;
	char wanted[FINGERPRINT + 1], reason[256];
	SCOPED(finding_free) struct finding found = {.wanted = wanted};
	TRY(read_fingerprint(text, wanted));
	TRY(store_recipients(tx, match, &found));
	if (!found.matches)
		return fail(ERR_NOT_FOUND,
			    "no recipient of %s has a fingerprint that starts with %s (one that is "
			    "retired already is none any more); `escrowfs rekey %s --list` shows "
			    "them, and without --retire a rekey that was stopped goes on",
			    store, wanted, store);
	if (found.matches > 1)
		return fail(ERR_INVALID,
			    "%d recipients of %s have a fingerprint that starts with %s: give more "
			    "of it",
			    found.matches, store, wanted);
	TRY(store_recipient_retire(tx, found.der.data, found.der.len, changing->now));
	if (strcmp(found.recipient.name, "recovery") == 0)
		changing->out->recovery_retired = true;
	snprintf(reason, sizeof reason, "recipient %s" SAYS_RETIRED "%s", found.recipient.name,
		 found.fingerprint);
	return record(tx, changing, reason);
}

/* ---- all of it ---- */

static enum error count(void *context, const struct recipient *recipient, const uint8_t *der,
			size_t len)
{
	struct escrow_rekeyed *out = context;
	(void)der;
	(void)len;
	out->recipients++;
	if (strcmp(recipient->name, "recovery") == 0)
		out->recovery_retired = false;
	return OK;
}

static enum error gather(void *context, const struct recipient *recipient, const uint8_t *der,
			 size_t len)
{
	(void)recipient;
	return recipients_add(context, der, len);
}

/* The key's place. What is sealed from now on must open with it. */
static enum error remember(struct tx *tx, struct changing *changing)
{
	struct escrow *escrow = changing->escrow;
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	char place[STORE_URI_MAX], reason[STORE_URI_MAX + 64];
	TRY(recipients_new(&recipients));
	TRY(store_recipients(tx, gather, recipients));
	if (!escrow->key || !seal_key_fits(escrow->key, recipients))
		return fail(ERR_INVALID,
			    "--key %s: this private key is none of the recipients of store %s and "
			    "is not "
			    "remembered; add its certificate first, with --add CERT",
			    escrow->key_uri, escrow->path);
	escrow_key_place(escrow->key_uri, place, sizeof place);
	TRY(store_set_key_uri(tx, place));
	snprintf(reason, sizeof reason, "the daily key is at %s from now on", place);
	return record(tx, changing, reason);
}

static enum error change_apply(struct tx *tx, void *context)
{
	struct changing *changing = context;
	const struct escrow_rekey *how = changing->how;
	for (int i = 0; i < how->add_count; i++)
		TRY(add(tx, changing, i));
	for (int i = 0; i < how->retire_count; i++)
		TRY(retire(tx, changing, how->retire[i]));
	changing->out->recipients = 0;
	TRY(store_recipients(tx, count, changing->out));
	if (!changing->out->recipients)
		return fail(ERR_FORBIDDEN,
			    "%s: that would retire the last recipient, and nothing could be sealed "
			    "any more; add another one with --add CERT",
			    changing->escrow->path);
	TRY(sealing_pinned(tx, changing->escrow, how->recipients));
	if (how->remember)
		TRY(remember(tx, changing));
	changing->out->changed = how->add_count || how->retire_count;
	return OK;
}

enum error recipients_change(struct escrow *escrow, const struct actor *actor,
			     const struct escrow_rekey *how, struct escrow_rekeyed *out)
{
	SCOPED(changing_free)
	struct changing changing = {
		.escrow = escrow, .actor = actor, .how = how, .now = time_now(), .out = out};
	TRY(read_certificates(&changing));
	enum error result = store_change(escrow->store, change_apply, &changing);
	if (result)
		*out = (struct escrow_rekeyed){0};
	TRY(result);
	return sealing_follow_now(escrow);
}
