/*
 * The log's way into the database, on a thread and a connection of its own.
 *
 * SQLite would copy the log into the database inside the commit that makes it long enough: that one
 * caller, and all who wait behind, wait for thousands of pages. Here they are copied while others commit.
 *
 * The log starts anew, instead of growing for ever, when all of it is copied and nobody reads from it.
 * While others commit without pause that is never so: what was committed meanwhile is missing. So it is
 * copied in rounds, each shorter than the one before, and the last one, of a few pages, has the writer's
 * connection to itself, and waits for readers of a moment. The database's own fsync(2) is called between,
 * too: SQLite calls it only when a round has come to the end of the log, and it takes longer than all the
 * rest.
 *
 * Whoever reads an old state keeps the log from being copied any further, a sealed mount for as long as
 * it is there. Then there is no other try before the log has grown by as much again.
 *
 * Where the disk is full, and a retrieval lives on what was kept for it (reserve.c), the log stays short,
 * and whoever commits copies it after all: logins then don't depend on whether a thread gets any time.
 */
#include "inside.h"

#include "fault.h"
#include "log.h"

#include <limits.h>
#include <time.h>

#define PAGES CHECKPOINT_PAGES
#define PAGES_IN_NEED 64 /* the room is for the database, and a log of so many takes little of it */
#define FEW 64		 /* are copied while nobody can commit */
#define ROUNDS 8
#define LOOKS_A_MS 10
#define MS 1000000
#define PATIENCE 20	      /* ms, with readers that are about to end */
#define PATIENCE_IN_NEED 2000 /* ms, with all: the other way out is to refuse a login */
#define STACK (256 * 1024)

/* The caller holds the mutex. */
static bool has_grown(const struct checkpoint *checkpoint, int pages)
{
	return !atomic_load(&checkpoint->unsynced) &&
	       checkpoint->pages - checkpoint->since >= pages;
}

struct progress {
	int log, copied; /* pages */
	bool busy;	 /* somebody else copies */
};

/*
 * After a sync that failed nobody knows which pages reached the disk, and the kernel doesn't say so twice:
 * the next sync may well succeed. The log has them all, so from now on it is left alone, to be copied from
 * its start by who opens the store next (connection_free() leaves it there).
 */
static void keep_log(struct store *store)
{
	if (atomic_exchange(&store->checkpoint.unsynced, true))
		return;
	log_say(LOG_LEVEL_ERROR,
		"%s: its disk failed to sync the database: the store's log, which has all that may "
		"be "
		"missing there, is kept and grows; look after the disk, then unmount and mount "
		"again",
		store->path);
}

/* Without room on the disk, say, the log stays as it is, and whoever commits says so. */
static struct progress copy(struct tx *tx)
{
	struct progress at = {.log = INT_MAX};
	if (atomic_load(&tx->store->checkpoint.unsynced))
		return at;
	int code = sqlite3_wal_checkpoint_v2(tx->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &at.log,
					     &at.copied);
	if ((code & 0xff) == SQLITE_IOERR && sqlite3_extended_errcode(tx->db) == SQLITE_IOERR_FSYNC)
		keep_log(tx->store);
	if (code)
		at = (struct progress){.log = INT_MAX, .busy = (code & 0xff) == SQLITE_BUSY};
	return at;
}

static bool is_lost(struct progress at)
{
	return at.log == INT_MAX && !at.busy;
}

static bool is_done(struct progress at)
{
	return at.copied >= at.log;
}

static bool sync_database(struct tx *tx)
{
	sqlite3_file *file = NULL;
	sqlite3_file_control(tx->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (!file || !file->pMethods ||
	    file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK)
		return true;
	keep_log(tx->store);
	return false;
}

static int64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / MS;
}

static void rest(void)
{
	static const struct timespec moment = {.tv_nsec = MS / LOOKS_A_MS};
	nanosleep(&moment, NULL);
}

static int wait_a_moment(void *context, int tries)
{
	(void)context;
	rest();
	return tries < PATIENCE * LOOKS_A_MS;
}

/* Why it was lost. A sync says so of room, too. */
static bool is_full(const struct tx *tx)
{
	return !atomic_load(&tx->store->checkpoint.unsynced) &&
	       sql_fail(tx, sqlite3_extended_errcode(tx->db)) == ERR_NO_SPACE;
}

/* What retrievals put into the log is theirs: it goes where room was kept for it. */
static struct progress copy_in_need(struct tx *tx)
{
	struct progress at = copy(tx);
	while (is_lost(at) && is_full(tx) && reserve_release(tx->store))
		at = copy(tx);
	return at;
}

/*
 * Nobody commits. Who reads what was there before the last commit is soon done with it; and who reads
 * from now on needs no log, once all is copied.
 */
static bool start_anew(struct tx *tx, struct progress (*copy_some)(struct tx *))
{
	struct progress at = copy_some(tx);
	for (int tries = 0; !is_done(at) && !is_lost(at) && wait_a_moment(NULL, tries); tries++)
		at = copy_some(tx);
	if (!is_done(at))
		return false;
	sqlite3_busy_handler(tx->db, wait_a_moment, NULL);
	int code = sqlite3_wal_checkpoint_v2(tx->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	connection_waits(tx, true);
	return code == SQLITE_OK;
}

/* False: somebody reads an old state, and the log goes on. */
static bool copy_all(struct store *store)
{
	struct tx *tx = store->checkpoint.tx;
	struct progress at = copy(tx);
	for (int i = 1; i < ROUNDS && at.log - at.copied > FEW; i++) {
		struct progress before = at;
		if (!sync_database(tx))
			return false;
		at = copy(tx);
		if (at.copied == before.copied)
			return false;
	}
	fault_point("log-copied");
	if (!sync_database(tx))
		return false;
	writer_hold(store);
	bool anew = start_anew(tx, copy);
	writer_release(store);
	fault_point("log-anew");
	return anew;
}

/* Its room is the next one's, in the log or in the database. Readers are waited for by the caller. */
static bool give_back(struct tx *tx)
{
	connection_waits(tx, false);
	int code = sqlite3_wal_checkpoint_v2(tx->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	connection_waits(tx, true);
	return code == SQLITE_OK;
}

enum in_need checkpoint_in_need(struct tx *tx)
{
	struct checkpoint *checkpoint = &tx->store->checkpoint;
	int64_t began = clock_ms();
	struct progress at = copy_in_need(tx);
	/* Who was waited for in vain, and is where they were, reads for long. */
	int64_t patience = at.copied == checkpoint->in_vain ? PATIENCE : PATIENCE_IN_NEED;
	while (!is_lost(at)) {
		if (is_done(at) && give_back(tx))
			return NEED_MET;
		if (clock_ms() - began >= patience) {
			checkpoint->in_vain = at.copied;
			return NEED_READER;
		}
		rest();
		at = copy_in_need(tx);
	}
	return NEED_LOST;
}

/* Called by SQLite after each commit, when the connection is free for anything. */
static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
	struct store *store = context;
	struct checkpoint *checkpoint = &store->checkpoint;
	(void)db;
	(void)name;
	pthread_mutex_lock(&checkpoint->mutex);
	if (pages < checkpoint->pages) /* it started anew, maybe by another process */
		checkpoint->since = 0;
	checkpoint->pages = pages;
	bool in_need = has_grown(checkpoint, PAGES_IN_NEED) && !reserve_is_whole(store);
	if (in_need)
		checkpoint->since = pages;
	else if (has_grown(checkpoint, PAGES))
		pthread_cond_signal(&checkpoint->wake);
	pthread_mutex_unlock(&checkpoint->mutex);
	if (in_need)
		(void)start_anew(store->writer.tx, copy_in_need);
	return SQLITE_OK;
}

static void *work(void *context)
{
	struct store *store = context;
	struct checkpoint *checkpoint = &store->checkpoint;
	pthread_setname_np(pthread_self(), "escrow-copy");
	pthread_mutex_lock(&checkpoint->mutex);
	while (!checkpoint->closing) {
		if (!has_grown(checkpoint, PAGES)) {
			pthread_cond_wait(&checkpoint->wake, &checkpoint->mutex);
			continue;
		}
		pthread_mutex_unlock(&checkpoint->mutex);
		bool anew = copy_all(store);
		pthread_mutex_lock(&checkpoint->mutex);
		if (anew)
			checkpoint->pages = 0;
		checkpoint->since = checkpoint->pages;
	}
	pthread_mutex_unlock(&checkpoint->mutex);
	return NULL;
}

enum error checkpoint_start(struct store *store)
{
	struct checkpoint *checkpoint = &store->checkpoint;
	TRY(connection_new(store, CONNECT_WRITE, &checkpoint->tx));
	TRY(sql_run_text(checkpoint->tx, "PRAGMA cache_size = 0"));
	checkpoint->in_vain = -1;
	pthread_mutex_init(&checkpoint->mutex, NULL);
	pthread_cond_init(&checkpoint->wake, NULL);
	int code = thread_start(&checkpoint->thread, STACK, work, store);
	if (code) {
		pthread_cond_destroy(&checkpoint->wake);
		pthread_mutex_destroy(&checkpoint->mutex);
		return fail(ERR_MEMORY, "no thread for the store: %s", strerror(code));
	}
	checkpoint->running = true;
	/* It takes the place of SQLite's own, which copies. */
	sqlite3_wal_hook(store->writer.tx->db, on_commit, store);
	return OK;
}

void checkpoint_stop(struct store *store)
{
	struct checkpoint *checkpoint = &store->checkpoint;
	if (checkpoint->running) {
		pthread_mutex_lock(&checkpoint->mutex);
		checkpoint->closing = true;
		pthread_cond_signal(&checkpoint->wake);
		pthread_mutex_unlock(&checkpoint->mutex);
		pthread_join(checkpoint->thread, NULL);
		sqlite3_wal_hook(store->writer.tx->db, NULL, NULL);
		pthread_cond_destroy(&checkpoint->wake);
		pthread_mutex_destroy(&checkpoint->mutex);
		checkpoint->running = false;
	}
	connection_free(checkpoint->tx);
	checkpoint->tx = NULL;
}
