/*
 * security.json as somebody writes it: facts, among keys that are known and read over. A key that
 * nobody knows is refused by name, since a mistyped one would otherwise be lost without a word.
 *
 * MUST: recovery keys, PINs and passwords that an API's answer carries are never kept, nor told in
 *       a sentence. (test: secrets_not_kept)
 */
#include "json.h"
#include "parse.h"

#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum object { TOP, SECURE_BOOT, ESCROW };

/* Verdicts and bookkeeping of ours: known, and read over. */
static const char *const verdicts[] = {
	"DeviceId",
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
	"Identity",
	"KnownByEnrollmentID",
	"Reports",
	"RemovedAt",
};

/* What an API's answer says besides. */
static const char *const response[] = {
	/* the rest of Workspace ONE UEM's DeviceSecurityInfo */
	"BlockLevelEncryption",
	"BootstrapTokenEscrowStatus",
	"DataProtectionEnabled",
	"DellDdpeEncryptionStatus",
	"DriveEncryptionLevel",
	"EncryptionStatus",
	"FileLevelEncryption",
	"GracePeriodRecoveryKey",
	"IsCompromised",
	"OldPersonalRecoveryKeyValue",
	"PasscodeLockGracePeriod",
	"PasscodeLockGracePeriodEnforced",
	"PercentComplete",
	"PersonalRecoveryKey",
	"PersonalRecoveryKeyDeviceKey",
	"StaticRecoveryKey",
	"UnlockPin",
	/* of other versions of it, and of what it may come in */
	"ActivationLockBypassCode",
	"DeviceUuid",
	"FirewallSettings",
	"FirmwarePasswordStatus",
	"HardwareEncryptionCaps",
	"Id",
	"InstitutionalRecoveryKey",
	"InternalStorageEncryption",
	"IsDataProtectionEnabled",
	"IsFirewallEnabled",
	"IsFirmwarePasswordEnabled",
	"IsPasscodeCompliantWithProfiles",
	"IsRemoteDesktopEnabled",
	"IsRemoteManagementEnabled",
	"LastSecurityInfoSampleTime",
	"ManagementStatus",
	"PasscodeLockExpiryTime",
	"RecoveryLockPassword",
	"RemoteDesktopEnabled",
	"SDCardEncryption",
	"Uuid",
	"id",
	"uuid",
};

static enum error wrong(const char *key, const char *should)
{
	return fail(ERR_INVALID, "%s: %s is expected", key, should);
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

/* Null is unknown; so is an empty text, which APIs send for what they don't know. */
static bool is_unknown(const json_t *value)
{
	return json_is_null(value) || (json_is_string(value) && !json_string_length(value));
}

static enum error read_value(enum fact_name name, const json_t *value, int64_t at,
			     struct facts *out)
{
	const char *key = facts_table[name].name;
	bool flag = facts_table[name].kind == FACT_FLAG;
	if (flag && !json_is_boolean(value) && !json_is_null(value))
		return wrong(key, "true or false");
	if (!flag && !json_is_string(value) && !json_is_null(value))
		return wrong(key, "a text");
	if (is_unknown(value))
		fact_set_unknown(out, name, at, SOURCE_BY_HAND);
	else if (flag)
		fact_set_flag(out, name, json_is_true(value), at, SOURCE_BY_HAND);
	else
		return read_words(name, json_string_value(value), at, out);
	return OK;
}

/* The Escrow block's facts may stand in two places: then they agree. */
static enum error read_fact(enum fact_name name, const json_t *value, int64_t at, struct facts *out)
{
	const struct fact before = out->of[name], *now = &out->of[name];
	TRY(read_value(name, value, at, out));
	if (before.source != SOURCE_NONE &&
	    (before.state != now->state || before.flag != now->flag ||
	     strcmp(before.text, now->text) != 0))
		return fail(ERR_INVALID, "%s: stands twice, and not alike", facts_table[name].name);
	return OK;
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

static bool is_among(const char *const names[], size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], key) == 0)
			return true;
	return false;
}

static bool is_read_over(const char *key, enum object in)
{
	return (in != SECURE_BOOT && is_among(verdicts, sizeof verdicts / sizeof *verdicts, key)) ||
	       (in == TOP && is_among(response, sizeof response / sizeof *response, key));
}

struct reading {
	const char *udid;
	int64_t at;
	struct facts *out;
};

static enum error check_udid(const json_t *value, const char *udid)
{
	if (json_is_null(value))
		return OK;
	if (!json_is_string(value))
		return wrong("Udid", "a text");
	if (strcasecmp(json_string_value(value), udid) != 0)
		return fail(ERR_INVALID, "Udid is another device's");
	return OK;
}

static enum error read_object(const struct reading *reading, json_t *object, enum object in);

static enum error read_block(const struct reading *reading, const char *key, json_t *value,
			     enum object in)
{
	if (json_is_null(value))
		return OK;
	return json_is_object(value) ? read_object(reading, value, in) : wrong(key, "an object");
}

static enum error read_key(const struct reading *reading, const char *key, json_t *value,
			   enum object in)
{
	enum fact_name name;
	char safe[PARSE_NAME];
	if (find_fact(key, in, &name))
		return read_fact(name, value, reading->at, reading->out);
	if (in == TOP && strcmp(key, "SecureBoot") == 0)
		return read_block(reading, key, value, SECURE_BOOT);
	if (in == TOP && strcmp(key, "Escrow") == 0)
		return read_block(reading, key, value, ESCROW);
	if (in != SECURE_BOOT && strcmp(key, "Udid") == 0)
		return check_udid(value, reading->udid);
	if (is_read_over(key, in))
		return OK;
	return fail(ERR_INVALID, "%s: no key of security.json", parse_name(key, safe));
}

/* Two deep at the most: TOP, then one of the others. */
static enum error read_object(const struct reading *reading, json_t *object, enum object in)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		TRY(read_key(reading, key, value, in));
	}
	return OK;
}

enum error parse_security(json_t *root, const char *udid, int64_t at, struct facts *out)
{
	*out = (struct facts){0};
	struct reading reading = {.udid = udid, .at = at, .out = out};
	return read_object(&reading, root, TOP);
}

enum error json_security_read(const uint8_t *text, size_t len, const char *udid, int64_t at,
			      struct facts *out)
{
	SCOPED(parse_free) json_t *root = NULL;
	TRY(parse(text, len, "the text", &root));
	return parse_security(root, udid, at, out);
}
