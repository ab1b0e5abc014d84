#include "sql.h"

#include "inside.h"

#include <errno.h>

/* ---- running ---- */

static enum error prepare(struct tx *tx, enum statement which, sqlite3_stmt **out)
{
	if (!tx->prepared[which]) {
		int code =
			sqlite3_prepare_v3(tx->db, sql_statements[which], -1,
					   SQLITE_PREPARE_PERSISTENT, &tx->prepared[which], NULL);
		if (code)
			return sql_fail(tx, code);
	}
	*out = tx->prepared[which];
	return OK;
}

static int bind(sqlite3_stmt *statement, int at, const struct value *value)
{
	switch (value->type) {
	case VALUE_INT:
		return sqlite3_bind_int64(statement, at, value->number);
	case VALUE_TEXT:
		return sqlite3_bind_text64(statement, at, value->data, value->len, SQLITE_STATIC,
					   SQLITE_UTF8);
	case VALUE_BLOB:
		/* A NULL pointer would be bound as NULL; no bytes are an empty blob. */
		return sqlite3_bind_blob64(statement, at, value->data ? value->data : "",
					   value->len, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

struct rows sql_query(struct tx *tx, enum statement which, const struct value *values, int count)
{
	struct rows rows = {.tx = tx};
	rows.error = prepare(tx, which, &rows.statement);
	for (int i = 0; i < count && !rows.error; i++) {
		int code = bind(rows.statement, i + 1, &values[i]);
		if (code)
			rows.error = sql_fail(tx, code);
	}
	return rows;
}

bool sql_next(struct rows *rows)
{
	if (rows->error)
		return false;
	int code = sqlite3_step(rows->statement);
	if (code == SQLITE_ROW)
		return true;
	if (code != SQLITE_DONE)
		rows->error = sql_fail(rows->tx, code);
	return false;
}

bool sql_next_past(struct rows *rows, int column, int64_t *last)
{
	if (!sql_next(rows))
		return false;
	int64_t number = sql_int(rows, column);
	if (number <= *last) {
		rows->error = sql_damaged(rows->tx, "rows are out of order");
		return false;
	}
	*last = number;
	return true;
}

void sql_end(struct rows *rows)
{
	if (!rows->statement)
		return;
	sqlite3_reset(rows->statement);
	sqlite3_clear_bindings(rows->statement);
	rows->statement = NULL;
}

enum error sql_run(struct tx *tx, enum statement which, const struct value *values, int count)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, which, values, count);
	while (sql_next(&rows))
		;
	return rows.error;
}

int64_t sql_changed(const struct tx *tx)
{
	return sqlite3_changes64(tx->db);
}

int64_t sql_inserted(const struct tx *tx)
{
	return sqlite3_last_insert_rowid(tx->db);
}

enum error sql_run_text(struct tx *tx, const char *text)
{
	int code = sqlite3_exec(tx->db, text, NULL, NULL, NULL);
	return code ? sql_fail(tx, code) : OK;
}

/* ---- columns ---- */

static void damaged(struct rows *rows)
{
	rows->error = sql_damaged(rows->tx, "a value is out of its range");
}

int64_t sql_int(const struct rows *rows, int column)
{
	return sqlite3_column_int64(rows->statement, column);
}

bool sql_bool(const struct rows *rows, int column)
{
	return sql_int(rows, column) != 0;
}

uint32_t sql_u32(const struct rows *rows, int column)
{
	int64_t number = sql_int(rows, column);
	return number < 0 || number > UINT32_MAX ? 0 : (uint32_t)number;
}

int sql_enum(struct rows *rows, int column, int count)
{
	int64_t number = sql_int(rows, column);
	if (number >= 0 && number < count)
		return (int)number;
	damaged(rows);
	return 0;
}

void sql_text(const struct rows *rows, int column, char *out, size_t size)
{
	size_t len;
	const void *text = sql_blob(rows, column, &len);
	if (len >= size)
		len = size - 1;
	memcpy(out, text, len);
	out[len] = 0;
}

const void *sql_blob(const struct rows *rows, int column, size_t *len)
{
	const void *bytes = sqlite3_column_blob(rows->statement, column);
	*len = (size_t)sqlite3_column_bytes(rows->statement, column);
	return bytes ? bytes : "";
}

void sql_bytes(struct rows *rows, int column, uint8_t *out, size_t len)
{
	size_t have;
	const void *bytes = sql_blob(rows, column, &have);
	if (have == len) {
		memcpy(out, bytes, len);
		return;
	}
	memset(out, 0, len);
	damaged(rows);
}

/* ---- errors ---- */

static enum error fail_by_errno(const char *path, int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return fail(
			ERR_NO_SPACE,
			"%s: the store's disk is full (%s) and the change was not made; make room",
			path, strerror(number));
	case EFBIG:
		return fail(ERR_NO_SPACE,
			    "%s: the store's files may not grow any more and the change was not "
			    "made: raise the limit on the size of files (ulimit -f, LimitFSIZE= in "
			    "the unit)",
			    path);
	case EROFS:
		return fail(ERR_READ_ONLY,
			    "%s: the store's disk is read-only and the change was not made; the "
			    "kernel's "
			    "log says why: unmount the store, then look after that disk",
			    path);
	case EACCES:
	case EPERM:
		return fail(ERR_ACCESS, "%s: the store's files can't be opened: %s", path,
			    strerror(number));
	case ENOMEM:
		return fail(ERR_MEMORY, "%s: out of memory", path);
	default:
		return fail(ERR_IO,
			    "%s: the store's disk failed (%s) and the change was not made; look at "
			    "the kernel's log",
			    path, number ? strerror(number) : "no reason given");
	}
}

/*
 * What the system said when SQLite wrote to one of its files: the connection's own record leaves
 * out errors of COMMIT.
 */
static int write_errno(const struct tx *tx)
{
	int number = 0;
	sqlite3_file *log = NULL;
	sqlite3_file_control(tx->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
	if (!number)
		sqlite3_file_control(tx->db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
	/* A journal that is closed again says nothing. */
	return number ? number : sqlite3_system_errno(tx->db);
}

static enum error fail_by_io(const struct tx *tx, int code)
{
	switch (code) {
	case SQLITE_IOERR_NOMEM:
		return fail_by_errno(tx->path, ENOMEM);
	case SQLITE_IOERR_WRITE:
	case SQLITE_IOERR_FSYNC:
	case SQLITE_IOERR_TRUNCATE:
		return fail_by_errno(tx->path, write_errno(tx));
	case SQLITE_IOERR_SHORT_READ:
		return fail_by_errno(tx->path, 0);
	default:
		return fail_by_errno(tx->path, sqlite3_system_errno(tx->db));
	}
}

enum error sql_damaged(const struct tx *tx, const char *what)
{
	bool looks = tx->store && tx->store->looked_through;
	return fail(ERR_IO, "%s: the store is damaged: %s; %srestore it from a backup", tx->path,
		    what, looks ? "" : "`escrowfs verify` says more, then ");
}

enum error sql_fail(const struct tx *tx, int code)
{
	const char *path = tx->path;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return fail_by_errno(path, ENOSPC);
	case SQLITE_IOERR:
		return fail_by_io(tx, code);
	case SQLITE_CANTOPEN:
		return fail_by_errno(path, sqlite3_system_errno(tx->db));
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return fail(
			ERR_READ_ONLY,
			"%s: the store can't be written and the change was not made: its disk, its "
			"files or this view of it are read-only",
			path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail(ERR_BUSY,
			    "%s: another process has been writing to the store for too long; "
			    "the change was not made, try again",
			    path);
	case SQLITE_NOMEM:
		return fail_by_errno(path, ENOMEM);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fail(ERR_IO,
			    "%s: the store is damaged (%s); restore it from a backup, or read what "
			    "is left with `sqlite3 %s/" DATABASE " .recover`",
			    path, sqlite3_errmsg(tx->db), path);
	case SQLITE_TOOBIG:
		return fail(ERR_TOO_BIG, "%s: more than the store can keep in one place", path);
	default:
		return fail(ERR_IO, "%s: the store refuses: %s", path, sqlite3_errmsg(tx->db));
	}
}
