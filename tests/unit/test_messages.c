/* A stream of messages is taken apart, whatever pieces it comes in. */
#include "sources/messages.h"
#include "mdm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLIST(text)                                                                                \
	"<?xml version=\"1.0\"?><plist version=\"1.0\"><string>" text "</string></plist>"
#define LINE(text) "{\"topic\": \"" text "\"}\n"

static volatile sig_atomic_t stop;

/* A pipe into which a child writes `text` in pieces. */
static int pipe_of(const char *text, size_t len, size_t piece)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	if (fork() == 0) {
		close(ends[0]);
		for (size_t at = 0; at < len; at += piece) {
			size_t n = len - at < piece ? len - at : piece;
			if (write(ends[1], text + at, n) != (ssize_t)n)
				_exit(1);
		}
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

/* The messages of `text`, each ended by a '|'. */
static enum error split(const char *text, size_t len, size_t piece, char *out, size_t size)
{
	SCOPED(messages_free) struct messages messages = {0};
	int fd = pipe_of(text, len, piece);
	enum error error = messages_new(fd, &stop, &messages);
	const uint8_t *message;
	size_t n = 0;
	*out = 0;
	while (!error && !(error = messages_next(&messages, &message, &n)) && n) {
		size_t used = strlen(out);
		snprintf(out + used, size - used, "%.*s|", (int)n, (const char *)message);
	}
	close(fd);
	while (wait(NULL) > 0)
		;
	return error;
}

static void splits_at_any_pieces(void **state)
{
	(void)state;
	static const char text[] = PLIST("a") PLIST("b") "\n\n" LINE("c") LINE("d") PLIST("e") "\n";
	char out[1024];
	for (size_t piece = 1; piece < sizeof text; piece += piece < 16 ? 1 : 37) {
		assert_int_equal(split(text, sizeof text - 1, piece, out, sizeof out), OK);
		assert_string_equal(
			out, PLIST("a") "|" PLIST("b") "|\n\n{\"topic\": \"c\"}|\n{\"topic\": "
						       "\"d\"}|\n" PLIST("e") "|");
	}
}

static void a_broken_line_takes_no_other_along(void **state)
{
	(void)state;
	static const char text[] = LINE("a") "{\"topic\": \"b\n" LINE("c") "rubbish\n" LINE("d");
	char out[1024];
	assert_int_equal(split(text, sizeof text - 1, 4096, out, sizeof out), OK);
	assert_string_equal(out,
			    "{\"topic\": \"a\"}|\n{\"topic\": \"b\n|{\"topic\": \"c\"}|\nrubbish\n|"
			    "{\"topic\": \"d\"}|");
}

static void what_has_no_end_is_whole_at_the_end(void **state)
{
	(void)state;
	char out[256];
	assert_int_equal(split("rubbish", 7, 3, out, sizeof out), OK);
	assert_string_equal(out, "rubbish|");
	assert_int_equal(split(" \n\t", 3, 3, out, sizeof out), OK);
	assert_string_equal(out, "");
	assert_int_equal(split("", 0, 1, out, sizeof out), OK);
	assert_string_equal(out, "");
}

static void memory_is_bounded(void **state)
{
	(void)state;
	size_t len = 4 * MDM_MESSAGE_MAX;
	char *text = malloc(len), out[64];
	assert_non_null(text);
	memset(text, 'x', len);
	assert_int_equal(split(text, len, 65536, out, sizeof out), ERR_TOO_BIG);
	free(text);
}

/* Looking for a start again and again must not take long. */
static void many_starts_end(void **state)
{
	(void)state;
	size_t len = 2 * MDM_MESSAGE_MAX;
	char *text = malloc(len), *out = malloc(len);
	assert_non_null(text);
	assert_non_null(out);
	for (size_t i = 0; i + 4 <= len; i += 4)
		memcpy(text + i, "{ \"\n", 4);
	assert_int_equal(split(text, len, 65536, out, len), ERR_TOO_BIG);
	free(text);
	free(out);
}

static void a_signal_ends_it(void **state)
{
	(void)state;
	char out[256];
	stop = 1;
	assert_int_equal(split(PLIST("a"), sizeof PLIST("a") - 1, 4096, out, sizeof out), OK);
	assert_string_equal(out, "");
	stop = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_at_any_pieces),
		cmocka_unit_test(a_broken_line_takes_no_other_along),
		cmocka_unit_test(what_has_no_end_is_whole_at_the_end),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(many_starts_end),
		cmocka_unit_test(a_signal_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
