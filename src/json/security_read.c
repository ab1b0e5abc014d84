#include "json.h"
#include "parse.h"

#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum error wrong(const char *key, const char *should)
{
	return fail(ERR_INVALID, "%.64s: %s is expected", key, should);
}

static enum error read_words(enum fact_name name, const char *text, int64_t at, struct facts *out)
{
	char folded[FACT_TEXT];
	if (strlen(text) >= FACT_TEXT)
		return fail(ERR_INVALID, "%s: longer than %d bytes", facts_table[name].name,
			    FACT_TEXT - 1);
	if (name == FACT_BT_ALLOWED && strcmp(text, "allowed") && strcmp(text, "disallowed") &&
	    strcmp(text, "not supported"))
		return wrong(facts_table[name].name,
			     "\"allowed\", \"disallowed\" or \"not supported\"");
	if (name == FACT_MAC_ADDRESS) {
		if (!mac_fold(text, folded))
			return wrong("MacAddress", "twelve hex digits");
		for (char *c = folded; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		text = folded;
	}
	fact_set_text(out, name, text, at, SOURCE_BY_HAND);
	return OK;
}

static enum error read_fact(enum fact_name name, const json_t *value, int64_t at, struct facts *out)
{
	const char *key = facts_table[name].name;
	if (json_is_null(value)) {
		fact_set_unknown(out, name, at, SOURCE_BY_HAND);
		return OK;
	}
	if (facts_table[name].kind == FACT_FLAG) {
		if (!json_is_boolean(value))
			return wrong(key, "true or false");
		fact_set_flag(out, name, json_is_true(value), at, SOURCE_BY_HAND);
		return OK;
	}
	if (!json_is_string(value))
		return wrong(key, "a text");
	return read_words(name, json_string_value(value), at, out);
}

static bool find_fact(const char *key, bool boot, enum fact_name *name)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (facts_table[i].block != BLOCK_HIDDEN &&
		    (facts_table[i].block == BLOCK_SECURE_BOOT) == boot &&
		    strcmp(facts_table[i].name, key) == 0) {
			*name = (enum fact_name)i;
			return true;
		}
	return false;
}

static bool read_over(const char *key)
{
	static const char *const keys[] = {"BootstrapTokenEscrowStatus",
					   "Status",
					   "Reasons",
					   "EscrowedAt",
					   "RetrievedAt",
					   "ProvenAt",
					   "Versions",
					   "EnrolledAt",
					   "ReenrolledAt",
					   "CheckedOutAt",
					   "FactsAt",
					   "DeviceId",
					   "IsCompromised",
					   "DataProtectionEnabled",
					   "BlockLevelEncryption",
					   "FileLevelEncryption",
					   "Uuid",
					   "uuid",
					   "Id",
					   "id"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static enum error read_object(json_t *object, bool boot, const char *udid, int64_t at,
			      struct facts *out)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		enum fact_name name;
		if (find_fact(key, boot, &name)) {
			TRY(read_fact(name, value, at, out));
		} else if (!boot &&
			   (strcmp(key, "SecureBoot") == 0 || strcmp(key, "Escrow") == 0)) {
			if (!json_is_object(value))
				return wrong(key, "an object");
			TRY(read_object(value, *key == 'S', udid, at, out));
		} else if (strcmp(key, "Udid") == 0) {
			if (!json_is_string(value) ||
			    strcasecmp(json_string_value(value), udid) != 0)
				return fail(ERR_INVALID, "Udid is another device's");
		} else if (!read_over(key)) {
			return fail(ERR_INVALID, "%.64s: unknown key", key);
		}
	}
	return OK;
}

enum error json_security_read(const uint8_t *text, size_t len, const char *udid, int64_t at,
			      struct facts *out)
{
	*out = (struct facts){0};
	SCOPED(parse_free) json_t *root = NULL;
	TRY(parse(text, len, "security.json", &root));
	return read_object(root, false, udid, at, out);
}
