/*
 * Which key of Apple's is which fact. Only the keys of these tables are read, by name: recovery
 * keys, unlock tokens, PINs and passwords that stand beside them are never looked at.
 *
 * MUST: recovery keys, PINs, passwords and unlock tokens are never kept. (test: secrets_not_kept)
 */
#include "mdm/read_facts.h"

#include <string.h>

enum reading {
	END,
	FLAG,	 /* a boolean */
	WORDS,	 /* a string */
	DIGITS,	 /* a string of digits, with blanks between; anything else is not reported */
	ADDRESS, /* a hardware address */
	CHOICE,	 /* a string, one of `choices`; any other is not reported */
	INSIDE,	 /* a dictionary with keys of its own */
};

struct key {
	const char *name;
	enum reading reading;
	enum fact_name fact;
	const struct key *inside;
};

static const char *const choices[] = {"allowed", "disallowed", "not supported"};

static const struct key authenticate[] = {
	{"SerialNumber", WORDS, FACT_SERIAL_NUMBER, NULL},
	{"IMEI", DIGITS, FACT_IMEI, NULL},
	{"Model", WORDS, FACT_MODEL, NULL},
	{"ModelName", WORDS, FACT_MODEL_NAME, NULL},
	{"ProductName", WORDS, FACT_PRODUCT_NAME, NULL},
	{"OSVersion", WORDS, FACT_OS_VERSION, NULL},
	{0},
};

static const struct key secure_boot[] = {
	{"SecureBootLevel", WORDS, FACT_SECURE_BOOT, NULL},
	{"ExternalBootLevel", WORDS, FACT_EXTERNAL_BOOT, NULL},
	{0},
};

static const struct key management_status[] = {
	{"EnrolledViaDEP", FLAG, FACT_ENROLLED_VIA_DEP, NULL},
	{"UserApprovedEnrollment", FLAG, FACT_USER_APPROVED_ENROLLMENT, NULL},
	{"IsUserEnrollment", FLAG, FACT_USER_ENROLLMENT, NULL},
	{"IsActivationLockManageable", FLAG, FACT_ACTIVATION_LOCK_MANAGEABLE, NULL},
	{0},
};

static const struct key security_info[] = {
	{"PasscodePresent", FLAG, FACT_PASSCODE_PRESENT, NULL},
	{"PasscodeCompliant", FLAG, FACT_PASSCODE_COMPLIANT, NULL},
	{"FDE_Enabled", FLAG, FACT_ENCRYPTED, NULL},
	{"FDE_HasPersonalRecoveryKey", FLAG, FACT_PERSONAL_RECOVERY_KEY, NULL},
	{"FDE_HasInstitutionalRecoveryKey", FLAG, FACT_INSTITUTIONAL_RECOVERY_KEY, NULL},
	{"ManagementStatus", INSIDE, 0, management_status},
	{"SystemIntegrityProtectionEnabled", FLAG, FACT_SIP_ENABLED, NULL},
	{"SecureBoot", INSIDE, 0, secure_boot},
	{"AuthenticatedRootVolumeEnabled", FLAG, FACT_AUTHENTICATED_ROOT, NULL},
	{"BootstrapTokenAllowedForAuthentication", CHOICE, FACT_BT_ALLOWED, NULL},
	{"BootstrapTokenRequiredForKernelExtensionApproval", FLAG, FACT_BT_REQUIRED_FOR_KEXT, NULL},
	{"BootstrapTokenRequiredForSoftwareUpdate", FLAG, FACT_BT_REQUIRED_FOR_UPDATE, NULL},
	{"IsRecoveryLockEnabled", FLAG, FACT_RECOVERY_LOCK, NULL},
	{0},
};

static const struct key device_information[] = {
	{"SerialNumber", WORDS, FACT_SERIAL_NUMBER, NULL},
	{"IMEI", DIGITS, FACT_IMEI, NULL},
	{"WiFiMAC", ADDRESS, FACT_WIFI_MAC, NULL},
	{"EthernetMAC", ADDRESS, FACT_MAC_ADDRESS, NULL},
	{"Model", WORDS, FACT_MODEL, NULL},
	{"ModelName", WORDS, FACT_MODEL_NAME, NULL},
	{"ProductName", WORDS, FACT_PRODUCT_NAME, NULL},
	{"OSVersion", WORDS, FACT_OS_VERSION, NULL},
	{"IsAppleSilicon", FLAG, FACT_APPLE_SILICON, NULL},
	{"IsSupervised", FLAG, FACT_SUPERVISED, NULL},
	{"SystemIntegrityProtectionEnabled", FLAG, FACT_SIP_ENABLED, NULL},
	{0},
};

struct report {
	struct facts *facts;
	int64_t at;
	enum fact_source source;
};

/* Takes the blanks out; a text with anything but digits becomes "". */
static void keep_digits(char *text)
{
	char *out = text;
	for (const char *in = text; *in; in++) {
		if (*in == ' ')
			continue;
		if (*in < '0' || *in > '9') {
			out = text;
			break;
		}
		*out++ = *in;
	}
	*out = 0;
}

/* Twelve digits in upper case, as others show addresses; "" when it is none. */
static void keep_address(char text[static FACT_TEXT])
{
	char folded[13];
	bool valid = mac_fold(text, folded);
	*text = 0;
	if (!valid)
		return;
	for (int i = 0; i < 13; i++)
		text[i] = (char)(folded[i] >= 'a' ? folded[i] - 'a' + 'A' : folded[i]);
}

static void keep_choice(char *text)
{
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
		if (strcmp(text, choices[i]) == 0)
			return;
	*text = 0;
}

static enum error read_text(plist_t dict, const struct key *key, const struct report *report)
{
	char text[FACT_TEXT];
	TRY(property_text(dict, key->name, text, sizeof text));
	if (key->reading == DIGITS)
		keep_digits(text);
	else if (key->reading == ADDRESS)
		keep_address(text);
	else if (key->reading == CHOICE)
		keep_choice(text);
	if (*text)
		fact_set_text(report->facts, key->fact, text, report->at, report->source);
	return OK;
}

static enum error read_flag(plist_t dict, const struct key *key, const struct report *report)
{
	enum property_flag flag;
	TRY(property_flag(dict, key->name, &flag));
	if (flag != FLAG_ABSENT)
		fact_set_flag(report->facts, key->fact, flag == FLAG_TRUE, report->at,
			      report->source);
	return OK;
}

static enum error read_keys(plist_t dict, const struct key *keys, const struct report *report)
{
	for (const struct key *key = keys; key->name; key++) {
		if (key->reading == FLAG) {
			TRY(read_flag(dict, key, report));
		} else if (key->reading == INSIDE) {
			plist_t inside;
			TRY(property_get(dict, key->name, PLIST_DICT, &inside));
			if (inside)
				TRY(read_keys(inside, key->inside, report));
		} else {
			TRY(read_text(dict, key, report));
		}
	}
	return OK;
}

/* ---- what follows from more than one key ---- */

/* iOS has no FDE_Enabled: block and file encryption (1 and 2) and a passcode encrypt it. */
static enum error read_encryption(plist_t dict, const struct report *report)
{
	const struct facts *facts = report->facts;
	plist_t caps;
	TRY(property_get(dict, "HardwareEncryptionCaps", PLIST_UINT, &caps));
	if (!caps || facts->of[FACT_ENCRYPTED].at || !facts->of[FACT_PASSCODE_PRESENT].at)
		return OK;
	uint64_t bits = 0;
	plist_get_uint_val(caps, &bits);
	fact_set_flag(report->facts, FACT_ENCRYPTED,
		      bits == 3 && fact_true(facts, FACT_PASSCODE_PRESENT), report->at,
		      report->source);
	return OK;
}

/* From iOS 16 the IMEI stands with each SIM: the first that has one is the device's. */
static enum error read_subscriptions(plist_t dict, const struct report *report)
{
	static const struct key imei[] = {{"IMEI", DIGITS, FACT_IMEI, NULL}, {0}};
	plist_t all;
	TRY(property_get(dict, "ServiceSubscriptions", PLIST_ARRAY, &all));
	for (uint32_t i = 0; all && i < plist_array_get_size(all); i++) {
		plist_t one = plist_array_get_item(all, i);
		if (plist_get_node_type(one) != PLIST_DICT)
			return fail(ERR_INVALID, "ServiceSubscriptions holds something else than "
						 "dictionaries");
		if (!report->facts->of[FACT_IMEI].at)
			TRY(read_keys(one, imei, report));
	}
	return OK;
}

static enum error read_preflight(plist_t dict, struct message *out)
{
	char text[FACT_TEXT];
	TRY(property_text(dict, "EACSPreflight", text, sizeof text));
	out->preflight_success = strcmp(text, "success") == 0;
	return OK;
}

/* ---- kinds ---- */

/* An enrolment may be another one than before: what it was like must be asked again. */
static enum error read_authenticate(plist_t root, const struct report *report)
{
	static const enum fact_name again[] = {FACT_ENROLLED_VIA_DEP, FACT_USER_APPROVED_ENROLLMENT,
					       FACT_USER_ENROLLMENT, FACT_SUPERVISED};
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		fact_set_unknown(report->facts, again[i], report->at, report->source);
	return read_keys(root, authenticate, report);
}

static enum error read_security_info(plist_t root, const struct report *report)
{
	plist_t dict;
	TRY(property_get(root, "SecurityInfo", PLIST_DICT, &dict));
	TRY(read_keys(dict, security_info, report));
	return read_encryption(dict, report);
}

static enum error read_device_information(plist_t root, const struct report *report,
					  struct message *out)
{
	plist_t dict;
	TRY(property_get(root, "QueryResponses", PLIST_DICT, &dict));
	TRY(read_keys(dict, device_information, report));
	const char *wifi = fact_text(report->facts, FACT_WIFI_MAC);
	if (wifi && !report->facts->of[FACT_MAC_ADDRESS].at)
		fact_set_text(report->facts, FACT_MAC_ADDRESS, wifi, report->at, report->source);
	TRY(read_subscriptions(dict, report));
	return read_preflight(dict, out);
}

enum error facts_read(plist_t root, int64_t at, struct message *out)
{
	struct report report = {.facts = &out->reported, .at = at};
	switch (out->kind) {
	case MESSAGE_AUTHENTICATE:
		report.source = SOURCE_AUTHENTICATE;
		return read_authenticate(root, &report);
	case MESSAGE_SECURITY_INFO:
		report.source = SOURCE_SECURITY_INFO;
		return read_security_info(root, &report);
	case MESSAGE_DEVICE_INFORMATION:
		report.source = SOURCE_DEVICE_INFORMATION;
		return read_device_information(root, &report, out);
	default:
		return OK;
	}
}
