/*
 * Devices as the tree sees them: found, listed, made, taken away; and security.json, read and
 * written.
 */
#include "inside.h"

#include "json.h"
#include "told.h"

#include <stdio.h>
#include <string.h>

/* ---- looking ---- */

/* A sealed mount shows each token as the PEM of its seal, and more of the device. */
static void show_sealed(struct device *device, const struct version *current)
{
	device->security_size = device->sealed_size;
	if (device->token_size && current)
		device->token_size = (uint32_t)seal_armor_size(current->blob_size);
}

static enum error show(const struct escrow *escrow, struct tx *tx, struct device *device)
{
	struct version current;
	if (escrow->mode != ESCROW_SEALED)
		return OK;
	if (device->token_size)
		TRY(store_version_current(tx, device->id, &current));
	show_sealed(device, &current);
	return OK;
}

bool device_page_fill(void *context, int64_t id, const char *udid)
{
	struct device_page *page = context;
	(void)udid;
	page->id[page->count++] = id;
	return page->count < DEVICE_PAGE;
}

enum error escrow_device(struct escrow *escrow, int64_t id, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look_beside(escrow->store, &tx));
	TRY(store_device(tx, id, out));
	return show(escrow, tx, out);
}

enum error escrow_device_named(struct escrow *escrow, const char *udid, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look_beside(escrow->store, &tx));
	TRY(store_device_named(tx, udid, out));
	return show(escrow, tx, out);
}

enum error escrow_search_udid(struct escrow *escrow, const char *udid, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_device_folded(tx, udid, out);
}

enum error escrow_search(struct escrow *escrow, enum name_kind kind, const char *name,
			 struct device *out)
{
	char folded[FACT_TEXT];
	if (kind != NAME_MAC)
		text_fold(name, folded, sizeof folded);
	else if (!mac_fold(name, folded))
		return fail(ERR_NOT_FOUND, "%s: not a hardware address", name);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_name(tx, kind, folded, out);
}

enum error escrow_devices(struct escrow *escrow, enum status status, int64_t after, int limit,
			  store_each_device *each, void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_devices(tx, status, after, limit, each, context);
}

enum error escrow_glances(struct escrow *escrow, int64_t after, int limit, store_each_glance *each,
			  void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_glances(tx, after, limit, each, context);
}

struct showing {
	const struct escrow *escrow;
	struct tx *tx;
	store_each_glance *each;
	void *context;
	enum error error;
};

static bool show_each(void *context, const struct device *device)
{
	struct showing *showing = context;
	struct device shown = *device;
	showing->error = show(showing->escrow, showing->tx, &shown);
	return !showing->error && showing->each(showing->context, &shown);
}

enum error escrow_devices_between(struct escrow *escrow, int64_t after, int64_t last,
				  store_each_glance *each, void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look_beside(escrow->store, &tx));
	struct showing showing = {escrow, tx, each, context, OK};
	TRY(store_devices_between(tx, after, last, show_each, &showing));
	return showing.error;
}

static enum error devices_at(const struct escrow *escrow, struct tx *tx, int64_t *out)
{
	struct store_state state;
	TRY(store_state(tx, &state));
	*out = state.devices_at ? state.devices_at : escrow->born_at;
	return OK;
}

enum error escrow_changes(struct escrow *escrow, int64_t after, int limit, store_each_change *each,
			  void *context, int64_t *at)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view_beside(escrow->store, &tx));
	TRY(devices_at(escrow, tx, at));
	return store_devices_changed(tx, after, limit, each, context);
}

int64_t escrow_changed(const struct escrow *escrow)
{
	return store_changed(escrow->store);
}

enum error escrow_change_number(struct escrow *escrow, int64_t *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_change_number(tx, out);
}

enum error escrow_devices_at(struct escrow *escrow, int64_t *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return devices_at(escrow, tx, out);
}

enum error escrow_names(struct escrow *escrow, enum name_kind kind, int64_t after, int limit,
			store_each_name *each, void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_names(tx, kind, after, limit, each, context);
}

/* ---- mkdir and rmdir ---- */

struct job {
	struct escrow *escrow;
	const struct actor *actor;
	const char *udid;
	int64_t id, now;
	const struct facts *facts;
	struct device *device;
};

static enum error record(struct tx *tx, const struct job *job, enum action action, const char *udid,
			 const char *reason)
{
	return trail_add(tx, job->escrow,
			 &(struct event){.at = job->now,
					 .action = action,
					 .outcome = "ok",
					 .udid = udid,
					 .actor = job->actor,
					 .reason = reason});
}

static enum error make_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	TRY(dossier_create(tx, job->udid, false, STATUS_NOT_ESCROWED, job->now, &dossier));
	TRY(dossier_settle(tx, &dossier, job->now));
	*job->device = dossier.device;
	return record(tx, job, ACTION_DEVICE, job->udid, "made by hand");
}

enum error escrow_device_make(struct escrow *escrow, const struct actor *actor, const char *udid,
			      struct device *out)
{
	struct job job = {
		.escrow = escrow, .actor = actor, .udid = udid, .now = time_now(), .device = out};
	if (!udid_valid(udid, strlen(udid)))
		return escrow_refuse(escrow, actor, NULL,
				     fail(ERR_INVALID,
					  "not a UDID: a device's directory has the UDID's name, 1 "
					  "to %d letters, digits and dashes",
					  UDID_MAX));
	return escrow_refuse(escrow, actor, udid, store_change(escrow->store, make_apply, &job));
}

static enum error remove_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	TRY(store_device_named(tx, job->udid, job->device));
	TRY(dossier_load(tx, job->device->id, &dossier));
	if (dossier_current(&dossier))
		return fail(ERR_NOT_EMPTY,
			    "device %s: a token is escrowed; remove it first with `truncate -s 0 "
			    "token`, or keep the device",
			    job->udid);
	TRY(store_device_remove(tx, job->device->id, job->now));
	return record(tx, job, ACTION_DEVICE, job->udid, SAYS_TAKEN_AWAY);
}

enum error escrow_device_remove(struct escrow *escrow, const struct actor *actor, const char *udid,
				struct device *out)
{
	struct job job = {
		.escrow = escrow, .actor = actor, .udid = udid, .now = time_now(), .device = out};
	return escrow_refuse(escrow, actor, udid, store_change(escrow->store, remove_apply, &job));
}

/* ---- security.json ---- */

static enum error look_at_all(struct escrow *escrow, int64_t id, struct dossier *dossier)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view_beside(escrow->store, &tx));
	return dossier_load(tx, id, dossier);
}

/* It is written when nobody waits for the view any more. */
enum error escrow_security(struct escrow *escrow, int64_t id, struct bytes *text,
			   struct device *device)
{
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	TRY(look_at_all(escrow, id, &dossier));
	*device = dossier.device;
	if (escrow->mode == ESCROW_SEALED)
		show_sealed(device, dossier_current(&dossier));
	return dossier_security(&dossier, escrow_sealed(escrow), text);
}

static enum error facts_apply(struct tx *tx, void *context)
{
	struct job *job = context;
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	TRY(dossier_load(tx, job->id, &dossier));
	struct facts before = dossier.facts;
	int changed = facts_merge(&dossier.facts, job->facts);
	dossier.renamed = changed > 0;
	TRY(dossier_settle(tx, &dossier, job->now));
	if (!changed)
		return OK;
	char reason[1024];
	facts_changed(&before, &dossier.facts, "by hand", reason, sizeof reason);
	return record(tx, job, ACTION_FACTS, dossier.device.udid, reason);
}

/*
 * A program that reads the file, changes one key and writes all of it back reports the one: facts
 * that stand as they were keep their time and source.
 */
static void drop_unchanged(const struct facts *known, struct facts *written)
{
	for (int i = 0; i < FACT_COUNT; i++) {
		const struct fact *old = &known->of[i];
		struct fact *new = &written->of[i];
		if (new->at &&new->state == old->state &&new->flag == old->flag &&
		    strcmp(new->text, old->text) == 0)
			new->at = 0;
	}
}

enum error security_write(struct escrow *escrow, const struct actor *actor, int64_t id,
			  const uint8_t *text, size_t len)
{
	struct facts facts, known;
	struct device device;
	int64_t now = time_now();
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		TRY(store_device(tx, id, &device));
		TRY(store_facts(tx, id, &known));
	}
	enum error read = json_security_read(text, len, device.udid, now, &facts);
	if (read)
		return fail(read, "device %s, security.json: %s", device.udid, fail_why());
	drop_unchanged(&known, &facts);
	struct job job = {.escrow = escrow, .actor = actor, .id = id, .now = now, .facts = &facts};
	return store_change(escrow->store, facts_apply, &job);
}
