/*
 * Purge: the one exception to the law that nothing is ever lost. Versions that ended before a time
 * are destroyed, in the order of devices, a batch in a transaction, and each leaves a line on the
 * trail that says which seal it was. What is left of a purge that was interrupted is less to
 * destroy: it goes on when it is called again. Numbers stay used (device.last_version).
 *
 * MUST: a current version is never destroyed. (test: purge.bats, "what is current stays")
 * MUST: what isn't on the trail isn't destroyed. (test: purge.bats, "the trail has a line")
 * MUST: nothing of what was destroyed is left in the store's files.
 *       (test: purge.bats, "nothing of it is left in the files")
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

#define BATCH 256

/* ---- what would go ---- */

struct looking {
	struct escrow_purgeable *out;
	int64_t device; /* of the version before */
};

static bool add_up(void *context, const struct version *version, const char *udid)
{
	struct looking *looking = context;
	struct escrow_purgeable *out = looking->out;
	(void)udid;
	out->versions++;
	if (version->device != looking->device)
		out->devices++;
	looking->device = version->device;
	if (!out->oldest || version->ended_at < out->oldest)
		out->oldest = version->ended_at;
	if (version->ended_at > out->newest)
		out->newest = version->ended_at;
	return true;
}

struct removed {
	int64_t before;
	bool stays; /* one of its versions ended later */
};

static bool look_at_removed(void *context, const struct version *version, const char *udid,
			    bool removed)
{
	struct removed *one = context;
	(void)udid;
	one->stays = one->stays || (removed && version->ended_at >= one->before);
	return removed && !one->stays;
}

struct page {
	char udid[BATCH][UDID_MAX + 1];
	int64_t last;
	int count;
};

static bool fill_page(void *context, int64_t id, const char *udid)
{
	struct page *page = context;
	page->last = id;
	snprintf(page->udid[page->count++], sizeof *page->udid, "%s", udid);
	return page->count < BATCH;
}

/* Names of devices that were taken away which /removed wouldn't show any more. */
static enum error count_vanishing(struct tx *tx, int64_t before, int64_t *out)
{
	struct page page = {.count = BATCH};
	while (page.count == BATCH) {
		page.count = 0;
		TRY(store_removed_devices(tx, page.last, BATCH, fill_page, &page));
		for (int i = 0; i < page.count; i++) {
			struct removed one = {.before = before};
			TRY(store_versions_named(tx, page.udid[i], look_at_removed, &one));
			*out += !one.stays;
		}
	}
	return OK;
}

enum error escrow_purgeable(struct escrow *escrow, int64_t before, struct escrow_purgeable *out)
{
	struct looking looking = {.out = out};
	struct store_state state;
	*out = (struct escrow_purgeable){0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_state(tx, &state));
	out->unfinished = state.unclean > 0;
	TRY(store_versions_ended(tx, before, 0, 0, add_up, &looking));
	return count_vanishing(tx, before, &out->vanishing);
}

/* ---- a batch ---- */

struct batch {
	struct escrow *escrow;
	const struct actor *actor;
	int64_t before, now;
	struct {
		int64_t id, device;
		int number;
		char udid[UDID_MAX + 1];
	} of[BATCH];
	int count;
	int64_t destroyed;
};

static bool fill(void *context, const struct version *version, const char *udid)
{
	struct batch *batch = context;
	batch->of[batch->count].id = version->id;
	batch->of[batch->count].device = version->device;
	batch->of[batch->count].number = version->number;
	snprintf(batch->of[batch->count].udid, sizeof batch->of->udid, "%s", udid);
	return ++batch->count < BATCH;
}

static enum error record(struct tx *tx, const struct batch *batch, const struct version *version,
			 const char *udid)
{
	char reason[128], ended[TEXT_TIME], before[TEXT_TIME], blob[2 * STORE_DIGEST + 1];
	time_text(version->ended_at, ended);
	time_text(batch->before, before);
	snprintf(reason, sizeof reason, "destroyed: it ended %s, before %s", ended, before);
	hex_write(version->digest, sizeof version->digest, blob);
	return trail_add(tx, batch->escrow,
			 &(struct event){.at = batch->now,
					 .action = ACTION_PURGE,
					 .outcome = "ok",
					 .udid = udid,
					 .version = version->number,
					 .actor = batch->actor,
					 .reason = reason,
					 .blob = blob});
}

/* The version may be gone or current again since it was looked at. */
static enum error destroy(struct tx *tx, struct batch *batch, int i, bool *gone)
{
	struct version version;
	enum error found = store_version(tx, batch->of[i].id, &version);
	*gone = false;
	if (found == ERR_NOT_FOUND)
		return OK;
	TRY(found);
	if (!version.ended_at || version.ended_at >= batch->before)
		return OK;
	TRY(store_version_destroy(tx, version.id));
	TRY(record(tx, batch, &version, batch->of[i].udid));
	batch->destroyed++;
	*gone = true;
	return OK;
}

/* What the tree says of the device: that it has fewer versions. */
static enum error settle(struct tx *tx, const struct batch *batch, int i)
{
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	struct device first;
	enum error found = dossier_load(tx, batch->of[i].device, &dossier);
	if (!found)
		return dossier_settle(tx, &dossier, batch->now);
	if (found != ERR_GONE)
		return found;
	TRY(store_removed_named(tx, batch->of[i].udid, &first));
	return store_removed_touch(tx, first.id, batch->now);
}

static enum error purge_apply(struct tx *tx, void *context)
{
	struct batch *batch = context;
	bool changed = false;
	batch->destroyed = 0;
	for (int i = 0; i < batch->count; i++) {
		bool gone;
		TRY(destroy(tx, batch, i, &gone));
		changed = changed || gone;
		bool last = i + 1 == batch->count || batch->of[i + 1].device != batch->of[i].device;
		if (!last || !changed)
			continue;
		TRY(settle(tx, batch, i));
		changed = false;
	}
	return batch->destroyed ? store_set_unclean(tx, true) : OK;
}

static enum error next_batch(struct escrow *escrow, struct batch *batch)
{
	int last = batch->count - 1, number = last < 0 ? 0 : batch->of[last].number;
	int64_t device = last < 0 ? 0 : batch->of[last].device;
	batch->count = 0;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_versions_ended(tx, batch->before, device, number, fill, batch);
}

/* ---- all of it ---- */

static enum error destroy_all(struct escrow *escrow, struct batch *batch,
			      const struct escrow_purging *purging, int64_t *destroyed)
{
	for (;;) {
		if (!purging->going_on(purging->context, *destroyed))
			return fail(ERR_BUSY,
				    "%s: stopped before the end; call it again to go on where it "
				    "was",
				    escrow->path);
		TRY(next_batch(escrow, batch));
		if (!batch->count)
			return OK;
		batch->now = time_now();
		TRY(store_change(escrow->store, purge_apply, batch));
		*destroyed += batch->destroyed;
	}
}

enum error escrow_purge(struct escrow *escrow, const struct actor *actor, int64_t before,
			const struct escrow_purging *purging, int64_t *destroyed)
{
	struct batch batch = {.escrow = escrow, .actor = actor, .before = before};
	struct store_state state;
	*destroyed = 0;
	TRY(store_claim(escrow->store));
	TRY(destroy_all(escrow, &batch, purging, destroyed));
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		TRY(store_state(tx, &state));
	}
	return state.unclean ? store_compact(escrow->store, purging->waiting, purging->context)
			     : OK;
}
