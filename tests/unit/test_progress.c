/* The progress of long work: what it says, and how often. */
#include "cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void assert_text(int64_t done, int64_t total, int64_t seconds, const char *should)
{
	char text[160];
	progress_text("versions", done, total, seconds * SECOND, text, sizeof text);
	assert_string_equal(text, should);
}

static void words(void **state)
{
	(void)state;
	assert_text(1000, 5000, 2, "versions: 1000 of 5000, 500/s, 8 s left");
	assert_text(1000, 101000, 2, "versions: 1000 of 101000, 500/s, 3 min 20 s left");
	assert_text(1, 8101, 1, "versions: 1 of 8101, 1.0/s, 2 h 15 min left");
	assert_text(5000, 5000, 2, "versions: 5000 of 5000, 2500/s");
	assert_text(0, 5000, 2, "versions: 0 of 5000, 0.0/s");
	assert_text(0, 5000, 0, "versions: 0 of 5000, 0.0/s");
	/* How many there are nobody knows. */
	assert_text(1000, 0, 4, "versions: 1000, 250/s");
}

struct shown {
	char *text;
	size_t len;
	struct progress progress;
};

static struct shown begin(bool terminal)
{
	struct shown shown = {0};
	progress_begin(&shown.progress, "versions", 100000);
	shown.progress.began_at = shown.progress.shown_at = 0;
	shown.progress.terminal = terminal;
	return shown;
}

static void a_line_a_minute(void **state)
{
	(void)state;
	struct shown shown = begin(false);
	shown.progress.out = open_memstream(&shown.text, &shown.len);
	for (int second = 0; second <= 150; second++)
		progress_show_at(&shown.progress, second * 100, second * SECOND);
	progress_wipe(&shown.progress);
	fclose(shown.progress.out);
	assert_string_equal(shown.text,
			    "escrowfs: versions: 6000 of 100000, 100/s, 15 min 40 s left\n"
			    "escrowfs: versions: 12000 of 100000, 100/s, 14 min 40 s left\n");
	free(shown.text);
}

static void one_line_that_is_wiped(void **state)
{
	(void)state;
	struct shown shown = begin(true);
	shown.progress.out = open_memstream(&shown.text, &shown.len);
	for (int tenth = 0; tenth <= 10; tenth++)
		progress_show_at(&shown.progress, tenth, tenth * SECOND / 10);
	progress_wipe(&shown.progress);
	progress_wipe(&shown.progress);
	fclose(shown.progress.out);
	int drawn = 0;
	for (const char *c = shown.text; (c = strstr(c, "\rversions: ")); c++)
		drawn++;
	assert_int_equal(drawn, 5);
	assert_null(strchr(shown.text, '\n'));
	assert_string_equal(shown.text + shown.len - 4, "\r\033[K");
	assert_null(strstr(shown.text, "\r\033[K\r\033[K"));
	free(shown.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(a_line_a_minute),
		cmocka_unit_test(one_line_that_is_wiped),
	};
	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
