/* Words and numbers below all layers: base64, times, UDIDs, hex, facts and who reported them last. */
#include "base64.h"
#include "bytes.h"
#include "crew.h"
#include "facts.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef fail /* cmocka's; ours is meant here */

static enum error decode(const char *text, char *out, size_t *n)
{
	return base64_decode((const uint8_t *)text, strlen(text), (uint8_t *)out, n);
}

static void base64_round_trip(void **state)
{
	(void)state;
	uint8_t bytes[256], text[BASE64_ENCODED(256)], back[BASE64_DECODED_MAX(sizeof text)];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		size_t m;
		base64_encode(bytes, n, text);
		assert_int_equal(base64_decode(text, BASE64_ENCODED(n), back, &m), OK);
		assert_int_equal(m, n);
		assert_memory_equal(bytes, back, n);
	}
}

static void base64_known(void **state)
{
	(void)state;
	/* RFC 4648, section 10 */
	static const char *const pairs[][2] = {{"f", "Zg=="},	      {"fo", "Zm8="},
					       {"foo", "Zm9v"},	      {"foob", "Zm9vYg=="},
					       {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char out[16];
		size_t n;
		assert_int_equal(decode(pairs[i][1], out, &n), OK);
		assert_int_equal(n, strlen(pairs[i][0]));
		assert_memory_equal(out, pairs[i][0], n);
		uint8_t text[16];
		base64_encode((const uint8_t *)pairs[i][0], n, text);
		assert_memory_equal(text, pairs[i][1], strlen(pairs[i][1]));
	}
	char out[32];
	size_t n;
	assert_int_equal(decode("+/+/", out, &n), OK);
	assert_memory_equal(out, "\xfb\xff\xbf", 3);
	assert_int_equal(decode(" \nZm9v\r\n\tYmFy\n", out, &n), OK);
	assert_memory_equal(out, "foobar", 6);
}

static void base64_strict(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"Zg",	  "Zg=",      "Z",	"Zg==Zg==", "Zh==",    "Zm9=",
		"Zm9v=",  "Zm9v====", "=Zm9",	"Z===",	    "Zm-_",    "Zm9v!",
		"Zm9\nv", "Zm 9v",    "Zg=\n=", "Zg==x",    "\x80m9v", "Zm9v\\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char out[32];
		size_t n;
		assert_int_equal(decode(bad[i], out, &n), ERR_INVALID);
	}
}

static void times(void **state)
{
	(void)state;
	int64_t at;
	char text[TEXT_TIME];
	assert_true(time_read("2018-08-13T14:30:16.13272395Z", &at));
	time_text(at, text);
	assert_string_equal(text, "2018-08-13T14:30:16.132Z");
	assert_true(time_read("2018-08-13T16:30:16+02:00", &at));
	time_text(at, text);
	assert_string_equal(text, "2018-08-13T14:30:16.000Z");
	assert_false(time_read("0001-01-01T00:00:00Z", &at));
	assert_false(time_read("2018-08-13", &at));
	assert_false(time_read("2018-13-13T14:30:16Z", &at));
	assert_false(time_read("2018-08-13T14:30:16", &at));
	assert_false(time_read("2018-08-13T14:30:16Zx", &at));
	assert_false(time_read("", &at));
	assert_true(date_read("2024-02-29", &at));
	time_text(at, text);
	assert_string_equal(text, "2024-02-29T00:00:00.000Z");
	assert_true(date_read("2018-08-13T16:30:16+02:00", &at));
	time_text(at, text);
	assert_string_equal(text, "2018-08-13T14:30:16.000Z");
	at = 7;
	static const char *const no_dates[] = {"2023-02-29", "2024-04-31",  "2024-1-31",
					       "31.01.2024", "2024-01-31T", "yesterday",
					       "",	     "2024-01-3x"};
	for (size_t i = 0; i < sizeof no_dates / sizeof *no_dates; i++)
		assert_false(date_read(no_dates[i], &at));
	assert_int_equal(at, 7);
	assert_true(time_later(5, 3) == 6 && time_later(5, 5) == 6 && time_later(5, 9) == 9);
}

static void udids(void **state)
{
	(void)state;
	char longest[UDID_MAX + 2];
	memset(longest, 'A', sizeof longest);
	assert_true(udid_valid("9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E", 36));
	assert_true(udid_valid(longest, UDID_MAX));
	assert_false(udid_valid(longest, UDID_MAX + 1));
	static const char *const bad[] = {"", ".", "..", "a/b", "a b", "a_b", "\xc3\xa4", "a\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(udid_valid(bad[i], strlen(bad[i])));
	assert_false(udid_valid("a\0b", 3));
}

static void addresses(void **state)
{
	(void)state;
	char mac[13];
	assert_true(mac_fold("22:7A:00:0b:00:0C", mac));
	assert_string_equal(mac, "227a000b000c");
	assert_true(mac_fold("227a.000b.000c", mac) && mac_fold("22-7a-00-0b-00-0c", mac));
	assert_true(mac_fold("227A000B000C", mac));
	assert_string_equal(mac, "227a000b000c");
	assert_false(mac_fold("00:00:00:00:00:00", mac));
	assert_false(mac_fold("22:7a:00:0b:00", mac));
	assert_false(mac_fold("22:7a:00:0b:00:0c:0d", mac));
	assert_false(mac_fold("22:7a:00:0b:00:0g", mac));
}

static void hex(void **state)
{
	(void)state;
	uint8_t bytes[2];
	char text[5];
	assert_true(hex_read("aB01", 2, bytes));
	hex_write(bytes, 2, text);
	assert_string_equal(text, "ab01");
	assert_false(hex_read("ab0", 2, bytes));
	assert_false(hex_read("ab012", 2, bytes));
	assert_false(hex_read("ab0x", 2, bytes));
}

/* An older fact never replaces a newer one. */
static void facts_newer_wins(void **state)
{
	(void)state;
	struct facts mine = {0}, reported = {0};
	fact_set_flag(&reported, FACT_ENROLLED_VIA_DEP, true, 100, SOURCE_SECURITY_INFO);
	fact_set_text(&reported, FACT_OS_VERSION, "14.1", 100, SOURCE_AUTHENTICATE);
	assert_int_equal(facts_merge(&mine, &reported), 2);
	assert_true(fact_true(&mine, FACT_ENROLLED_VIA_DEP));

	struct facts older = {0};
	fact_set_flag(&older, FACT_ENROLLED_VIA_DEP, false, 99, SOURCE_SECURITY_INFO);
	assert_int_equal(facts_merge(&mine, &older), 0);
	assert_true(fact_true(&mine, FACT_ENROLLED_VIA_DEP));

	struct facts same = {0};
	fact_set_text(&same, FACT_OS_VERSION, "14.1", 200, SOURCE_DEVICE_INFORMATION);
	assert_int_equal(facts_merge(&mine, &same), 0);
	assert_true(mine.of[FACT_OS_VERSION].at == 200);

	struct facts unknown = {0};
	fact_set_unknown(&unknown, FACT_ENROLLED_VIA_DEP, 300, SOURCE_AUTHENTICATE);
	assert_int_equal(facts_merge(&mine, &unknown), 1);
	assert_false(fact_true(&mine, FACT_ENROLLED_VIA_DEP));
	assert_false(fact_false(&mine, FACT_ENROLLED_VIA_DEP));
	/* ... and what was reported before that stays unknown */
	assert_int_equal(facts_merge(&mine, &reported), 0);
	assert_false(fact_true(&mine, FACT_ENROLLED_VIA_DEP));
}

static void facts_long_text_is_cut_whole(void **state)
{
	(void)state;
	struct facts facts = {0};
	char text[FACT_TEXT + 8];
	memset(text, 'x', sizeof text);
	text[FACT_TEXT - 2] = '\xc3';
	text[FACT_TEXT - 1] = '\xa4';
	text[sizeof text - 1] = 0;
	fact_set_text(&facts, FACT_MODEL, text, 1, SOURCE_BY_HAND);
	assert_int_equal(strlen(fact_text(&facts, FACT_MODEL)), FACT_TEXT - 2);
}

static void errors_keep_their_sentence(void **state)
{
	(void)state;
	assert_int_equal(fail(ERR_INVALID, "%s: %d", "a", 1), ERR_INVALID);
	assert_string_equal(fail_why(), "a: 1");
	(void)fail(ERR_IO, "again: %s", fail_why());
	assert_string_equal(fail_why(), "again: a: 1");
}

static void fail_says_by_which_option(void **state)
{
	(void)state;
	static const struct {
		const char *why, *value, *named;
	} rows[] = {
		{"/a/key: not there", "/a/key", "key=/a/key: not there"},
		{"/a/key.store: it isn't in /a/key: look", "/a/key",
		 "/a/key.store: it isn't in key=/a/key: look"},
		{"chmod o= /a/key", "/a/key", "chmod o= key=/a/key"},
		{"/a: a link", "/a/key", "key: /a: a link"},
		{"b/a/key: not there", "/a/key", "key: b/a/key: not there"},
		{"not there", "", "key: not there"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(fail(ERR_IO, "%s", rows[i].why), ERR_IO);
		assert_int_equal(fail_named(ERR_IO, "key=", rows[i].value), ERR_IO);
		assert_string_equal(fail_why(), rows[i].named);
	}
	assert_int_equal(fail_named(OK, "key=", NULL), OK);
	assert_true(fail_has("key"));
	assert_false(fail_has("ke"));
}

static void bytes_grow(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes b = {0};
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bytes_print(&b, "%d,", i), OK);
	assert_int_equal(b.data[b.len], 0);
	assert_int_equal(strlen((char *)b.data), b.len);
	SCOPED(bytes_free) struct bytes file = {0};
	assert_int_equal(bytes_read_file("/dev/null/x", 10, &file), ERR_IO);
	assert_int_equal(bytes_read_file("/nowhere", 10, &file), ERR_NOT_FOUND);
	assert_int_equal(bytes_read_file("/dev/zero", 10, &file), ERR_TOO_BIG);
}

static void note_work(void *context, int i)
{
	atomic_fetch_add(&((atomic_int *)context)[i], 1);
}

static void crew_does_each_once(void **state)
{
	atomic_int done[1000] = {0};
	(void)state;
	crew_run(0, note_work, done);
	crew_run(1000, note_work, done);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(atomic_load(&done[i]), 1);
}

static void assert_printable(const char *text, const char *expected)
{
	char copy[64];
	snprintf(copy, sizeof copy, "%s", text);
	text_printable(copy);
	assert_string_equal(copy, expected);
}

static void printable_is_all_that_a_terminal_gets(void **state)
{
	(void)state;
	assert_printable("", "");
	assert_printable("M\xc3\xbcller's Mac \xe2\x80\xa6 \xf0\x9f\x92\xbb",
			 "M\xc3\xbcller's Mac \xe2\x80\xa6 \xf0\x9f\x92\xbb");
	assert_printable("x\n\r\t\033[2J\x01\x7f"
			 "y",
			 "x????[2J??y");
	/* C1 as UTF-8 and as a byte; U+00A0 is none. */
	assert_printable("\xc2\x9b"
			 "2J \x9b"
			 "2J \xc2\x80\xc2\x9f\xc2\xa0",
			 "?2J ?2J ??\xc2\xa0");
	assert_printable("\xff\xc3", "??");
}

static void assert_shell(const char *text, const char *expected)
{
	char *word = text_shell(text);
	assert_string_equal(word, expected);
	free(word);
}

static void a_word_of_a_shell(void **state)
{
	(void)state;
	assert_shell("/var/lib/escrowfs/escrow-2.1", "/var/lib/escrowfs/escrow-2.1");
	assert_shell("", "''");
	assert_shell("/mnt/st ore", "'/mnt/st ore'");
	assert_shell("M\xc3\xbcller", "'M\xc3\xbcller'");
	assert_shell("it's $HOME `x` \"y\" \\", "'it'\\''s $HOME `x` \"y\" \\'");
	assert_shell("'''", "''\\'''\\'''\\'''");
	assert_shell("~/x", "'~/x'");
	assert_shell("a\nb\x1b[2J'\\", "$'a\\012b\\033[2J\\'\\\\'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_round_trip),
		cmocka_unit_test(base64_known),
		cmocka_unit_test(base64_strict),
		cmocka_unit_test(times),
		cmocka_unit_test(udids),
		cmocka_unit_test(addresses),
		cmocka_unit_test(hex),
		cmocka_unit_test(facts_newer_wins),
		cmocka_unit_test(facts_long_text_is_cut_whole),
		cmocka_unit_test(errors_keep_their_sentence),
		cmocka_unit_test(fail_says_by_which_option),
		cmocka_unit_test(bytes_grow),
		cmocka_unit_test(printable_is_all_that_a_terminal_gets),
		cmocka_unit_test(a_word_of_a_shell),
		cmocka_unit_test(crew_does_each_once),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
