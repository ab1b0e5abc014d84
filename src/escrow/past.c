/*
 * The past of a device: its versions, and bringing one of them back. A number names one version of
 * a UDID for ever, whichever of the devices of that name had it.
 *
 * MUST: an old token is unsealed into secure memory and goes nowhere but into a new seal.
 *       (test: history.bats, "restore makes an old version current again")
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

/* ---- looking ---- */

#define ROWS_MAX 64 /* devices of one name, one after the other */

/* The devices that a UDID was, in the order in which they were there. */
struct rows {
	struct device device[ROWS_MAX + 1];
	int count;
	bool present; /* the last one is there now */
};

static bool add_row(void *context, const struct device *device)
{
	struct rows *rows = context;
	rows->device[rows->count++] = *device;
	return rows->count < ROWS_MAX;
}

static enum error find_rows(struct tx *tx, const char *udid, struct rows *rows)
{
	rows->count = 0;
	TRY(store_removed_named(tx, udid, add_row, rows));
	enum error found = store_device_folded(tx, udid, &rows->device[rows->count]);
	rows->present = found == OK;
	if (rows->present)
		rows->count++;
	if (!rows->count)
		return fail(ERR_NOT_FOUND, "device %s: the store never had one of this name", udid);
	return found == ERR_NOT_FOUND ? OK : found;
}

struct telling {
	escrow_each_version *each;
	void *context;
	bool removed, more;
};

static bool tell(void *context, const struct version *version, const char *udid)
{
	struct telling *telling = context;
	telling->more = telling->each(telling->context, version, udid, telling->removed);
	return telling->more;
}

enum error escrow_history(struct escrow *escrow, const char *udid, escrow_each_version *each,
			  void *context)
{
	struct rows rows;
	struct telling telling = {.each = each, .context = context, .more = true};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(find_rows(tx, udid, &rows));
	for (int i = 0; i < rows.count && telling.more; i++) {
		telling.removed = i < rows.count - 1 || !rows.present;
		TRY(store_versions(tx, rows.device[i].id, 0, tell, &telling));
	}
	return OK;
}

/* ---- for sealed mounts ---- */

enum error escrow_removed(struct escrow *escrow, int64_t id, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_removed(tx, id, out);
}

static bool first_of_name(void *context, const struct device *device)
{
	*(struct device *)context = *device;
	return false;
}

enum error escrow_removed_named(struct escrow *escrow, const char *udid, struct device *out)
{
	struct device first = {0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_removed_named(tx, udid, first_of_name, &first));
	if (!first.id || strcmp(first.udid, udid) != 0)
		return fail(ERR_NOT_FOUND, "device %s: none of this name was taken away", udid);
	*out = first;
	return OK;
}

enum error escrow_removed_devices(struct escrow *escrow, int64_t after, int limit,
				  store_each_device *each, void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_removed_devices(tx, after, limit, each, context);
}

struct sifting {
	store_each_version *each;
	void *context;
	bool more;
};

static bool sift(void *context, const struct version *version, const char *udid)
{
	struct sifting *sifting = context;
	struct version shown = *version;
	shown.token_size = (uint32_t)seal_armor_size(version->blob_size);
	if (version->ended_at)
		sifting->more = sifting->each(sifting->context, &shown, udid);
	return sifting->more;
}

enum error escrow_past(struct escrow *escrow, const struct device *device, store_each_version *each,
		       void *context)
{
	struct rows rows;
	struct device there;
	struct sifting sifting = {.each = each, .context = context, .more = true};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	enum error found = store_device(tx, device->id, &there);
	if (found != ERR_GONE) {
		TRY(found);
		return store_versions(tx, device->id, 0, sift, &sifting);
	}
	TRY(find_rows(tx, device->udid, &rows));
	int count = rows.present ? rows.count - 1 : rows.count;
	for (int i = 0; i < count && sifting.more; i++)
		TRY(store_versions(tx, rows.device[i].id, 0, sift, &sifting));
	return OK;
}

enum error escrow_past_version(struct escrow *escrow, int64_t id, struct version *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	enum error found = store_version(tx, id, out);
	if (found == ERR_NOT_FOUND)
		return fail(ERR_GONE, "version row %lld is not there any more", (long long)id);
	TRY(found);
	out->token_size = (uint32_t)seal_armor_size(out->blob_size);
	return OK;
}

enum error escrow_seal_text(struct escrow *escrow, int64_t version, struct bytes *pem)
{
	SCOPED(bytes_free) struct bytes blob = {0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_blob(tx, version, &blob));
	return seal_armor(blob.data, blob.len, pem);
}

/* ---- bringing back ---- */

/* A version of a UDID, with its seal. `present` is the device of that name that is there now. */
struct found {
	struct device device, present; /* present.id 0: none */
	struct version version;
	struct bytes blob;
};

static void found_free(struct found *found)
{
	bytes_free(&found->blob);
}

static enum error find_version(struct escrow *escrow, const char *udid, int number,
			       struct found *out)
{
	struct rows rows;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(find_rows(tx, udid, &rows));
	if (rows.present)
		out->present = rows.device[rows.count - 1];
	enum error found = ERR_NOT_FOUND;
	for (int i = 0; i < rows.count && found == ERR_NOT_FOUND; i++) {
		out->device = rows.device[i];
		found = store_version_numbered(tx, out->device.id, number, &out->version);
	}
	if (found == ERR_NOT_FOUND)
		return fail(ERR_NOT_FOUND,
			    "device %s: it has no version %d; `escrowfs history %s %s` lists them",
			    udid, number, escrow->path, udid);
	TRY(found);
	return store_blob(tx, out->version.id, &out->blob);
}

static enum error number_of(struct escrow *escrow, int64_t version, int *number)
{
	struct version made;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_version(tx, version, &made));
	*number = made.number;
	return OK;
}

static enum error restore(struct escrow *escrow, const struct actor *actor, const char *udid,
			  int number, int *made)
{
	SCOPED(found_free) struct found found = {0};
	SCOPED(secret_free) struct secret token = {0};
	TRY(find_version(escrow, udid, number, &found));
	if (!found.version.ended_at && found.device.id == found.present.id)
		return fail(ERR_EXISTS, "device %s: version %d is the current one already", udid,
			    number);
	if (!escrow->key)
		return fail(ERR_NO_KEY,
			    "device %s: version %d is sealed, and there is no private key at %s: "
			    "name one with --key URI",
			    udid, number, escrow->key_uri);
	TRY(token_open(escrow, &found.device, &found.version, &found.blob, &token));
	if (!found.present.id)
		TRY(escrow_device_make(escrow, actor, found.device.udid, &found.present));
	char how[64];
	struct effect effect;
	snprintf(how, sizeof how, "by hand: version %d restored", number);
	TRY(token_escrow_by_hand(escrow, actor, found.present.id, &token, how, &effect));
	*made = 0;
	return effect.added ? number_of(escrow, effect.added, made) : OK;
}

enum error escrow_restore(struct escrow *escrow, const struct actor *actor, const char *udid,
			  int number, int *made)
{
	if (!udid_valid(udid, strlen(udid)))
		return fail(ERR_INVALID, "`%.64s` is no UDID", udid);
	return escrow_refuse(escrow, actor, udid, restore(escrow, actor, udid, number, made));
}
