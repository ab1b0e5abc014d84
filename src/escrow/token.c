/*
 * What a transaction does with tokens, and what comes before it: sealing and opening, which take a
 * hundred microseconds and no lock.
 *
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 * MUST: a blob opens only as the version and the device that it was sealed for.
 *       (test: token_read.bats, "a damaged blob", "an older version put in the place")
 * MUST: plaintext is given out in secure memory, to one owner. (test: retrieve_in_secret)
 * MUST: tokens are compared by their mac, in constant time. (test: same_token_confirms)
 */
#include "inside.h"

#include "fault.h"
#include "told.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void sealed_free(struct sealed *sealed)
{
	bytes_free(&sealed->blob);
}

/*
 * The mac covers the device too: that two devices have one token would be nobody's business, and a
 * blob that was moved to another row doesn't fit its mac there.
 */
enum error token_mac(const struct escrow *escrow, const char *udid, const struct secret *token,
		     uint8_t mac[static STORE_DIGEST])
{
	char folded[UDID_MAX + 1];
	text_fold(udid, folded, sizeof folded);
	SCOPED(secret_free) struct secret named = {0};
	TRY(secret_new(sizeof folded + token->len, &named));
	TRY(secret_add(&named, folded, strlen(folded) + 1));
	TRY(secret_add(&named, token->data, token->len));
	return seal_mac(escrow->mac_key, named.data, named.len, mac);
}

/* Another caller came between the look and the change: look again. */
static enum error changed(const char *udid)
{
	return fail(ERR_CHANGED, "device %s: the token changed meanwhile", udid);
}

enum error token_still(struct dossier *dossier, int64_t version)
{
	const struct version *current = dossier_current(dossier);
	return (current ? current->id : 0) == version ? OK : changed(dossier->device.udid);
}

/* ---- in ---- */

/* Has the device this token, now (SEAL_UNLESS_CURRENT) or at any time? And are the recipients known? */
static enum error look_before(struct escrow *escrow, const char *udid, enum seal_when when,
			      const uint8_t *mac, bool *has, bool *known)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct device device;
	struct version version;
	TRY(store_view_beside(escrow->store, &tx));
	TRY(sealing_is_known(escrow, tx, known));
	if (when == SEAL_ALWAYS || store_device_folded(tx, udid, &device))
		return OK;
	if (when == SEAL_UNLESS_KNOWN)
		*has = store_version_with_mac(tx, device.id, mac, &version) == OK;
	else
		*has = store_version_current(tx, device.id, &version) == OK &&
		       seal_equal(version.mac, mac, STORE_DIGEST);
	return OK;
}

enum error token_close(struct escrow *escrow, const char *udid, const struct secret *token,
		       struct sealed *out)
{
	SCOPED(secret_free) struct secret content = {0};
	TRY(mdm_write_content(udid, token, &content));
	TRY(sealing_close(escrow, content.data, content.len, &out->blob, &out->generation));
	return seal_digest(out->blob.data, out->blob.len, out->digest);
}

enum error token_seal(struct escrow *escrow, const char *udid, const struct secret *token,
		      enum seal_when when, struct sealed *out)
{
	*out = (struct sealed){.size = (uint32_t)token->len};
	TRY(token_mac(escrow, udid, token, out->mac));
	bool has = false, known = true;
	/*
	 * What moves into a new store isn't there, unless it comes twice: then it is sealed twice. And
	 * if the recipients change meanwhile, the change says so, and there is another look.
	 */
	if (when != SEAL_UNLESS_KNOWN || !escrow->was_new)
		TRY(look_before(escrow, udid, when, out->mac, &has, &known));
	if (!known)
		TRY(sealing_follow_now(escrow));
	if (has)
		return OK;
	TRY(token_close(escrow, udid, token, out));
	fault_point("token-sealed");
	return OK;
}

enum error token_of_user_enrolment(const char *udid)
{
	return fail(ERR_FORBIDDEN,
		    "device %s: a user enrolment (EnrollmentID without UDID) has no "
		    "Bootstrap Token; enrol the device through Apple Business Manager or "
		    "with a device enrolment profile",
		    udid);
}

/* Ends the current version as `why`; the caller has looked that there is one. */
static enum error end_current(struct tx *tx, struct dossier *dossier, enum version_end why,
			      int64_t now)
{
	struct version *current = dossier_current(dossier);
	current->ended_at = time_later(current->escrowed_at, now);
	current->end = why;
	dossier->current = -1;
	return store_version_save(tx, current);
}

static enum error confirm(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			  const struct actor *actor, const char *how, int64_t at, int64_t now)
{
	struct version *current = dossier_current(dossier);
	current->confirmed_at = at;
	current->renewal = RENEWAL_NONE;
	TRY(store_version_save(tx, current));
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = ACTION_CONFIRM,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .version = current->number,
					 .actor = actor,
					 .reason = how});
}

/* Adds a version, whose times the caller has set, and puts it on the trail. */
static enum error add_version(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			      const struct actor *actor, const struct sealed *sealed,
			      const char *reason, int64_t now, struct version *version)
{
	TRY(sealing_still(tx, sealed->generation));
	version->device = dossier->device.id;
	version->token_size = sealed->size;
	version->generation = sealed->generation;
	version->verified = true;
	memcpy(version->mac, sealed->mac, sizeof version->mac);
	memcpy(version->digest, sealed->digest, sizeof version->digest);
	TRY(store_version_add(tx, version, sealed->blob.data, sealed->blob.len));
	TRY(dossier_add(dossier, version));
	char blob[2 * STORE_DIGEST + 1];
	hex_write(version->digest, sizeof version->digest, blob);
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = sealed->imported ? ACTION_IMPORT : ACTION_ESCROW,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .version = version->number,
					 .actor = actor,
					 .reason = reason,
					 .blob = blob});
}

/* What happened before its line was written has its time on the trail as well. */
static void say_how(const char *how, int64_t at, int64_t now, char *out, size_t size)
{
	char sent[TEXT_TIME];
	time_text(at, sent);
	snprintf(out, size, "%.120s%s%s", how, at == now ? "" : SAYS_SENT, at == now ? "" : sent);
}

enum error token_put(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
		     const struct actor *actor, const struct sealed *sealed, const char *how,
		     int64_t now, struct effect *effect)
{
	struct device *device = &dossier->device;
	struct version *current = dossier_current(dossier);
	int64_t at = sealed->at ? sealed->at : now;
	char reason[256], came[192];
	say_how(how, at, now, came, sizeof came);
	*effect = (struct effect){.device = device->id};
	if (current && seal_equal(current->mac, sealed->mac, STORE_DIGEST))
		return confirm(tx, escrow, dossier, actor, came, at, now);
	if (!sealed->blob.len)
		return changed(device->udid);

	struct version older = {.number = 0};
	enum error replay = ERR_NOT_FOUND;
	if (device->last_version)
		replay = store_version_with_mac(tx, device->id, sealed->mac, &older);
	effect->replay = replay == OK;
	if (replay == OK)
		snprintf(reason, sizeof reason, "%s; a replay: the token equals version %d", came,
			 older.number);
	else if (replay == ERR_NOT_FOUND)
		snprintf(reason, sizeof reason, "%s", came);
	else
		return replay;

	if (current) {
		effect->ended = current->id;
		TRY(end_current(tx, dossier, END_REPLACED, at));
		fault_point("version-ended");
	}
	struct version version = {
		.escrowed_at = at,
		.sealed_at = time_later(device->token_at, now),
	};
	TRY(add_version(tx, escrow, dossier, actor, sealed, reason, now, &version));
	effect->added = version.id;
	return OK;
}

/* When what came at `at` was followed by something else: the first such time that is known. */
static int64_t overtaken_at(const struct dossier *dossier, int64_t at, int64_t now)
{
	int64_t first = dossier->device.removed_at ? dossier->device.removed_at : now;
	for (int i = 0; i < dossier->count; i++) {
		const struct version *version = &dossier->versions[i];
		const int64_t times[] = {version->escrowed_at, version->confirmed_at,
					 version->ended_at};
		for (size_t j = 0; j < sizeof times / sizeof *times; j++)
			if (times[j] > at && times[j] < first)
				first = times[j];
	}
	return time_later(at, first);
}

enum error token_keep_past(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			   const struct actor *actor, const struct sealed *sealed, const char *how,
			   int64_t now, struct effect *effect)
{
	struct version known;
	*effect = (struct effect){.device = dossier->device.id};
	enum error found = store_version_with_mac(tx, dossier->device.id, sealed->mac, &known);
	if (found != ERR_NOT_FOUND)
		return found;
	if (!sealed->blob.len)
		return changed(dossier->device.udid);
	struct version version = {
		.escrowed_at = sealed->at,
		.sealed_at = now,
		.ended_at = overtaken_at(dossier, sealed->at, now),
		.end = dossier->device.removed_at ? END_REMOVED : END_REPLACED,
	};
	char reason[256];
	snprintf(reason, sizeof reason, "%.120s, sent before the last change: " SAYS_KEPT_PAST,
		 how);
	TRY(add_version(tx, escrow, dossier, actor, sealed, reason, now, &version));
	effect->added = version.id;
	return OK;
}

enum error token_end(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
		     const struct actor *actor, const char *how, int64_t now, struct effect *effect)
{
	*effect = (struct effect){.device = dossier->device.id};
	struct version *current = dossier_current(dossier);
	if (!current)
		return OK;
	effect->ended = current->id;
	TRY(end_current(tx, dossier, END_REMOVED, now));
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = ACTION_REMOVE,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .version = current->number,
					 .actor = actor,
					 .reason = how});
}

/*
 * A device that escrows meets the prerequisites, whatever is known of it: facts that say otherwise
 * are out of date until they are reported again.
 */
enum error token_proves(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			const struct actor *actor, const char *how, int64_t at, int64_t now)
{
	struct facts before = dossier->facts;
	int count = 0;
	for (bool doubted = true; doubted;) {
		doubted = false;
		uint32_t by = rules_prerequisites(&dossier->facts, dossier->device.user_enrolled)
				      .decided_by;
		for (int i = 0; i < FACT_COUNT; i++) {
			struct fact *fact = &dossier->facts.of[i];
			if (!(by >> i & 1) || fact->state != FACT_KNOWN || fact->at > at)
				continue;
			fact->state = FACT_OUT_OF_DATE;
			doubted = true;
			count++;
		}
	}
	if (!count)
		return OK;
	char who[128], reason[512];
	snprintf(who, sizeof who, "%s: the device escrows, so these are out of date", how);
	facts_changed(&before, &dossier->facts, who, reason, sizeof reason);
	dossier->renamed = true;
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = ACTION_FACTS,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .actor = actor,
					 .reason = reason});
}

/* ---- out ---- */

enum error token_lost(const struct device *device, const struct version *version)
{
	return fail(ERR_BAD_SEAL,
		    "device %s, version %d: the store has lost its seal; restore the store from a "
		    "backup",
		    device->udid, version->number);
}

static enum error look(struct tx *tx, const struct device *device, struct version *version,
		       struct bytes *blob)
{
	enum error found = store_version_current(tx, device->id, version);
	if (found == ERR_NOT_FOUND) {
		version->id = 0;
		return OK;
	}
	TRY(found);
	found = store_blob(tx, version->id, blob);
	return found == ERR_NOT_FOUND ? token_lost(device, version) : found;
}

enum error token_look(struct escrow *escrow, int64_t id, struct device *device,
		      struct version *version, struct bytes *blob)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view_beside(escrow->store, &tx));
	TRY(store_device(tx, id, device));
	return look(tx, device, version, blob);
}

enum error token_look_of(struct escrow *escrow, const struct device *device,
			 struct version *version, struct bytes *blob)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view_beside(escrow->store, &tx));
	return look(tx, device, version, blob);
}

enum error token_look_named(struct escrow *escrow, const char *udid, struct device *device,
			    struct version *version, struct bytes *blob)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view_beside(escrow->store, &tx));
	TRY(store_device_folded(tx, udid, device));
	return look(tx, device, version, blob);
}

enum error token_held(const char *udid, const struct secret *content, struct message *out)
{
	if (mdm_read_content(udid, content->data, content->len, out) == ERR_MEMORY)
		return ERR_MEMORY;
	return out->token.len ? OK : fail(ERR_BAD_SEAL, "the seal holds no token");
}

/* Also where this key doesn't need it: a seal that was changed may open with no other key any more. */
static enum error seal_unchanged(const struct device *device, const struct version *version,
				 const struct bytes *blob)
{
	uint8_t digest[STORE_DIGEST];
	TRY(seal_digest(blob->data, blob->len, digest));
	return seal_equal(digest, version->digest, sizeof digest)
		       ? OK
		       : fail(ERR_BAD_SEAL,
			      "device %s, version %d: the seal was changed; restore the store from "
			      "a "
			      "backup",
			      device->udid, version->number);
}

enum error token_open(struct escrow *escrow, const struct device *device, struct version *version,
		      const struct bytes *blob, struct secret *token)
{
	SCOPED(seal_key_scoped) struct seal_key *key = daily_take(escrow);
	if (!key)
		return fail(ERR_NO_KEY,
			    "device %s: version %d is sealed, and there is no private key here: "
			    "mount with -o key=URI",
			    device->udid, version->number);
	SCOPED(secret_free) struct secret content = {0};
	enum error opened = seal_open(key, blob->data, blob->len, &content);
	if (opened == ERR_NO_KEY)
		TRY(seal_unchanged(device, version, blob));
	if (opened)
		return fail(opened, "device %s, version %d: %s", device->udid, version->number,
			    fail_why());

	SCOPED(message_free) struct message message = {0};
	enum error held = token_held(device->udid, &content, &message);
	if (held)
		return fail(held, "device %s, version %d: %s", device->udid, version->number,
			    fail_why());
	if (strcasecmp(message.id, device->udid) != 0)
		return fail(
			ERR_BAD_SEAL,
			"device %s, version %d: the seal is another device's; restore the store "
			"from a backup",
			device->udid, version->number);
	uint8_t mac[STORE_DIGEST];
	TRY(token_mac(escrow, device->udid, &message.token, mac));
	if (version->verified && !seal_equal(mac, version->mac, sizeof mac))
		return fail(
			ERR_BAD_SEAL,
			"device %s, version %d: the seal holds another version's token; restore "
			"the store from a backup",
			device->udid, version->number);
	TRY(seal_unchanged(device, version, blob));
	memcpy(version->mac, mac, sizeof version->mac);
	version->token_size = (uint32_t)message.token.len;
	version->verified = true;
	secret_move(token, &message.token);
	return OK;
}

static enum error leaves(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			 const struct actor *actor, enum action action,
			 const struct version *opened, const char *how, int64_t now)
{
	struct version *current = dossier_current(dossier);
	TRY(token_still(dossier, opened->id));
	if (current)
		dossier->device.retrieved_at = now;
	dossier->read_only = dossier->extent == DOSSIER_RETRIEVAL && current && current->verified;
	if (current && !current->verified) {
		memcpy(current->mac, opened->mac, sizeof current->mac);
		current->token_size = opened->token_size;
		current->verified = true;
		TRY(store_version_save(tx, current));
	}
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = action,
					 .outcome = current ? "ok" : "none",
					 .udid = dossier->device.udid,
					 .version = current ? current->number : 0,
					 .actor = actor,
					 .reason = how});
}

enum error token_retrieved(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			   const struct actor *actor, const struct version *opened, const char *how,
			   int64_t now)
{
	return leaves(tx, escrow, dossier, actor, ACTION_RETRIEVE, opened, how, now);
}

enum error token_exported(struct tx *tx, struct escrow *escrow, struct dossier *dossier,
			  const struct actor *actor, const struct version *opened, const char *how,
			  int64_t now)
{
	return leaves(tx, escrow, dossier, actor, ACTION_EXPORT, opened, how, now);
}
