#ifndef SOURCES_CSV_COLUMNS_H
#define SOURCES_CSV_COLUMNS_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the first line of a table says: how fields are set apart, and which column has what. And what
 * fields say, once they have been set apart.
 */

enum csv_cell {
	CSV_UDID,
	CSV_SERIAL,
	CSV_AUTHENTICATE,
	CSV_TOKEN_UPDATE,
	CSV_TOKEN,
	CSV_AUTHENTICATE_AT,
	CSV_TOKEN_UPDATE_AT,
	CSV_TOKEN_AT,
	CSV_CELLS
};

#define CSV_COLUMNS_MAX 256

struct csv_columns {
	bool tabs; /* as mysql --batch writes: tabs, no quotes, escapes */
	bool crlf; /* lines end so; where fields have no quotes, the CR seems to be the last one's */
	int count;
	int of[CSV_CELLS];   /* which column has it, from 0; -1: none */
	int rank[CSV_CELLS]; /* where its name stands in the list of names; the least wins */
};

/*
 * The first line that isn't blank, without its end, behind a byte order mark; `text` is how the
 * table begins. Says by it what sets columns apart; there are none yet.
 */
void csv_columns_begin(struct csv_columns *, const uint8_t *text, size_t len, const uint8_t **line,
		       size_t *n);

/* One more column. ERR_INVALID: too many, a NUL, or a name of ours twice. */
enum error csv_columns_add(struct csv_columns *, const uint8_t *name, size_t len);

/* Is there any column of ours? */
bool csv_columns_any(const struct csv_columns *);

/* ERR_INVALID: nothing names the device. The sentence says what would. */
enum error csv_columns_check(const struct csv_columns *);

/* What is in a column; CSV_CELLS: nothing of ours. */
enum csv_cell csv_columns_cell(const struct csv_columns *, int column);

/* The name under which a refusal speaks of it. */
const char *csv_cell_name(enum csv_cell);

/*
 * Takes the escapes of mysql --batch out of a field, where it is; returns its new length, 0 for the
 * word NULL (and for the \N of Postgres's text format, which is else much the same).
 */
size_t csv_unescape(uint8_t *field, size_t len);

/*
 * Reads a time as databases write them: 2024-03-01 12:34:56.789+00, RFC 3339, without a zone (then
 * it is UTC), or seconds since 1970. MySQL's zero date is 0. ERR_INVALID: none of these; `cell` is
 * what the sentence says of it.
 */
enum error csv_time(enum csv_cell cell, const char *text, int64_t *at);

#endif
