#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "sql.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * What the store's files share.
 *
 * A store has one connection that writes, which one thread has at a time (writer.c), and a few that
 * read (view.c). A snapshot has one that reads, in a transaction that began when
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
	sql_visitor *visitor; /* visit.c: who is given the rows of the statement that runs */
	void *visited;
	int64_t visit_last; /* the number of its last row */
	bool out_of_order;
	int64_t numbered; /* the change number that was given last; 0: none */
	int claimed;	  /* of the tries to get in: the last that found the store claimed */
};

struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t returned;
	struct tx *idle;
	int made; /* idle or lent */
	int max;  /* more threads wait */
};

struct job;

/* writer.c */
struct writer {
	struct tx *tx;
	pthread_t thread;
	bool ready;   /* mutex and conditions are */
	bool running; /* the thread is */
	pthread_mutex_t mutex;
	pthread_cond_t arrived;
	struct job *first, **last; /* in the order of arrival */
	bool busy;		   /* somebody has the connection: who has it has these two */
	int64_t streak, ended;	   /* since when there was no gap; the end of the last commit */
	bool alone;  /* that was one change, which its caller committed, and nobody waited */
	bool wanted; /* somebody is to have it before all others */
	pthread_cond_t released; /* for who wants it */
	bool closing;
	store_waits *waits;
	void *waits_context;
	atomic_bool rehearse;	     /* nothing is committed */
	atomic_int_fast64_t changed; /* the number of the newest change that is on disk */
};

/* checkpoint.c */
struct checkpoint {
	struct tx *tx;
	pthread_t thread;
	bool running;
	atomic_bool unsynced; /* the database may lack what was copied: the log is kept */
	int in_vain; /* so many pages were copied when readers were waited for in vain; -1. Who commits has it */
	pthread_mutex_t mutex; /* over what follows; held for moments only */
	pthread_cond_t wake;
	int pages; /* in the log */
	int since; /* of these were there when it was last copied */
	bool closing;
};

/* reserve.c: room for retrievals */
struct reserve {
	int fd;			    /* -1: none is kept */
	int64_t target, step, last; /* bytes */
	atomic_int_fast64_t
		released; /* when a step was given away last: seconds of a clock of its own */
	atomic_bool none; /* this disk can't keep room */
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
	struct checkpoint checkpoint; /* of a store that is served */
	struct reserve reserve;
	bool looked_through; /* store_check() was called: who reads of damage is looking for it */
	struct tx *snapshot;
	pthread_mutex_t snapshot_mutex; /* held by its one view */
};

#define STORE_PATIENCE 10000 /* ms */
#define DATABASE "escrow.db"
#define LOCK "lock"
#define RESERVE DATABASE "-reserve"

/* ---- open.c ---- */

/* A file that we have just made in the store is whose the database is, as SQLite's own are, whoever makes it. */
void open_pass_on(const struct store *, int fd);

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
/* Does it wait for who else reads and writes, as connections do? Else it says ERR_BUSY at once. */
void connection_waits(struct tx *, bool);

/* index.c: a connection that was just opened, before it reads. */
void index_guard(struct tx *);

/* Ends a transaction that may have ended already. */
void connection_rollback(struct tx *);

/*
 * Connects to a new database in a file that has no name, in the store's directory if that can be
 * written: for what is too much for memory. Nobody else sees it, and it is gone with the connection.
 */
enum error connection_scratch(struct store *, struct tx **);
/* SQLite asks for a place of its own at every temporary file: that directory. */
enum error connection_keep_files_here(const struct store *);

/* ---- lock.c: who serves ---- */

/* ERR_BUSY says who has it. */
enum error lock_take(struct store *, const char *holder);
void lock_release(struct store *);
/* Does another process hold the store's claim? */
bool lock_claimed(const struct store *);

/* ---- visit.c ---- */

/* Makes a new connection know visit(). */
enum error visit_prepare(struct tx *);

/* ---- writer.c ---- */

enum error writer_start(struct store *);
/* Ends the thread, and starts it again (ERR_MEMORY); either does nothing where it is done. */
void writer_rest(struct store *);
enum error writer_go_on(struct store *);
/* Does what still waits, and ends the thread. The connection is closed. */
void writer_stop(struct store *);
/* The connection, until writer_release(), if changes have come singly of late; else NULL. */
struct tx *writer_borrow(struct store *);
/* In between nobody commits. For one thread. */
void writer_hold(struct store *);
void writer_release(struct store *);
/* A thread that no signal interrupts; what pthread_create(3) returns. */
int thread_start(pthread_t *, size_t stack, void *(*)(void *), void *context);

/* ---- checkpoint.c: the log's way into the database, while others commit ---- */

#define CHECKPOINT_PAGES 4000 /* of 4 KiB: the log's usual length */

/* ERR_MEMORY, and those of a connection. Ended with checkpoint_stop(), before writer_stop(). */
enum error checkpoint_start(struct store *);
void checkpoint_stop(struct store *);
/*
 * Copies the log by the writer's connection, whose thread calls it, outside a transaction: what is
 * written next takes no more room. Waits for who reads what only the log has, a second or two.
 */
enum in_need {
	NEED_MET,
	NEED_READER, /* somebody still reads: later it can be */
	NEED_LOST,   /* it can't be copied any more */
};
enum in_need checkpoint_in_need(struct tx *writer);

/* ---- reserve.c: room that is kept back ---- */

/* Where there is none, and where none can be kept, all goes on without. */
void reserve_open(struct store *);
/* Keeps room from now on: for who serves. */
void reserve_make(struct store *);
void reserve_close(struct store *);
/* False: retrievals have used some of it. */
bool reserve_is_whole(const struct store *);
/* Fills it up, if there is room. False: it isn't whole. */
bool reserve_fill(struct store *);
/* Gives a step of it away. False: nothing is left. */
bool reserve_release(struct store *);
/* Is what is left of it the database's? And has that back, if there is room. */
bool reserve_ends(const struct store *);
void reserve_begin(struct store *);
/* Sets what is kept, and what should be. */
void reserve_look(const struct store *, struct store_space *);
/* May there be a change that isn't vital? ERR_NO_SPACE. */
enum error reserve_check(struct store *);

/* ---- view.c ---- */

/*
 * Begins and takes its picture of the store at once: SQLite's BEGIN alone takes it at the first
 * read.
 */
enum error view_begin(struct tx *);
void pool_start(struct store *);
void pool_stop(struct store *);

/* ---- mentions.c ---- */

/* The table, and what it is sorted by. */
extern const char mentions_schema[], mentions_order[];

/* ---- names.c, facts.c, access.c: what goes with a device ---- */

enum error names_delete(struct tx *, int64_t device);
enum error facts_delete(struct tx *, int64_t device);
enum error access_delete(struct tx *, int64_t device);

/* ---- device.c: rows of DEVICE_COLUMNS ---- */

enum error device_read(struct rows *, struct device *out);

#endif
