/*
 * A device with all that is known of it, as one transaction sees it. Every change goes: load,
 * change the dossier and its versions, settle. What the tree shows of a device (its word, the size
 * and times of its files, its names in /search) is worked out once, here, and stored: stat(2) and
 * listings then read columns, and security.json is written out only when it is opened.
 */
#include "inside.h"

#include "base64.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

struct version *dossier_current(struct dossier *dossier)
{
	return dossier->current < 0 ? NULL : &dossier->versions[dossier->current];
}

void dossier_free(struct dossier *dossier)
{
	free(dossier->versions);
	dossier->versions = NULL;
	dossier->count = 0;
}

static enum error load_versions(struct tx *tx, struct dossier *dossier)
{
	dossier_free(dossier);
	dossier->current = -1;
	struct versions all = {0};
	enum error result = store_versions(tx, dossier->device.id, 0, versions_gather, &all);
	dossier->versions = all.list;
	dossier->count = all.count;
	for (int i = 0; i < all.count; i++)
		if (!all.list[i].ended_at)
			dossier->current = i;
	return result ? result : versions_whole(&all);
}

static enum error load_facts(struct tx *tx, struct dossier *dossier)
{
	TRY(store_facts(tx, dossier->device.id, &dossier->stored));
	dossier->facts = dossier->stored;
	return OK;
}

enum error dossier_add(struct dossier *dossier, const struct version *version)
{
	int count = dossier->count + 1;
	struct version *more = realloc(dossier->versions, (size_t)count * sizeof *more);
	if (!more)
		return fail(ERR_MEMORY, "out of memory");
	more[count - 1] = *version;
	dossier->versions = more;
	dossier->count = count;
	if (!version->ended_at)
		dossier->current = count - 1;
	return OK;
}

static enum error load_current(struct tx *tx, struct dossier *dossier)
{
	struct version current;
	enum error found = store_version_current(tx, dossier->device.id, &current);
	if (found)
		return found == ERR_NOT_FOUND ? OK : found;
	return dossier_add(dossier, &current);
}

static enum error measure_story(const struct dossier *dossier, uint32_t *out);

/* Where there are versions, but none is current, nothing less than all will do: json_security_story(). */
static enum error load_token(struct tx *tx, struct dossier *dossier)
{
	TRY(load_facts(tx, dossier));
	TRY(load_current(tx, dossier));
	if (dossier->count || !dossier->device.last_version)
		return measure_story(dossier, &dossier->story);
	dossier->extent = DOSSIER_WHOLE;
	return load_versions(tx, dossier);
}

/* The device is here. Its facts, by far the most of the rest, are set as they are read. */
static enum error load_rest(struct tx *tx, enum extent extent, struct dossier *dossier)
{
	switch (dossier->extent = extent) {
	case DOSSIER_TOKEN:
		return load_token(tx, dossier);
	case DOSSIER_RETRIEVAL:
		dossier->retrieved_before = dossier->device.retrieved_at;
		return load_current(tx, dossier);
	default:
		TRY(load_facts(tx, dossier));
		return load_versions(tx, dossier);
	}
}

static void begin(struct dossier *dossier)
{
	dossier->versions = NULL;
	dossier->count = 0;
	dossier->current = -1;
	dossier->renamed = dossier->anew = dossier->rebound = dossier->read_only = false;
}

enum error dossier_load_for(struct tx *tx, enum extent extent, int64_t id, struct dossier *dossier)
{
	begin(dossier);
	TRY(store_device(tx, id, &dossier->device));
	return load_rest(tx, extent, dossier);
}

enum error dossier_find_for(struct tx *tx, enum extent extent, const char *udid,
			    struct dossier *dossier)
{
	begin(dossier);
	TRY(store_device_folded(tx, udid, &dossier->device));
	return load_rest(tx, extent, dossier);
}

enum error dossier_load(struct tx *tx, int64_t id, struct dossier *dossier)
{
	return dossier_load_for(tx, DOSSIER_WHOLE, id, dossier);
}

enum error dossier_find(struct tx *tx, const char *udid, struct dossier *dossier)
{
	return dossier_find_for(tx, DOSSIER_WHOLE, udid, dossier);
}

enum error dossier_create(struct tx *tx, const char *udid, bool user_enrolled, enum status likely,
			  int64_t now, struct dossier *dossier)
{
	*dossier = (struct dossier){
		.device = {.user_enrolled = user_enrolled, .status = likely, .created_at = now},
		.current = -1,
		.renamed = true,
		.anew = true,
	};
	strncpy(dossier->device.udid, udid, UDID_MAX);
	return store_device_add(tx, &dossier->device);
}

/* ---- security.json ---- */

static struct prerequisites prerequisites_of(const struct dossier *dossier)
{
	return rules_prerequisites(&dossier->facts, dossier->device.user_enrolled);
}

/*
 * For macOS 10.15 the response has BootstrapTokenEscrowStatus alone of the Bootstrap Token keys;
 * from 11 it has the others.
 */
static bool has_token_keys(const struct facts *facts)
{
	struct os_version version = rules_version(fact_text(facts, FACT_OS_VERSION));
	return rules_platform(facts) != PLATFORM_MACOS || !version.known || version.major >= 11;
}

static int64_t newest_report(const struct facts *facts)
{
	int64_t newest = 0;
	for (int i = 0; i < FACT_COUNT; i++)
		if (facts->of[i].at > newest)
			newest = facts->of[i].at;
	return newest;
}

/* What security.json is made of. `reasons` and the dossier stay the caller's. */
static struct json_security security_of(const struct dossier *dossier, struct reasons *reasons)
{
	struct prerequisites prerequisites = prerequisites_of(dossier);
	reasons_of(dossier, &prerequisites, reasons);
	return (struct json_security){
		.device = &dossier->device,
		.facts = &dossier->facts,
		.given = dossier->current >= 0 && !dossier->device.unenrolled,
		.token_keys = has_token_keys(&dossier->facts),
		.reasons = reasons->line,
		.reason_count = reasons->count,
		.versions = dossier->versions,
		.version_count = dossier->count,
		.facts_at = newest_report(&dossier->facts),
	};
}

enum error dossier_security(const struct dossier *dossier, bool sealed, struct bytes *text)
{
	struct reasons reasons;
	struct json_security security = security_of(dossier, &reasons);
	security.sealed = sealed;
	return json_security_write(&security, text);
}

enum error dossier_measure(struct dossier *dossier)
{
	struct reasons reasons;
	struct json_security security = security_of(dossier, &reasons);
	return json_security_sizes(&security, &dossier->device.security_size,
				   &dossier->device.sealed_size);
}

static enum error measure_story(const struct dossier *dossier, uint32_t *out)
{
	struct reasons reasons;
	struct json_security security = security_of(dossier, &reasons);
	return json_security_story(&security, out);
}

/* ---- settling ---- */

/* Which facts are names of a kind. */
static const enum fact_name name_facts[NAME_IMEI + 1][2] = {
	[NAME_SERIAL] = {FACT_SERIAL_NUMBER, FACT_SERIAL_NUMBER},
	[NAME_MAC] = {FACT_MAC_ADDRESS, FACT_WIFI_MAC},
	[NAME_IMEI] = {FACT_IMEI, FACT_IMEI},
};

int dossier_names(const struct dossier *dossier, enum name_kind kind,
		  char folded[static 2][FACT_TEXT])
{
	int n = 0;
	const enum fact_name *facts = name_facts[kind];
	for (int i = 0; i < 2 && (i == 0 || facts[1] != facts[0]); i++) {
		const char *text = fact_text(&dossier->facts, facts[i]);
		if (!text || !*text)
			continue;
		if (kind == NAME_MAC ? !mac_fold(text, folded[n])
				     : !*text_fold(text, folded[n], sizeof folded[n]))
			continue;
		/* A name that can't be a directory entry can't be found either. */
		if (strchr(folded[n], '/') || folded[n][0] == '.' ||
		    (n && strcmp(folded[0], folded[1]) == 0))
			continue;
		n++;
	}
	return n;
}

static enum error save_names(struct tx *tx, const struct dossier *dossier)
{
	for (int kind = NAME_SERIAL; kind <= NAME_IMEI; kind++) {
		char folded[2][FACT_TEXT];
		const char *const names[2] = {folded[0], folded[1]};
		int n = dossier_names(dossier, (enum name_kind)kind, folded);
		if (n || !dossier->anew)
			TRY(store_names_save(tx, dossier->device.id, (enum name_kind)kind, names,
					     n));
	}
	return OK;
}

/* All that follows from the rest but the sizes of security.json. */
static void follow(struct dossier *dossier)
{
	struct device *device = &dossier->device;
	const struct version *current = dossier_current(dossier);
	device->status = rules_status(&(struct standing){
		.unenrolled = device->unenrolled,
		.escrowed = current != NULL,
		.set_up_anew = current && current->renewal == RENEWAL_SET_UP,
		.needs = prerequisites_of(dossier).needs,
	});
	device->escrowed_at = !current		      ? 0
			      : current->confirmed_at ? current->confirmed_at
						      : current->escrowed_at;
	device->token_size =
		current ? (uint32_t)BASE64_ENCODED((size_t)current->token_size) + 1 : 0;
}

enum error dossier_follow(struct dossier *dossier)
{
	follow(dossier);
	return dossier_measure(dossier);
}

/*
 * Nothing happened but that a token left. Its time stands where the one before it stood, and is as long;
 * the first one makes both texts longer.
 */
static enum error settle_retrieval(struct tx *tx, struct dossier *dossier, int64_t now)
{
	struct device *device = &dossier->device;
	uint32_t growth = 0;
	if (!dossier->retrieved_before)
		TRY(json_security_growth_retrieved(device->retrieved_at, &growth));
	device->security_size += growth;
	device->sealed_size += growth;
	device->security_at = time_later(device->security_at, now);
	return store_device_save(tx, device);
}

/* Of a token alone: what is known of the device besides is as it was, and as long. */
static enum error follow_token(struct dossier *dossier)
{
	struct device *device = &dossier->device;
	uint32_t story;
	follow(dossier);
	TRY(measure_story(dossier, &story));
	device->security_size += story - dossier->story;
	device->sealed_size += story - dossier->story;
	return OK;
}

static enum error follow_changes(struct tx *tx, struct dossier *dossier)
{
	if (dossier->extent == DOSSIER_TOKEN && !dossier->rebound &&
	    facts_equal(&dossier->facts, &dossier->stored))
		return follow_token(dossier);
	if (dossier->extent == DOSSIER_RETRIEVAL)
		TRY(load_facts(tx, dossier));
	/* A new device's are here, unless a merge added them, which adds all of them by itself. */
	if (!dossier->anew || !dossier->count)
		TRY(load_versions(tx, dossier));
	return dossier_follow(dossier);
}

enum error dossier_settle(struct tx *tx, struct dossier *dossier, int64_t now)
{
	enum status before = dossier->device.status;
	if (dossier->read_only && !dossier->rebound)
		return settle_retrieval(tx, dossier, now);
	uint32_t token_size = dossier->device.token_size;
	TRY(follow_changes(tx, dossier));
	struct device *device = &dossier->device;
	const struct version *current = dossier_current(dossier);

	if (device->status != before || !device->status_at)
		device->status_at = time_later(device->status_at, now);
	if (!device->token_at)
		device->token_at = device->created_at;
	if (current && device->token_at < current->sealed_at)
		device->token_at = current->sealed_at;
	else if (token_size != device->token_size)
		device->token_at = time_later(device->token_at, now);
	device->security_at = time_later(device->security_at, now);

	TRY(store_facts_save(tx, device->id, &dossier->stored, &dossier->facts));
	if (dossier->renamed)
		TRY(save_names(tx, dossier));
	return dossier->anew && device->status == before ? store_device_finish(tx, device)
							 : store_device_save(tx, device);
}
