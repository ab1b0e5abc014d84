/*
 * security.json as somebody writes it: facts, among keys that are known and read over. A key that
 * nobody knows is refused by name, since a mistyped one would otherwise be lost without a word.
 *
 * MUST: recovery keys, PINs and passwords that an API's answer carries are never kept.
 *       (test: security_read)
 */
#include "json.h"
#include "parse.h"

#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum object { TOP, SECURE_BOOT, ESCROW };

/* What an API's answer says besides, and verdicts of ours: known, and read over. */
static const char *const read_over[] = {
	/* ours */
	"BootstrapTokenEscrowStatus",
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
	/* Workspace ONE UEM's DeviceSecurityInfo and the envelope that it comes in */
	"ActivationLockBypassCode",
	"BlockLevelEncryption",
	"DataProtectionEnabled",
	"DeviceId",
	"DeviceUuid",
	"EncryptionStatus",
	"FileLevelEncryption",
	"FirewallSettings",
	"FirmwarePasswordStatus",
	"HardwareEncryptionCaps",
	"Id",
	"InstitutionalRecoveryKey",
	"InternalStorageEncryption",
	"IsCompromised",
	"IsDataProtectionEnabled",
	"IsFirewallEnabled",
	"IsFirmwarePasswordEnabled",
	"IsPasscodeCompliantWithProfiles",
	"IsRemoteDesktopEnabled",
	"IsRemoteManagementEnabled",
	"LastSecurityInfoSampleTime",
	"ManagementStatus",
	"PasscodeLockExpiryTime",
	"PersonalRecoveryKey",
	"RecoveryLockPassword",
	"RemoteDesktopEnabled",
	"SDCardEncryption",
	"UnlockPin",
	"Uuid",
	"id",
	"uuid",
};

static enum error wrong(const char *key, const char *should)
{
	return fail(ERR_INVALID, "%.64s: %s is expected", key, should);
}

static bool is_digits(const char *text)
{
	return text[strspn(text, "0123456789")] == 0;
}

static enum error read_words(enum fact_name name, const char *text, int64_t at, struct facts *out)
{
	const char *key = facts_table[name].name;
	char folded[FACT_TEXT];
	if (strlen(text) >= FACT_TEXT)
		return fail(ERR_INVALID, "%s: longer than %d bytes", key, FACT_TEXT - 1);
	if (name == FACT_BT_ALLOWED && strcmp(text, "allowed") != 0 &&
	    strcmp(text, "disallowed") != 0 && strcmp(text, "not supported") != 0)
		return wrong(key, "\"allowed\", \"disallowed\" or \"not supported\"");
	if (name == FACT_IMEI && !is_digits(text))
		return wrong(key, "digits");
	if (name == FACT_MAC_ADDRESS) {
		if (!mac_fold(text, folded))
			return wrong(key, "twelve hex digits");
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

/* Facts of the Escrow block may stand at the top too: the API has no such block. */
static bool find_fact(const char *key, enum object in, enum fact_name *name)
{
	for (int i = 0; i < FACT_COUNT; i++) {
		enum fact_block block = facts_table[i].block;
		bool fits = in == SECURE_BOOT ? block == BLOCK_SECURE_BOOT
			    : in == ESCROW    ? block == BLOCK_ESCROW
					      : block == BLOCK_SECURITY || block == BLOCK_ESCROW;
		if (fits && strcmp(facts_table[i].name, key) == 0) {
			*name = (enum fact_name)i;
			return true;
		}
	}
	return false;
}

static bool is_read_over(const char *key, enum object in)
{
	for (size_t i = 0; in != SECURE_BOOT && i < sizeof read_over / sizeof *read_over; i++)
		if (strcmp(read_over[i], key) == 0)
			return true;
	return false;
}

struct reading {
	const char *udid;
	int64_t at;
	struct facts *out;
};

static enum error read_object(const struct reading *reading, json_t *object, enum object in)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		enum fact_name name;
		bool boot = in == TOP && strcmp(key, "SecureBoot") == 0;
		bool escrow = in == TOP && strcmp(key, "Escrow") == 0;
		if (find_fact(key, in, &name)) {
			TRY(read_fact(name, value, reading->at, reading->out));
		} else if (boot || escrow) {
			if (json_is_null(value))
				continue;
			if (!json_is_object(value))
				return wrong(key, "an object");
			TRY(read_object(reading, value, boot ? SECURE_BOOT : ESCROW));
		} else if (strcmp(key, "Udid") == 0 && in != SECURE_BOOT) {
			const char *udid = json_string_value(value);
			if (!udid || strcasecmp(udid, reading->udid) != 0)
				return fail(ERR_INVALID, "Udid is another device's");
		} else if (!is_read_over(key, in)) {
			return fail(ERR_INVALID, "%.64s: no key of security.json", key);
		}
	}
	return OK;
}

enum error json_security_read(const uint8_t *text, size_t len, const char *udid, int64_t at,
			      struct facts *out)
{
	*out = (struct facts){0};
	SCOPED(parse_free) json_t *root = NULL;
	TRY(parse(text, len, "the text", &root));
	struct reading reading = {.udid = udid, .at = at, .out = out};
	return read_object(&reading, root, TOP);
}
