/* Lines of the trail. */
#include "json.h"
#include "text.h"

#include <jansson.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static enum error read_line(const char *line, struct json_line *out)
{
	return json_event_read(line, strlen(line), out);
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

	event = (struct event){.at = 1, .action = ACTION_MOUNT, .outcome = "ok"};
	line.len = 0;
	assert_int_equal(json_event_write(&event, 1, &line), OK);
	assert_string_equal((char *)line.data, "{\"seq\":1,\"time\":\"1970-01-01T00:00:00.000Z\","
					       "\"action\":\"mount\",\"outcome\":\"ok\"");
}

/* The line stays one line of ASCII, whatever stands in it, and nothing of it is cut. */
static void event_survives_any_bytes(void **state)
{
	(void)state;
	char reason[700];
	memset(reason, 'r', sizeof reason);
	memcpy(reason, "caf\xc3\xa9 \xff\xc0\x80 \xed\xa0\x80 ", 14);
	memcpy(reason + sizeof reason - 8, " end\xe2\x82", 7);
	struct actor actor = {.loginuid = -1};
	for (int i = 1; i < 64; i++)
		actor.command[i - 1] = (char)(i < 32 ? i : i + 96 + i);
	struct event event = {.at = 1,
			      .action = ACTION_REFUSE,
			      .outcome = "EINVAL",
			      .actor = &actor,
			      .reason = reason};
	SCOPED(bytes_free) struct bytes line = {0};
	assert_int_equal(json_event_write(&event, 1, &line), OK);
	for (size_t i = 0; i < line.len; i++)
		assert_true(line.data[i] >= ' ' && line.data[i] < 0x7f);
	assert_non_null(strstr((char *)line.data, "\"reason\":\"caf\\u00E9 ??? ??? rrr"));
	assert_non_null(strstr((char *)line.data, "rrr end??\""));
	assert_null(strstr((char *)line.data, "loginuid"));
	assert_int_equal(bytes_print(&line, ",\"chain\":\"" HEX "\"}\n"), OK);
	struct json_line read;
	assert_int_equal(json_event_read((char *)line.data, line.len, &read), OK);
	assert_string_equal(read.outcome, "EINVAL");
	assert_string_equal(read.udid, "");
}

#define LINE "{\"seq\":1,\"action\":\"mount\",\"outcome\":\"ok\""
#define CHAIN ",\"chain\":\"" HEX "\"}\n"

static void event_ends_in_chain(void **state)
{
	(void)state;
	struct json_line line;
	assert_int_equal(read_line(LINE CHAIN, &line), OK);
	assert_string_equal(line.chain, HEX);
	static const char *const bad[] = {
		LINE "}\n",
		LINE ",\"chain\":\"" HEX "\"}",
		LINE ",\"chain\":\"" HEX "\"}\n\n",
		LINE ",\"chain\":\"" HEX "\" }\n",
		LINE ", \"chain\":\"" HEX "\"} \n",
		LINE ",\"chain\":\"" HEX "0\"}\n",
		LINE ",\"chain\":\"" HEX "\",\"uid\":0}\n",
		LINE ",\"chain\":\"" HEX "\",\"reason\":\",\\\"chain\\\":\\\"" HEX "\"}\n",
		LINE ",\"chain\":\"\\u0030123456789abcdef0123456789abcdef0123456789abcdef"
		     "0123456789abcdef\"}\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (read_line(bad[i], &line) != ERR_INVALID)
			fail_msg("%s was taken", bad[i]);
}

static void event_read_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"\n",
		"{}\n",
		"[]\n",
		"{\"seq\":\"1\",\"action\":\"mount\",\"outcome\":\"ok\"" CHAIN,
		"{\"seq\":0,\"action\":\"mount\",\"outcome\":\"ok\"" CHAIN,
		"{\"seq\":1.0,\"action\":\"mount\",\"outcome\":\"ok\"" CHAIN,
		"{\"seq\":1,\"outcome\":\"ok\"" CHAIN,
		"{\"seq\":1,\"action\":\"mount\"" CHAIN,
		LINE ",\"version\":4294967297" CHAIN,
		LINE ",\"version\":true" CHAIN,
		LINE ",\"udid\":null" CHAIN,
		LINE ",\"blob\":\"" HEX "0\"" CHAIN,
		LINE ",\"seq\":1" CHAIN,
	};
	struct json_line line;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (read_line(bad[i], &line) != ERR_INVALID)
			fail_msg("%s was taken", bad[i]);
}

/* ---- memory that runs out ---- */

static int until_failure; /* allocations until the one that fails; 0: it has, or none is to */

static void *take(size_t n)
{
	return until_failure && --until_failure == 0 ? NULL : malloc(n);
}

/* All of a line or nothing: no event goes without its actor because memory was short. */
static void event_whole_or_none(void **state)
{
	(void)state;
	struct actor actor = {.uid = 7, .gid = 8, .pid = 9, .loginuid = 1000, .command = "cat"};
	struct event event = {.at = 1,
			      .action = ACTION_ESCROW,
			      .outcome = "ok",
			      .udid = UDID,
			      .version = 3,
			      .actor = &actor,
			      .reason = "why",
			      .blob = HEX};
	SCOPED(bytes_free) struct bytes whole = {0};
	assert_int_equal(json_event_write(&event, 1, &whole), OK);
	json_set_alloc_funcs(take, free);
	int n = 0, failed = 0;
	for (bool reached = true; reached; n++) {
		SCOPED(bytes_free) struct bytes line = {0};
		until_failure = n + 1;
		enum error result = json_event_write(&event, 1, &line);
		reached = until_failure == 0;
		until_failure = 0;
		failed += result != OK;
		assert_true(result == OK || result == ERR_MEMORY);
		assert_int_equal(line.len, result ? 0 : whole.len);
		if (!result)
			assert_memory_equal(line.data, whole.data, whole.len);
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(failed > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_line),	       cmocka_unit_test(event_survives_any_bytes),
		cmocka_unit_test(event_ends_in_chain), cmocka_unit_test(event_read_refuses),
		cmocka_unit_test(event_whole_or_none),
	};
	return cmocka_run_group_tests_name("trail lines", tests, NULL, NULL);
}
