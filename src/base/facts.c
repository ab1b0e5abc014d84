#include "facts.h"

#include <stdio.h>
#include <string.h>

const struct fact_info facts_table[FACT_COUNT] = {
	[FACT_PASSCODE_PRESENT] = {"IsPasscodePresent", FACT_FLAG, BLOCK_SECURITY},
	[FACT_PASSCODE_COMPLIANT] = {"IsPasscodeCompliant", FACT_FLAG, BLOCK_SECURITY},
	[FACT_ENCRYPTED] = {"IsEncrypted", FACT_FLAG, BLOCK_SECURITY},
	[FACT_PERSONAL_RECOVERY_KEY] = {"HasPersonalRecoveryKey", FACT_FLAG, BLOCK_SECURITY},
	[FACT_INSTITUTIONAL_RECOVERY_KEY] = {"HasInstitutionalRecoveryKey", FACT_FLAG,
					     BLOCK_SECURITY},
	[FACT_ENROLLED_VIA_DEP] = {"EnrolledViaDEP", FACT_FLAG, BLOCK_SECURITY},
	[FACT_USER_APPROVED_ENROLLMENT] = {"UserApprovedEnrollment", FACT_FLAG, BLOCK_SECURITY},
	[FACT_SIP_ENABLED] = {"SystemIntegrityProtectionEnabled", FACT_FLAG, BLOCK_SECURITY},
	[FACT_SECURE_BOOT] = {"SecureBootStatus", FACT_WORDS, BLOCK_SECURE_BOOT},
	[FACT_EXTERNAL_BOOT] = {"ExternalBootStatus", FACT_WORDS, BLOCK_SECURE_BOOT},
	[FACT_ACTIVATION_LOCK_MANAGEABLE] = {"IsActivationLockManageable", FACT_FLAG,
					     BLOCK_SECURITY},
	[FACT_AUTHENTICATED_ROOT] = {"AuthenticatedRootVolumeEnabled", FACT_FLAG, BLOCK_SECURITY},
	[FACT_BT_ALLOWED] = {"BootstrapTokenAllowedForAuthentication", FACT_WORDS, BLOCK_SECURITY},
	[FACT_BT_REQUIRED_FOR_KEXT] = {"BootstrapTokenRequiredForKernelExtensionApproval",
				       FACT_FLAG, BLOCK_SECURITY},
	[FACT_BT_REQUIRED_FOR_UPDATE] = {"BootstrapTokenRequiredForSoftwareUpdate", FACT_FLAG,
					 BLOCK_SECURITY},
	[FACT_RECOVERY_LOCK] = {"IsRecoveryLockEnabled", FACT_FLAG, BLOCK_SECURITY},
	[FACT_SERIAL_NUMBER] = {"SerialNumber", FACT_WORDS, BLOCK_ESCROW},
	[FACT_IMEI] = {"Imei", FACT_WORDS, BLOCK_ESCROW},
	[FACT_MAC_ADDRESS] = {"MacAddress", FACT_WORDS, BLOCK_ESCROW},
	[FACT_MODEL] = {"Model", FACT_WORDS, BLOCK_ESCROW},
	[FACT_OS_VERSION] = {"OSVersion", FACT_WORDS, BLOCK_ESCROW},
	[FACT_APPLE_SILICON] = {"IsAppleSilicon", FACT_FLAG, BLOCK_ESCROW},
	[FACT_SUPERVISED] = {"IsSupervised", FACT_FLAG, BLOCK_ESCROW},
	[FACT_USER_ENROLLMENT] = {"IsUserEnrollment", FACT_FLAG, BLOCK_ESCROW},
	[FACT_PRODUCT_NAME] = {"ProductName", FACT_WORDS, BLOCK_HIDDEN},
	[FACT_MODEL_NAME] = {"ModelName", FACT_WORDS, BLOCK_HIDDEN},
	[FACT_OS_NAME] = {"OSName", FACT_WORDS, BLOCK_HIDDEN},
	[FACT_WIFI_MAC] = {"WiFiMAC", FACT_WORDS, BLOCK_HIDDEN},
};

const char *fact_source_word(enum fact_source source)
{
	static const char *const words[SOURCE_COUNT] = {
		[SOURCE_AUTHENTICATE] = "Authenticate",
		[SOURCE_TOKEN_UPDATE] = "TokenUpdate",
		[SOURCE_SECURITY_INFO] = "SecurityInfo",
		[SOURCE_DEVICE_INFORMATION] = "DeviceInformation",
		[SOURCE_BY_HAND] = "by hand",
	};
	return words[source];
}

const char *status_word(enum status status)
{
	static const char *const words[STATUS_COUNT] = {
		[STATUS_UNENROLLED] = "unenrolled",	[STATUS_STALE] = "stale",
		[STATUS_ESCROWED] = "escrowed",		[STATUS_NOT_SUPPORTED] = "not_supported",
		[STATUS_NOT_ELIGIBLE] = "not_eligible", [STATUS_NOT_ESCROWED] = "not_escrowed",
	};
	return words[status];
}

static struct fact *report(struct facts *facts, enum fact_name name, enum fact_state state,
			   int64_t at, enum fact_source source)
{
	struct fact *fact = &facts->of[name];
	*fact = (struct fact){.at = at, .state = state, .source = source};
	return fact;
}

void fact_set_flag(struct facts *facts, enum fact_name name, bool flag, int64_t at,
		   enum fact_source source)
{
	report(facts, name, FACT_KNOWN, at, source)->flag = flag;
}

void fact_set_text(struct facts *facts, enum fact_name name, const char *text, int64_t at,
		   enum fact_source source)
{
	struct fact *fact = report(facts, name, FACT_KNOWN, at, source);
	size_t len = strlen(text);
	if (len >= sizeof fact->text) {
		len = sizeof fact->text - 1;
		/* A byte 10xxxxxx goes on with a character of UTF-8: don't cut before it. */
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(fact->text, text, len);
}

void fact_set_unknown(struct facts *facts, enum fact_name name, int64_t at, enum fact_source source)
{
	report(facts, name, FACT_UNKNOWN, at, source);
}

bool fact_true(const struct facts *facts, enum fact_name name)
{
	return facts->of[name].state == FACT_KNOWN && facts->of[name].flag;
}

bool fact_false(const struct facts *facts, enum fact_name name)
{
	return facts->of[name].state == FACT_KNOWN && !facts->of[name].flag;
}

const char *fact_text(const struct facts *facts, enum fact_name name)
{
	return facts->of[name].state == FACT_KNOWN ? facts->of[name].text : NULL;
}

static bool same_value(const struct fact *a, const struct fact *b)
{
	return a->state == b->state && a->flag == b->flag && strcmp(a->text, b->text) == 0;
}

bool fact_equal(const struct fact *a, const struct fact *b)
{
	return a->at == b->at && a->source == b->source && same_value(a, b);
}

bool facts_equal(const struct facts *a, const struct facts *b)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (!fact_equal(&a->of[i], &b->of[i]))
			return false;
	return true;
}

int facts_merge(struct facts *mine, const struct facts *reported)
{
	int changed = 0;
	for (int i = 0; i < FACT_COUNT; i++) {
		const struct fact *new = &reported->of[i];
		if (!new->at || new->at < mine->of[i].at)
			continue;
		if (!same_value(new, &mine->of[i]))
			changed++;
		mine->of[i] = *new;
	}
	return changed;
}

void facts_changed(const struct facts *before, const struct facts *after, const char *who,
		   char *out, size_t size)
{
	const char *separator = ": ";
	snprintf(out, size, "%s", who);
	for (int i = 0; i < FACT_COUNT; i++) {
		if (same_value(&before->of[i], &after->of[i]))
			continue;
		size_t len = strlen(out);
		snprintf(out + len, size - len, "%s%s", separator, facts_table[i].name);
		separator = ", ";
	}
}
