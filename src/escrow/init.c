/*
 * A new store and its keys. What is made is taken back when a later step fails; nothing is
 * overwritten.
 */
#include "inside.h"
#include "told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void escrow_default_key(const char *store, const char *which, char *out, size_t size)
{
	/* Beside the directory, however it was named: "." has its keys outside of it too. */
	char *path = realpath(store, NULL);
	const char *name = path ? path : store;
	size_t len = strlen(name);
	while (len > 1 && name[len - 1] == '/')
		len--;
	snprintf(out, size, "%.*s.%s.pem", (int)len, name, which);
	free(path);
}

struct making {
	const struct escrow_birth *birth;
	const struct actor *actor;
	struct escrow_born *born;
	struct bytes certificate[2]; /* the daily key's, the recovery key's */
};

static void making_free(struct making *making)
{
	bytes_free(&making->certificate[0]);
	bytes_free(&making->certificate[1]);
}

/* What is wrong with a key, or with its passphrase: with which option. */
static enum error key_named(const struct escrow_birth *birth, enum error result)
{
	const char *passphrase = birth->passphrase_file, *key = birth->key_uri;
	bool is_passphrase = result && passphrase && fail_has(passphrase);
	if (is_passphrase)
		result = fail_named(result, "--passphrase-file ", passphrase);
	return key && (!is_passphrase || fail_has(key)) ? fail_named(result, "--key ", key)
							: result;
}

static enum error load_named(const struct escrow_birth *birth, struct bytes *certificate)
{
	SCOPED(seal_key_scoped) struct seal_key *key = NULL;
	TRY(seal_key_load(birth->key_uri, birth->passphrase_file, birth->store, &key));
	return seal_key_certificate(key, "escrowfs daily key", certificate);
}

static enum error make_keys(struct making *making)
{
	const struct escrow_birth *birth = making->birth;
	struct escrow_born *born = making->born;
	char path[STORE_URI_MAX];
	escrow_default_key(birth->store, "key", path, sizeof path);
	if (birth->key_uri) {
		TRY(key_named(birth, load_named(birth, &making->certificate[0])));
	} else {
		TRY(key_named(birth,
			      seal_key_make(SEAL_KEY_DAILY, "escrowfs daily key", path,
					    birth->passphrase_file, &making->certificate[0])));
		memcpy(born->key_path, path, sizeof born->key_path);
	}
	if (birth->no_recovery)
		return OK;
	escrow_default_key(birth->store, "recovery", path, sizeof path);
	TRY(seal_key_make(SEAL_KEY_RECOVERY, "escrowfs recovery key", path, birth->passphrase_file,
			  &making->certificate[1]));
	memcpy(born->recovery_path, path, sizeof born->recovery_path);
	return OK;
}

static enum error add(struct tx *tx, struct making *making, const char *name,
		      const struct bytes *certificate)
{
	struct recipient recipient = {.added_at = time_now()};
	snprintf(recipient.name, sizeof recipient.name, "%s", name);
	TRY(store_recipient_add(tx, &recipient, certificate->data, certificate->len));
	making->born->recipients++;
	return OK;
}

const char *recipient_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Which they are; more of them than a line has room for aren't named. */
struct naming {
	char reason[1900];
	int count;
};

static enum error name_one(void *context, const struct recipient *recipient, const uint8_t *der,
			   size_t len)
{
	struct naming *naming = context;
	uint8_t digest[SEAL_DIGEST];
	char hex[2 * SEAL_DIGEST + 1];
	size_t n = strlen(naming->reason);
	(void)recipient;
	TRY(seal_digest(der, len, digest));
	hex_write(digest, sizeof digest, hex);
	snprintf(naming->reason + n, sizeof naming->reason - n, "%s%s", naming->count++ ? ", " : "",
		 hex);
	return OK;
}

static enum error birth_apply(struct tx *tx, void *context)
{
	struct making *making = context;
	TRY(add(tx, making, "daily", &making->certificate[0]));
	if (making->certificate[1].len)
		TRY(add(tx, making, "recovery", &making->certificate[1]));
	for (int i = 0; i < making->birth->recipient_count; i++) {
		const char *path = making->birth->recipients[i];
		SCOPED(bytes_free) struct bytes certificate = {0};
		TRY(seal_certificate_read(path, &certificate));
		TRY(add(tx, making, recipient_name_of(path), &certificate));
	}
	TRY(rendering_mark(tx));
	struct naming naming = {.reason = SAYS_BORN_TO};
	TRY(store_recipients(tx, name_one, &naming));
	bool all = strlen(naming.reason) < sizeof naming.reason - 1;
	struct escrow nobody = {.mode = ESCROW_SHARE}; /* to count the event in */
	return trail_add(tx, &nobody,
			 &(struct event){.at = time_now(),
					 .action = ACTION_INIT,
					 .outcome = "ok",
					 .actor = making->actor,
					 .reason = all ? naming.reason : "a new store"});
}

/* Certificates are looked at before anything is made. */
static enum error check_certificates(const struct escrow_birth *birth)
{
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	TRY(recipients_new(&recipients));
	for (int i = 0; i < birth->recipient_count; i++) {
		SCOPED(bytes_free) struct bytes certificate = {0};
		TRY(fail_named(seal_certificate_read(birth->recipients[i], &certificate),
			       "--recipient ", birth->recipients[i]));
		enum error added = recipients_add(recipients, certificate.data, certificate.len);
		if (added)
			return fail(added, "--recipient %s: %s", birth->recipients[i], fail_why());
	}
	return OK;
}

/* Nothing may be where the store and its keys go. */
static enum error check_free(const struct escrow_birth *birth)
{
	static const char *const which[] = {"key", "recovery"};
	for (int i = 0; i < 2; i++) {
		if (i == 0 ? birth->key_uri != NULL : birth->no_recovery)
			continue;
		char path[STORE_URI_MAX];
		escrow_default_key(birth->store, which[i], path, sizeof path);
		if (access(path, F_OK) == 0)
			return fail(ERR_EXISTS,
				    "%s: there is a key of this name already; it may open an older "
				    "store's tokens, so move it away first",
				    path);
	}
	return OK;
}

/* A path is remembered whole: a mount may run in another directory. */
void escrow_key_place(const char *uri, char *out, size_t size)
{
	char *path = realpath(uri, NULL);
	snprintf(out, size, "%s", path ? path : uri);
	free(path);
}

static enum error init(struct making *making)
{
	const struct escrow_birth *birth = making->birth;
	if (strlen(birth->store) > STORE_URI_MAX - 32 ||
	    (birth->key_uri && strlen(birth->key_uri) >= STORE_URI_MAX))
		return fail(ERR_INVALID, "the path is too long: at most %d bytes",
			    STORE_URI_MAX - 32);
	TRY(check_free(birth));
	TRY(check_certificates(birth));
	struct store_birth newborn = {.at = time_now()};
	TRY(seal_random(newborn.key, sizeof newborn.key));
	if (birth->key_uri)
		escrow_key_place(birth->key_uri, newborn.key_uri, sizeof newborn.key_uri);
	TRY(store_create(birth->store, &newborn));
	enum error result = make_keys(making);
	struct store *store = NULL;
	if (!result)
		result = store_open(birth->store, STORE_SHARE, NULL, &store);
	if (!result)
		result = store_change(store, birth_apply, making);
	store_close(store);
	if (result)
		store_destroy(birth->store);
	return result;
}

enum error escrow_init(const struct escrow_birth *birth, const struct actor *actor,
		       struct escrow_born *out)
{
	*out = (struct escrow_born){0};
	SCOPED(making_free) struct making making = {.birth = birth, .actor = actor, .born = out};
	enum error result = init(&making);
	if (!result)
		return OK;
	if (*out->key_path)
		unlink(out->key_path);
	if (*out->recovery_path)
		unlink(out->recovery_path);
	return result;
}
