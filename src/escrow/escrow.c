/* Opening and closing: the store, its recipients, its key. */
#include "inside.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void escrow_on_wait(struct escrow *escrow, void (*waits)(void *), void *context)
{
	store_on_wait(escrow->store, waits, context);
}

void escrow_rest(struct escrow *escrow)
{
	store_rest(escrow->store);
}

enum error escrow_start(struct escrow *escrow)
{
	return store_start(escrow->store);
}

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

bool escrow_holds_path(const struct escrow *escrow, const char *path)
{
	return seal_path_inside(path, escrow->path);
}

enum error escrow_named(const struct escrow *escrow, enum error result, const char *option,
			const char *value)
{
	char word[32];
	snprintf(word, sizeof word, escrow->mode == ESCROW_SHARE ? "--%s " : "%s=", option);
	return fail_named(result, word, value);
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
	snprintf(escrow->pins, sizeof escrow->pins, "%s",
		 options->recipients ? options->recipients : "");
	escrow->key_named = options->key_uri != NULL;
	snprintf(escrow->passphrase_file, sizeof escrow->passphrase_file, "%s",
		 options->passphrase_file ? options->passphrase_file : "");
	escrow->strict_identity = options->strict_identity;
	escrow->uid = options->uid;
	escrow->gid = options->gid;
	TRY(seal_prepare());
	TRY(refusals_new(&escrow->refusals));
	TRY(quota_new(options->retrievals_an_hour, &escrow->retrievals));
	TRY(patrol_new(&escrow->patrol));
	/* The rest is for what comes whole, and for who is at work. */
	TRY(holdings_new(secret_heap() / 2, &escrow->unfinished));
	TRY(holdings_new(secret_heap() / 4, &escrow->given));
	TRY(store_open(options->store, modes[options->mode], options->holder, &escrow->store));
	struct store_birth birth;
	TRY(store_birth(escrow->store, &birth));
	escrow->born_at = birth.at;
	memcpy(escrow->mac_key, birth.key, sizeof escrow->mac_key);
	TRY(settle_owner(escrow));
	TRY(owners_load(escrow));
	TRY(rendering_bring_up(escrow));
	if (options->mode == ESCROW_SEALED)
		return OK;
	TRY(look_whether_new(escrow));
	TRY(sealing_load(escrow));
	escrow->rehearse = options->rehearse;
	if (escrow->rehearse)
		store_rehearse(escrow->store);
	return daily_load(escrow, options, &birth);
}

enum error escrow_open(const struct escrow_options *options, struct escrow **out)
{
	struct escrow *escrow = calloc(1, sizeof *escrow);
	if (!escrow)
		return fail(ERR_MEMORY, "out of memory");
	pthread_rwlock_init(&escrow->sealing, NULL);
	pthread_mutex_init(&escrow->owners_mutex, NULL);
	pthread_mutex_init(&escrow->key_mutex, NULL);
	escrow->pins_fd = -1;
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
	if (escrow->pins_fd >= 0)
		close(escrow->pins_fd);
	pthread_rwlock_destroy(&escrow->sealing);
	pthread_mutex_destroy(&escrow->owners_mutex);
	pthread_mutex_destroy(&escrow->key_mutex);
	refusals_free(escrow->refusals);
	quota_free(escrow->retrievals);
	patrol_free(escrow->patrol);
	holdings_free(escrow->unfinished);
	holdings_free(escrow->given);
	secret_wipe(escrow->mac_key, sizeof escrow->mac_key);
	free(escrow);
}
