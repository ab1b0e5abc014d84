/*
 * A row from its fields.
 *
 * MUST: what fields hold is kept in secrets alone, and wiped at the end of the row.
 *       (test: tokens_only_in_secure_memory, row_wiped_at_its_end)
 * MUST: no sentence shows what is in a field; the device is named beside it only where it is a UDID
 *       and the row has its columns in their places. (test: sentences_show_no_cell)
 */
#include "sources/csv_row.h"

#include "text.h"

#include <inttypes.h>
#include <string.h>

#define CELL_MIN 64
#define CELL_KEPT ((size_t)64 * 1024) /* what is larger goes back when its row is done */

void csv_rows_free(struct csv_rows *rows)
{
	for (int i = 0; i < CSV_CELLS; i++)
		secret_free(&rows->cells[i]);
}

static void clear(struct csv_rows *rows)
{
	for (int i = 0; i < CSV_CELLS; i++) {
		struct secret *cell = &rows->cells[i];
		secret_wipe(cell->data, cell->len);
		cell->len = 0;
		if (cell->cap > CELL_KEPT)
			secret_free(cell);
	}
	rows->column = 0;
	rows->error = OK;
}

/* ---- fields ---- */

/* With a NUL behind it, which it doesn't count. */
static enum error keep(struct secret *cell, const uint8_t *field, size_t len)
{
	if (len + 1 > cell->cap) {
		size_t cap = CELL_MIN;
		while (cap < len + 1)
			cap *= 2;
		secret_free(cell);
		TRY(secret_new(cap, cell));
	}
	memcpy(cell->data, field, len);
	cell->data[len] = 0;
	cell->len = len;
	return OK;
}

static enum error take_field(struct csv_rows *rows, int column, uint8_t *field, size_t len)
{
	const struct csv_columns *columns = &rows->columns;
	enum csv_cell cell = csv_columns_cell(columns, column);
	if (cell == CSV_CELLS)
		return OK;
	if (columns->tabs) {
		if (columns->crlf && column == columns->count - 1 && len && field[len - 1] == '\r')
			len--;
		len = csv_unescape(field, len);
	}
	if (!len)
		return OK;
	if (cell != CSV_AUTHENTICATE && cell != CSV_TOKEN_UPDATE && memchr(field, 0, len))
		return fail(ERR_INVALID, "%s has a NUL in it", csv_cell_name(cell));
	return keep(&rows->cells[cell], field, len);
}

void csv_rows_field(struct csv_rows *rows, uint8_t *field, size_t len)
{
	int column = rows->column++;
	if (rows->error)
		return;
	if (rows->headed)
		rows->error = take_field(rows, column, field, len);
	else
		rows->error = csv_columns_add(&rows->columns, field, len);
}

/* ---- rows ---- */

/* NULL when there is nothing in it. */
static const char *text_of(const struct csv_rows *rows, enum csv_cell cell)
{
	return rows->cells[cell].len ? (const char *)rows->cells[cell].data : NULL;
}

static enum error time_of(const struct csv_rows *rows, enum csv_cell cell, int64_t *at)
{
	const char *text = text_of(rows, cell);
	return text ? csv_time(cell, text, at) : OK;
}

static enum error hand_over(struct csv_rows *rows)
{
	const struct secret *authenticate = &rows->cells[CSV_AUTHENTICATE];
	const struct secret *token_update = &rows->cells[CSV_TOKEN_UPDATE];
	struct csv_row row = {
		.line = rows->line,
		.udid = text_of(rows, CSV_UDID),
		.serial = text_of(rows, CSV_SERIAL),
		.authenticate = authenticate->len ? authenticate->data : NULL,
		.authenticate_len = authenticate->len,
		.token_update = token_update->len ? token_update->data : NULL,
		.token_update_len = token_update->len,
		.token = text_of(rows, CSV_TOKEN),
	};
	TRY(rows->error);
	if (!row.udid)
		return fail(ERR_INVALID, "it names no device");
	TRY(time_of(rows, CSV_AUTHENTICATE_AT, &row.authenticate_at));
	TRY(time_of(rows, CSV_TOKEN_UPDATE_AT, &row.token_update_at));
	TRY(time_of(rows, CSV_TOKEN_AT, &row.token_at));
	rows->over = rows->each(rows->context, &row);
	return OK;
}

static void end_header(struct csv_rows *rows)
{
	rows->headed = true;
	rows->over = rows->error;
	if (!rows->over)
		rows->over = csv_columns_check(&rows->columns);
}

/* The stretch that is left out, up to a line, is refused. */
static void find_again(struct csv_rows *rows, int64_t last)
{
	if (last > rows->lost_from)
		fail(ERR_INVALID,
		     "%s: rows can't be told apart from there, and all up to line %" PRId64
		     " is left out",
		     rows->lost_why, last);
	else
		fail(ERR_INVALID, "%s", rows->lost_why);
	rows->refused(rows->context, rows->lost_from, NULL, ERR_INVALID);
	rows->lost_from = 0;
}

static void end_row(struct csv_rows *rows)
{
	bool whole = rows->column == rows->columns.count;
	if (rows->lost_from) {
		if (!whole || rows->error)
			return;
		find_again(rows, rows->line - 1);
	}
	if (!whole) {
		fail(ERR_INVALID, "the number of its columns is %d, where the header has %d",
		     rows->column, rows->columns.count);
		rows->refused(rows->context, rows->line, NULL, ERR_INVALID);
		return;
	}
	enum error error = hand_over(rows);
	const char *udid = text_of(rows, CSV_UDID);
	if (error)
		rows->refused(rows->context, rows->line,
			      udid && udid_valid(udid, strlen(udid)) ? udid : NULL, error);
}

void csv_rows_end(struct csv_rows *rows)
{
	if (rows->headed)
		end_row(rows);
	else
		end_header(rows);
	clear(rows);
}

void csv_rows_refuse(struct csv_rows *rows, enum error error, const char *why)
{
	if (!rows->headed)
		rows->over = fail(error, "its header can't be read: %s", why);
	else if (!rows->lost_from) {
		fail(error, "%s", why);
		rows->refused(rows->context, rows->line, NULL, error);
	}
	clear(rows);
}

void csv_rows_lose(struct csv_rows *rows, const char *why)
{
	if (!rows->headed) {
		csv_rows_refuse(rows, ERR_INVALID, why);
		return;
	}
	if (!rows->lost_from) {
		rows->lost_from = rows->line;
		rows->lost_why = why;
	}
	clear(rows);
}

void csv_rows_finish(struct csv_rows *rows, int64_t lines)
{
	if (rows->lost_from)
		find_again(rows, lines);
	else if (!rows->headed && !rows->over)
		rows->over = fail(ERR_INVALID, "it is empty");
}
