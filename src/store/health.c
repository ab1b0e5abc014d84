/* How the store and its disk are. */
#include "inside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum error store_space(struct store *store, struct store_space *out)
{
	static const char *const files[] = {DATABASE "-wal", DATABASE, DATABASE "-shm"};
	struct statvfs disk;
	if (statvfs(store->directory, &disk))
		return fail(ERR_IO, "%s: %s", store->path, strerror(errno));
	*out = (struct store_space){
		.total = (uint64_t)disk.f_blocks * disk.f_frsize,
		.free = (uint64_t)disk.f_bfree * disk.f_frsize,
		.available = (uint64_t)disk.f_bavail * disk.f_frsize,
		.files_free = disk.f_favail,
	};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[PATH_MAX + 32];
		struct stat status;
		snprintf(path, sizeof path, "%s/%s", store->directory, files[i]);
		if (stat(path, &status))
			continue;
		out->used += (uint64_t)status.st_size;
		if (i == 0)
			out->log = (uint64_t)status.st_size;
	}
	return OK;
}

/* A damage that stops the search is a finding as well. */
static enum error finding(struct rows *rows, const char *path)
{
	if (rows->error == ERR_IO)
		return fail(ERR_INVALID, "%s", fail_why());
	TRY(rows->error);
	char text[256];
	sql_text(rows, 0, text, sizeof text);
	return strcmp(text, "ok") == 0 ? OK : fail(ERR_INVALID, "%s: %s", path, text);
}

static enum error check_structure(struct store *store, struct tx *tx)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHECK, NO_VALUES);
	return sql_next(&rows) || rows.error ? finding(&rows, store->path) : OK;
}

static enum error check_references(struct store *store, struct tx *tx)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHECK_REFERENCES, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error;
	char from[64], to[64];
	sql_text(&rows, 0, from, sizeof from);
	sql_text(&rows, 2, to, sizeof to);
	return fail(ERR_INVALID, "%s: row %lld of table %s names a row of %s that isn't there",
		    store->path, (long long)sql_int(&rows, 1), from, to);
}

static enum error check_tally(struct store *store, struct tx *tx)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHECK_TALLY, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error;
	return fail(ERR_INVALID, "%s: the numbers of devices in each status don't add up",
		    store->path);
}

static enum error check(struct store *store, struct tx *tx)
{
	TRY(check_structure(store, tx));
	TRY(check_references(store, tx));
	return check_tally(store, tx);
}

static void free_scoped(struct tx **tx)
{
	connection_free(*tx);
}

/*
 * On a connection that could write, wherever there may be one: SQLite doesn't look at what CHECK
 * constraints say on one that can't.
 */
enum error store_check(struct store *store)
{
	if (!store->writer.running) {
		SCOPED(store_view_scoped) struct tx *view = NULL;
		TRY(store_view(store, &view));
		return check(store, view);
	}
	SCOPED(free_scoped) struct tx *tx = NULL;
	TRY(connection_new(store, CONNECT_WRITE, &tx));
	TRY(view_begin(tx));
	enum error result = check(store, tx);
	connection_rollback(tx);
	return result;
}
