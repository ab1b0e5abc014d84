/*
 * The trail's end of every change. A line's bytes are made once, chained to the line before it,
 * and stored as they are; /audit serves those bytes and verify reads them. The line is added in
 * the transaction that does what it records, so neither is there without the other.
 *
 * MUST: what can't be recorded does not happen. (test: unrecorded_not_done)
 */
#include "inside.h"

#include "json.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

#define HEX (2 * STORE_DIGEST)

enum error trail_chain(const uint8_t before[static STORE_DIGEST], const char *line, size_t len,
		       uint8_t out[static STORE_DIGEST])
{
	char hex[HEX + 1];
	hex_write(before, STORE_DIGEST, hex);
	return seal_digest2(hex, HEX, line, len, out);
}

enum error trail_add(struct tx *tx, struct escrow *escrow, const struct event *event)
{
	struct trail_end end;
	TRY(store_trail_end(tx, &end));
	if (end.seq < 0 || end.seq == INT64_MAX)
		return fail(ERR_IO,
			    "%s: the store is damaged: its trail can't have a line %lld; "
			    "`escrowfs verify` says more, then restore it from a backup",
			    escrow->path, (long long)end.seq);
	SCOPED(bytes_free) struct bytes line = {0};
	TRY(json_event_write(event, end.seq + 1, &line));
	uint8_t chain[STORE_DIGEST];
	TRY(trail_chain(end.chain, (const char *)line.data, line.len, chain));
	char hex[HEX + 1];
	hex_write(chain, sizeof chain, hex);
	TRY(bytes_print(&line, ",\"chain\":\"%s\"}\n", hex));
	TRY(store_trail_add(tx, end.seq + 1, event->at, line.data, line.len, chain));
	atomic_fetch_add(&escrow->counters.events[event->action], 1);
	return OK;
}

/* ---- events that are all there is to a change ---- */

struct record {
	struct escrow *escrow;
	struct event event;
};

static enum error record_apply(struct tx *tx, void *context)
{
	struct record *job = context;
	return trail_add(tx, job->escrow, &job->event);
}

static enum error record(struct escrow *escrow, const struct event *event)
{
	struct record job = {.escrow = escrow, .event = *event};
	return store_change(escrow->store, record_apply, &job);
}

static enum error record_mount(struct escrow *escrow, enum action action, const struct actor *actor,
			       const char *where)
{
	if (escrow->mode == ESCROW_SEALED)
		return OK;
	struct event event = {.at = time_now(),
			      .action = action,
			      .outcome = "ok",
			      .actor = actor,
			      .reason = where};
	/* Without a mount there are no retrievals. */
	struct record job = {.escrow = escrow, .event = event};
	return store_change_vital(escrow->store, record_apply, &job);
}

enum error escrow_mounted(struct escrow *escrow, const struct actor *actor, const char *where)
{
	return record_mount(escrow, ACTION_MOUNT, actor, where);
}

enum error escrow_unmounted(struct escrow *escrow, const struct actor *actor, const char *where)
{
	return record_mount(escrow, ACTION_UNMOUNT, actor, where);
}

/* ---- refusals ---- */

/* Best effort: a refusal is one whether it can be recorded or not. */
static void record_refusal(struct escrow *escrow, const struct refusal *refusal)
{
	char reason[sizeof refusal->reason + 64];
	snprintf(reason, sizeof reason, "%s", refusal->reason);
	if (refusal->repeats)
		snprintf(reason, sizeof reason, "%s (%u times more within a minute)",
			 refusal->reason, refusal->repeats);
	struct event event = {.at = time_now(),
			      .action = ACTION_REFUSE,
			      .outcome = error_name(refusal->code),
			      .udid = *refusal->udid ? refusal->udid : NULL,
			      .actor = &refusal->actor,
			      .reason = reason};
	if (record(escrow, &event))
		log_say(LOG_LEVEL_WARNING, "a refusal (%s) could not be recorded: %s", reason,
			fail_why());
}

enum error escrow_refuse(struct escrow *escrow, const struct actor *actor, const char *udid,
			 enum error code)
{
	/* What the disk says is no verdict of ours, and there is nowhere to record it. */
	if (code == OK || escrow->mode == ESCROW_SEALED || code == ERR_NO_SPACE ||
	    code == ERR_READ_ONLY || code == ERR_IO || code == ERR_MEMORY)
		return code;
	struct refusal refusal = {.actor = *actor, .code = code, .first_at = time_now()};
	snprintf(refusal.udid, sizeof refusal.udid, "%s", udid ? udid : "");
	snprintf(refusal.reason, sizeof refusal.reason, "%s", fail_why());
	struct refusal flush;
	if (refusals_first(escrow->refusals, &refusal, &flush)) {
		if (flush.repeats)
			record_refusal(escrow, &flush);
		record_refusal(escrow, &refusal);
	}
	/* The sentence is the refusal's again, whatever recording it said. */
	return fail(code, "%s", refusal.reason);
}

/* A descriptor may outlive its device: what is refused there has its name all the same. */
static void name_device(struct escrow *escrow, int64_t id, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	if (store_look(escrow->store, &tx) == OK && store_device(tx, id, out) == ERR_GONE)
		(void)store_removed(tx, id, out);
}

enum error refuse_device(struct escrow *escrow, const struct actor *actor, int64_t id,
			 enum error code)
{
	/* A device that was taken away meanwhile: the caller's kernel looks its name up again. */
	if (code == OK || code == ERR_GONE)
		return code;
	char why[512];
	snprintf(why, sizeof why, "%s", fail_why());
	struct device device = {0};
	name_device(escrow, id, &device);
	fail(code, "%s", why);
	return escrow_refuse(escrow, actor, *device.udid ? device.udid : NULL, code);
}

static void write_counted(struct escrow *escrow, bool all)
{
	struct refusal due;
	while (escrow->mode != ESCROW_SEALED &&
	       refusals_due(escrow->refusals, time_now(), all, &due))
		record_refusal(escrow, &due);
}

/* So that a mount whose key a rekey retired says so, also when nobody escrows. */
static void follow(struct escrow *escrow)
{
	if (escrow->mode != ESCROW_SEALED)
		(void)sealing_follow_now(escrow);
}

void escrow_tick(struct escrow *escrow)
{
	write_counted(escrow, false);
	follow(escrow);
	store_keep_room(escrow->store);
	growth_look(escrow);
	if (escrow->mode == ESCROW_SERVE)
		patrol_step(escrow->patrol, escrow->store, escrow->path);
}

void escrow_tick_all(struct escrow *escrow)
{
	write_counted(escrow, true);
}

enum error escrow_trail_end(struct escrow *escrow, struct trail_end *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_trail_end(tx, out);
}

enum error escrow_trail_read(struct escrow *escrow, uint64_t offset, void *buffer, size_t size,
			     size_t *n)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_trail_read(tx, offset, buffer, size, n);
}
