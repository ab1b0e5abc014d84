/* JSON in and out: webhooks, security.json, lines of the trail. */
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

static void security_read_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "[]",
					  "1",
					  "{",
					  "{\"IsEncrypted\": 1}",
					  "{\"IsEncrypted\": \"true\"}",
					  "{\"OSVersion\": 14}",
					  "{\"Unheard\": 1}",
					  "{\"Escrow\": []}",
					  "{\"SecureBoot\": true}",
					  "{\"Escrow\": {\"Unheard\": 1}}",
					  "{\"Escrow\": {\"Udid\": \"another\"}}",
					  "{\"IsEncrypted\": true, \"IsEncrypted\": false}",
					  "{} x",
					  "{\"ProductName\": \"x\"}",
					  "{\"BootstrapTokenAllowedForAuthentication\": \"maybe\"}",
					  "{\"Imei\": \"abc\"}",
					  "{\"SecureBoot\": {\"Unheard\": 1}}"};
	struct facts facts;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (read_facts(bad[i], &facts) != ERR_INVALID)
			print_error("%s was taken\n", bad[i]);
		assert_int_equal(read_facts(bad[i], &facts), ERR_INVALID);
	}
	assert_int_equal(read_facts("{\"Unheard\": 1}", &facts), ERR_INVALID);
	char deep[400] = "";
	for (int i = 0; i < 60; i++)
		strcat(deep, "{\"a\":");
	assert_int_equal(read_facts(deep, &facts), ERR_INVALID);
}

static void webhook_payload(void **state)
{
	(void)state;
	const char *text = "{\"topic\": \"mdm.Authenticate\", \"created_at\": "
			   "\"2018-08-13T14:30:16.5Z\", \"checkin_event\": {\"udid\": \"x\", "
			   "\"url_params\": null, \"raw_payload\": \"Zm9v\\nYmFy\"}}";
	struct json_webhook webhook;
	assert_int_equal(json_webhook((const uint8_t *)text, strlen(text), &webhook), OK);
	assert_int_equal(webhook.payload.len, 6);
	assert_memory_equal(webhook.payload.data, "foobar", 6);
	char time[TEXT_TIME];
	time_text(webhook.created_at, time);
	assert_string_equal(time, "2018-08-13T14:30:16.500Z");
	secret_free(&webhook.payload);

	text = "{\"created_at\": \"0001-01-01T00:00:00Z\", \"acknowledge_event\": {\"status\": "
	       "\"Idle\"}}";
	assert_int_equal(json_webhook((const uint8_t *)text, strlen(text), &webhook), OK);
	assert_int_equal(webhook.created_at, 0);
	assert_int_equal(webhook.payload.len, 0);

	static const char *const bad[] = {"{}", "{\"checkin_event\": []}",
					  "{\"checkin_event\": {\"raw_payload\": 1}}",
					  "{\"checkin_event\": {\"raw_payload\": \"Zm9\"}}"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(json_webhook((const uint8_t *)bad[i], strlen(bad[i]), &webhook),
				 ERR_INVALID);
		secret_free(&webhook.payload);
	}
}

static void scan_in_pieces(void **state)
{
	(void)state;
	const char *text = "{\"a\": \"}\\\"}\", \"b\": {\"c\": [1, {}]}} tail}";
	const char *end = strstr(text, " tail");
	struct json_scan scan = {0};
	size_t found = 0;
	for (size_t have = 0; !found; have++)
		found = json_scan(&scan, (const uint8_t *)text, have);
	assert_int_equal(found, end - text);
	assert_int_equal(json_scan(&(struct json_scan){0}, (const uint8_t *)"{\"a\": \"}", 8), 0);
}

static void event_line(void **state)
{
	(void)state;
	struct actor actor = {
		.uid = 7, .gid = 8, .pid = 9, .loginuid = 1000, .command = "a\"\n\xff"};
	struct event event = {.at = INT64_C(1769847300123000000),
			      .action = ACTION_CHECK_OUT,
			      .outcome = "ok",
			      .udid = UDID,
			      .version = 3,
			      .actor = &actor,
			      .reason = "\xc3\xa4",
			      .blob = "00ff"};
	SCOPED(bytes_free) struct bytes line = {0};
	assert_int_equal(json_event_write(&event, 12, &line), OK);
	assert_string_equal(
		(char *)line.data,
		"{\"seq\":12,\"time\":\"2026-01-31T08:15:00.123Z\",\"action\":\"check out\","
		"\"outcome\":\"ok\",\"udid\":\"" UDID "\",\"version\":3,\"uid\":7,\"gid\":8,"
		"\"pid\":9,\"loginuid\":1000,\"command\":\"a\\\"\\n?\","
		"\"reason\":\"\\u00E4\",\"blob\":\"00ff\"");
	assert_int_equal(bytes_print(&line, ",\"chain\":\"ab\"}\n"), OK);
	struct json_line read;
	assert_int_equal(json_event_read((char *)line.data, line.len, &read), OK);
	assert_int_equal(read.seq, 12);
	assert_int_equal(read.version, 3);
	assert_string_equal(read.udid, UDID);
	assert_string_equal(read.action, "check out");
	assert_string_equal(read.blob, "00ff");
	assert_string_equal(read.chain, "ab");
	assert_int_equal(json_event_read("{]", 2, &read), ERR_INVALID);

	event = (struct event){.at = 1, .action = ACTION_MOUNT, .outcome = "ok"};
	line.len = 0;
	assert_int_equal(json_event_write(&event, 1, &line), OK);
	assert_string_equal((char *)line.data, "{\"seq\":1,\"time\":\"1970-01-01T00:00:00.000Z\","
					       "\"action\":\"mount\",\"outcome\":\"ok\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(security_order),	 cmocka_unit_test(security_read),
		cmocka_unit_test(security_read_refuses), cmocka_unit_test(webhook_payload),
		cmocka_unit_test(scan_in_pieces),	 cmocka_unit_test(event_line),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
