#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "error.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The one way to run SQL: a statement of the table in statements.c, prepared once for each
 * connection, its values bound by type.
 *
 *	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_VERSION, VALUES(INT(id)));
 *	while (sql_next(&rows))
 *		... sql_int(&rows, 0), sql_text(&rows, 1) ...
 *	return rows.error;
 *
 * A statement has one use at a time on a connection, so nothing that `...` calls may run it too.
 */

struct tx;

enum statement {
	/* transactions */
	SQL_BEGIN,
	SQL_BEGIN_WRITING,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_SAVEPOINT,
	SQL_ROLLBACK_TO,
	SQL_RELEASE,
	/* the store itself */
	SQL_BIRTH,
	SQL_BIRTH_ADD,
	SQL_STATE,
	SQL_OWNER_SAVE,
	SQL_KEY_URI_SAVE,
	SQL_UNCLEAN_ADD,
	SQL_UNCLEAN_CLEAR,
	SQL_RENDERING_SAVE,
	SQL_GENERATION_NEXT,
	SQL_CHANGE,
	SQL_CHANGE_NEXT,
	SQL_CHANGE_MOVES,
	SQL_CHECK,
	SQL_CHECK_REFERENCES,
	SQL_CHECK_TALLY,
	SQL_CHECK_SEQUENCE,
	SQL_CHECK_PINNED,
	SQL_CHECK_STARTS,
	SQL_CHECK_NAMES,
	SQL_CHECK_CHANGE,
	SQL_CHECK_GENERATION,
	/* devices */
	SQL_DEVICE,
	SQL_DEVICE_NAMED,
	SQL_DEVICE_FOLDED,
	SQL_DEVICE_ADD,
	SQL_DEVICE_SAVE,
	SQL_DEVICE_TURN,
	SQL_DEVICE_FINISH,
	SQL_DEVICE_REMOVE,
	SQL_DEVICES,
	SQL_GLANCES,
	SQL_DEVICES_BETWEEN,
	SQL_DEVICES_IN_STATUS,
	SQL_DEVICES_CHANGED,
	SQL_DEVICE_COUNTS,
	SQL_CENSUS,
	SQL_REMOVED,
	SQL_REMOVED_NAMED,
	SQL_REMOVED_COUNTER,
	SQL_REMOVED_LAST,
	SQL_REMOVED_DEVICES,
	SQL_REMOVED_TOUCH,
	/* facts */
	SQL_FACTS,
	SQL_FACT_SAVE,
	SQL_FACT_DELETE,
	SQL_FACTS_DELETE,
	/* names */
	SQL_NAME,
	SQL_NAMES,
	SQL_NAMES_OF_DEVICE,
	SQL_NAMES_BORNE,
	SQL_NAME_ADD,
	SQL_BEARER_ADD,
	SQL_BEARER_DELETE,
	SQL_NAME_DELETE,
	/* versions */
	SQL_VERSION,
	SQL_VERSION_CURRENT,
	SQL_VERSIONS_UNVERIFIED,
	SQL_VERSION_NUMBERED,
	SQL_VERSION_WITH_MAC,
	SQL_VERSIONS_OF_DEVICE,
	SQL_VERSIONS,
	SQL_VERSIONS_ENDED,
	SQL_VERSIONS_REMOVED,
	SQL_VERSIONS_PRESENT,
	SQL_VERSION_NUMBER_NEXT,
	SQL_VERSION_NUMBER_OF,
	SQL_VERSION_NUMBER_USED,
	SQL_VERSION_ADD,
	SQL_VERSION_SAVE,
	SQL_VERSION_RESEAL,
	SQL_VERSION_DELETE,
	SQL_BLOB,
	SQL_BLOB_SAVE,
	SQL_BLOB_DELETE,
	SQL_BLOB_ADD,
	/* access, recipients */
	SQL_ACCESS,
	SQL_ACCESS_SAVE,
	SQL_ACCESS_PIN,
	SQL_OWNER,
	SQL_OWNERS,
	SQL_ACCESSES,
	SQL_ACCESS_DELETE,
	SQL_RECIPIENTS,
	SQL_RECIPIENT,
	SQL_RECIPIENT_ADD,
	SQL_RECIPIENT_RETIRE,
	/* strangers */
	SQL_STRANGER,
	SQL_STRANGERS,
	SQL_STRANGER_SAVE,
	SQL_STRANGER_DELETE,
	/* the trail */
	SQL_TRAIL_END,
	SQL_TRAIL_ADD,
	SQL_TRAIL_END_MOVE,
	SQL_TRAIL_AT,
	SQL_TRAIL,
	/* mentions: on a connection of their own */
	SQL_MENTION_ADD,
	SQL_MENTION_LAST,
	SQL_MENTION_FOUND,
	SQL_MENTIONS_OF,
	SQL_MENTIONS_LEFT,
	SQL_COUNT
};

/* Their texts. */
extern const char *const sql_statements[SQL_COUNT];

/*
 * What is bound to a statement's ?1, ?2 ... Memory stays the caller's, and alive until the
 * statement ends.
 */
struct value {
	enum { VALUE_INT, VALUE_TEXT, VALUE_BLOB } type;
	int64_t number;
	const void *data;
	size_t len;
};

static inline struct value sql_int_value(int64_t number)
{
	return (struct value){.type = VALUE_INT, .number = number};
}

static inline struct value sql_text_value(const void *text, size_t len)
{
	return (struct value){.type = VALUE_TEXT, .data = text, .len = len};
}

static inline struct value sql_blob_value(const void *bytes, size_t len)
{
	return (struct value){.type = VALUE_BLOB, .data = bytes, .len = len};
}

#define INT(number) sql_int_value(number)
#define TEXT(text) sql_text_value(text, strlen(text))
#define TEXT_OF(text, len) sql_text_value(text, len)
#define BLOB(bytes, len) sql_blob_value(bytes, len)

#define VALUES(...)                                                                                \
	(const struct value[]){__VA_ARGS__},                                                       \
		(int)(sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value))
#define NO_VALUES NULL, 0

/* A statement that runs, and its rows. Ended with sql_end(). */
struct rows {
	struct tx *tx;
	sqlite3_stmt *statement;
	enum error error; /* why sql_next() returned false; OK: no more rows */
};

struct rows sql_query(struct tx *, enum statement, const struct value *, int count);
/* Goes to the next row: to the first at first. */
bool sql_next(struct rows *);
/*
 * Goes to the next row of a listing from a cursor on: the number in `column` is past *last, which it is
 * then. ERR_IO where it isn't: that page of the database is damaged, and who comes back for the rest
 * with the last number of each part would never end.
 */
bool sql_next_past(struct rows *, int column, int64_t *last);
void sql_end(struct rows *);

/* Columns of the row, from 0. Memory is valid until the next sql_next() or sql_end(). */
int64_t sql_int(const struct rows *, int column);
bool sql_bool(const struct rows *, int column);
uint32_t sql_u32(const struct rows *, int column); /* 0 when it doesn't fit */
/*
 * A number of an enum with `count` of them; else 0, and rows->error says that the store is
 * damaged.
 */
int sql_enum(struct rows *, int column, int count);
/* Copies a text with its NUL; cut when it doesn't fit. */
void sql_text(const struct rows *, int column, char *out, size_t size);
const void *sql_blob(const struct rows *, int column, size_t *len);
/* Exactly `len` bytes; else zeros, and rows->error. */
void sql_bytes(struct rows *, int column, uint8_t *out, size_t len);

/* Runs a statement that has no rows. */
enum error sql_run(struct tx *, enum statement, const struct value *, int count);
/*
 * Runs a statement that asks visit(...) of each row (visit.c): the visitor is given the columns named
 * there, and returns false to stop. It doesn't use the connection. The first column is past `after` and
 * grows, as in sql_next_past().
 */
typedef bool sql_visitor(void *context, sqlite3_value **columns);
enum error sql_visit(struct tx *, enum statement, int64_t after, sql_visitor *, void *context);

/* How many rows the last statement that changes any has changed. */
int64_t sql_changed(const struct tx *);
/* The number of the row that was inserted last. */
int64_t sql_inserted(const struct tx *);

/* Runs text that is not in the table: schemas and pragmas. */
enum error sql_run_text(struct tx *, const char *text);

/* fail() with what the engine said last on this connection, in our words. */
enum error sql_fail(const struct tx *, int code);
/* ERR_IO: what is read can't be what was written. */
enum error sql_damaged(const struct tx *, const char *what);

#endif
