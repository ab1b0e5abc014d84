/* The transaction of a backup's device: arrival.h has the rules. */
#include "kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_KEPT (INT64_C(1) << 40)

static void merge_free(struct merge *merge)
{
	dossier_free(&merge->dossier);
	free(merge->known);
}

static enum error load(struct merge *merge)
{
	const struct kept_device *kept = &merge->arrival->kept;
	enum error found = dossier_find(merge->tx, kept->udid, &merge->dossier);
	merge->there = found == OK;
	if (found && found != ERR_NOT_FOUND)
		return found;
	found = store_removed_named(merge->tx, kept->udid, &merge->past);
	if (found && found != ERR_NOT_FOUND)
		return found;
	TRY(store_removed_last(merge->tx, kept->udid, &merge->removed_at));
	found = store_versions_named(merge->tx, kept->udid, merge_know, merge);
	if (merge->failed)
		return fail(ERR_MEMORY, "out of memory");
	merge->to_past =
		kept->removed || (!merge->there && merge->removed_at &&
				  !kept_later(kept_newest_told(merge->arrival), merge->removed_at));
	return found == ERR_NOT_FOUND ? OK : found;
}

static enum error record(struct merge *merge, enum action action, int version, const char *blob,
			 const char *reason)
{
	return trail_add(merge->tx, merge->arrival->base.escrow,
			 &(struct event){.at = merge->now,
					 .action = action,
					 .outcome = "ok",
					 .udid = merge->arrival->kept.udid,
					 .version = version,
					 .actor = merge->arrival->base.actor,
					 .reason = reason,
					 .blob = blob});
}

enum error merge_record(struct merge *merge, int version, const char *blob, const char *reason)
{
	return record(merge, ACTION_IMPORT, version, blob, reason);
}

/* ---- the device ---- */

/*
 * Its own number, unless another device ever had it. All that are given later are higher, so that
 * one out of reason isn't kept.
 */
static enum error keep_number(struct tx *tx, int64_t wanted, int64_t *id)
{
	bool known = true;
	if (wanted && wanted <= DEVICE_KEPT)
		TRY(store_device_known(tx, wanted, &known));
	*id = known ? 0 : wanted;
	return OK;
}

static enum error make_device(struct merge *merge)
{
	const struct kept_arrival *arrival = merge->arrival;
	struct device *device = &merge->dossier.device;
	char reason[480];
	merge->dossier =
		(struct dossier){.device = {.user_enrolled = arrival->about.user_enrolled,
					    .status = arrival->about.id ? arrival->about.status
									: STATUS_NOT_ESCROWED,
					    .created_at = merge->now},
				 .current = -1,
				 .anew = true};
	snprintf(device->udid, sizeof device->udid, "%s", arrival->kept.udid);
	TRY(keep_number(merge->tx, arrival->about.id, &device->id));
	TRY(store_device_add(merge->tx, device));
	merge->there = true;
	merge->touched = merge->renamed = merge->arrived->device_new = true;
	snprintf(reason, sizeof reason, "%.300s: a new device", arrival->kept.path);
	return merge_record(merge, 0, NULL, reason);
}

enum error merge_make_past(struct merge *merge)
{
	const struct kept_arrival *arrival = merge->arrival;
	struct device *device = &merge->past;
	*device = (struct device){.status = STATUS_NOT_ESCROWED,
				  .created_at = merge->now,
				  .security_at = merge->now,
				  .token_at = merge->now,
				  .removed_at = arrival->about.removed_at};
	if (!device->removed_at)
		device->removed_at = kept_newest_told(arrival);
	if (!device->removed_at)
		device->removed_at = merge->now;
	snprintf(device->udid, sizeof device->udid, "%s", arrival->kept.udid);
	TRY(keep_number(merge->tx, arrival->about.id, &device->id));
	return store_device_add(merge->tx, device);
}

/* ---- facts and times ---- */

static enum error merge_facts(struct merge *merge)
{
	struct facts *mine = &merge->dossier.facts, news = merge->arrival->facts, before = *mine;
	bool any = false;
	for (int i = 0; i < FACT_COUNT; i++) {
		if (!kept_later(news.of[i].at, mine->of[i].at))
			news.of[i] = (struct fact){0};
		any = any || news.of[i].at;
	}
	if (!any)
		return OK;
	merge->touched = true;
	if (!facts_merge(mine, &news) || merge->arrived->device_new)
		return OK; /* what is said of a new device is enough */
	merge->renamed = true;
	char reason[1024];
	facts_changed(&before, mine, merge->arrival->kept.path, reason, sizeof reason);
	return merge_record(merge, 0, NULL, reason);
}

static void take_later(struct merge *merge, int64_t *mine, int64_t told)
{
	if (!kept_later(told, *mine))
		return;
	*mine = told;
	merge->touched = true;
}

static int64_t last_enrolled(const struct device *device, int64_t escrowed_at)
{
	return kept_newest(kept_newest(device->enrolled_at, device->reenrolled_at), escrowed_at);
}

/* Enrolled or not: the later event has it. */
static void merge_enrollment(struct merge *merge)
{
	const struct device *about = &merge->arrival->about;
	struct device *mine = &merge->dossier.device;
	int64_t escrowed_at = 0;
	for (int i = 0; i < merge->count; i++)
		if (!merge->known[i].removed && !merge->known[i].version.ended_at)
			escrowed_at = kept_last_seen(&merge->known[i].version);
	bool out = about->unenrolled &&
		   (merge->arrived->device_new ||
		    (kept_later(about->checked_out_at, mine->checked_out_at) &&
		     kept_later(about->checked_out_at, last_enrolled(mine, escrowed_at))));
	bool in = !about->unenrolled &&
		  kept_later(last_enrolled(about, about->escrowed_at), mine->checked_out_at);
	if (!mine->unenrolled ? out : in) {
		mine->unenrolled = out;
		merge->touched = true;
	}
}

/* Its certificate, if it came with none yet. */
static enum error merge_identity(struct merge *merge)
{
	const struct kept_arrival *arrival = merge->arrival;
	const char *identity = arrival->about.identity;
	struct device *mine = &merge->dossier.device;
	if (*mine->identity || !*identity)
		return OK;
	memcpy(mine->identity, identity, sizeof mine->identity);
	merge->touched = true;
	char reason[480];
	snprintf(reason, sizeof reason, "import: bound to client certificate %s, as in %.300s",
		 identity, arrival->kept.path);
	return record(merge, ACTION_IDENTITY, 0, NULL, reason);
}

static void merge_times(struct merge *merge)
{
	const struct device *about = &merge->arrival->about;
	struct device *mine = &merge->dossier.device;
	merge_enrollment(merge);
	if (about->enrolled_at &&
	    (!mine->enrolled_at || kept_later(mine->enrolled_at, about->enrolled_at))) {
		mine->enrolled_at = about->enrolled_at;
		merge->touched = true;
	}
	take_later(merge, &mine->reenrolled_at, about->reenrolled_at);
	take_later(merge, &mine->checked_out_at, about->checked_out_at);
	take_later(merge, &mine->retrieved_at, about->retrieved_at);
	take_later(merge, &mine->proven_at, about->proven_at);
}

/* ---- owner, mode, ACLs ---- */

static bool same_acl(const struct bytes *acl, const uint8_t *other, size_t len)
{
	return acl->len == len && (!len || memcmp(acl->data, other, len) == 0);
}

static bool same_access(const struct kept_access *kept, const struct access *here)
{
	bool same_owner =
		!kept->owned || (kept->uid == here->owner.uid && kept->gid == here->owner.gid);
	return same_owner && kept->mode == here->owner.mode &&
	       same_acl(&kept->acl, here->acl, here->acl_len) &&
	       same_acl(&kept->default_acl, here->default_acl, here->default_len);
}

static enum error record_access(struct merge *merge, uint64_t node, const struct access *access)
{
	char reason[384] = "import: owner, mode and ACLs as they were in the backup";
	TRY(access_say_now(node, access, reason, sizeof reason));
	return record(merge, ACTION_MODE, 0, NULL, reason);
}

/* A node that shows what it would show anyway isn't pinned: it goes on with its policy. */
static enum error bring_back(struct merge *merge, int n)
{
	const struct kept_access *kept = &merge->arrival->kept.access[n];
	struct access_node node = kept->start;
	struct access access;
	if (!kept->there)
		return OK;
	node.node = (uint64_t)merge->dossier.device.id * STORE_NODES + (uint64_t)n;
	TRY(access_effective(merge->tx, merge->arrival->base.escrow, &node, &access));
	if (same_access(kept, &access) || kept->acl.len > sizeof access.acl ||
	    kept->default_acl.len > sizeof access.default_acl)
		return OK;
	if (kept->owned) {
		access.owner.uid = kept->uid;
		access.owner.gid = kept->gid;
	}
	access.owner.mode = kept->mode;
	access.acl_len = (uint16_t)kept->acl.len;
	access.default_len = (uint16_t)kept->default_acl.len;
	if (kept->acl.len)
		memcpy(access.acl, kept->acl.data, kept->acl.len);
	if (kept->default_acl.len)
		memcpy(access.default_acl, kept->default_acl.data, kept->default_acl.len);
	access.owner.changed_at = time_later(access.owner.changed_at, merge->now);
	TRY(store_access_save(merge->tx, node.node, &access));
	return record_access(merge, node.node, &access);
}

static enum error merge_access(struct merge *merge)
{
	for (int n = 0; merge->arrived->device_new && n < STORE_NODES; n++)
		TRY(bring_back(merge, n));
	return OK;
}

/* ---- the whole ---- */

static enum error merge_there(struct merge *merge)
{
	if (!merge->there)
		TRY(make_device(merge));
	TRY(merge_facts(merge));
	TRY(merge_versions(merge));
	merge_times(merge);
	TRY(merge_identity(merge));
	if (!merge->touched)
		return OK;
	merge->dossier.renamed = merge->renamed;
	TRY(dossier_settle(merge->tx, &merge->dossier, merge->now));
	return merge_access(merge);
}

static enum error merge_past(struct merge *merge)
{
	TRY(merge_versions(merge));
	if (!merge->touched)
		return OK;
	if (merge->past.id)
		TRY(store_removed_touch(merge->tx, merge->past.id, merge->now));
	/* A version that ended there with its device may be the current one of the device that is here. */
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	if (!merge->there)
		return OK;
	TRY(dossier_load(merge->tx, merge->dossier.device.id, &dossier));
	return dossier_settle(merge->tx, &dossier, merge->now);
}

enum error kept_apply(struct tx *tx, void *context)
{
	struct kept_arrival *arrival = context;
	SCOPED(merge_free)
	struct merge merge = {
		.tx = tx, .arrival = arrival, .arrived = &arrival->base.arrived, .now = time_now()};
	merge.arrived->refusals = arrival->kept.refusals;
	merge.arrived->refusal_count = arrival->kept.refusal_count;
	TRY(load(&merge));
	TRY(merge.to_past ? merge_past(&merge) : merge_there(&merge));
	merge.arrived->had_effect = merge.touched;
	return OK;
}
