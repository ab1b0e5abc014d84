/*
 * The file `token`: what reading, writing and truncating it by hand do. A device's own messages go
 * through checkin.c; both end in token.c.
 *
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 * MUST: what can't be recorded does not happen. (test: unrecorded_not_done)
 */
#include "inside.h"

#include "fault.h"

#include <stdio.h>

/* What all changes here need; each `..._apply` is given one. */
struct job {
	struct escrow *escrow;
	const struct actor *actor;
	int64_t id, now;
	const struct version *opened;
	const struct sealed *sealed;
	const char *how; /* an escrow's reason on the trail */
	struct effect *effect;
};

/* ---- reading ---- */

static enum error retrieve_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_load_for(tx, DOSSIER_RETRIEVAL, job->id, &dossier));
	const struct version *current = dossier_current(&dossier);
	TRY(token_retrieved(tx, job->escrow, &dossier, job->actor, job->opened, NULL, job->now));
	return current ? dossier_settle(tx, &dossier, job->now) : OK;
}

static enum error retrieve_once(struct escrow *escrow, const struct actor *actor, int64_t id,
				struct secret *text)
{
	struct device device;
	struct version version;
	SCOPED(bytes_free) struct bytes blob = {0};
	TRY(token_look(escrow, id, &device, &version, &blob));

	SCOPED(secret_free) struct secret token = {0}, line = {0};
	SCOPED(quota_give_back) struct quota_pass pass = {0};
	if (version.id) {
		TRY(quota_take(escrow->retrievals, device.udid, &pass));
		TRY(token_open(escrow, &device, &version, &blob, &token));
		TRY(mdm_write_base64(&token, &line));
	}
	fault_point("retrieval-opened");
	struct job job = {
		.escrow = escrow, .actor = actor, .id = id, .now = time_now(), .opened = &version};
	TRY(store_change_vital(escrow->store, retrieve_apply, &job));
	fault_point("retrieval-recorded");
	quota_use(&pass);
	secret_move(text, &line);
	return OK;
}

enum error escrow_hold(struct escrow *escrow, const struct actor *actor, size_t bytes,
		       struct holding *holding)
{
	return holdings_set(escrow->given, holding, actor, bytes);
}

void escrow_let_go(struct escrow *escrow, struct holding *holding)
{
	(void)holdings_set(escrow->given, holding, NULL, 0);
}

enum error escrow_retrieve(struct escrow *escrow, const struct actor *actor, int64_t id,
			   struct secret *text)
{
	enum error result = ERR_CHANGED;
	int64_t began = latency_clock();
	for (int tries = 0; result == ERR_CHANGED && tries < TRIES; tries++)
		result = retrieve_once(escrow, actor, id, text);
	count_withheld(escrow, result);
	if (!result && text->len)
		latency_note(&escrow->counters.retrieval, began);
	return refuse_device(escrow, actor, id, result);
}

/* ---- writing ---- */

static enum error escrow_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_load_for(tx, DOSSIER_TOKEN, job->id, &dossier));
	struct prerequisites prerequisites =
		rules_prerequisites(&dossier.facts, dossier.device.user_enrolled);
	if (prerequisites.needs != PREREQUISITES_MET) {
		char needed[REASON_SIZE];
		reason_needed(&dossier, &prerequisites, needed, sizeof needed);
		return fail(ERR_FORBIDDEN, "device %s: not escrowed. %s", dossier.device.udid,
			    needed);
	}
	TRY(token_put(tx, job->escrow, &dossier, job->actor, job->sealed, job->how, job->now,
		      job->effect));
	return dossier_settle(tx, &dossier, job->now);
}

enum error token_escrow_by_hand(struct escrow *escrow, const struct actor *actor,
				const struct device *device, const struct secret *token,
				const char *how, struct effect *effect)
{
	enum error result = ERR_CHANGED;
	int64_t began = latency_clock();
	for (int tries = 0; result == ERR_CHANGED && tries < TRIES; tries++) {
		SCOPED(sealed_free) struct sealed sealed = {0};
		TRY(token_seal(escrow, device->udid, token,
			       tries > 0 ? SEAL_ALWAYS : SEAL_UNLESS_CURRENT, &sealed));
		struct job job = {.escrow = escrow,
				  .actor = actor,
				  .id = device->id,
				  .now = time_now(),
				  .sealed = &sealed,
				  .how = how,
				  .effect = effect};
		result = store_change(escrow->store, escrow_apply, &job);
	}
	if (result)
		return result;
	latency_note(&escrow->counters.escrow, began);
	atomic_fetch_add(&escrow->counters.replays, effect->replay);
	return OK;
}

static enum error remove_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_load(tx, job->id, &dossier));
	if (!dossier_current(&dossier)) {
		*job->effect = (struct effect){.device = job->id};
		return OK;
	}
	TRY(token_end(tx, job->escrow, &dossier, job->actor, "by hand", job->now, job->effect));
	return dossier_settle(tx, &dossier, job->now);
}

enum error token_remove_by_hand(struct escrow *escrow, const struct actor *actor, int64_t id,
				struct effect *effect)
{
	struct job job = {
		.escrow = escrow, .actor = actor, .id = id, .now = time_now(), .effect = effect};
	return store_change(escrow->store, remove_apply, &job);
}

enum error escrow_remove(struct escrow *escrow, const struct actor *actor, int64_t id)
{
	struct effect effect;
	enum error result = token_remove_by_hand(escrow, actor, id, &effect);
	return refuse_device(escrow, actor, id, result);
}

/* ---- taking back ---- */

static bool has_version(const struct dossier *dossier, int64_t id)
{
	for (int i = 0; i < dossier->count; i++)
		if (dossier->versions[i].id == id)
			return true;
	return false;
}

/*
 * Somebody escrowed, confirmed or removed since: theirs stands. So does this, when what was there
 * before was destroyed since (purge.c).
 */
static bool is_overtaken(struct dossier *dossier, const struct effect *effect)
{
	const struct version *current = dossier_current(dossier);
	if (effect->ended && !has_version(dossier, effect->ended))
		return true;
	if (effect->added)
		return !current || current->id != effect->added || current->confirmed_at;
	return current || dossier->versions[dossier->count - 1].id != effect->ended;
}

static enum error undo_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	const struct effect *effect = job->effect;
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_load(tx, job->id, &dossier));
	struct version *current = dossier_current(&dossier);
	if (is_overtaken(&dossier, effect))
		return OK;
	int undone = 0;
	if (current) {
		current->ended_at = time_later(current->escrowed_at, job->now);
		current->end = END_UNDONE;
		undone = current->number;
		TRY(store_version_save(tx, current));
	}
	if (effect->ended) {
		struct version before;
		TRY(store_version(tx, effect->ended, &before));
		before.ended_at = 0;
		before.end = END_NONE;
		if (!undone)
			undone = before.number;
		TRY(store_version_save(tx, &before));
	}
	TRY(trail_add(tx, job->escrow,
		      &(struct event){.at = job->now,
				      .action = ACTION_UNDO,
				      .outcome = "ok",
				      .udid = dossier.device.udid,
				      .version = undone,
				      .actor = job->actor,
				      .reason = current ? "more bytes came after the message that "
							  "escrowed it: taken back"
							: "more bytes came after the message that "
							  "removed it: kept"}));
	/* The file has other content now, maybe of the same size. */
	dossier.device.token_at = time_later(dossier.device.token_at, job->now);
	return dossier_settle(tx, &dossier, job->now);
}

enum error token_undo(struct escrow *escrow, const struct actor *actor, const struct effect *effect)
{
	if (!effect->added && !effect->ended)
		return OK; /* a confirmation, or a removal of nothing */
	struct effect copy = *effect;
	struct job job = {.escrow = escrow,
			  .actor = actor,
			  .id = effect->device,
			  .now = time_now(),
			  .effect = &copy};
	return store_change(escrow->store, undo_apply, &job);
}
