/* JSON in: webhooks, and where an object ends. */
#include "json.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enum error read_webhook(const char *text, struct json_webhook *webhook)
{
	return json_webhook((const uint8_t *)text, strlen(text), webhook);
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

	/* An event of the other kind, with a BOM and null for the one that it isn't. */
	text = "\xef\xbb\xbf{\"checkin_event\": null, \"acknowledge_event\": {\"raw_payload\": "
	       "\"AAE=\"}}";
	assert_int_equal(read_webhook(text, &webhook), OK);
	assert_int_equal(webhook.payload.len, 2);
	assert_memory_equal(webhook.payload.data, "\0\1", 2);
	secret_free(&webhook.payload);

	/* Without a payload, or with an empty one. */
	static const char *const none[] = {
		"{\"checkin_event\": {}}", "{\"checkin_event\": {\"raw_payload\": null}}",
		"{\"checkin_event\": {\"raw_payload\": \"\"}, \"created_at\": null}"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		assert_int_equal(read_webhook(none[i], &webhook), OK);
		assert_int_equal(webhook.payload.len, 0);
		secret_free(&webhook.payload);
	}
}

/* Each with a word that its sentence has: the key, or what the trouble is. */
static void webhook_refuses(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"{}", "not a webhook"},
		{"{\"checkin_event\": null}", "not a webhook"},
		{"[]", "object"},
		{"", "no JSON"},
		{"{\"checkin_event\": []}", "checkin_event"},
		{"{\"acknowledge_event\": \"SECRET\"}", "acknowledge_event"},
		{"{\"checkin_event\": {}, \"acknowledge_event\": {}}", "in one"},
		{"{\"checkin_event\": {\"raw_payload\": 1}}", "raw_payload"},
		{"{\"checkin_event\": {\"raw_payload\": \"Zm9\"}}", "raw_payload"},
		{"{\"checkin_event\": {\"raw_payload\": \"SECRET!!\"}}", "raw_payload"},
		{"{\"checkin_event\": {\"raw_payload\": \"Zm9v\\u0000\"}}", "no JSON"},
		{"{\"checkin_event\": {\"raw_payload\": \"SECRET\", \"raw_payload\": \"\"}}",
		 "no JSON"},
		{"{\"checkin_event\": {}, \"created_at\": 5}", "created_at"},
		{"{\"checkin_event\": {}} {\"SECRET\": 1}", "no JSON"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct json_webhook webhook;
		if (read_webhook(bad[i][0], &webhook) != ERR_INVALID ||
		    !strstr(fail_why(), bad[i][1]))
			fail_msg("%s: %s", bad[i][0], fail_why());
		assert_null(strstr(fail_why(), "SECRET"));
		assert_int_equal(webhook.payload.len, 0);
		secret_free(&webhook.payload);
	}
}

/* What jansson would take much memory, stack or time for never gets there. */
static void text_is_bounded(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	struct json_webhook webhook;
	assert_int_equal(bytes_print(&text, "{\"a\":["), OK);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(bytes_add(&text, "{},", 3), OK);
	assert_int_equal(bytes_print(&text, "{}],\"checkin_event\":{}}"), OK);
	assert_int_equal(json_webhook(text.data, text.len, &webhook), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "values"));

	for (int deep = 31; deep <= 32; deep++) { /* and the object around them */
		text.len = 0;
		assert_int_equal(bytes_print(&text, "{\"checkin_event\":{},\"a\":"), OK);
		for (int i = 0; i < deep; i++)
			assert_int_equal(bytes_add(&text, "[", 1), OK);
		for (int i = 0; i < deep; i++)
			assert_int_equal(bytes_add(&text, "]", 1), OK);
		assert_int_equal(bytes_add(&text, "}", 1), OK);
		assert_int_equal(json_webhook(text.data, text.len, &webhook),
				 deep == 31 ? OK : ERR_INVALID);
	}
	assert_non_null(strstr(fail_why(), "nested"));

	text.len = 0;
	assert_int_equal(bytes_print(&text, "{\"checkin_event\":{}}%*s", 1024 * 1024, ""), OK);
	assert_int_equal(json_webhook(text.data, text.len, &webhook), ERR_TOO_BIG);
	/* Brackets in strings are none. */
	assert_int_equal(
		read_webhook("{\"checkin_event\":{},\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
			     "[[[[[[[[[\\\"{{{{\"}",
			     &webhook),
		OK);
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

	/* What starts with something else ends there: it isn't waited for. */
	static const struct {
		const char *text;
		size_t end;
	} starts[] = {{" \r\n\t{}", 6}, {"\xef\xbb\xbf{}", 5}, {"}{}", 1},
		      {" \"{\"", 2},	{"[{}]", 1},	       {"  ", 0},
		      {"{[}", 3},	{"{\"a\\\"}", 0}};
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		assert_int_equal(json_scan(&(struct json_scan){0}, (const uint8_t *)starts[i].text,
					   strlen(starts[i].text)),
				 starts[i].end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(webhook_payload),
		cmocka_unit_test(webhook_refuses),
		cmocka_unit_test(text_is_bounded),
		cmocka_unit_test(scan_in_pieces),
	};
	return cmocka_run_group_tests_name("webhooks", tests, NULL, NULL);
}
