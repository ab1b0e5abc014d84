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
	reserve_look(store, out);
	return OK;
}

/* As much again as is kept, a few times. */
enum store_room store_room(const struct store_space *space)
{
	if (space->kept < space->to_keep)
		return ROOM_FULL;
	return space->available < 4 * space->to_keep ? ROOM_LOW : ROOM_ENOUGH;
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

/* Those that ask for a row where something is wrong, and need no more than that to say what. */
static const struct {
	enum statement statement;
	const char *wrong;
} whole_checks[] = {
	{SQL_CHECK_TALLY, "the numbers of devices in each status don't add up"},
	{SQL_CHECK_SEQUENCE, "numbers that were given may be given again"},
	{SQL_CHECK_NAMES, "it has names under /search that no device bears"},
	{SQL_CHECK_CHANGE, "the number of its last change isn't that of any device"},
	{SQL_CHECK_GENERATION, "a token is sealed to recipients that there never were"},
};

static enum error check_wholes(struct store *store, struct tx *tx)
{
	for (size_t i = 0; i < sizeof whole_checks / sizeof *whole_checks; i++) {
		SCOPED(sql_end)
		struct rows rows = sql_query(tx, whole_checks[i].statement, NO_VALUES);
		if (sql_next(&rows))
			return fail(ERR_INVALID, "%s: %s", store->path, whole_checks[i].wrong);
		TRY(rows.error);
	}
	return OK;
}

static enum error check_pinned(struct store *store, struct tx *tx)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHECK_PINNED, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error;
	char udid[UDID_MAX + 1];
	sql_text(&rows, 0, udid, sizeof udid);
	return fail(ERR_INVALID,
		    "%s: device %s: what was set of owners and modes isn't what it says was set",
		    store->path, udid);
}

static enum error check_starts(struct store *store, struct tx *tx)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHECK_STARTS, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error;
	return fail(ERR_INVALID, "%s: line %lld of the trail isn't where it should start",
		    store->path, (long long)sql_int(&rows, 0));
}

static enum error check(struct store *store, struct tx *tx)
{
	TRY(check_structure(store, tx));
	TRY(check_references(store, tx));
	TRY(check_wholes(store, tx));
	TRY(check_pinned(store, tx));
	return check_starts(store, tx);
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
	store->looked_through = true;
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
