#ifndef SOURCES_CSV_ROW_H
#define SOURCES_CSV_ROW_H

#include "secret.h"
#include "sources/csv.h"
#include "sources/csv_columns.h"

/*
 * Rows, put together from fields, and what becomes of them. The first one is the header.
 *
 * Behind a quotation mark in the wrong place nobody can tell where rows begin. Then lines are left
 * out, until one is a row of the right number of columns; the whole stretch is refused as one.
 */
struct csv_rows {
	struct csv_columns columns;
	csv_each *each;
	csv_refused *refused;
	void *context;

	bool headed;	  /* the header has been read */
	int64_t line;	  /* where the row at hand begins */
	int column;	  /* how many fields it has so far */
	enum error error; /* what is wrong with it; the sentence is the thread's */
	struct secret cells[CSV_CELLS];
	int64_t lost_from; /* where the stretch that is left out begins; 0: there is none */
	const char *lost_why;
	enum error over; /* ends the reading */
};

/* Wipes and frees what it holds; for SCOPED. */
void csv_rows_free(struct csv_rows *);

/* The next field of the row, which is unescaped in its place; and the end of the row. */
void csv_rows_field(struct csv_rows *, uint8_t *field, size_t len);
void csv_rows_end(struct csv_rows *);

/* Refuses the row at hand, of which no more comes. */
void csv_rows_refuse(struct csv_rows *, enum error, const char *why);

/* The row at hand begins a stretch that is left out, or is in one; `why` is a literal. */
void csv_rows_lose(struct csv_rows *, const char *why);

/* There is no more; the table has `lines` lines. */
void csv_rows_finish(struct csv_rows *, int64_t lines);

#endif
