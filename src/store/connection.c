/*
 * A connection to the database: how it is opened and what it is told.
 *
 * SQLite's own locks on escrow.db are POSIX locks: to close any descriptor of that file drops
 * all of the process's. So nothing in the store opens it but SQLite; what must be known of it is
 * asked with stat(2).
 */
#include "inside.h"

#include "schema.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define TRIES_A_MS 5
#define LOOK_MS 1000
#define HOUR_MS 3600000

/*
 * Called while another process writes. SQLite's own handler sleeps longer and longer: behind a
 * process that commits without pause it would hardly ever look when the door is open.
 *
 * A rekey or a purge writes the whole database anew, which takes as long as the disk does. While
 * there is one, its end is waited for: patience begins again with every look that finds it there.
 */
static int wait_a_moment(void *context, int tries)
{
	struct tx *tx = context;
	static const struct timespec moment = {.tv_nsec = 1000000L / TRIES_A_MS};
	nanosleep(&moment, NULL);
	if (tries == 0)
		tx->claimed = 0;
	bool last = tries - tx->claimed >= tx->store->patience * TRIES_A_MS;
	if ((last || tries % (LOOK_MS * TRIES_A_MS) == 0) && lock_claimed(tx->store)) {
		tx->claimed = tries;
		last = false;
	}
	return !last && tries < HOUR_MS * TRIES_A_MS;
}

void connection_waits(struct tx *tx, bool waits)
{
	sqlite3_busy_handler(tx->db, waits ? wait_a_moment : NULL, tx);
}

static const char pragmas[] =
	"PRAGMA foreign_keys = ON;"
	"PRAGMA synchronous = FULL;" /* a commit is on disk when it returns */
	"PRAGMA secure_delete = ON;"
	"PRAGMA temp_store = MEMORY;" /* nothing of it in /tmp */
	"PRAGMA mmap_size = 0;"	      /* a bad disk is an error, not a SIGBUS */
	"PRAGMA cell_size_check = ON;"
	"PRAGMA wal_autocheckpoint = 4000;"	 /* pages: 16 MiB */
	"PRAGMA journal_size_limit = 67108864;"; /* after a long reader let the log grow */

/*
 * Caches, in KiB. A store of a million devices has some 500 pages that lead to its leaves; leaves that
 * come in any order aren't found in a cache of any size, but with the system. A mount has several
 * connections, and little memory in all. What imports changes leaves of several indexes at every name.
 */
static const char reading[] = "PRAGMA cache_size = -1024";
static const char serving[] = "PRAGMA cache_size = -2048";
static const char importing[] = "PRAGMA cache_size = -8192";

static enum error configure(struct tx *tx, enum access_wanted wanted)
{
	sqlite3_extended_result_codes(tx->db, 1);
	connection_waits(tx, true);
	sqlite3_db_config(tx->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(tx->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	TRY(visit_prepare(tx));
	if (wanted != CONNECT_NEW)
		TRY(schema_check(tx));
	TRY(sql_run_text(tx, pragmas));
	if (wanted == CONNECT_READ || wanted == CONNECT_FROZEN)
		return sql_run_text(tx, reading);
	TRY(sql_run_text(tx, tx->store->mode == STORE_SERVE ? serving : importing));
	if (sqlite3_db_readonly(tx->db, "main"))
		return fail(ERR_READ_ONLY,
			    "%s: the store's files can't be written: they, or their disk, are "
			    "read-only",
			    tx->path);
	/* It is in the file already, unless somebody made this file from another. */
	return sql_run_text(tx, "PRAGMA journal_mode = WAL");
}

/* The path as a URI, which is how SQLite is told `immutable`. */
static void uri_of(const char *path, const char *query, char *out, size_t size)
{
	static const char digit[] = "0123456789abcdef";
	size_t n = (size_t)snprintf(out, size, "file:");
	for (const unsigned char *c = (const unsigned char *)path; *c && n + 4 < size; c++) {
		if (*c == '%' || *c == '?' || *c == '#' || *c < ' ' || *c > '~') {
			out[n++] = '%';
			out[n++] = digit[*c >> 4];
			out[n++] = digit[*c & 15];
		} else {
			out[n++] = (char)*c;
		}
	}
	snprintf(out + n, size - n, "%s", query);
}

/* SQLite opens these by itself, and follows what they are. */
static enum error check_beside(const struct store *store, const char *database)
{
	static const char *const endings[] = {"-wal", "-shm", "-journal"};
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		char path[PATH_MAX + sizeof DATABASE "-journal"];
		struct stat file;
		snprintf(path, sizeof path, "%s%s", database, endings[i]);
		if (lstat(path, &file) == 0 && !S_ISREG(file.st_mode))
			return fail(ERR_INVALID,
				    "%s: its " DATABASE "%s is not a regular file (a link is not "
				    "followed): find out who put it there, and take it away",
				    store->path, endings[i]);
	}
	return OK;
}

/* Its mount point is what is most often named in a store's place. */
static bool is_mounted_escrow(const char *directory)
{
	char devices[PATH_MAX + sizeof "devices"];
	struct statfs disk;
	struct stat attr;
	snprintf(devices, sizeof devices, "%s/devices", directory);
	return statfs(directory, &disk) == 0 && disk.f_type == FUSE_SUPER_MAGIC &&
	       stat(devices, &attr) == 0 && S_ISDIR(attr.st_mode);
}

static enum error no_database(const struct store *store)
{
	if (is_mounted_escrow(store->directory))
		return fail(
			ERR_INVALID,
			"%s: not a store, but an escrow that is mounted: name the store that it "
			"shows (findmnt says which)",
			store->path);
	return fail(ERR_INVALID, "%s: not a store: it has no " DATABASE, store->path);
}

static enum error connect(struct store *store, enum access_wanted wanted, struct tx *tx)
{
	char path[PATH_MAX + sizeof DATABASE], uri[3 * sizeof path + 32];
	snprintf(path, sizeof path, "%s/" DATABASE, store->directory);
	struct stat file;
	if (lstat(path, &file))
		return errno == ENOENT ? no_database(store)
				       : fail(errno == EACCES ? ERR_ACCESS : ERR_IO, "%s: %s", path,
					      strerror(errno));
	if (!S_ISREG(file.st_mode))
		return fail(ERR_INVALID,
			    "%s: not a store: its " DATABASE " is not a regular file (a link is "
			    "not followed)",
			    store->path);
	if (file.st_mode & S_IWOTH)
		return fail(ERR_INVALID,
			    "%s: anybody may write to it: find out who did, then chmod 0600 it",
			    path);
	TRY(check_beside(store, path));
	uri_of(path, wanted == CONNECT_FROZEN ? "?immutable=1" : "", uri, sizeof uri);
	bool reads = wanted == CONNECT_READ || wanted == CONNECT_FROZEN;
	int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		    SQLITE_OPEN_PRIVATECACHE |
		    (reads ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	int code = sqlite3_open_v2(uri, &tx->db, flags, NULL);
	if (!tx->db)
		return fail(ERR_MEMORY, "out of memory");
	if (code)
		return sql_fail(tx, code);
	index_guard(tx);
	return configure(tx, wanted);
}

/* SQLite counts each block that it gets or frees, behind a lock, for statistics that nobody reads. */
static void leave_memory_uncounted(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* NULL: out of memory. */
static struct tx *new_tx(struct store *store)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, leave_memory_uncounted);
	struct tx *tx = calloc(1, sizeof *tx);
	if (tx) {
		tx->path = store->path;
		tx->store = store;
	}
	return tx;
}

enum error connection_new(struct store *store, enum access_wanted wanted, struct tx **out)
{
	struct tx *tx = new_tx(store);
	if (!tx)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = connect(store, wanted, tx);
	if (result) {
		connection_free(tx);
		return result;
	}
	*out = tx;
	return OK;
}

enum error connection_keep_files_here(const struct store *store)
{
	if (sqlite3_temp_directory)
		return OK;
	sqlite3_temp_directory = sqlite3_mprintf("%s", store->directory);
	return sqlite3_temp_directory ? OK : fail(ERR_MEMORY, "out of memory");
}

/* There is nothing to be undone in it, and nothing that must outlive a crash. */
static enum error connect_scratch(struct tx *tx)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_READWRITE |
		    SQLITE_OPEN_CREATE;
	TRY(connection_keep_files_here(tx->store));
	int code = sqlite3_open_v2("", &tx->db, flags, NULL);
	if (!tx->db)
		return fail(ERR_MEMORY, "out of memory");
	return code ? sql_fail(tx, code)
		    : sql_run_text(tx, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
}

enum error connection_scratch(struct store *store, struct tx **out)
{
	struct tx *tx = new_tx(store);
	if (!tx)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = connect_scratch(tx);
	if (result) {
		connection_free(tx);
		return result;
	}
	*out = tx;
	return OK;
}

void connection_free(struct tx *tx)
{
	if (!tx)
		return;
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(tx->prepared[i]);
	/* The last one to close copies the log and takes it away. */
	if (tx->store && atomic_load(&tx->store->checkpoint.unsynced))
		sqlite3_db_config(tx->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(tx->db);
	free(tx);
}

void connection_rollback(struct tx *tx)
{
	if (!sqlite3_get_autocommit(tx->db))
		(void)sql_run(tx, SQL_ROLLBACK, NO_VALUES);
}
