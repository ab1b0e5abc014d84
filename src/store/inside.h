#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "sql.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * What the store's files share.
 *
 * A store has one connection that writes, which belongs to the committer's thread (writer.c),
 * and a few that read (view.c). A snapshot has one that reads, in a transaction that began when
 * it was opened. SQLite is called with no lock of ours held but a snapshot's, and never by two
 * threads on one connection.
 *
 * None of it survives fork(2): open the store in the process that uses it.
 */

/* A connection, and the transaction that runs on it: what store.h calls a view or a change. */
struct tx {
	const char *path; /* the store's, for sentences */
	sqlite3 *db;
	sqlite3_stmt *prepared[SQL_COUNT]; /* NULL: not used yet */
	struct store *store;		   /* a view's, to give it back to */
	struct tx *next;		   /* in the pool */
	int claimed; /* of the tries to get in: the last that found the store claimed */
};

/* Connections at most that read at the same time: more threads wait. */
#define POOL_MAX 8

struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t returned;
	struct tx *idle;
	int made; /* idle or lent */
};

struct job;

/* writer.c */
struct writer {
	struct tx *tx;
	pthread_t thread;
	bool running;
	pthread_mutex_t mutex;
	pthread_cond_t arrived;
	struct job *first, **last; /* in the order of arrival */
	bool closing;
	atomic_bool rehearse; /* nothing is committed */
};

struct store {
	char *path;	 /* as it was given, for sentences */
	char *directory; /* absolute, without links: the working directory may change */
	enum store_mode mode;
	bool frozen;  /* on a disk that can't be written: read as it lies there */
	int lock;     /* the descriptor that holds it; -1 */
	int claim;    /* the same for store_claim() */
	int patience; /* ms, with another process that writes */
	struct pool pool;
	struct writer writer;
	struct tx *snapshot;
	pthread_mutex_t snapshot_mutex; /* held by its one view */
};

#define STORE_PATIENCE 10000 /* ms */
#define DATABASE "escrow.db"
#define LOCK "lock"

/* ---- connection.c ---- */

enum access_wanted {
	CONNECT_NEW, /* an empty file, to be made a database */
	CONNECT_WRITE,
	CONNECT_READ,
	CONNECT_FROZEN, /* read, and take it that nobody can write */
};

/*
 * Connects to the database in a store's directory. ERR_INVALID: it isn't one of ours.
 * ERR_ACCESS, ERR_READ_ONLY: it can't be opened. Closed with connection_free(), which takes
 * NULL.
 */
enum error connection_new(struct store *, enum access_wanted, struct tx **);
void connection_free(struct tx *);

/* Ends a transaction that may have ended already. */
void connection_rollback(struct tx *);

/* ---- lock.c: who serves ---- */

/* ERR_BUSY says who has it. */
enum error lock_take(struct store *, const char *holder);
void lock_release(struct store *);
/* Does another process hold the store's claim? */
bool lock_claimed(const struct store *);

/* ---- writer.c ---- */

enum error writer_start(struct store *);
/* Does what still waits, and ends the thread. The connection is closed. */
void writer_stop(struct store *);

/* ---- view.c ---- */

/*
 * Begins and takes its picture of the store at once: SQLite's BEGIN alone takes it at the first
 * read.
 */
enum error view_begin(struct tx *);
void pool_start(struct store *);
void pool_stop(struct store *);

/* ---- names.c, facts.c, access.c: what goes with a device ---- */

enum error names_delete(struct tx *, int64_t device);
enum error facts_delete(struct tx *, int64_t device);
enum error access_delete(struct tx *, int64_t device);

/* ---- device.c: rows of DEVICE_COLUMNS ---- */

enum error device_read(struct rows *, struct device *out);

#endif
