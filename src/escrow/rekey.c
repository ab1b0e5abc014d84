/*
 * Rekey: every version sealed anew to the recipients of today.
 *
 * Each version says to which generation of recipients it is sealed, so what is left to do can be
 * told at any time, and there is nothing to remember of a rekey that was stopped. A batch goes
 *
 *	look      a view: versions of older generations, and their seals
 *	work      opened and sealed, by all processors; no lock, no transaction
 *	change    one transaction: what is still as it was gets its new seal, and a line of the trail
 *
 * and while the disk takes one batch's change the next one is looked for and worked on. What was
 * escrowed meanwhile is sealed to today's recipients by itself (sealing.c).
 *
 * A version whose seal doesn't open here stays as it is, and the next rekey tries it again. In the
 * end the store is compacted: it is marked as unclean from the first batch until that is done.
 *
 * MUST: plaintext goes from one seal into the next in secure memory, and nowhere else.
 *       (test: rekey_leaves_no_secret)
 * MUST: a version is replaced by a seal of the token that it was checked to hold, or not at all.
 *       (test: rekey_leaves_what_is_damaged)
 */
#include "inside.h"

#include "crew.h"
#include "fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256

struct item {
	struct version version; /* as it was looked at; mac and size as its token has them */
	struct device device;	/* of which only the name is known */
	struct bytes before;	/* its seal */
	struct sealed sealed;
	bool was_verified;
	enum error result;
	char why[384];
};

struct rekey;

struct batch {
	struct rekey *rekey;
	struct item item[BATCH];
	int count;
	int64_t now, generation;
	int64_t sealed;	       /* by the change */
	struct change *change; /* under way */
};

struct rekey {
	struct escrow *escrow;
	const struct actor *actor;
	const struct rekey_watch *watch;
	struct escrow_rekeyed *out;
	int64_t after, generation;
	struct batch *batch[2];
};

static void batch_empty(struct batch *batch)
{
	for (int i = 0; i < batch->count; i++) {
		bytes_free(&batch->item[i].before);
		sealed_free(&batch->item[i].sealed);
	}
	batch->count = 0;
}

static void rekey_free(struct rekey *rekey)
{
	for (int i = 0; i < 2; i++) {
		if (rekey->batch[i] && rekey->batch[i]->change)
			(void)store_change_wait(rekey->batch[i]->change);
		if (rekey->batch[i])
			batch_empty(rekey->batch[i]);
		free(rekey->batch[i]);
	}
}

/* ---- looking ---- */

static bool pick(void *context, const struct version *version, const char *udid)
{
	struct batch *batch = context;
	batch->rekey->after = version->id;
	if (version->generation == batch->generation)
		return true;
	struct item *item = &batch->item[batch->count++];
	*item = (struct item){.version = *version, .was_verified = version->verified};
	snprintf(item->device.udid, sizeof item->device.udid, "%s", udid);
	return batch->count < BATCH;
}

static enum error look(struct rekey *rekey, struct batch *batch)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	batch_empty(batch);
	batch->generation = rekey->generation;
	TRY(store_view(rekey->escrow->store, &tx));
	TRY(store_versions(tx, 0, rekey->after, pick, batch));
	for (int i = 0; i < batch->count; i++)
		TRY(store_blob(tx, batch->item[i].version.id, &batch->item[i].before));
	return OK;
}

/* ---- work ---- */

static enum error seal_anew(struct rekey *rekey, struct item *item)
{
	SCOPED(secret_free) struct secret token = {0};
	TRY(token_open(rekey->escrow, &item->device, &item->version, &item->before, &token));
	return token_close(rekey->escrow, item->device.udid, &token, &item->sealed);
}

static void work(void *context, int i)
{
	struct batch *batch = context;
	struct item *item = &batch->item[i];
	item->result = seal_anew(batch->rekey, item);
	if (item->result)
		snprintf(item->why, sizeof item->why, "%s", fail_why());
}

/* Stays sealed as it is, unless this is a fault that all others would have, too. */
static enum error leave(struct rekey *rekey, const struct item *item)
{
	switch (item->result) {
	case OK:
		return OK;
	case ERR_NO_KEY:
		rekey->out->unopened++;
		break;
	case ERR_BAD_SEAL:
		rekey->out->damaged++;
		break;
	default:
		return fail(item->result, "%s", item->why);
	}
	rekey->watch->left(rekey->watch->context, item->why);
	return OK;
}

static enum error work_on(struct rekey *rekey, struct batch *batch)
{
	crew_run(batch->count, work, batch);
	for (int i = 0; i < batch->count; i++) {
		/* Large tokens on many processors may be more than secure memory has room for. */
		if (batch->item[i].result == ERR_MEMORY)
			work(batch, i);
		TRY(leave(rekey, &batch->item[i]));
	}
	return OK;
}

/* ---- change ---- */

/*
 * What the tree shows of the device: the token's time, and its size once that is known from a first
 * opening.
 */
static enum error touch(struct tx *tx, const struct item *item, struct device *device,
			const struct version *version, int64_t now)
{
	if (item->was_verified) {
		device->token_at = version->sealed_at;
		return store_device_save(tx, device);
	}
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_load(tx, device->id, &dossier));
	return dossier_settle(tx, &dossier, now);
}

static enum error record(struct tx *tx, const struct batch *batch, const struct item *item)
{
	char blob[2 * STORE_DIGEST + 1];
	hex_write(item->sealed.digest, STORE_DIGEST, blob);
	return trail_add(tx, batch->rekey->escrow,
			 &(struct event){.at = batch->now,
					 .action = ACTION_REKEY,
					 .outcome = "ok",
					 .udid = item->device.udid,
					 .version = item->version.number,
					 .actor = batch->rekey->actor,
					 .blob = blob});
}

static enum error replace(struct tx *tx, struct batch *batch, const struct item *item)
{
	struct version version;
	struct device device = {0};
	enum error found = store_version(tx, item->version.id, &version);
	if (found == ERR_NOT_FOUND)
		return OK; /* destroyed meanwhile */
	TRY(found);
	if (!seal_equal(version.digest, item->version.digest, STORE_DIGEST))
		return OK;
	/* The file `token` shows the current version, and times of files only grow. */
	enum error shown = version.ended_at ? ERR_GONE : store_device(tx, version.device, &device);
	if (shown && shown != ERR_GONE)
		return shown;
	version.sealed_at = time_later(version.sealed_at, batch->now);
	version.sealed_at = time_later(device.token_at, version.sealed_at);
	version.token_size = item->version.token_size;
	version.verified = true;
	version.generation = item->sealed.generation;
	memcpy(version.mac, item->version.mac, sizeof version.mac);
	memcpy(version.digest, item->sealed.digest, sizeof version.digest);
	TRY(store_version_reseal(tx, &version, item->sealed.blob.data, item->sealed.blob.len));
	if (!shown)
		TRY(touch(tx, item, &device, &version, batch->now));
	batch->sealed++;
	fault_point("rekey-replaced");
	return record(tx, batch, item);
}

static enum error change_apply(struct tx *tx, void *context)
{
	struct batch *batch = context;
	batch->sealed = 0;
	TRY(sealing_still(tx, batch->generation));
	for (int i = 0; i < batch->count; i++)
		if (!batch->item[i].result)
			TRY(replace(tx, batch, &batch->item[i]));
	return batch->sealed ? store_set_unclean(tx, true) : OK;
}

/* ---- one batch after the other ---- */

static bool step(const struct rekey *rekey, enum rekey_step what)
{
	const struct escrow_rekeyed *out = rekey->out;
	return rekey->watch->step(rekey->watch->context, what,
				  out->sealed + out->unopened + out->damaged, out->total);
}

/* Waits for a change that is under way, if there is one. */
static enum error finish(struct rekey *rekey, struct batch *batch)
{
	struct change *change = batch->change;
	if (!change)
		return OK;
	batch->change = NULL;
	TRY(store_change_wait(change));
	fault_point("rekey-batch");
	rekey->out->sealed += batch->sealed;
	if (!step(rekey, REKEY_SEALING))
		rekey->out->stopped = true;
	return OK;
}

static enum error seal_all(struct rekey *rekey)
{
	for (int turn = 0;; turn = !turn) {
		struct batch *batch = rekey->batch[turn], *before = rekey->batch[!turn];
		TRY(look(rekey, batch));
		TRY(work_on(rekey, batch));
		TRY(finish(rekey, before));
		if (!batch->count || rekey->out->stopped)
			return OK;
		batch->now = time_now();
		TRY(store_change_begin(rekey->escrow->store, change_apply, batch, &batch->change));
	}
}

/* ---- before and after ---- */

struct counting {
	struct escrow_seals *out;
	int64_t generation;
};

static bool count(void *context, const struct version *version, const char *udid)
{
	const struct counting *counting = context;
	(void)udid;
	if (version->generation == counting->generation)
		counting->out->current++;
	else
		counting->out->older++;
	return true;
}

enum error escrow_seals(struct escrow *escrow, struct escrow_seals *out)
{
	struct store_state state;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	*out = (struct escrow_seals){0};
	TRY(store_view(escrow->store, &tx));
	TRY(store_state(tx, &state));
	out->unclean = state.unclean > 0;
	struct counting counting = {out, state.generation};
	return store_versions(tx, 0, 0, count, &counting);
}

/* Does it open any of the versions? */
static enum error try_key(struct rekey *rekey)
{
	struct batch *batch = rekey->batch[0];
	rekey->generation = -1; /* all of them */
	rekey->after = 0;
	for (;;) {
		TRY(look(rekey, batch));
		if (!batch->count)
			return fail(ERR_NO_KEY,
				    "%s%s: this private key opens none of the tokens in store %s, "
				    "and nothing was changed: name one that does with --key URI",
				    rekey->escrow->key_named ? "--key " : "",
				    rekey->escrow->key_uri, rekey->escrow->path);
		for (int i = 0; i < batch->count; i++) {
			struct item *item = &batch->item[i];
			SCOPED(secret_free) struct secret token = {0};
			if (token_open(rekey->escrow, &item->device, &item->version, &item->before,
				       &token) == OK)
				return OK;
		}
	}
}

static bool is_recipient(const struct escrow *escrow)
{
	return seal_key_fits(escrow->key, escrow->recipients);
}

static enum error check_key(struct rekey *rekey, const struct escrow_rekey *how,
			    const struct escrow_seals *seals)
{
	struct escrow *escrow = rekey->escrow;
	bool changes = how->add_count || how->retire_count;
	if (!escrow->key && (how->remember || seals->older || (changes && seals->current)))
		return fail(ERR_NO_KEY,
			    "store %s: to seal its tokens anew takes a private key that opens "
			    "them, and there is none at %s: name one with --key URI",
			    escrow->path, escrow->key_uri);
	if (!changes || !(seals->older + seals->current) || is_recipient(escrow))
		return OK;
	return try_key(rekey);
}

static bool waiting(void *context, bool reader)
{
	struct rekey *rekey = context;
	if (!step(rekey, reader ? REKEY_WAITING : REKEY_COMPACTING))
		rekey->out->stopped = true;
	return !rekey->out->stopped;
}

static enum error record_end(struct tx *tx, void *context)
{
	const struct rekey *rekey = context;
	const struct escrow_rekeyed *out = rekey->out;
	char reason[256];
	snprintf(reason, sizeof reason,
		 "%" PRId64 " version%s sealed anew, %" PRId64
		 " left; what was replaced is gone from the store's files",
		 out->sealed, out->sealed == 1 ? "" : "s", out->unopened + out->damaged);
	return trail_add(tx, rekey->escrow,
			 &(struct event){.at = time_now(),
					 .action = ACTION_REKEY,
					 .outcome = "ok",
					 .actor = rekey->actor,
					 .reason = reason});
}

static enum error compact(struct rekey *rekey)
{
	struct store *store = rekey->escrow->store;
	struct escrow_rekeyed *out = rekey->out;
	if (!step(rekey, REKEY_COMPACTING)) {
		out->stopped = true;
		return OK;
	}
	enum error result = store_compact(store, waiting, rekey);
	if (result == ERR_BUSY && out->stopped)
		return OK;
	TRY(result);
	out->clean = true;
	fault_point("rekey-compacted");
	return store_change(store, record_end, rekey);
}

static enum error run(struct rekey *rekey, const struct escrow_rekey *how)
{
	struct escrow *escrow = rekey->escrow;
	struct escrow_rekeyed *out = rekey->out;
	struct escrow_seals seals;
	TRY(store_claim(escrow->store));
	TRY(escrow_seals(escrow, &seals));
	TRY(check_key(rekey, how, &seals));
	TRY(recipients_change(escrow, rekey->actor, how, out));
	out->key_retired = escrow->key && !is_recipient(escrow);
	out->total = seals.older + (out->changed ? seals.current : 0);

	fault_point("rekey-recipients");
	rekey->generation = escrow->generation;
	rekey->after = 0;
	TRY(seal_all(rekey));
	out->clean = !seals.unclean && !out->sealed;
	return out->clean || out->stopped ? OK : compact(rekey);
}

enum error escrow_rekey(struct escrow *escrow, const struct actor *actor,
			const struct escrow_rekey *how, const struct rekey_watch *watch,
			struct escrow_rekeyed *out)
{
	*out = (struct escrow_rekeyed){0};
	SCOPED(rekey_free)
	struct rekey rekey = {.escrow = escrow, .actor = actor, .watch = watch, .out = out};
	for (int i = 0; i < 2; i++) {
		rekey.batch[i] = calloc(1, sizeof *rekey.batch[i]);
		if (!rekey.batch[i])
			return fail(ERR_MEMORY, "out of memory");
		rekey.batch[i]->rekey = &rekey;
	}
	return run(&rekey, how);
}
