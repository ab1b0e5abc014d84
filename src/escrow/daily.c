/*
 * The daily key, with which this process opens seals, and reading it again: a mount goes on for months,
 * and a key is replaced meanwhile (escrow_reload()).
 *
 * Whoever opens a seal takes the key for as long as that lasts. The new one is read and tried first, and
 * then takes the old one's place in one moment: who took the old one before goes on with it, and the last
 * to give it back frees it. Whatever is wrong with the new one, the old one stays: a mount that can open
 * tokens isn't made one that can't.
 *
 * The process that serves can't open the key's file any more. Somebody else does (cli/keeper.h), who was
 * told of it before the first request: so a store that somebody changed doesn't say which files are
 * opened.
 *
 * MUST: what can't be read, or is no recipient's key, leaves the old key in use.
 *       (test: reload.bats, "stays in use")
 * MUST: a call that opens a seal has one key from its start to its end. (test: reload.bats, "200 readers")
 * MUST: a key is there until the last who holds it gives it back. (test: key_held_until_given_back)
 */
#include "inside.h"

#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is wrong with the key, or with its passphrase: with which option of the caller's. */
static enum error key_named(const struct escrow *escrow, enum error result)
{
	const char *passphrase = escrow->passphrase_file;
	bool is_passphrase = result && *passphrase && fail_has(passphrase);
	if (is_passphrase)
		result = escrow_named(escrow, result, "passphrase-file", passphrase);
	return escrow->key_named && (!is_passphrase || fail_has(escrow->key_uri))
		       ? escrow_named(escrow, result, "key", escrow->key_uri)
		       : result;
}

/* ---- at first ---- */

/* The key that was named, or the one that the store remembers: that one may be missing. */
enum error daily_load(struct escrow *escrow, const struct escrow_options *options,
		      const struct store_birth *birth)
{
	char *uri = escrow->key_uri;
	const char *named = options->key_uri;
	if (named || *birth->key_uri)
		snprintf(uri, sizeof escrow->key_uri, "%s", named ? named : birth->key_uri);
	else
		escrow_default_key(options->store, "key", uri, sizeof escrow->key_uri);
	if (options->no_key)
		return OK;
	enum error result = key_named(
		escrow, seal_key_load(uri, options->passphrase_file, options->store, &escrow->key));
	if (result == ERR_NOT_FOUND && !named && escrow->mode == ESCROW_SERVE) {
		log_say(LOG_LEVEL_WARNING,
			"%s: %s. Without its private key tokens can be escrowed but not retrieved "
			"(ENOKEY); name another one with key=URI",
			options->store, fail_why());
		return OK;
	}
	/* The command line escrows and verifies without one too. */
	if (result && !named && escrow->mode == ESCROW_SHARE) {
		if (result != ERR_NOT_FOUND)
			log_say(LOG_LEVEL_WARNING, "no seal can be opened: %s", fail_why());
		return OK;
	}
	TRY(result);
	if (seal_key_recipient(escrow->key, escrow->recipients) >= 0 || options->any_key)
		return OK;
	/* One that was named is a mistake. The usual one may open what isn't sealed anew yet. */
	if (named)
		return key_named(escrow,
				 fail(ERR_INVALID,
				      "%s: this private key is none of the recipients of store %s; "
				      "`escrowfs status %s` lists them",
				      uri, options->store, options->store));
	log_say(LOG_LEVEL_WARNING,
		"%s: the private key at %s is none of its recipients: it opens nothing that was "
		"sealed since it was retired; name another one with key=URI, or for good with "
		"`escrowfs rekey %s --key URI --remember`",
		options->store, uri, options->store);
	return OK;
}

/* ---- its use ---- */

struct seal_key *daily_take(struct escrow *escrow)
{
	pthread_mutex_lock(&escrow->key_mutex);
	struct seal_key *key = seal_key_hold(escrow->key);
	pthread_mutex_unlock(&escrow->key_mutex);
	return key;
}

bool escrow_has_key(struct escrow *escrow)
{
	SCOPED(seal_key_scoped) struct seal_key *key = daily_take(escrow);
	return key != NULL;
}

bool escrow_key_is_foreign(struct escrow *escrow)
{
	SCOPED(seal_key_scoped) struct seal_key *key = daily_take(escrow);
	return key && seal_key_is_foreign(key);
}

/* ---- again ---- */

static const char *passphrase_file(const struct escrow *escrow)
{
	return *escrow->passphrase_file ? escrow->passphrase_file : NULL;
}

void escrow_places(const struct escrow *escrow, struct escrow_places *out)
{
	*out = (struct escrow_places){0};
	if (escrow->mode == ESCROW_SEALED)
		return;
	seal_key_files(escrow->key_uri, passphrase_file(escrow), out->path[ESCROW_FILE_KEY],
		       out->path[ESCROW_FILE_PASSPHRASE]);
	snprintf(out->path[ESCROW_FILE_RECIPIENTS], PATH_MAX, "%s", escrow->pins);
}

/* The key remembers the certificate that it turns out to be of. */
static bool is_recipients(struct escrow *escrow, struct seal_key *key)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	bool is = seal_key_recipient(key, escrow->recipients) >= 0;
	pthread_rwlock_unlock(&escrow->sealing);
	return is;
}

static enum error take_key(struct escrow *escrow, const struct opened *file,
			   const struct opened *passphrase)
{
	SCOPED(seal_key_scoped) struct seal_key *key = NULL;
	TRY(key_named(escrow, seal_key_load_opened(escrow->key_uri, passphrase_file(escrow), file,
						   passphrase, escrow->path, &key)));
	TRY(sealing_follow_now(escrow));
	if (!is_recipients(escrow, key))
		return key_named(
			escrow,
			fail(ERR_INVALID,
			     "%s: this private key is none of the recipients of store %s: make it "
			     "one with `escrowfs rekey %s --add CERT` first",
			     escrow->key_uri, escrow->path, escrow->path));
	pthread_mutex_lock(&escrow->key_mutex);
	struct seal_key *before = escrow->key;
	escrow->key = key;
	key = before;
	pthread_mutex_unlock(&escrow->key_mutex);
	log_say(LOG_LEVEL_INFO, "%s: the private key at %s was read again%s", escrow->path,
		escrow->key_uri,
		!before				     ? "; there was none before"
		: seal_key_same(before, escrow->key) ? ", and is the same"
						     : ", and is another one than before");
	return OK;
}

/* Where `escrowfs rekey --remember` says that it is, since this mount began. */
static void warn_of_another_place(struct escrow *escrow)
{
	struct store_birth birth;
	if (escrow->key_named || store_birth(escrow->store, &birth) || !*birth.key_uri ||
	    strcmp(birth.key_uri, escrow->key_uri) == 0)
		return;
	log_say(LOG_LEVEL_WARNING,
		"%s: the store has its daily key at %s by now, and this mount reads %s, as it did "
		"at first: unmount, and mount again, to have it use the other one",
		escrow->path, birth.key_uri, escrow->key_uri);
}

/* The descriptor is the caller's: we keep one of our own. */
static enum error take_pins(struct escrow *escrow, const struct opened *file)
{
	SCOPED(recipients_scoped) struct recipients *readable = NULL;
	TRY(escrow_named(escrow, recipients_read_opened(file, escrow->path, &readable),
			 "recipients", escrow->pins));
	int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return fail(ERR_MEMORY, "%s: no descriptor is left to keep it open", file->path);
	log_say(LOG_LEVEL_INFO, "%s: the recipients in %s were read again", escrow->path,
		file->path);
	/* Whether the store has those, the log says by itself. */
	return sealing_pin(escrow, fd);
}

static enum error said(struct escrow *escrow, const char *what, enum error result)
{
	if (result)
		log_say(LOG_LEVEL_ERROR, "%s: %s stays in use, for it can't be read again: %s",
			escrow->path, what, fail_why());
	return result;
}

static enum error said_of_key(struct escrow *escrow, bool had_key, enum error result)
{
	if (had_key || !result)
		return said(escrow, "the private key from before", result);
	log_say(result == ERR_NOT_FOUND ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
		"%s: there is no private key still: %s", escrow->path, fail_why());
	return result;
}

enum error escrow_reload(struct escrow *escrow, const struct opened files[static ESCROW_FILES])
{
	if (escrow->mode == ESCROW_SEALED)
		return OK;
	enum error pinned = OK;
	if (*escrow->pins) {
		pinned = take_pins(escrow, &files[ESCROW_FILE_RECIPIENTS]);
		if (pinned != ERR_UNPINNED)
			pinned = said(escrow, "what the file of recipients said before", pinned);
	}
	bool had_key = escrow_has_key(escrow);
	enum error keyed = said_of_key(
		escrow, had_key,
		take_key(escrow, &files[ESCROW_FILE_KEY], &files[ESCROW_FILE_PASSPHRASE]));
	warn_of_another_place(escrow);
	return pinned ? pinned : keyed;
}
