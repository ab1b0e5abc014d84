/* Opening and closing: the store, its recipients, its key. */
#include "inside.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool escrow_sealed(const struct escrow *escrow)
{
	return escrow->mode == ESCROW_SEALED;
}

bool escrow_rehearses(const struct escrow *escrow)
{
	return escrow->rehearse;
}

int64_t escrow_born_at(const struct escrow *escrow)
{
	return escrow->born_at;
}

bool escrow_has_key(const struct escrow *escrow)
{
	return escrow->key != NULL;
}

bool escrow_holds_path(const struct escrow *escrow, const char *path)
{
	return seal_path_inside(path, escrow->path);
}

/* The key that was named, or the one that the store remembers: that one may be missing. */
static enum error load_key(struct escrow *escrow, const struct escrow_options *options,
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
	enum error result =
		seal_key_load(uri, options->passphrase_file, options->store, &escrow->key);
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
		return fail(ERR_INVALID,
			    "%s: this private key is none of the recipients of store %s; "
			    "`escrowfs status %s` lists them",
			    uri, options->store, options->store);
	log_say(LOG_LEVEL_WARNING,
		"%s: the private key at %s is none of its recipients: it opens nothing that was "
		"sealed since it was retired; name another one with key=URI, or for good with "
		"`escrowfs rekey %s --key URI --remember`",
		options->store, uri, options->store);
	return OK;
}

static enum error owner_apply(struct tx *tx, void *context)
{
	const struct escrow *escrow = context;
	return store_set_owner(tx, escrow->uid, escrow->gid);
}

/*
 * What nobody set an owner of belongs to the owner of the mount that serves; beside it and after
 * it, that one holds too, whoever asks. Before the first such mount it is whose the store is.
 */
static enum error settle_owner(struct escrow *escrow)
{
	struct store_state state;
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		TRY(store_state(tx, &state));
	}
	bool same = state.served && state.uid == escrow->uid && state.gid == escrow->gid;
	if (escrow->mode == ESCROW_SERVE)
		return same ? OK : store_change(escrow->store, owner_apply, escrow);
	struct stat directory;
	if (!state.served && stat(escrow->path, &directory))
		return fail(ERR_IO, "%s: %s", escrow->path, strerror(errno));
	escrow->uid = state.served ? state.uid : directory.st_uid;
	escrow->gid = state.served ? state.gid : directory.st_gid;
	return OK;
}

static enum error look_whether_new(struct escrow *escrow)
{
	int64_t change;
	TRY(escrow_change_number(escrow, &change));
	escrow->was_new = change == 0;
	return OK;
}

static enum error open_all(struct escrow *escrow, const struct escrow_options *options)
{
	static const enum store_mode modes[] = {
		[ESCROW_SERVE] = STORE_SERVE,
		[ESCROW_SHARE] = STORE_SHARE,
		[ESCROW_SEALED] = STORE_SNAPSHOT,
	};
	snprintf(escrow->path, sizeof escrow->path, "%s", options->store);
	escrow->mode = options->mode;
	escrow->uid = options->uid;
	escrow->gid = options->gid;
	TRY(refusals_new(&escrow->refusals));
	TRY(store_open(options->store, modes[options->mode], options->holder, &escrow->store));
	struct store_birth birth;
	TRY(store_birth(escrow->store, &birth));
	escrow->born_at = birth.at;
	memcpy(escrow->mac_key, birth.key, sizeof escrow->mac_key);
	TRY(settle_owner(escrow));
	TRY(rendering_bring_up(escrow));
	if (options->mode == ESCROW_SEALED)
		return OK;
	TRY(look_whether_new(escrow));
	TRY(sealing_load(escrow));
	escrow->rehearse = options->rehearse;
	if (escrow->rehearse)
		store_rehearse(escrow->store);
	return load_key(escrow, options, &birth);
}

enum error escrow_open(const struct escrow_options *options, struct escrow **out)
{
	struct escrow *escrow = calloc(1, sizeof *escrow);
	if (!escrow)
		return fail(ERR_MEMORY, "out of memory");
	pthread_rwlock_init(&escrow->sealing, NULL);
	enum error result = open_all(escrow, options);
	if (result) {
		escrow_close(escrow);
		return result;
	}
	*out = escrow;
	return OK;
}

void escrow_close(struct escrow *escrow)
{
	if (!escrow)
		return;
	if (escrow->store && escrow->refusals)
		escrow_tick_all(escrow);
	store_close(escrow->store);
	seal_key_free(escrow->key);
	recipients_free(escrow->recipients);
	pthread_rwlock_destroy(&escrow->sealing);
	refusals_free(escrow->refusals);
	secret_wipe(escrow->mac_key, sizeof escrow->mac_key);
	free(escrow);
}
