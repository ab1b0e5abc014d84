/*
 * The committer: one thread that owns the connection that writes.
 *
 * To make a change durable the disk has to be waited for, and that wait is the same for one
 * change as for a hundred. So callers don't write: each puts a job in the queue and sleeps. The
 * committer takes all that has gathered, runs it in one transaction, commits once, and wakes
 * everybody:
 *
 *	waiting    in the queue; belongs to the caller, who sleeps
 *	running    its apply runs, behind a savepoint that undoes it alone
 *	ran        with OK or an error of its own; not on disk
 *	done       committed, or all of it undone; the caller has the verdict
 *
 * While the disk works the next batch gathers. No caller holds anything meanwhile but its own
 * job. A job that the batch's other jobs could have deceived (it ran on what they wrote) doesn't
 * get its verdict before they are on disk: a batch that can't be committed has one verdict for
 * all.
 *
 * `done` is a function, called by the committer's thread when the verdict is there. Today it
 * wakes a thread; it may as well answer a request.
 */
#include "inside.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 512	   /* jobs at most in one transaction */
#define STACK (256 * 1024) /* a thread's usual 8 MiB would be locked memory */

struct job {
	store_apply *apply;
	void *context;
	void (*done)(struct job *); /* called last: the job may be gone when it returns */
	bool again;		    /* it may run more than once */
	enum error result;
	char why[512]; /* sentences are kept for a thread, and the verdict goes to another */
	struct job *next;
	sem_t finished;
};

static void judge(struct job *job, enum error result)
{
	job->result = result;
	if (result)
		snprintf(job->why, sizeof job->why, "%s", fail_why());
}

/*
 * SQLite undoes a whole transaction by itself when it runs out of disk or memory in the middle.
 * What the job says of it may be something else: it is the one whose call failed, but it may
 * have gone on.
 */
static enum error lost(const struct tx *tx, const struct job *job)
{
	switch (job->result) {
	case ERR_NO_SPACE:
	case ERR_READ_ONLY:
	case ERR_MEMORY:
	case ERR_IO:
		return fail(job->result, "%s", job->why);
	default:
		return fail(ERR_IO, "%s: the store's disk failed and the change was not made",
			    tx->path);
	}
}

/* The job's own error is its own affair (judge()); what is returned breaks the transaction. */
static enum error run_behind_savepoint(struct tx *tx, struct job *job, bool rehearse)
{
	TRY(sql_run(tx, SQL_SAVEPOINT, NO_VALUES));
	judge(job, job->apply(tx, job->context));
	if (sqlite3_get_autocommit(tx->db))
		return lost(tx, job);
	if (job->result || rehearse)
		TRY(sql_run(tx, SQL_ROLLBACK_TO, NO_VALUES));
	return sql_run(tx, SQL_RELEASE, NO_VALUES);
}

/*
 * Runs jobs from `first` on, up to one that breaks the transaction, and commits. Returns the
 * first that it didn't run.
 */
static struct job *run(struct tx *tx, struct job *first, bool rehearse)
{
	struct job *rest = first;
	bool any = false;
	enum error broken = sql_run(tx, SQL_BEGIN_WRITING, NO_VALUES);
	if (broken)
		rest = NULL;
	while (rest && !broken) {
		struct job *job = rest;
		rest = job->next;
		broken = run_behind_savepoint(tx, job, rehearse);
		any = any || (!job->result && !rehearse);
	}
	if (!broken && any)
		broken = sql_run(tx, SQL_COMMIT, NO_VALUES);
	if (broken)
		for (struct job *job = first; job != rest; job = job->next)
			judge(job, broken);
	connection_rollback(tx);
	return rest;
}

/*
 * A savepoint costs a copy of every page that its job touches. Where each job may run again they do
 * without, all or none. False: one failed, or the disk did; nothing has happened, and the batch is to
 * be run as run() does.
 */
static bool run_together(struct tx *tx, struct job *first)
{
	for (const struct job *job = first; job; job = job->next)
		if (!job->again)
			return false;
	enum error broken = sql_run(tx, SQL_BEGIN_WRITING, NO_VALUES);
	for (struct job *job = first; job && !broken && !sqlite3_get_autocommit(tx->db);
	     job = job->next)
		broken = job->apply(tx, job->context);
	if (!broken)
		broken = sql_run(tx, SQL_COMMIT, NO_VALUES);
	connection_rollback(tx);
	return !broken;
}

static void finish(struct job *first, const struct job *rest)
{
	while (first != rest) {
		struct job *job = first;
		first = job->next;
		job->done(job);
	}
}

/* Waits for jobs; NULL when the store closes and none is left. */
static struct job *take(struct writer *writer)
{
	pthread_mutex_lock(&writer->mutex);
	while (!writer->first && !writer->closing)
		pthread_cond_wait(&writer->arrived, &writer->mutex);
	struct job *batch = writer->first, *last = batch;
	if (batch) {
		for (int i = 1; i < BATCH && last->next; i++)
			last = last->next;
		writer->first = last->next;
		last->next = NULL;
		if (!writer->first)
			writer->last = &writer->first;
	}
	pthread_mutex_unlock(&writer->mutex);
	return batch;
}

static void *commit_jobs(void *context)
{
	struct writer *writer = context;
	struct job *batch;
	while ((batch = take(writer)))
		while (batch) {
			bool rehearse = atomic_load(&writer->rehearse);
			struct job *rest = NULL;
			if (rehearse || !run_together(writer->tx, batch))
				rest = run(writer->tx, batch, rehearse);
			finish(batch, rest);
			batch = rest;
		}
	return NULL;
}

/* ---- callers ---- */

static void submit(struct writer *writer, struct job *job)
{
	pthread_mutex_lock(&writer->mutex);
	*writer->last = job;
	writer->last = &job->next;
	pthread_cond_signal(&writer->arrived);
	pthread_mutex_unlock(&writer->mutex);
}

static void wake(struct job *job)
{
	sem_post(&job->finished);
}

static enum error begin(struct store *store, store_apply *apply, void *context, bool again,
			struct job *job)
{
	if (!store->writer.running)
		return fail(ERR_READ_ONLY, "%s: the store is open for reading only", store->path);
	*job = (struct job){.apply = apply, .context = context, .again = again, .done = wake};
	sem_init(&job->finished, 0, 0);
	submit(&store->writer, job);
	return OK;
}

static enum error wait_for(struct job *job)
{
	while (sem_wait(&job->finished) && errno == EINTR)
		;
	sem_destroy(&job->finished);
	return job->result ? fail(job->result, "%s", job->why) : OK;
}

enum error store_change(struct store *store, store_apply *apply, void *context)
{
	struct job job;
	TRY(begin(store, apply, context, false, &job));
	return wait_for(&job);
}

struct change {
	struct job job;
};

enum error store_change_begin(struct store *store, store_apply *apply, void *context,
			      struct change **out)
{
	struct change *change = malloc(sizeof *change);
	if (!change)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = begin(store, apply, context, true, &change->job);
	if (result)
		free(change);
	else
		*out = change;
	return result;
}

void store_rehearse(struct store *store)
{
	atomic_store(&store->writer.rehearse, true);
}

enum error store_change_wait(struct change *change)
{
	enum error result = wait_for(&change->job);
	free(change);
	return result;
}

/* ---- starting and stopping ---- */

/* Signals are for the threads that expect them: the new one is born with all of them blocked. */
static int start_thread(struct writer *writer)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = pthread_create(&writer->thread, &attributes, commit_jobs, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return code;
}

enum error writer_start(struct store *store)
{
	struct writer *writer = &store->writer;
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->arrived, NULL);
	writer->last = &writer->first;
	int code = start_thread(writer);
	if (code) {
		pthread_cond_destroy(&writer->arrived);
		pthread_mutex_destroy(&writer->mutex);
		return fail(ERR_MEMORY, "no thread for the store: %s", strerror(code));
	}
	writer->running = true;
	pthread_setname_np(writer->thread, "escrow-commit");
	return OK;
}

void writer_stop(struct store *store)
{
	struct writer *writer = &store->writer;
	if (writer->running) {
		pthread_mutex_lock(&writer->mutex);
		writer->closing = true;
		pthread_cond_signal(&writer->arrived);
		pthread_mutex_unlock(&writer->mutex);
		pthread_join(writer->thread, NULL);
		pthread_cond_destroy(&writer->arrived);
		pthread_mutex_destroy(&writer->mutex);
		writer->running = false;
	}
	if (!writer->tx)
		return;
	/* Readers elsewhere need the log still: then it stays, and nobody waits for them here. */
	sqlite3_busy_handler(writer->tx->db, NULL, NULL);
	sqlite3_wal_checkpoint_v2(writer->tx->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	connection_free(writer->tx);
	writer->tx = NULL;
}
