/*
 * The past of a device: its versions, and bringing one of them back. A number names one version of
 * a UDID for ever, whichever of the devices of that name had it.
 *
 * MUST: an old token is unsealed into secure memory and goes nowhere but into a new seal.
 *       (test: history.bats, "restore makes an old version current again")
 */
#include "inside.h"

#include "json.h"

#include <stdio.h>
#include <string.h>

/* ---- looking ---- */

/* The device of that name that is there, else the first that was taken away. ERR_NOT_FOUND. */
static enum error find_any(struct tx *tx, const char *udid, struct device *out)
{
	enum error found = store_device_folded(tx, udid, out);
	if (found == ERR_NOT_FOUND)
		found = store_removed_named(tx, udid, out);
	if (found == ERR_NOT_FOUND)
		return fail(found,
			    "device %s: the store never had one of this UDID (of a serial "
			    "number's, `ls -l search/serialnumber` in the mount says which it is)",
			    udid);
	return found;
}

enum error escrow_history(struct escrow *escrow, const char *udid, store_each_past *each,
			  void *context)
{
	struct device device;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(find_any(tx, udid, &device));
	return store_versions_named(tx, udid, each, context);
}

/* ---- for sealed mounts ---- */

enum error escrow_removed(struct escrow *escrow, int64_t id, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_removed(tx, id, out);
}

enum error escrow_removed_named(struct escrow *escrow, const char *udid, struct device *out)
{
	struct device first;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_removed_named(tx, udid, &first));
	if (strcmp(first.udid, udid) != 0)
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
	bool removed; /* versions of devices that were taken away, or of the one there */
};

static bool sift(void *context, const struct version *version, const char *udid, bool removed)
{
	const struct sifting *sifting = context;
	struct version shown = *version;
	if (!version->ended_at || removed != sifting->removed)
		return true;
	shown.token_size = (uint32_t)seal_armor_size(version->blob_size);
	return sifting->each(sifting->context, &shown, udid);
}

enum error escrow_past(struct escrow *escrow, const struct device *device, store_each_version *each,
		       void *context)
{
	struct sifting sifting = {each, context, device->removed_at != 0};
	/* Most devices have one token, the first. */
	if (!device->removed_at && device->last_version <= (device->token_size ? 1 : 0))
		return OK;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_versions_named(tx, device->udid, sift, &sifting);
}

enum error escrow_removed_security(struct escrow *escrow, const struct device *device,
				   struct bytes *text)
{
	SCOPED(versions_free) struct versions all = {0};
	TRY(escrow_past(escrow, device, versions_gather, &all));
	TRY(versions_whole(&all));
	return json_removed_write(device, all.list, all.count, text);
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

/* Whose it was. */
static enum error lost(struct tx *tx, int64_t id)
{
	struct version version;
	struct device device;
	TRY(store_version(tx, id, &version));
	enum error found = store_device(tx, version.device, &device);
	if (found == ERR_GONE)
		found = store_removed(tx, version.device, &device);
	return found ? found : token_lost(&device, &version);
}

enum error escrow_seal_text(struct escrow *escrow, int64_t version, struct bytes *pem)
{
	SCOPED(bytes_free) struct bytes blob = {0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	enum error found = store_blob(tx, version, &blob);
	if (found == ERR_NOT_FOUND)
		return lost(tx, version);
	TRY(found);
	return seal_armor(blob.data, blob.len, pem);
}

enum error escrow_token_text(struct escrow *escrow, const struct device *device, struct bytes *pem)
{
	struct version version;
	SCOPED(bytes_free) struct bytes blob = {0};
	TRY(token_look_of(escrow, device, &version, &blob));
	return version.id ? seal_armor(blob.data, blob.len, pem) : OK;
}

/* ---- bringing back ---- */

/* A version of a UDID, with its seal. */
struct found {
	int number;	      /* wanted */
	struct device device; /* as find_any() has it */
	struct version version;
	bool removed; /* the version is of a device that was taken away */
	struct bytes blob;
};

static void found_free(struct found *found)
{
	bytes_free(&found->blob);
}

static bool is_wanted(void *context, const struct version *version, const char *udid, bool removed)
{
	struct found *found = context;
	(void)udid;
	if (version->number != found->number)
		return true;
	found->version = *version;
	found->removed = removed;
	return false;
}

static enum error find_version(struct escrow *escrow, const char *udid, struct found *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(find_any(tx, udid, &out->device));
	TRY(store_versions_named(tx, udid, is_wanted, out));
	if (!out->version.id)
		return fail(ERR_NOT_FOUND,
			    "device %s: it has no version %d; `escrowfs history %s %s` lists them",
			    udid, out->number, escrow->path, udid);
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
	SCOPED(found_free) struct found found = {.number = number};
	SCOPED(secret_free) struct secret token = {0};
	TRY(find_version(escrow, udid, &found));
	if (!found.version.ended_at && !found.removed)
		return fail(ERR_EXISTS, "device %s: version %d is the current one already", udid,
			    number);
	if (!escrow->key)
		return fail(ERR_NO_KEY,
			    "device %s: version %d is sealed, and there is no private key at %s: "
			    "name one with --key URI",
			    udid, number, escrow->key_uri);
	TRY(token_open(escrow, &found.device, &found.version, &found.blob, &token));
	if (found.device.removed_at)
		TRY(escrow_device_make(escrow, actor, found.device.udid, &found.device));
	char how[64];
	struct effect effect;
	snprintf(how, sizeof how, "by hand: version %d restored", number);
	TRY(token_escrow_by_hand(escrow, actor, &found.device, &token, how, &effect));
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
