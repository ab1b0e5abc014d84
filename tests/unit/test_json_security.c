/* security.json, out and in. */
#include "json.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"

static enum error read_facts(const char *text, struct facts *facts)
{
	return json_security_read((const uint8_t *)text, strlen(text), UDID, 100, facts);
}

/* The contract's order, to the letter. */
static void security_order(void **state)
{
	(void)state;
	struct facts facts = {0};
	for (int i = 0; i < FACT_COUNT; i++)
		if (facts_table[i].kind == FACT_FLAG)
			fact_set_flag(&facts, (enum fact_name)i, i % 2, 1, SOURCE_SECURITY_INFO);
		else
			fact_set_text(&facts, (enum fact_name)i, "w", 1, SOURCE_SECURITY_INFO);
	int64_t at;
	assert_true(time_read("2026-01-31T08:15:00Z", &at));
	struct device device = {.id = 300,
				.udid = UDID,
				.status = STATUS_ESCROWED,
				.enrolled_at = at,
				.reenrolled_at = at,
				.checked_out_at = at,
				.retrieved_at = at,
				.proven_at = at,
				.escrowed_at = at};
	struct version versions[2] = {
		{.number = 1, .escrowed_at = at, .ended_at = at, .end = END_REPLACED},
		{.number = 2, .escrowed_at = at}};
	const char *reasons[] = {"one", "two"};
	struct json_security security = {.device = &device,
					 .facts = &facts,
					 .given = true,
					 .token_keys = true,
					 .reasons = reasons,
					 .reason_count = 2,
					 .versions = versions,
					 .version_count = 2,
					 .facts_at = at};
	static const char *const order[] = {"\"IsPasscodePresent\"",
					    "\"IsPasscodeCompliant\"",
					    "\"IsEncrypted\"",
					    "\"HasPersonalRecoveryKey\"",
					    "\"HasInstitutionalRecoveryKey\"",
					    "\"EnrolledViaDEP\"",
					    "\"UserApprovedEnrollment\"",
					    "\"SystemIntegrityProtectionEnabled\"",
					    "\"SecureBoot\"",
					    "\"SecureBootStatus\"",
					    "\"ExternalBootStatus\"",
					    "\"IsActivationLockManageable\"",
					    "\"BootstrapTokenEscrowStatus\": true",
					    "\"AuthenticatedRootVolumeEnabled\"",
					    "\"BootstrapTokenAllowedForAuthentication\"",
					    "\"BootstrapTokenRequiredForKernelExtensionApproval\"",
					    "\"BootstrapTokenRequiredForSoftwareUpdate\"",
					    "\"IsRecoveryLockEnabled\"",
					    "\"Escrow\"",
					    "\"Udid\": \"" UDID "\"",
					    "\"SerialNumber\"",
					    "\"Imei\"",
					    "\"MacAddress\"",
					    "\"DeviceId\": 300",
					    "\"Model\"",
					    "\"OSVersion\"",
					    "\"IsAppleSilicon\"",
					    "\"IsSupervised\"",
					    "\"IsUserEnrollment\"",
					    "\"Status\": \"escrowed\"",
					    "\"Reasons\"",
					    "\"EscrowedAt\"",
					    "\"RetrievedAt\"",
					    "\"ProvenAt\"",
					    "\"Versions\"",
					    "\"Number\": 1",
					    "\"Ended\": \"replaced\"",
					    "\"Number\": 2",
					    "\"EnrolledAt\"",
					    "\"ReenrolledAt\"",
					    "\"CheckedOutAt\"",
					    "\"FactsAt\": \"2026-01-31T08:15:00.000Z\""};
	SCOPED(bytes_free) struct bytes text = {0};
	assert_int_equal(json_security_write(&security, &text), OK);
	const char *at_text = (const char *)text.data;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		at_text = strstr(at_text, order[i]);
		if (!at_text)
			print_error("%s is missing or out of order\n", order[i]);
		assert_non_null(at_text);
	}
	assert_int_equal(text.data[text.len - 1], '\n');
	assert_null(strstr((char *)text.data, "ProductName"));

	/* What you read you can write back. */
	struct facts again;
	assert_int_equal(read_facts((const char *)text.data, &again),
			 ERR_INVALID); /* "w" is no word */
	fact_set_text(&facts, FACT_BT_ALLOWED, "allowed", 1, SOURCE_SECURITY_INFO);
	fact_set_text(&facts, FACT_IMEI, "350000000000106", 1, SOURCE_SECURITY_INFO);
	fact_set_text(&facts, FACT_MAC_ADDRESS, "227A000B000C", 1, SOURCE_SECURITY_INFO);
	text.len = 0;
	assert_int_equal(json_security_write(&security, &text), OK);
	assert_int_equal(read_facts((const char *)text.data, &again), OK);
	for (int i = 0; i < FACT_PRODUCT_NAME; i++) {
		assert_int_equal(again.of[i].flag, facts.of[i].flag);
		assert_string_equal(again.of[i].text, facts.of[i].text);
	}

	/* macOS 10.15 has the escrow's status alone. */
	security.token_keys = false;
	text.len = 0;
	assert_int_equal(json_security_write(&security, &text), OK);
	assert_null(strstr((char *)text.data, "BootstrapTokenAllowed"));
	assert_null(strstr((char *)text.data, "BootstrapTokenRequired"));
	assert_non_null(strstr((char *)text.data, "BootstrapTokenEscrowStatus"));
}

static void security_read(void **state)
{
	(void)state;
	struct facts facts;
	assert_int_equal(read_facts("{}", &facts), OK);
	assert_int_equal(
		read_facts(" {\"IsEncrypted\": true, \"EnrolledViaDEP\": null}\n ", &facts), OK);
	assert_true(fact_true(&facts, FACT_ENCRYPTED));
	assert_true(facts.of[FACT_ENROLLED_VIA_DEP].at == 100 &&
		    facts.of[FACT_ENROLLED_VIA_DEP].state == FACT_UNKNOWN);
	assert_int_equal(facts.of[FACT_SUPERVISED].at, 0);
	assert_int_equal(read_facts("{\"Escrow\": {\"OSVersion\": \"14.1\", \"Status\": \"stale\", "
				    "\"Versions\": [], \"DeviceId\": 7}}",
				    &facts),
			 OK);
	assert_string_equal(fact_text(&facts, FACT_OS_VERSION), "14.1");
	assert_int_equal(
		read_facts("{\"OSVersion\": \"14.1\", \"MacAddress\": \"22:7a:0:b\"}", &facts),
		ERR_INVALID);
	assert_int_equal(read_facts("{\"MacAddress\": \"22:7a:00:0b:00:0c\"}", &facts), OK);
	assert_string_equal(fact_text(&facts, FACT_MAC_ADDRESS), "227A000B000C");
	/* The response's other keys are read over, the secret ones too. */
	assert_int_equal(read_facts("{\"IsCompromised\": false, \"PersonalRecoveryKey\": "
				    "\"ABCD-EFGH-IJKL-MNOP-QRST-UVWX\"}",
				    &facts),
			 OK);
}

/* Each with the key that its sentence names, or what else it says. */
static void security_read_refuses(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"", "no JSON"},
		{"[]", "object"},
		{"1", "no JSON"},
		{"{", "no JSON"},
		{"{} x", "no JSON"},
		{"{\"IsEncrypted\": 1}", "IsEncrypted"},
		{"{\"IsEncrypted\": \"true\"}", "IsEncrypted"},
		{"{\"IsEncrypted\": \"\"}", "IsEncrypted"},
		{"{\"OSVersion\": 14}", "OSVersion"},
		{"{\"Unheard\": 1}", "Unheard"},
		{"{\"isencrypted\": true}", "isencrypted"},
		{"{\"Escrow\": []}", "Escrow"},
		{"{\"SecureBoot\": true}", "SecureBoot"},
		{"{\"Escrow\": {\"Unheard\": 1}}", "Unheard"},
		{"{\"Escrow\": {\"Escrow\": {}}}", "Escrow"},
		{"{\"Escrow\": {\"Udid\": \"another\"}}", "another device's"},
		{"{\"Udid\": \"another\"}", "another device's"},
		{"{\"Udid\": 9353}", "Udid"},
		{"{\"IsEncrypted\": true, \"IsEncrypted\": false}", "no JSON"},
		{"{\"Model\": \"a\", \"Escrow\": {\"Model\": \"b\"}}", "Model: stands twice"},
		{"{\"ProductName\": \"x\"}", "ProductName"},
		{"{\"BootstrapTokenAllowedForAuthentication\": \"maybe\"}", "AllowedForAuth"},
		{"{\"Imei\": \"abc\"}", "Imei"},
		{"{\"MacAddress\": \"22:7a:0:b\"}", "MacAddress"},
		{"{\"SecureBoot\": {\"Unheard\": 1}}", "Unheard"},
		{"{\"Escrow\": {\"IsCompromised\": true}}", "IsCompromised"},
		{"{\"Model\": \"a\\u0000b\"}", "no JSON"},
	};
	struct facts facts;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (read_facts(bad[i][0], &facts) != ERR_INVALID || !strstr(fail_why(), bad[i][1]))
			fail_msg("%s: %s", bad[i][0], fail_why());

	char text[200];
	snprintf(text, sizeof text, "{\"Model\": \"%0*d\"}", FACT_TEXT - 1, 0);
	assert_int_equal(read_facts(text, &facts), OK);
	assert_int_equal(strlen(facts.of[FACT_MODEL].text), FACT_TEXT - 1);
	snprintf(text, sizeof text, "{\"Model\": \"%0*d\"}", FACT_TEXT, 0);
	assert_int_equal(read_facts(text, &facts), ERR_INVALID);
}

/* A sentence goes to logs and terminals: no bytes of a key's name may do anything there. */
static void key_named_safely(void **state)
{
	(void)state;
	struct facts facts;
	assert_int_equal(read_facts("{\"a\\u001b[31m\\nb\\u009b\": 1}", &facts), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "a?[31m?b??:"));
	char text[200];
	snprintf(text, sizeof text, "{\"%0150d\": 1}", 0);
	assert_int_equal(read_facts(text, &facts), ERR_INVALID);
	assert_int_equal(strspn(fail_why(), "0"), 64);
}

/* Every key of the documented DeviceSecurityInfo, with what it carries that we mustn't know. */
#define ANSWER                                                                                     \
	"{\"IsCompromised\": false, \"DataProtectionEnabled\": true, "                             \
	"\"BlockLevelEncryption\": true, \"FileLevelEncryption\": true, "                          \
	"\"IsPasscodePresent\": true, \"IsPasscodeCompliant\": true, "                             \
	"\"PasscodeLockGracePeriod\": 0, \"PasscodeLockGracePeriodEnforced\": 0, "                 \
	"\"PersonalRecoveryKey\": \"SECRET\", \"StaticRecoveryKey\": \"SECRET\", "                 \
	"\"GracePeriodRecoveryKey\": \"SECRET\", \"PercentComplete\": 100, "                       \
	"\"DellDdpeEncryptionStatus\": false, \"EncryptionStatus\": \"x\", "                       \
	"\"DriveEncryptionLevel\": \"x\", \"IsEncrypted\": true, "                                 \
	"\"HasPersonalRecoveryKey\": true, \"HasInstitutionalRecoveryKey\": false, "               \
	"\"PersonalRecoveryKeyDeviceKey\": \"SECRET\", \"EnrolledViaDEP\": true, "                 \
	"\"UserApprovedEnrollment\": true, \"OldPersonalRecoveryKeyValue\": \"SECRET\", "          \
	"\"SystemIntegrityProtectionEnabled\": true, \"SecureBoot\": "                             \
	"{\"SecureBootStatus\": \"full\", \"ExternalBootStatus\": \"\"}, "                         \
	"\"IsActivationLockManageable\": null, \"BootstrapTokenEscrowStatus\": true, "             \
	"\"AuthenticatedRootVolumeEnabled\": true, "                                               \
	"\"BootstrapTokenAllowedForAuthentication\": \"\", "                                       \
	"\"BootstrapTokenRequiredForKernelExtensionApproval\": true, "                             \
	"\"BootstrapTokenRequiredForSoftwareUpdate\": true, "                                      \
	"\"IsRecoveryLockEnabled\": false, \"UnlockPin\": \"SECRET\""

static void secrets_not_kept(void **state)
{
	(void)state;
	struct facts facts;
	assert_int_equal(read_facts(ANSWER "}", &facts), OK);
	assert_true(fact_true(&facts, FACT_ENCRYPTED));
	assert_string_equal(fact_text(&facts, FACT_SECURE_BOOT), "full");
	assert_null(fact_text(&facts, FACT_EXTERNAL_BOOT)); /* "" is unknown, as null is */
	assert_int_equal(facts.of[FACT_EXTERNAL_BOOT].at, 100);
	assert_int_equal(facts.of[FACT_BT_ALLOWED].state, FACT_UNKNOWN);
	for (int i = 0; i < FACT_COUNT; i++)
		assert_null(strstr(facts.of[i].text, "SECRET"));
	assert_int_equal(read_facts(ANSWER ", \"Unheard\": \"SECRET\"}", &facts), ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
	assert_int_equal(read_facts(ANSWER " \"SECRET\"}", &facts), ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
}

/* A device of which nothing is known: what is always there, and nothing else. To the byte. */
static void security_of_nothing_known(void **state)
{
	(void)state;
	struct device device = {.id = 256, .udid = "A", .status = STATUS_NOT_ESCROWED};
	struct facts facts = {0};
	facts.of[FACT_ENCRYPTED] = (struct fact){.at = 1000000,
						 .state = FACT_OUT_OF_DATE,
						 .flag = true,
						 .source = SOURCE_SECURITY_INFO};
	struct json_security security = {
		.device = &device, .facts = &facts, .token_keys = true, .sealed = true};
	SCOPED(bytes_free) struct bytes text = {0};
	assert_int_equal(json_security_write(&security, &text), OK);
	assert_string_equal((char *)text.data, "{\n"
					       "  \"BootstrapTokenEscrowStatus\": false,\n"
					       "  \"Escrow\": {\n"
					       "    \"Udid\": \"A\",\n"
					       "    \"DeviceId\": 256,\n"
					       "    \"Status\": \"not_escrowed\",\n"
					       "    \"Reasons\": [],\n"
					       "    \"Reports\": [\n"
					       "      {\n"
					       "        \"At\": \"1970-01-01T00:00:00.001Z\",\n"
					       "        \"Source\": \"SecurityInfo\",\n"
					       "        \"OutOfDate\": [\n"
					       "          \"IsEncrypted=true\"\n"
					       "        ]\n"
					       "      }\n"
					       "    ]\n"
					       "  }\n"
					       "}\n");
}

/* ---- as a backup has it ---- */

#define MS INT64_C(1767225600000000) /* whole milliseconds, as times are written */

static struct facts all_facts(void)
{
	struct facts facts = {0};
	for (int i = 0; i < FACT_COUNT; i++)
		if (facts_table[i].kind == FACT_FLAG)
			fact_set_flag(&facts, (enum fact_name)i, i % 2, (1 + i % 3) * MS,
				      (enum fact_source)(1 + i % 4));
		else
			fact_set_text(&facts, (enum fact_name)i, "a=b \"c\"", (1 + i % 3) * MS,
				      SOURCE_BY_HAND);
	fact_set_text(&facts, FACT_BT_ALLOWED, "allowed", 5 * MS, SOURCE_SECURITY_INFO);
	fact_set_text(&facts, FACT_IMEI, "350000000000106", MS, SOURCE_DEVICE_INFORMATION);
	fact_set_text(&facts, FACT_MAC_ADDRESS, "227A000B000C", MS, SOURCE_DEVICE_INFORMATION);
	fact_set_unknown(&facts, FACT_SUPERVISED, 7 * MS, SOURCE_AUTHENTICATE);
	facts.of[FACT_ENROLLED_VIA_DEP].state = FACT_OUT_OF_DATE;
	facts.of[FACT_MODEL] = (struct fact){0};
	return facts;
}

static void kept_round_trip(void **state)
{
	(void)state;
	struct facts facts = all_facts();
	struct device device = {.id = 300,
				.udid = UDID,
				.status = STATUS_UNENROLLED,
				.unenrolled = true,
				.user_enrolled = true,
				.enrolled_at = 1 * MS,
				.reenrolled_at = 2 * MS,
				.checked_out_at = 3 * MS,
				.retrieved_at = 4 * MS,
				.proven_at = 5 * MS,
				.escrowed_at = 6 * MS};
	memset(device.identity, 'a', 64);
	struct version versions[2] = {{.number = 3,
				       .escrowed_at = 1 * MS,
				       .confirmed_at = 2 * MS,
				       .ended_at = 3 * MS,
				       .end = END_UNDONE},
				      {.number = 4, .escrowed_at = 5 * MS}};
	for (int token_keys = 0; token_keys < 2; token_keys++) {
		struct json_security security = {.device = &device,
						 .facts = &facts,
						 .token_keys = token_keys,
						 .versions = versions,
						 .version_count = 2,
						 .facts_at = 7 * MS,
						 .sealed = true};
		uint32_t plain, sealed;
		SCOPED(bytes_free) struct bytes text = {0};
		SCOPED(json_kept_free) struct json_kept kept = {0};
		assert_int_equal(json_security_write(&security, &text), OK);
		assert_int_equal(json_kept_read(text.data, text.len, UDID, &kept), OK);
		assert_memory_equal(&kept.device, &device, sizeof device);
		assert_memory_equal(&kept.facts, &facts, sizeof facts);
		assert_int_equal(kept.version_count, 2);
		assert_memory_equal(kept.versions, versions, sizeof versions);

		assert_int_equal(json_security_sizes(&security, &plain, &sealed), OK);
		assert_int_equal(sealed, text.len);
		security.sealed = false;
		text.len = 0;
		assert_int_equal(json_security_write(&security, &text), OK);
		assert_int_equal(plain, text.len);
	}
}

static void kept_of_a_removed_one(void **state)
{
	(void)state;
	struct device device = {.id = 300, .udid = UDID, .removed_at = 9 * MS};
	struct version version = {
		.number = 1, .escrowed_at = 5 * MS, .ended_at = 6 * MS, .end = END_REMOVED};
	SCOPED(bytes_free) struct bytes text = {0};
	SCOPED(json_kept_free) struct json_kept kept = {0};
	assert_int_equal(json_removed_write(&device, &version, 1, &text), OK);
	assert_int_equal(json_kept_read(text.data, text.len, UDID, &kept), OK);
	assert_int_equal(kept.device.id, 300);
	assert_int_equal(kept.device.removed_at, 9 * MS);
	assert_int_equal(kept.version_count, 1);
	assert_memory_equal(kept.versions, &version, sizeof version);
}

static void kept_makes_sense(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"{}",
		"{\"Escrow\": 1}",
		"{\"Escrow\": {}}",
		"{\"Escrow\": {\"Udid\": \"another\"}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"DeviceId\": -1}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"DeviceId\": 9000000000000000000}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"EnrolledAt\": \"yesterday\"}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Status\": \"well\"}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Identity\": \"me\"}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Versions\": [{\"EscrowedAt\": "
		"\"2026-01-01T00:00:00Z\"}]}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Versions\": [{\"Number\": 1, \"EscrowedAt\": "
		"\"2026-01-01T00:00:00Z\", \"EndedAt\": \"2026-01-01T00:00:00Z\"}]}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Versions\": 1}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Reports\": [1]}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Reports\": [{\"At\": \"2026-01-01T00:00:00Z\", "
		"\"Source\": \"SecurityInfo\", \"Facts\": [1]}]}}",
		"{\"Escrow\": {\"Udid\": \"A\", \"Reports\": [{\"At\": \"2026-01-01T00:00:00Z\", "
		"\"Source\": \"SecurityInfo\", \"NotShown\": [\"IsEncrypted=maybe\"]}]}}",
		"{\"Escrow\": {\"Udid\": \"A\"",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		SCOPED(json_kept_free) struct json_kept kept = {0};
		assert_int_equal(
			json_kept_read((const uint8_t *)bad[i], strlen(bad[i]), "A", &kept),
			ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(security_order),   cmocka_unit_test(security_of_nothing_known),
		cmocka_unit_test(security_read),    cmocka_unit_test(security_read_refuses),
		cmocka_unit_test(kept_round_trip),  cmocka_unit_test(kept_of_a_removed_one),
		cmocka_unit_test(kept_makes_sense), cmocka_unit_test(key_named_safely),
		cmocka_unit_test(secrets_not_kept),
	};
	return cmocka_run_group_tests_name("security.json", tests, NULL, NULL);
}
