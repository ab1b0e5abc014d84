/*
 * The header of a table, by plain values: no library, no memory of its own.
 *
 * MUST: a time is copied and shown only if it looks like one: a shifted row may have a token in its
 *       place. (test: sentences_show_no_cell, tokens_only_in_secure_memory)
 */
#include "sources/csv_columns.h"

#include "text.h"

#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 64
#define NAMES 3
#define SECOND INT64_C(1000000000)
#define EPOCH_MIN INT64_C(1000000000) /* in 2001 */

/* Where a table has several of a kind, the first name wins. */
static const char *const names[CSV_CELLS][NAMES] = {
	[CSV_UDID] = {"udid", "id"},
	[CSV_SERIAL] = {"serial_number", "hardware_serial", "serial"},
	[CSV_AUTHENTICATE] = {"authenticate"},
	[CSV_TOKEN_UPDATE] = {"token_update"},
	[CSV_TOKEN] = {"bootstrap_token_b64", "bootstrap_token", "token"},
	[CSV_AUTHENTICATE_AT] = {"authenticate_at"},
	[CSV_TOKEN_UPDATE_AT] = {"token_update_at"},
	[CSV_TOKEN_AT] = {"bootstrap_token_at", "escrowed_at"},
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void csv_columns_begin(struct csv_columns *columns, const uint8_t *text, size_t len,
		       const uint8_t **line, size_t *n)
{
	size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	for (size_t i = from; i < len && is_space(text[i]); i++)
		if (text[i] == '\r' || text[i] == '\n')
			from = i + 1;
	size_t to = from;
	while (to < len && text[to] != '\r' && text[to] != '\n')
		to++;
	*line = text + from;
	*n = to - from;
	bool cr = to < len && text[to] == '\r';
	bool cr_alone = cr && to + 1 < len && text[to + 1] != '\n';
	*columns = (struct csv_columns){
		.tabs = *n && memchr(*line, '\t', *n) && !cr_alone,
		.crlf = cr && !cr_alone,
	};
	for (int i = 0; i < CSV_CELLS; i++)
		columns->of[i] = -1;
}

/* A column of ours is `*cell`, under its `*rank`-th name. */
static bool is_ours(const char *name, enum csv_cell *cell, int *rank)
{
	for (int i = 0; i < CSV_CELLS; i++)
		for (int j = 0; j < NAMES && names[i][j]; j++)
			if (strcasecmp(name, names[i][j]) == 0) {
				*cell = (enum csv_cell)i;
				*rank = j;
				return true;
			}
	return false;
}

enum error csv_columns_add(struct csv_columns *columns, const uint8_t *text, size_t len)
{
	char name[NAME_MAX_LEN];
	enum csv_cell cell;
	int rank;
	int column = columns->count++;
	if (column == CSV_COLUMNS_MAX)
		return fail(ERR_INVALID, "its header has more than %d columns", CSV_COLUMNS_MAX);
	if (columns->crlf && columns->tabs && len && text[len - 1] == '\r')
		len--;
	if (!len)
		return OK;
	if (memchr(text, 0, len))
		return fail(ERR_INVALID, "its first line has a NUL in it");
	if (len >= sizeof name)
		return OK;
	memcpy(name, text, len);
	name[len] = 0;
	if (!is_ours(name, &cell, &rank))
		return OK;
	if (columns->of[cell] >= 0 && columns->rank[cell] == rank)
		return fail(ERR_INVALID, "its header has the column %s twice", names[cell][rank]);
	if (columns->of[cell] < 0 || columns->rank[cell] > rank) {
		columns->of[cell] = column;
		columns->rank[cell] = rank;
	}
	return OK;
}

bool csv_columns_any(const struct csv_columns *columns)
{
	for (int i = 0; i < CSV_CELLS; i++)
		if (columns->of[i] >= 0)
			return true;
	return false;
}

enum error csv_columns_check(const struct csv_columns *columns)
{
	if (columns->of[CSV_UDID] >= 0)
		return OK;
	return fail(
		ERR_INVALID,
		"its first line names no column for the device: a table needs a header with udid "
		"or id, and has its tokens in bootstrap_token_b64 or token, their times in "
		"bootstrap_token_at, and messages in authenticate and token_update");
}

enum csv_cell csv_columns_cell(const struct csv_columns *columns, int column)
{
	int i = 0;
	while (i < CSV_CELLS && columns->of[i] != column)
		i++;
	return (enum csv_cell)i;
}

const char *csv_cell_name(enum csv_cell cell)
{
	static const char *const said[CSV_CELLS] = {
		[CSV_UDID] = "the device's name",
		[CSV_SERIAL] = "the serial number",
		[CSV_AUTHENTICATE] = "the Authenticate message",
		[CSV_TOKEN_UPDATE] = "the TokenUpdate message",
		[CSV_TOKEN] = "the token",
		[CSV_AUTHENTICATE_AT] = "the Authenticate message's time",
		[CSV_TOKEN_UPDATE_AT] = "the TokenUpdate message's time",
		[CSV_TOKEN_AT] = "the token's time",
	};
	return said[cell];
}

/* ---- fields ---- */

/* What an escape's second character stands for; itself when it is none. */
static uint8_t escaped(uint8_t c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case '0':
		return 0;
	default:
		return c;
	}
}

size_t csv_unescape(uint8_t *field, size_t len)
{
	if ((len == 4 && memcmp(field, "NULL", 4) == 0) ||
	    (len == 2 && memcmp(field, "\\N", 2) == 0))
		return 0;
	size_t n = 0, i = 0;
	while (i < len) {
		const uint8_t *next = memchr(field + i, '\\', len - i);
		size_t plain = next ? (size_t)(next - field) - i : len - i;
		memmove(field + n, field + i, plain);
		n += plain;
		i += plain;
		if (i + 1 < len)
			field[n++] = escaped(field[i + 1]);
		else if (i < len)
			field[n++] = field[i];
		i += 2;
	}
	return n;
}

/* Seconds since 1970, with a fraction or without. A small number is a year or a date, more likely. */
static bool epoch_read(const char *text, int64_t *out)
{
	int64_t seconds = 0, fraction = 0, unit = SECOND;
	if (!*text || *text == '.')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		seconds = seconds * 10 + (*text - '0');
		if (seconds > INT64_MAX / SECOND - 1)
			return false;
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			unit /= 10;
			fraction += (*text - '0') * unit;
		}
	}
	if (*text || (seconds && seconds < EPOCH_MIN))
		return false;
	*out = seconds * SECOND + fraction;
	return true;
}

/*
 * Puts behind the time of day what RFC 3339 wants there: Z where no zone is said, and the minutes of
 * one that is said in hours. False when there is no room.
 */
static bool zone_complete(const char *text, char *out, size_t size)
{
	size_t len = strlen(text);
	if (len < sizeof "YYYY-MM-DD HH:MM:SS" - 1 || len + 4 > size)
		return false;
	memcpy(out, text, len + 1);
	char *zone = out + sizeof "YYYY-MM-DD HH:MM:SS" - 1;
	zone += strspn(zone, ".0123456789");
	size_t digits = *zone ? strspn(zone + 1, "0123456789") : 0;
	if (!*zone) {
		memcpy(zone, "Z", 2);
	} else if (digits == 2 && !zone[3]) {
		memcpy(zone + 3, ":00", 4);
	} else if (digits == 4 && !zone[5]) {
		memmove(zone + 4, zone + 3, 3);
		zone[3] = ':';
	}
	return true;
}

static bool looks_like_time(const char *text)
{
	return strlen(text) < 40 && !text[strspn(text, "0123456789 :.+-TtZz")];
}

#define TIMES "write it as 2024-03-01 12:34:56+00, as RFC 3339 has it, or in seconds since 1970"

enum error csv_time(enum csv_cell cell, const char *text, int64_t *at)
{
	char whole[48];
	*at = 0;
	if (!looks_like_time(text))
		return fail(ERR_INVALID, "what it has for %s is none: " TIMES, csv_cell_name(cell));
	if (strncmp(text, "0000-00-00", 10) == 0 || epoch_read(text, at) ||
	    (zone_complete(text, whole, sizeof whole) && time_read(whole, at)))
		return OK;
	return fail(ERR_INVALID, "\"%s\" is no time that can be read: " TIMES, text);
}
