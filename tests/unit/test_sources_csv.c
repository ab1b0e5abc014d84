/* Tables of devices as databases write them, and the MUST clauses of src/sources/csv*.c. */
#include "sources/csv.h"

#include "secret.h"
#include "sources/csv_columns.h"
#include "text.h"

#include "needle.h"

#include <openssl/crypto.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAP ((size_t)4 << 20)

static volatile sig_atomic_t stop;

/* What came out, as text: a row "line udid serial A[authenticate] T[..] token A@.. T@.. @at|", a refusal
 * "line!udid sentence|". */
struct told {
	char text[8192];
	size_t len;
	int rows, refused;
	enum error last;
	int stop_after; /* the row behind which the callee has enough */
	enum error answer;
};

static void tell(struct told *told, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct told *told, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(told->text + told->len, sizeof told->text - told->len, format, arguments);
	va_end(arguments);
	told->len += (size_t)n;
	if (told->len >= sizeof told->text)
		told->len = sizeof told->text - 1;
}

static void tell_message(struct told *told, char kind, const uint8_t *message, size_t len)
{
	if (message)
		tell(told, " %c[%.*s]", kind, (int)len, (const char *)message);
}

static void tell_time(struct told *told, const char *of, int64_t time)
{
	char at[TEXT_TIME];
	time_text(time, at);
	if (time)
		tell(told, " %s@%s", of, at);
}

static enum error on_row(void *context, const struct csv_row *row)
{
	struct told *told = context;
	told->rows++;
	tell(told, "%d %s", (int)row->line, row->udid);
	if (row->serial)
		tell(told, " %s", row->serial);
	tell_message(told, 'A', row->authenticate, row->authenticate_len);
	tell_message(told, 'T', row->token_update, row->token_update_len);
	if (row->token)
		tell(told, " %s", row->token);
	tell_time(told, "A", row->authenticate_at);
	tell_time(told, "T", row->token_update_at);
	tell_time(told, "", row->token_at);
	tell(told, "|");
	if (!told->stop_after || told->rows < told->stop_after)
		return OK;
	if (told->answer)
		return (fail)(told->answer, "enough"); /* cmocka has one, too */
	stop = 1;
	return OK;
}

static void on_refused(void *context, int64_t line, const char *udid, enum error error)
{
	struct told *told = context;
	told->refused++;
	told->last = error;
	tell(told, "%d!%s %s|", (int)line, udid ? udid : "", fail_why());
}

/* A socket into which a child writes; a packet of it is what one read(2) gets. */
static int socket_from(int type, void (*write_all)(int fd, const void *), const void *what)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
	if (fork() == 0) {
		close(ends[0]);
		write_all(ends[1], what);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

static void put(int fd, const void *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t put = write(fd, (const char *)bytes + at, n - at);
		if (put <= 0)
			_exit(1);
		at += (size_t)put;
	}
}

static enum error read_socket(int type, void (*write_all)(int fd, const void *), const void *what,
			      csv_each *each, csv_refused *refused, void *context)
{
	int fd = socket_from(type, write_all, what);
	enum error error = csv_read(fd, &stop, each, refused, context);
	close(fd);
	while (wait(NULL) > 0)
		;
	return error;
}

static enum error read_from(void (*write_all)(int fd, const void *), const void *what,
			    csv_each *each, csv_refused *refused, void *context)
{
	return read_socket(SOCK_STREAM, write_all, what, each, refused, context);
}

struct piece {
	const char *text;
	size_t len, size;
};

static void write_pieces(int fd, const void *what)
{
	const struct piece *piece = what;
	for (size_t at = 0; at < piece->len; at += piece->size)
		put(fd, piece->text + at,
		    piece->len - at < piece->size ? piece->len - at : piece->size);
}

/* In whatever pieces it comes, the same comes out. */
static enum error read_text_of(const char *text, size_t len, struct told *told)
{
	static const size_t sizes[] = {1, 7, 64 * 1024};
	enum error error = OK;
	struct told first;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct piece piece = {text, len, sizes[i]};
		memset(told, 0, sizeof *told);
		error = read_socket(SOCK_SEQPACKET, write_pieces, &piece, on_row, on_refused, told);
		if (i)
			assert_string_equal(told->text, first.text);
		first = *told;
	}
	return error;
}

static void expect(const char *text, size_t len, const char *expected)
{
	struct told told;
	enum error error = read_text_of(text, len, &told);
	if (error)
		print_message("%s\n", fail_why());
	assert_int_equal(error, OK);
	assert_string_equal(told.text, expected);
}

#define EXPECT(text, expected) expect(text, sizeof(text) - 1, expected)

/* ---- commas ---- */

static void columns_of_nanomdm(void **state)
{
	(void)state;
	EXPECT("id,identity_cert,serial_number,unlock_token,authenticate,authenticate_at,token_"
	       "update,"
	       "bootstrap_token_b64,bootstrap_token_at\n"
	       "U-1,\"-----BEGIN\nx\",C02A,,\"<plist a=\"\"1\"\">\n\n</plist>\n\",2024-01-01 "
	       "00:00:00,"
	       "<t/>,QUJD,2024-03-01 12:34:56.789+00\n"
	       "U-2,,,,<a/>,,,,\n",
	       "2 U-1 C02A A[<plist a=\"1\">\n\n</plist>\n] T[<t/>] QUJD "
	       "A@2024-01-01T00:00:00.000Z @2024-03-01T12:34:56.789Z|"
	       "7 U-2 A[<a/>]|");
}

static void names_fold_case_and_have_any_order(void **state)
{
	(void)state;
	EXPECT("Token,SERIAL,\"UDID\"\nQUJD,C02A,U-1\n", "2 U-1 C02A QUJD|");
	/* A row's number is no device, where the table names it better. */
	EXPECT("id,udid,token,bootstrap_token_b64\n1,U-1,x,QUJD\n", "2 U-1 QUJD|");
	EXPECT("udid,id,hardware_serial,serial_number\nU-1,1,B,A\n", "2 U-1 A|");
	EXPECT("udid\nU-1\n", "2 U-1|");
}

static void line_ends(void **state)
{
	(void)state;
	EXPECT("udid,token\r\nU-1,QQ==\r\nU-2,\"a\r\nb\"\r\nU-3,x\r\n",
	       "2 U-1 QQ==|3 U-2 a\r\nb|5 U-3 x|");
	EXPECT("\xef\xbb\xbfudid,token\nU-1,QQ==", "2 U-1 QQ==|");
	EXPECT("\xef\xbb\xbf\"udid\",token\nU-1,\"QQ==\"", "2 U-1 QQ==|");
	EXPECT("\n\nudid,token\n\n\nU-1,a\n\n", "6 U-1 a|");
	EXPECT(" \n\t\n udid,token\n \t\nU-1,a\n\t", "5 U-1 a|");
	EXPECT("udid,token\rU-1,a\rU-2,b\r", "2 U-1 a|3 U-2 b|");
	/* A bare CR where lines end otherwise ends one too, and so two rows are too short. */
	EXPECT("udid,serial,token\nU-1,a\rb,c\nU-2,b,c\n",
	       "2! the number of its columns is 2, where the header has 3|"
	       "3! the number of its columns is 2, where the header has 3|4 U-2 b c|");
	EXPECT("udid,token\n", "");
	EXPECT("udid,token", "");
}

static void blanks_around_fields(void **state)
{
	(void)state;
	EXPECT("udid, token ,serial\n U-1 , \"QQ==\" , a b \n", "2 U-1 a b QQ==|");
}

static void wrong_counts(void **state)
{
	(void)state;
	EXPECT("udid,serial,token\nU-1,a\nU-2,a,b\nU-3,a,b,c\nU-4,,\n",
	       "2! the number of its columns is 2, where the header has 3|3 U-2 a b|"
	       "4! the number of its columns is 4, where the header has 3|5 U-4|");
}

static void bad_quotes(void **state)
{
	(void)state;
	EXPECT("udid,token\nU-1,a\"b\nU-2,b\n",
	       "2! a quotation mark stands where none may|3 U-2 b|");
	EXPECT("udid,token\nU-1,\"a\"b\nU-2,b\n",
	       "2! a quotation mark stands where none may|3 U-2 b|");
	/* Out of step in the middle of a field of several lines: one refusal, and back in step. */
	EXPECT("udid,authenticate,token\nU-1,\"<a \"b\">\n<c/>\n\n<d/>\",x\nU-2,\"<e/>\n\",y\n",
	       "2! a quotation mark stands where none may: rows can't be told apart from there, "
	       "and "
	       "all up to line 5 is left out|6 U-2 A[<e/>\n] y|");
	EXPECT("udid,token\nU-1,a\"b\nrest\n", "2! a quotation mark stands where none may: rows "
					       "can't be told apart from there, and "
					       "all up to line 3 is left out|");
	EXPECT("udid,token\nU-1,\"a\nU-2,\"b\nU-3,c\n",
	       "2! a quotation mark stands where none may: rows can't be told apart from there, "
	       "and "
	       "all up to line 3 is left out|4 U-3 c|");
}

static void cut_off_in_quotes(void **state)
{
	(void)state;
	EXPECT("udid,token\nU-1,a\nU-2,\"b\n", "2 U-1 a|3! quotes are opened that never close|");
	EXPECT("udid,token\nU-1,a\nU-2,\"b\nU-3,c\nU-4,d",
	       "2 U-1 a|3! quotes are opened that never close: rows can't be told apart from "
	       "there, "
	       "and all up to line 5 is left out|");
	EXPECT("udid,token\nU-1,\"a\"", "2 U-1 a|");
}

static void nuls(void **state)
{
	(void)state;
	EXPECT("udid,token,authenticate\nU-1,a\0b,c\nU\0-2,a,b\nU-3,a,b\n",
	       "2!U-1 the token has a NUL in it|3! the device's name has a NUL in it|4 U-3 A[b] "
	       "a|");
	/* A message's bytes are whoever reads it to judge. */
	struct told told;
	static const char text[] = "udid,authenticate\nU-1,a\0b\n";
	assert_int_equal(read_text_of(text, sizeof text - 1, &told), OK);
	assert_int_equal(told.rows, 1);
}

static void no_device(void **state)
{
	(void)state;
	EXPECT("udid,token\n,QQ==\n\"\",QQ==\nD:U,a\n",
	       "2! it names no device|3! it names no device|4 D:U a|");
}

static void headers_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} of[] = {
		{"", "it is empty"},
		{"\n\n\n", "it is empty"},
		{"serial,token\nA,b\n", "its first line names no column for the device"},
		{"U-1,QQ==\n", "its first line names no column for the device"},
		{"udid,token,UDID\n", "its header has the column udid twice"},
		{"udid,to\"ken\n", "its header can't be read: a quotation mark"},
		{"\"udid,token\n", "its header can't be read: quotes are opened"},
		{"udid\ttoken", NULL},
	};
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		struct told told;
		enum error error = read_text_of(of[i].text, strlen(of[i].text), &told);
		assert_int_equal(error, of[i].why ? ERR_INVALID : OK);
		assert_string_equal(told.text, "");
		if (of[i].why)
			assert_memory_equal(fail_why(), of[i].why, strlen(of[i].why));
	}
	static const char nul[] = "udid,to\0ken\nU-1,a\n";
	struct told told;
	assert_int_equal(read_text_of(nul, sizeof nul - 1, &told), ERR_INVALID);
	char wide[2 * CSV_COLUMNS_MAX + 16] = "udid";
	for (int i = 0; i < CSV_COLUMNS_MAX; i++)
		strcat(wide, ",");
	assert_int_equal(read_text_of(wide, strlen(wide), &told), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "more than 256 columns"));
}

/* ---- tabs ---- */

static void mysql_batch(void **state)
{
	(void)state;
	EXPECT("id\tserial_number\tauthenticate\tbootstrap_token_b64\tbootstrap_token_at\n"
	       "U-1\tNULL\t<?xml version=\"1.0\"?>\\n\\t<a>\\\\n</a>\tQUJD\t2024-03-01 12:34:56\n"
	       "U-2\tC02, B\t\"\tNULL\tNULL\n"
	       "U-3\t\t\t\t\n"
	       "U-4\tx\n"
	       "U-5\t\\N\t\\0\tx\t0000-00-00 00:00:00",
	       "2 U-1 A[<?xml version=\"1.0\"?>\n\t<a>\\n</a>] QUJD @2024-03-01T12:34:56.000Z|"
	       "3 U-2 C02, B A[\"]|4 U-3|"
	       "5! the number of its columns is 2, where the header has 5|6 U-5 A[] x|");
	EXPECT("udid\ttoken\r\nU-1\tQQ==\r\nU-2\tNULL\r\n", "2 U-1 QQ==|3 U-2|");
	/* A CR in a field ends no line there. */
	EXPECT("udid\tauthenticate\ttoken\nU-1\ta\r\\nb\tc\n", "2 U-1 A[a\r\nb] c|");
	EXPECT("udid\ttoken\nU-1\ta\\0b\nU-2\ta\0b\nU-3\tc\n",
	       "2!U-1 the token has a NUL in it|3! there is a NUL in it|4 U-3 c|");
}

/* ---- times ---- */

static void times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t at; /* ms; -1: none */
	} of[] = {
		{"2024-03-01 12:34:56.789+00", 1709296496789},
		{"2024-03-01 12:34:56.789123+00", 1709296496789},
		{"2024-03-01 12:34:56+02:00", 1709289296000},
		{"2024-03-01 12:34:56-0530", 1709316296000},
		{"2024-03-01 12:34:56-05", 1709314496000},
		{"2024-03-01T12:34:56Z", 1709296496000},
		{"2024-03-01T12:34:56.5Z", 1709296496500},
		{"2024-03-01 12:34:56", 1709296496000},
		{"2024-03-01 12:34:56.25", 1709296496250},
		{"1709296496", 1709296496000},
		{"1709296496.789", 1709296496789},
		{"0000-00-00 00:00:00", 0},
		{"0", 0},
		{"", -1},
		{".", -1},
		{"1709296496789000000000", -1},
		{"2024-03-01", -1},
		{"2024", -1},
		{"20240301", -1},
		{"2024-13-01 12:34:56", -1},
		{"2024-03-01 12:34:56+", -1},
		{"2024-03-01 12:34:56+0", -1},
		{"2024-03-01 12:34:56 +00", -1},
		{"01/03/2024 12:34", -1},
		{"1969-01-01 00:00:00", -1},
		{"infinity", -1},
	};
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		int64_t at = -1;
		enum error error = csv_time(CSV_TOKEN_AT, of[i].text, &at);
		if (error != (of[i].at < 0 ? ERR_INVALID : OK) ||
		    (!error && at / 1000000 != of[i].at))
			fail_msg("%s", of[i].text);
	}
	EXPECT("udid,token,escrowed_at\nU-1,a,yesterday\nU-2,b,2024-03-01\nU-3,c,1709296496\n",
	       "2!U-1 what it has for the token's time is none: write it as 2024-03-01 "
	       "12:34:56+00, as RFC 3339 has it, or in seconds since 1970|"
	       "3!U-2 \"2024-03-01\" is no time that can be read: write it as 2024-03-01 "
	       "12:34:56+00, as RFC 3339 has it, or in seconds since 1970|"
	       "4 U-3 c @2024-03-01T12:34:56.000Z|");
	EXPECT("udid,authenticate_at,token_update_at\nU-1,1709296496,1709296497\nU-2,,x\n",
	       "2 U-1 A@2024-03-01T12:34:56.000Z T@2024-03-01T12:34:57.000Z|"
	       "3!U-2 what it has for the TokenUpdate message's time is none: write it as "
	       "2024-03-01 12:34:56+00, as RFC 3339 has it, or in seconds since 1970|");
}

/* ---- sizes ---- */

struct large {
	const char *before, *after;
	size_t len;
	char fill;
};

static void write_large(int fd, const void *what)
{
	const struct large *large = what;
	char some[4096];
	memset(some, large->fill, sizeof some);
	put(fd, large->before, strlen(large->before));
	for (size_t at = 0; at < large->len; at += sizeof some)
		put(fd, some, large->len - at < sizeof some ? large->len - at : sizeof some);
	put(fd, large->after, strlen(large->after));
}

static void read_large(const char *before, size_t len, char fill, const char *after,
		       struct told *told)
{
	struct large large = {before, after, len, fill};
	memset(told, 0, sizeof *told);
	assert_int_equal(read_from(write_large, &large, on_row, on_refused, told), OK);
}

static void too_big_a_field(void **state)
{
	(void)state;
	static const char refused[] = "2! a field in it is 1 MiB or larger|";
	struct told told;
	/* Rows inside the field stay inside: whoever wrote it doesn't write the table. */
	static const char inside[] = "\nU-9,evil\n\"\"\nU-9,evil\n\"\nU-2,b\n";
	read_large("udid,token\nU-1,\"", 2 << 20, 'x', inside, &told);
	assert_string_equal(told.text + sizeof refused - 1, "7 U-2 b|");
	assert_memory_equal(told.text, refused, sizeof refused - 1);
	assert_int_equal(told.last, ERR_TOO_BIG);
	read_large("udid,token\nU-1,", 5 << 20, 'x', "\nU-2,b\n", &told);
	assert_string_equal(told.text, "2! a field in it is 1 MiB or larger|3 U-2 b|");
	read_large("udid,token\nU-1,", 2 << 20, 'x', "", &told);
	assert_string_equal(told.text, refused);
	read_large("udid\ttoken\nU-1\t", 2 << 20, '"', "\nU-2\tb\n", &told);
	assert_string_equal(told.text, "2! a field in it is 1 MiB or larger|3 U-2 b|");
	read_large("udid,token\nU-1,\"a", 2 << 20, '\n', "U-2,b\n", &told);
	assert_non_null(strstr(told.text, "2! quotes are opened that never close: rows"));
	/* As large as a message may be. */
	read_large("udid,serial,authenticate,token_update,token\nU-1,s,\"", (1 << 20) - 4096, 'x',
		   "\",y,z\nU-2,,,,\n", &told);
	assert_int_equal(told.rows, 2);
	assert_int_equal(told.refused, 0);
}

#define MANY 20000

static void write_many(int fd, const void *what)
{
	(void)what;
	FILE *out = fdopen(fd, "w");
	fputs("id,authenticate,token_update,token\n", out);
	for (int i = 0; i < MANY; i++)
		fprintf(out, "U-%d,\"%0500d\n\",\"%0500d\",QQ==\n", i, i, i);
	fclose(out);
}

static enum error count_row(void *context, const struct csv_row *row)
{
	int *rows = context;
	assert_int_equal(row->line, 2 + 2 * (*rows)++);
	assert_true(CRYPTO_secure_used() < (size_t)2 << 20);
	return OK;
}

static void refuse_none(void *context, int64_t line, const char *udid, enum error error)
{
	(void)context;
	(void)udid;
	(void)error;
	fail_msg("line %d: %s", (int)line, fail_why());
}

static void memory_is_bounded(void **state)
{
	(void)state;
	int rows = 0;
	size_t before = CRYPTO_secure_used();
	assert_int_equal(read_from(write_many, NULL, count_row, refuse_none, &rows), OK);
	assert_int_equal(rows, MANY);
	assert_int_equal(CRYPTO_secure_used(), before);
}

/* Each broken row costs what a row costs. */
static void many_broken_rows(void **state)
{
	(void)state;
	struct told told;
	read_large("udid,token\n", 400000, '\n', "U-1,a\n", &told);
	assert_string_equal(told.text, "400002 U-1 a|");
	static char text[400000] = "udid,token\n";
	for (size_t at = strlen(text); at + 5 < sizeof text; at += 4)
		memcpy(text + at, "a\"b\n", 4);
	read_large(text, 0, 'x', "U-1,a\n", &told);
	assert_int_equal(told.refused, 1);
	assert_int_equal(told.rows, 1);
}

/* ---- ends ---- */

static void stops(void **state)
{
	(void)state;
	static const char text[] = "udid,token\nU-1,a\nU-2,b\nU-3,c\n";
	struct piece piece = {text, sizeof text - 1, 1};
	struct told told = {.stop_after = 2};
	assert_int_equal(read_from(write_pieces, &piece, on_row, on_refused, &told), OK);
	assert_string_equal(told.text, "2 U-1 a|3 U-2 b|");
	stop = 0;
	piece.size = 4096;
	told = (struct told){.stop_after = 2, .answer = ERR_NO_SPACE};
	assert_int_equal(read_from(write_pieces, &piece, on_row, on_refused, &told), ERR_NO_SPACE);
	assert_string_equal(told.text, "2 U-1 a|3 U-2 b|");
	assert_string_equal(fail_why(), "enough");
	assert_int_equal(csv_read(-1, &stop, on_row, on_refused, &told), ERR_IO);
}

static void told_by_content(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool tells;
	} of[] = {
		{"id,authenticate\n", true},
		{"\xef\xbb\xbf\"ID\",\"foo\"\r\n", true},
		{"foo,Token,bar", true},
		{"udid\n", true},
		{"id\tserial_number\nU-1\tx", true},
		{"serial,x\n", true}, /* csv_read() says what it lacks */
		{"", false},
		{"\n", false},
		{"foo,bar\n", false},
		{"{\"id\",\"udid\"}\n", false},
		{"{\"topic\": \"mdm.TokenUpdate\", \"udid\": 1}\n", false},
		{"<?xml version=\"1.0\"?>\n<plist>id,udid</plist>", false},
		{"id;udid;token\n", false},
		{"QUJD\n", false},
		{"Identity: 00,11\n\n<plist/>", false},
		{"-----BEGIN CMS-----\n", false},
	};
	for (size_t i = 0; i < sizeof of / sizeof *of; i++)
		if (csv_tells(of[i].text, strlen(of[i].text)) != of[i].tells)
			fail_msg("%s", of[i].text);
	assert_false(csv_tells("id,\0udid\n", 9));
}

/* ---- secrets ---- */

/* Three rows, where a '$' stands for the needle. */
static void write_needles(int fd, const void *what)
{
	FILE *out = fdopen(fd, "w");
	fputs("udid,authenticate,token,bootstrap_token_at\n", out);
	for (int row = 0; row < 3; row++)
		for (const char *c = what; *c; c++)
			for (int i = 0; i < (*c == '$' ? NEEDLE : 1); i++)
				fputc(*c == '$' ? needle(i) : *c, out);
	fclose(out);
}

static enum error look_for_needles(void *context, const struct csv_row *row)
{
	const char **seen = context;
	assert_true(CRYPTO_secure_allocated(row->token));
	assert_true(CRYPTO_secure_allocated(row->authenticate));
	assert_true(CRYPTO_secure_allocated(row->udid));
	assert_true(needle_at(row->token));
	assert_int_equal(needles(true), 0);
	assert_true(needles(false) > 0);
	*seen = row->token;
	return OK;
}

static void tokens_only_in_secure_memory(void **state)
{
	(void)state;
	const char *seen = NULL;
	assert_int_equal(read_from(write_needles, "U-1,\"<plist>\n$\",$,\n", look_for_needles,
				   refuse_none, &seen),
			 OK);
	assert_non_null(seen);
	assert_int_equal(needles(false), 0);
	/* Nor is anything left by rows that are refused, and a table that is cut off. */
	static const char *const broken[] = {"U-1,$,$\n", "U-1,\"$\"$,x\n", "U-1,\"$$\n",
					     "U-1,x,$,$\n"};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct told told = {0};
		assert_int_equal(read_from(write_needles, broken[i], on_row, on_refused, &told),
				 OK);
		assert_int_equal(told.rows, 0);
		assert_true(told.refused > 0);
		assert_int_equal(needles(false), 0);
	}
}

static void write_needle_and_more(int fd, const void *what)
{
	static const struct large more = {"U-2,", ",,\n", 300000, 'x'};
	write_needles(dup(fd), what);
	write_large(fd, &more);
}

static enum error look_for_the_last_row(void *context, const struct csv_row *row)
{
	int *rows = context;
	++*rows;
	if (!row->token)
		assert_int_equal(needles(false), 0);
	return OK;
}

/* The next row is so large that nothing of those before is left in what was read and gathered. */
static void row_wiped_at_its_end(void **state)
{
	(void)state;
	int rows = 0;
	assert_int_equal(read_from(write_needle_and_more, "U-1,$,$,\n", look_for_the_last_row,
				   refuse_none, &rows),
			 OK);
	assert_int_equal(rows, 4);
}

static void sentences_show_no_cell(void **state)
{
	(void)state;
	static const char *const tables[] = {
		"udid,token,token_at,escrowed_at\nU-1,a,b,SECRET==\n",
		"udid,token,escrowed_at\nSECRET==,b,2024-03-01\nSECRET==,x,SECRET\n",
		"udid,token\nU-1,SECRET,x\nSECRET,U-1,x\nU-1,\"SECRET\"SECRET\nSECRET\n",
		"udid,token\nU-1,\"SECRET\nSECRET",
		"udid\ttoken\nU-1\tSECRET\\0\n",
	};
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct told told;
		assert_int_equal(read_text_of(tables[i], strlen(tables[i]), &told), OK);
		assert_true(told.refused > 0);
		assert_int_equal(told.rows, 0);
		assert_null(strstr(told.text, "SECRET"));
	}
	struct told told;
	static const char headless[] = "SECRET,\"SECRET\"\nSECRET,SECRET\n";
	assert_int_equal(read_text_of(headless, sizeof headless - 1, &told), ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_of_nanomdm),
		cmocka_unit_test(names_fold_case_and_have_any_order),
		cmocka_unit_test(line_ends),
		cmocka_unit_test(blanks_around_fields),
		cmocka_unit_test(wrong_counts),
		cmocka_unit_test(bad_quotes),
		cmocka_unit_test(cut_off_in_quotes),
		cmocka_unit_test(nuls),
		cmocka_unit_test(no_device),
		cmocka_unit_test(headers_refused),
		cmocka_unit_test(mysql_batch),
		cmocka_unit_test(times),
		cmocka_unit_test(too_big_a_field),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(many_broken_rows),
		cmocka_unit_test(stops),
		cmocka_unit_test(told_by_content),
		cmocka_unit_test(tokens_only_in_secure_memory),
		cmocka_unit_test(row_wiped_at_its_end),
		cmocka_unit_test(sentences_show_no_cell),
	};
	if (secret_prepare(HEAP) != OK)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
