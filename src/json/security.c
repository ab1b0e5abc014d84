/*
 * The text of security.json. The first block is Workspace ONE UEM's DeviceSecurityInfo, key for
 * key, so that its clients read it as is; ours is all under the one key Escrow. It follows from
 * what is given alone: the size of the file is worked out when the device changes and must still
 * hold when it is read.
 */
#include "json.h"
#include "parse.h"
#include "put.h"
#include "reports.h"

#include <string.h>

#define LAYOUT JSON_INDENT(2)

static enum error put_fact(json_t *to, const struct facts *facts, enum fact_name name)
{
	const struct fact *fact = &facts->of[name];
	const char *key = facts_table[name].name;
	if (fact->state != FACT_KNOWN)
		return OK;
	return facts_table[name].kind == FACT_FLAG ? put(to, key, json_boolean(fact->flag))
						   : put_words(to, key, fact->text);
}

/* ---- the first block ---- */

static enum error put_secure_boot(json_t *to, const struct facts *facts)
{
	if (facts->of[FACT_SECURE_BOOT].state != FACT_KNOWN &&
	    facts->of[FACT_EXTERNAL_BOOT].state != FACT_KNOWN)
		return OK;
	json_t *boot = json_object();
	TRY(put(to, "SecureBoot", boot));
	TRY(put_fact(boot, facts, FACT_SECURE_BOOT));
	return put_fact(boot, facts, FACT_EXTERNAL_BOOT);
}

static enum error put_response(json_t *to, const struct json_security *security)
{
	for (int i = 0; i <= FACT_RECOVERY_LOCK; i++) {
		enum fact_name name = (enum fact_name)i;
		if (name == FACT_SECURE_BOOT)
			TRY(put_secure_boot(to, security->facts));
		if (name == FACT_AUTHENTICATED_ROOT)
			TRY(put(to, "BootstrapTokenEscrowStatus", json_boolean(security->given)));
		if (facts_table[name].block == BLOCK_SECURITY &&
		    reports_shows(security->facts, name, security->token_keys))
			TRY(put_fact(to, security->facts, name));
	}
	return OK;
}

/* ---- ours ---- */

/* One that nobody knows isn't there. */
static enum error put_known_time(json_t *to, const char *key, int64_t at)
{
	return at == TIME_UNKNOWN || at == TIME_UNKNOWN_END ? OK : put_time(to, key, at);
}

static enum error put_version(json_t *to, const struct version *version)
{
	json_t *object = json_object();
	if (json_array_append_new(to, object))
		return fail(ERR_MEMORY, "out of memory");
	TRY(put(object, "Number", json_integer(version->number)));
	TRY(put_known_time(object, "EscrowedAt", version->escrowed_at));
	TRY(put_time(object, "ConfirmedAt", version->confirmed_at));
	TRY(put_known_time(object, "EndedAt", version->ended_at));
	return put_words(object, "Ended", version_end_word(version->end));
}

static enum error put_versions(json_t *to, const struct version *versions, int count)
{
	if (!count)
		return OK;
	json_t *list = json_array();
	TRY(put(to, "Versions", list));
	for (int i = 0; i < count; i++)
		TRY(put_version(list, &versions[i]));
	return OK;
}

static enum error put_reasons(json_t *to, const struct json_security *security)
{
	json_t *list = json_array();
	TRY(put(to, "Reasons", list));
	for (int i = 0; i < security->reason_count; i++)
		TRY(put_item(list, security->reasons[i]));
	return OK;
}

/* What has happened, and what it amounts to. */
static enum error put_story(json_t *escrow, const struct json_security *security)
{
	const struct device *device = security->device;
	TRY(put_words(escrow, "Status", status_word(device->status)));
	TRY(put_reasons(escrow, security));
	TRY(put_known_time(escrow, "EscrowedAt", device->escrowed_at));
	TRY(put_time(escrow, "RetrievedAt", device->retrieved_at));
	TRY(put_time(escrow, "ProvenAt", device->proven_at));
	TRY(put_versions(escrow, security->versions, security->version_count));
	TRY(put_time(escrow, "EnrolledAt", device->enrolled_at));
	TRY(put_time(escrow, "ReenrolledAt", device->reenrolled_at));
	return put_time(escrow, "CheckedOutAt", device->checked_out_at);
}

static enum error put_escrow(json_t *to, const struct json_security *security)
{
	const struct device *device = security->device;
	json_t *escrow = json_object();
	TRY(put(to, "Escrow", escrow));
	TRY(put_words(escrow, "Udid", device->udid));
	TRY(put_fact(escrow, security->facts, FACT_SERIAL_NUMBER));
	TRY(put_fact(escrow, security->facts, FACT_IMEI));
	TRY(put_fact(escrow, security->facts, FACT_MAC_ADDRESS));
	TRY(put(escrow, "DeviceId", json_integer(device->id)));
	for (int name = FACT_MODEL; name <= FACT_USER_ENROLLMENT; name++)
		TRY(put_fact(escrow, security->facts, (enum fact_name)name));
	TRY(put_story(escrow, security));
	return put_time(escrow, "FactsAt", security->facts_at);
}

/*
 * What a backup has besides, at the end of Escrow: a mount shows the contract's keys alone, but to
 * bring a device back takes all that is known of it.
 */
static enum error put_sealed(const json_t *root, const struct json_security *security)
{
	const struct device *device = security->device;
	json_t *escrow = json_object_get(root, "Escrow");
	if (*device->identity)
		TRY(put_words(escrow, "Identity", device->identity));
	if (device->user_enrolled)
		TRY(put(escrow, "KnownByEnrollmentID", json_true()));
	return reports_put(escrow, security->facts, security->token_keys);
}

static enum error write_text(const json_t *root, struct bytes *out)
{
	TRY(put_text(root, LAYOUT, out));
	return bytes_add(out, "\n", 1);
}

enum error json_security_write(const struct json_security *security, struct bytes *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	TRY(put_response(root, security));
	TRY(put_escrow(root, security));
	if (security->sealed)
		TRY(put_sealed(root, security));
	return write_text(root, out);
}

/* What the text grows by with the keys of this one's Escrow, the only key of `root`: it has others. */
static enum error growth(const json_t *root, uint32_t *out)
{
	static const char around[] = "{\n  \"Escrow\": {"
				     "\n  }\n}";
	uint32_t length;
	*out = 0;
	if (!json_object_size(json_object_get(root, "Escrow")))
		return OK;
	TRY(put_length(root, LAYOUT, &length));
	*out = length - (uint32_t)strlen(around) + (uint32_t)strlen(",");
	return OK;
}

static enum error sealed_growth(const struct json_security *security, uint32_t *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	TRY(put(root, "Escrow", json_object()));
	TRY(put_sealed(root, security));
	return growth(root, out);
}

enum error json_security_growth_retrieved(int64_t at, uint32_t *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	json_t *escrow = json_object();
	TRY(put(root, "Escrow", escrow));
	TRY(put_time(escrow, "RetrievedAt", at));
	return growth(root, out);
}

enum error json_security_story(const struct json_security *security, uint32_t *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	TRY(put(root, "BootstrapTokenEscrowStatus", json_boolean(security->given)));
	json_t *escrow = json_object();
	TRY(put(root, "Escrow", escrow));
	TRY(put_story(escrow, security));
	return put_length(root, LAYOUT, out);
}

enum error json_security_sizes(const struct json_security *security, uint32_t *plain,
			       uint32_t *sealed)
{
	SCOPED(parse_free) json_t *root = json_object();
	TRY(put_response(root, security));
	TRY(put_escrow(root, security));
	TRY(put_length(root, LAYOUT, plain));
	TRY(sealed_growth(security, sealed));
	*plain += 1; /* the newline at the end */
	*sealed += *plain;
	return OK;
}

enum error json_removed_write(const struct device *device, const struct version *versions,
			      int count, struct bytes *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	json_t *escrow = json_object();
	TRY(put(root, "Escrow", escrow));
	TRY(put_words(escrow, "Udid", device->udid));
	TRY(put(escrow, "DeviceId", json_integer(device->id)));
	TRY(put_versions(escrow, versions, count));
	TRY(put_time(escrow, "RemovedAt", device->removed_at));
	return write_text(root, out);
}
