/*
 * The stream of a table, which libcsv takes apart. It gets one line at a time, so that lines can be
 * counted, and memory that we give it.
 *
 * A line may end in the middle of a row, and a row whose field is too big has to be got over without
 * libcsv, which wants it whole. So whether a line ends inside quotes is kept count of here: where
 * quotes are in their places, an odd number of them has gone by.
 *
 *   SKIP_NOTHING  lines go to libcsv
 *   SKIP_LINE     quotes aren't in their places: what is left of this line is of no use
 *   SKIP_ROW      a field was too big: neither is what is left of the row
 *
 * MUST: libcsv gathers fields in secure memory alone, and the stream is read to no other.
 *       (test: tokens_only_in_secure_memory)
 */
#include "sources/csv.h"

#include "secret.h"
#include "sources/csv_row.h"

#include <csv.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)64 * 1024)
#define HEADER_MAX ((size_t)4096) /* by so much of it a table is told */

#define QUOTES_WRONG "a quotation mark stands where none may"
#define QUOTES_OPEN "quotes are opened that never close"

enum skip { SKIP_NOTHING, SKIP_LINE, SKIP_ROW };

struct reader {
	struct csv_parser parser;
	struct csv_rows rows;
	struct secret chunk;
	const volatile sig_atomic_t *stop;
	int64_t line;	/* the one that is fed */
	bool after_cr;	/* an LF now belongs to the line before */
	bool ended;	/* nothing of it was seen yet */
	bool open;	/* a row has begun */
	bool in_quotes; /* an odd number of quotes has gone by in it */
	enum skip skip;
};

/* ---- libcsv ---- */

/* One secret is all that it gets; the struct lies before it. */
// cppcheck-suppress constParameter; libcsv's type
static void *room_new(void *block, size_t size)
{
	struct secret room;
	if (block || secret_new(sizeof room + size, &room))
		return NULL;
	memcpy(room.data, &room, sizeof room);
	return room.data + sizeof room;
}

static void room_free(void *block)
{
	struct secret room;
	memcpy(&room, (uint8_t *)block - sizeof room, sizeof room);
	secret_free(&room);
}

static int is_newline(unsigned char c)
{
	return c == '\n';
}

#define STRICT (CSV_STRICT | CSV_STRICT_FINI)

static void parser_new(struct csv_parser *parser, bool tabs, size_t room)
{
	csv_init(parser, STRICT);
	csv_set_realloc_func(parser, room_new);
	csv_set_free_func(parser, room_free);
	csv_set_blk_size(parser, room - sizeof(struct secret));
	if (!tabs)
		return;
	/* There are no quotes; a NUL, which stands for them, gets no line as far as here. */
	csv_set_quote(parser, 0);
	csv_set_delim(parser, '\t');
	csv_set_term_func(parser, is_newline);
}

/* It forgets the row at hand. */
static void parser_reset(struct csv_parser *parser)
{
	csv_set_opts(parser, CSV_STRICT);
	csv_fini(parser, NULL, NULL, NULL);
	csv_set_opts(parser, STRICT);
}

static void on_field(void *field, size_t len, void *context)
{
	struct reader *reader = context;
	csv_rows_field(&reader->rows, field, len);
}

static void on_row(int c, void *context)
{
	struct reader *reader = context;
	(void)c;
	csv_rows_end(&reader->rows);
	reader->open = false;
}

/* ---- lines ---- */

/* Up to the end of a line, or all. */
static size_t line_length(const struct reader *reader, const uint8_t *text, size_t len)
{
	const uint8_t *end = memchr(text, '\n', len);
	size_t n = end ? (size_t)(end - text) + 1 : len;
	end = reader->rows.columns.tabs ? NULL : memchr(text, '\r', n);
	return end ? (size_t)(end - text) + 1 : n;
}

static bool is_line_end(const struct reader *reader, uint8_t c)
{
	return c == '\n' || (c == '\r' && !reader->rows.columns.tabs);
}

static void count_line(struct reader *reader, const uint8_t *text, size_t n)
{
	uint8_t last = text[n - 1];
	reader->ended = is_line_end(reader, last);
	if (reader->ended && !(reader->after_cr && n == 1 && last == '\n'))
		reader->line++;
	reader->after_cr = reader->ended && last == '\r';
}

static bool is_blank(const struct reader *reader, const uint8_t *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] != ' ' && text[i] != '\r' && text[i] != '\n' &&
		    (text[i] != '\t' || reader->rows.columns.tabs))
			return false;
	return true;
}

static void count_quotes(struct reader *reader, const uint8_t *text, size_t n)
{
	size_t quotes = 0;
	if (reader->rows.columns.tabs)
		return;
	for (size_t i = 0; i < n; i++)
		quotes += text[i] == '"';
	if (quotes % 2)
		reader->in_quotes = !reader->in_quotes;
}

static void lose_line(struct reader *reader, bool ended, const char *why)
{
	csv_rows_lose(&reader->rows, why);
	reader->open = false;
	reader->skip = ended ? SKIP_NOTHING : SKIP_LINE;
	parser_reset(&reader->parser);
}

/* The end of a row with a field that was too big, perhaps. */
static void skip_row(struct reader *reader, bool ended)
{
	reader->skip = SKIP_ROW;
	if (!ended || reader->in_quotes)
		return;
	csv_rows_refuse(&reader->rows, ERR_TOO_BIG, "a field in it is 1 MiB or larger");
	reader->open = false;
	reader->skip = SKIP_NOTHING;
}

static void feed_row(struct reader *reader, const uint8_t *text, size_t n, bool ended)
{
	if (!reader->open) {
		if (is_blank(reader, text, n))
			return;
		reader->rows.line = reader->line;
		reader->in_quotes = false;
		reader->open = true;
	}
	if (reader->rows.columns.tabs && memchr(text, 0, n)) {
		lose_line(reader, ended, "there is a NUL in it");
		return;
	}
	count_quotes(reader, text, n);
	if (csv_parse(&reader->parser, text, n, on_field, on_row, reader) == n)
		return;
	if (csv_error(&reader->parser) == CSV_EPARSE) {
		lose_line(reader, ended, QUOTES_WRONG);
	} else if (csv_get_buffer_size(&reader->parser) + sizeof(struct secret) < CSV_FIELD_MAX) {
		reader->rows.over = fail(ERR_MEMORY, "the secure heap has no 1 MiB left for a row");
	} else {
		parser_reset(&reader->parser);
		skip_row(reader, ended);
	}
}

/* A line or a piece of one. */
static void feed_line(struct reader *reader, const uint8_t *text, size_t n)
{
	bool ended = is_line_end(reader, text[n - 1]);
	switch (reader->skip) {
	case SKIP_NOTHING:
		feed_row(reader, text, n, ended);
		break;
	case SKIP_LINE:
		if (ended)
			reader->skip = SKIP_NOTHING;
		break;
	case SKIP_ROW:
		count_quotes(reader, text, n);
		skip_row(reader, ended);
		break;
	}
	count_line(reader, text, n);
}

static void feed_end(struct reader *reader)
{
	struct csv_rows *rows = &reader->rows;
	if (reader->skip == SKIP_ROW) {
		if (reader->in_quotes)
			csv_rows_lose(rows, QUOTES_OPEN);
		else
			skip_row(reader, true);
	} else if (csv_fini(&reader->parser, on_field, on_row, reader) != 0) {
		csv_rows_lose(rows, QUOTES_OPEN);
	}
	if (!rows->over)
		csv_rows_finish(rows, reader->ended ? reader->line - 1 : reader->line);
}

/* ---- the stream ---- */

static enum error read_more(int fd, struct secret *chunk, bool *ended)
{
	ssize_t n = read(fd, chunk->data + chunk->len, CHUNK - chunk->len);
	if (n < 0 && errno != EINTR)
		return fail(ERR_IO, "it can't be read: %s", strerror(errno));
	*ended = n == 0;
	if (n > 0)
		chunk->len += (size_t)n;
	return OK;
}

/* Gathers the first line with its end, and sets up the reader by it. */
static enum error begin(struct reader *reader, int fd)
{
	struct secret *chunk = &reader->chunk;
	const uint8_t *line = chunk->data;
	size_t n = 0;
	bool ended = false;
	while (!ended && !*reader->stop && chunk->len < CHUNK &&
	       (size_t)(chunk->data + chunk->len - line) < n + sizeof "\r\n" - 1) {
		TRY(read_more(fd, chunk, &ended));
		csv_columns_begin(&reader->rows.columns, chunk->data, chunk->len, &line, &n);
	}
	parser_new(&reader->parser, reader->rows.columns.tabs, CSV_FIELD_MAX);
	return OK;
}

static void feed(struct reader *reader)
{
	const uint8_t *text = reader->chunk.data;
	size_t left = reader->chunk.len;
	static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
	if (!reader->rows.headed && left >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) {
		text += sizeof mark;
		left -= sizeof mark;
	}
	while (left && !reader->rows.over && !*reader->stop) {
		size_t n = line_length(reader, text, left);
		feed_line(reader, text, n);
		text += n;
		left -= n;
	}
	reader->chunk.len = 0;
}

static void reader_free(struct reader *reader)
{
	csv_free(&reader->parser);
	csv_rows_free(&reader->rows);
	secret_free(&reader->chunk);
}

enum error csv_read(int fd, const volatile sig_atomic_t *stop, csv_each *each, csv_refused *refused,
		    void *context)
{
	SCOPED(reader_free)
	struct reader reader = {.line = 1,
				.stop = stop,
				.rows = {.each = each, .refused = refused, .context = context}};
	TRY(secret_new(CHUNK, &reader.chunk));
	TRY(begin(&reader, fd));
	bool ended = false;
	while (!*stop && !ended && !reader.rows.over) {
		feed(&reader);
		if (!*stop && !reader.rows.over)
			TRY(read_more(fd, &reader.chunk, &ended));
	}
	if (!*stop && !reader.rows.over)
		feed_end(&reader);
	return reader.rows.over;
}

static void on_name(void *name, size_t len, void *context)
{
	struct csv_columns *columns = context;
	(void)csv_columns_add(columns, name, len);
}

bool csv_tells(const void *head, size_t len)
{
	SCOPED(csv_free) struct csv_parser parser = {0};
	struct csv_columns columns;
	const uint8_t *line;
	size_t n;
	if (!len)
		return false;
	csv_columns_begin(&columns, head, len < HEADER_MAX ? len : HEADER_MAX, &line, &n);
	parser_new(&parser, columns.tabs, HEADER_MAX);
	if (memchr(line, 0, n) || csv_parse(&parser, line, n, on_name, NULL, &columns) != n)
		return false;
	csv_fini(&parser, on_name, NULL, &columns);
	return csv_columns_any(&columns);
}
