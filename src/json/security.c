/*
 * The text of security.json. The first block is Workspace ONE UEM's DeviceSecurityInfo, key for
 * key, so that its clients read it as is; ours is all under the one key Escrow. It follows from
 * what is given alone: the size of the file is worked out when the device changes and must still
 * hold when it is read.
 */
#include "json.h"

#include "text.h"

#include <jansson.h>
#include <stdlib.h>

static void put_fact(json_t *to, const struct facts *facts, enum fact_name name)
{
	const struct fact *fact = &facts->of[name];
	if (fact->state != FACT_KNOWN)
		return;
	json_object_set_new(to, facts_table[name].name,
			    facts_table[name].kind == FACT_FLAG ? json_boolean(fact->flag)
								: json_string(fact->text));
}

static void put_time(json_t *to, const char *key, int64_t at)
{
	char text[TEXT_TIME];
	if (!at)
		return;
	time_text(at, text);
	json_object_set_new(to, key, json_string(text));
}

static void put_secure_boot(json_t *to, const struct facts *facts)
{
	json_t *boot = json_object();
	put_fact(boot, facts, FACT_SECURE_BOOT);
	put_fact(boot, facts, FACT_EXTERNAL_BOOT);
	if (json_object_size(boot))
		json_object_set(to, "SecureBoot", boot);
	json_decref(boot);
}

static json_t *version_object(const struct version *version)
{
	static const char *const ends[END_COUNT] = {
		[END_REPLACED] = "replaced", [END_REMOVED] = "removed", [END_UNDONE] = "undone"};
	json_t *object = json_object();
	json_object_set_new(object, "Number", json_integer(version->number));
	put_time(object, "EscrowedAt", version->escrowed_at);
	put_time(object, "ConfirmedAt", version->confirmed_at);
	put_time(object, "EndedAt", version->ended_at);
	if (ends[version->end])
		json_object_set_new(object, "Ended", json_string(ends[version->end]));
	return object;
}

static void put_versions(json_t *to, const struct json_security *security)
{
	if (!security->version_count)
		return;
	json_t *list = json_array();
	for (int i = 0; i < security->version_count; i++)
		json_array_append_new(list, version_object(&security->versions[i]));
	json_object_set_new(to, "Versions", list);
}

static void put_reasons(json_t *to, const struct json_security *security)
{
	json_t *list = json_array();
	for (int i = 0; i < security->reason_count; i++)
		json_array_append_new(list, json_string(security->reasons[i]));
	json_object_set_new(to, "Reasons", list);
}

static void put_escrow(json_t *to, const struct json_security *security)
{
	const struct device *device = security->device;
	json_t *escrow = json_object();
	json_object_set_new(escrow, "Udid", json_string(device->udid));
	put_fact(escrow, security->facts, FACT_SERIAL_NUMBER);
	put_fact(escrow, security->facts, FACT_IMEI);
	put_fact(escrow, security->facts, FACT_MAC_ADDRESS);
	json_object_set_new(escrow, "DeviceId", json_integer(device->id));
	for (int name = FACT_MODEL; name <= FACT_USER_ENROLLMENT; name++)
		put_fact(escrow, security->facts, (enum fact_name)name);
	json_object_set_new(escrow, "Status", json_string(status_word(device->status)));
	put_reasons(escrow, security);
	put_time(escrow, "EscrowedAt", device->escrowed_at);
	put_time(escrow, "RetrievedAt", device->retrieved_at);
	put_time(escrow, "ProvenAt", device->proven_at);
	put_versions(escrow, security);
	put_time(escrow, "EnrolledAt", device->enrolled_at);
	put_time(escrow, "ReenrolledAt", device->reenrolled_at);
	put_time(escrow, "CheckedOutAt", device->checked_out_at);
	put_time(escrow, "FactsAt", security->facts_at);
	json_object_set_new(to, "Escrow", escrow);
}

/* The Bootstrap Token keys that came with macOS 11. */
static bool is_token_key(enum fact_name name)
{
	return name == FACT_BT_ALLOWED || name == FACT_BT_REQUIRED_FOR_KEXT ||
	       name == FACT_BT_REQUIRED_FOR_UPDATE;
}

static void put_all(json_t *to, const struct json_security *security)
{
	for (int i = 0; i <= FACT_RECOVERY_LOCK; i++) {
		enum fact_name name = (enum fact_name)i;
		if (name == FACT_SECURE_BOOT)
			put_secure_boot(to, security->facts);
		if (name == FACT_AUTHENTICATED_ROOT)
			json_object_set_new(to, "BootstrapTokenEscrowStatus",
					    json_boolean(security->given));
		if (facts_table[name].block == BLOCK_SECURITY &&
		    (security->token_keys || !is_token_key(name)))
			put_fact(to, security->facts, name);
	}
	put_escrow(to, security);
}

enum error json_security_write(const struct json_security *security, struct bytes *out)
{
	json_t *root = json_object();
	put_all(root, security);
	char *text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!text)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = bytes_print(out, "%s\n", text);
	free(text);
	return result;
}
