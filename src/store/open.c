/* Opening and closing. */
#include "inside.h"

#include "path.h"
#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool store_is_at(const char *path)
{
	char database[PATH_MAX + sizeof DATABASE];
	struct stat attr;
	snprintf(database, sizeof database, "%s/" DATABASE, path);
	return lstat(database, &attr) == 0 && S_ISREG(attr.st_mode);
}

static enum error find_directory(struct store *store, const char *path)
{
	struct stat status;
	TRY(path_check_links(path));
	store->path = strdup(path);
	store->directory = realpath(path, NULL);
	if (!store->path)
		return fail(ERR_MEMORY, "out of memory");
	if (!store->directory || stat(store->directory, &status))
		return fail(errno == ENOENT    ? ERR_NOT_FOUND
			    : errno == EACCES  ? ERR_ACCESS
			    : errno == ENOTDIR ? ERR_INVALID
					       : ERR_IO,
			    errno == ENOENT ? "%s: there is no store: %s; `escrowfs init` makes one"
					    : "%s: %s",
			    path, strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return fail(ERR_INVALID, "%s: not a store: a store is a directory", path);
	if (status.st_mode & S_IWOTH)
		return fail(ERR_INVALID,
			    "%s: anybody may write to this directory: find out who did, then chmod "
			    "0700 it",
			    path);
	return OK;
}

/*
 * A store on a disk that can't be written, from a backup say, is read without locks and without
 * a log: nobody can change it there. Unless it was left in the middle of its work: what its log
 * has can't be had without writing.
 */
static enum error find_disk(struct store *store)
{
	char log[PATH_MAX + sizeof DATABASE "-wal"];
	struct statvfs disk;
	struct stat status;
	if (statvfs(store->directory, &disk))
		return fail(ERR_IO, "%s: %s", store->path, strerror(errno));
	store->frozen = disk.f_flag & ST_RDONLY;
	if (!store->frozen)
		return OK;
	if (store->mode == STORE_SERVE)
		return fail(ERR_READ_ONLY, "%s: the store's disk is read-only", store->path);
	snprintf(log, sizeof log, "%s/" DATABASE "-wal", store->directory);
	if (stat(log, &status) == 0 && status.st_size > 0)
		return fail(ERR_READ_ONLY,
			    "%s: the store was not closed and its disk is read-only: copy it to "
			    "where it can be written",
			    store->path);
	return OK;
}

/*
 * Readers of a log keep their place in a file beside it. Who may read the store's files but not
 * make that one can open a store only while somebody has it open who made it; to read it without
 * would be to miss what a writer does that comes later.
 */
static enum error open_snapshot(struct store *store)
{
	enum access_wanted wanted = store->frozen ? CONNECT_FROZEN : CONNECT_READ;
	enum error result = connection_new(store, wanted, &store->snapshot);
	if (result == ERR_READ_ONLY)
		return fail(ERR_ACCESS,
			    "%s: while nothing has the store open, it is read only by who may "
			    "write to its directory: mount it first, or read it as its owner",
			    store->path);
	TRY(result);
	TRY(schema_bring_up(store, store->snapshot, false));
	return view_begin(store->snapshot);
}

void open_pass_on(const struct store *store, int fd)
{
	char path[PATH_MAX + sizeof DATABASE];
	struct stat database;
	snprintf(path, sizeof path, "%s/" DATABASE, store->directory);
	if (geteuid() == 0 && stat(path, &database) == 0)
		(void)!fchown(fd, database.st_uid, database.st_gid);
}

/* Without a writer; the pool reads. */
static enum error open_frozen(struct store *store)
{
	struct tx *tx;
	TRY(connection_new(store, CONNECT_FROZEN, &tx));
	enum error result = schema_bring_up(store, tx, false);
	connection_free(tx);
	return result;
}

static enum error open_writable(struct store *store, const char *holder)
{
	reserve_open(store);
	TRY(connection_new(store, CONNECT_WRITE, &store->writer.tx));
	if (store->mode == STORE_SERVE)
		TRY(lock_take(store, holder));
	TRY(schema_bring_up(store, store->writer.tx, true));
	if (store->mode == STORE_SERVE)
		reserve_make(store);
	return writer_start(store);
}

static enum error open_all(struct store *store, const char *path, const char *holder)
{
	TRY(find_directory(store, path));
	TRY(find_disk(store));
	if (store->mode == STORE_SNAPSHOT)
		return open_snapshot(store);
	if (store->mode == STORE_SHARE && store->frozen)
		return open_frozen(store);
	return open_writable(store, holder);
}

enum error store_open(const char *path, enum store_mode mode, const char *holder,
		      struct store **out)
{
	struct store *store = calloc(1, sizeof *store);
	if (!store)
		return fail(ERR_MEMORY, "out of memory");
	store->mode = mode;
	store->patience = STORE_PATIENCE;
	store->lock = store->claim = store->reserve.fd = -1;
	pool_start(store);
	enum error result = open_all(store, path, holder);
	if (result) {
		store_close(store);
		return result;
	}
	*out = store;
	return OK;
}

void store_rest(struct store *store)
{
	writer_rest(store);
}

enum error store_start(struct store *store)
{
	TRY(writer_go_on(store));
	return store->mode == STORE_SERVE ? checkpoint_start(store) : OK;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	/* Readers first: the last to leave tidies up the log, and only a writer can. */
	pool_stop(store);
	connection_free(store->snapshot);
	checkpoint_stop(store);
	writer_stop(store);
	reserve_close(store);
	lock_release(store);
	free(store->directory);
	free(store->path);
	free(store);
}

enum error store_birth(struct store *store, struct store_birth *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_BIRTH, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error
			       ? rows.error
			       : fail(ERR_IO, "%s: the store is damaged: it doesn't know its key",
				      store->path);
	struct store_birth birth;
	sql_bytes(&rows, 0, birth.key, sizeof birth.key);
	sql_text(&rows, 1, birth.key_uri, sizeof birth.key_uri);
	birth.at = sql_int(&rows, 2);
	TRY(rows.error);
	*out = birth;
	return OK;
}
