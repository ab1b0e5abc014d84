/*
 * Changes, and who commits them.
 *
 * To make a change durable the disk has to be waited for, and that wait is the same for one change as
 * for a hundred. So while somebody commits, others don't: each puts a job in the queue and sleeps. The
 * committer, a thread of its own, takes all that has gathered, runs it in one transaction, commits
 * once, and wakes everybody:
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
 * Who comes when nothing is committed and nobody waits commits by itself: to wake another thread, and
 * to be woken by it, takes longer than some changes do. And who asks something around a change may
 * borrow the connection for it. `busy` says who has it: one of these, never two.
 */
#include "inside.h"

#include "fault.h"
#include "text.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH 512	   /* jobs at most in one transaction */
#define STEPS 4		   /* to make room for one job: one or two will do */
#define STACK (256 * 1024) /* a thread's usual 8 MiB would be locked memory */
/* ns: between commits, enough for another process to come in; and how long there may be none. */
#define GAP INT64_C(300000)
#define STREAK INT64_C(100000000)
#define LATELY INT64_C(10000000) /* ns: the last change belongs to what is done now */

struct job {
	store_apply *apply;
	void *context;
	void (*done)(struct job *); /* called last: the job may be gone when it returns. NULL: the
				       caller runs it itself */
	bool again;		    /* it may run more than once */
	bool vital;		    /* it may use the room that is kept back */
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

/* ---- a batch ---- */

static enum error begin(struct tx *tx)
{
	tx->numbered = 0;
	return sql_run(tx, SQL_BEGIN_WRITING, NO_VALUES);
}

static enum error end(struct tx *tx)
{
	fault_point("commit-before");
	TRY(sql_run(tx, SQL_COMMIT, NO_VALUES));
	fault_point("commit-after");
	if (tx->numbered)
		atomic_store(&tx->store->writer.changed, tx->numbered);
	return OK;
}

/* The job's own error is its own affair (judge()); what is returned breaks the transaction. */
static enum error run_alone(struct tx *tx, struct job *job)
{
	judge(job, job->apply(tx, job->context));
	fault_point("change-made");
	return sqlite3_get_autocommit(tx->db) ? lost(tx, job) : OK;
}

static enum error run_behind_savepoint(struct tx *tx, struct job *job, bool rehearse)
{
	int64_t numbered = tx->numbered;
	TRY(sql_run(tx, SQL_SAVEPOINT, NO_VALUES));
	TRY(run_alone(tx, job));
	if (job->result || rehearse) {
		TRY(sql_run(tx, SQL_ROLLBACK_TO, NO_VALUES));
		tx->numbered = numbered;
	}
	return sql_run(tx, SQL_RELEASE, NO_VALUES);
}

/*
 * Runs jobs from `first` on, up to one that breaks the transaction, and commits. Returns the
 * first that it didn't run. (One that has no others beside it needs no savepoint, which costs a copy
 * of every page that is touched.)
 */
static struct job *run(struct tx *tx, struct job *first, bool rehearse)
{
	struct job *rest = first;
	bool any = false, alone = !first->next;
	enum error broken = begin(tx);
	if (broken)
		rest = NULL;
	while (rest && !broken) {
		struct job *job = rest;
		rest = job->next;
		broken = alone ? run_alone(tx, job) : run_behind_savepoint(tx, job, rehearse);
		any = any || (!job->result && !rehearse);
	}
	if (!broken && any)
		broken = end(tx);
	if (broken)
		for (struct job *job = first; job != rest; job = job->next)
			judge(job, broken);
	connection_rollback(tx);
	return rest;
}

/*
 * Where each job may run again they do without savepoints, all or none. False: one failed, or the disk
 * did; nothing has happened, and the batch is to be run as run() does.
 */
static bool run_together(struct tx *tx, struct job *first)
{
	for (const struct job *job = first; job; job = job->next)
		if (!job->again)
			return false;
	enum error broken = begin(tx);
	for (struct job *job = first; job && !broken && !sqlite3_get_autocommit(tx->db);
	     job = job->next)
		broken = job->apply(tx, job->context);
	if (!broken)
		broken = end(tx);
	connection_rollback(tx);
	return !broken;
}

static void finish(struct job *first, const struct job *rest)
{
	while (first != rest) {
		struct job *job = first;
		first = job->next;
		if (job->done)
			job->done(job);
	}
}

/* Jobs that have gathered; with them goes the connection. NULL: there are none. */
static struct job *take(struct writer *writer)
{
	struct job *batch = writer->first, *last = batch;
	if (!batch)
		return NULL;
	for (int i = 1; i < BATCH && last->next; i++)
		last = last->next;
	writer->first = last->next;
	last->next = NULL;
	if (!writer->first)
		writer->last = &writer->first;
	writer->busy = true;
	return batch;
}

/*
 * Another process that wants to write looks every so often whether it can. Where commits follow one
 * another without a gap it may never find that so, least of all on one processor, where it runs when
 * this one waits for the disk. So every now and then there is a gap.
 */
static void let_others_in(struct writer *writer)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	int64_t now = time_now();
	if (now - writer->ended > GAP || now < writer->ended) {
		writer->streak = now;
	} else if (now - writer->streak > STREAK) {
		nanosleep(&pause, NULL);
		writer->streak = time_now();
	}
}

/*
 * What is left in the end is for the database, as the log is copied, and the log has room again. Only if that
 * wasn't enough, or can't be done any more, the log gets it, too.
 */
static bool make_room(struct tx *tx, bool *copied)
{
	if (!*copied && reserve_ends(tx->store)) {
		enum in_need result = checkpoint_in_need(tx);
		*copied = true;
		if (result == NEED_MET)
			reserve_begin(tx->store);
		if (result != NEED_LOST)
			return result == NEED_MET;
	}
	return reserve_release(tx->store);
}

/* Each by itself: what is kept back isn't for others that came with it. */
static void run_vital(struct tx *tx, struct job *first, const struct job *rest, bool rehearse)
{
	for (struct job *job = first, *next; job != rest; job = next) {
		bool copied = false;
		next = job->next;
		job->next = NULL;
		for (int i = 0; i < STEPS && job->vital && job->result == ERR_NO_SPACE &&
				make_room(tx, &copied);
		     i++)
			(void)run(tx, job, rehearse);
		job->next = next;
	}
}

static void commit(struct writer *writer, struct job *batch)
{
	let_others_in(writer);
	bool rehearse = atomic_load(&writer->rehearse);
	while (batch) {
		struct job *rest = NULL;
		if (rehearse || !run_together(writer->tx, batch))
			rest = run(writer->tx, batch, rehearse);
		run_vital(writer->tx, batch, rest, rehearse);
		finish(batch, rest);
		batch = rest;
	}
	writer->ended = time_now();
}

/* The caller holds the mutex. */
static void release(struct writer *writer)
{
	writer->busy = false;
	if (writer->wanted)
		pthread_cond_signal(&writer->released);
	else if (writer->first || writer->closing)
		pthread_cond_signal(&writer->arrived);
}

/*
 * Where changes come together it is no gain, and one that reads from a slow disk would keep the others
 * waiting; where there are none, who walks through all devices would fill its cache with what no change
 * needs. It makes no sentence of it: to be busy is no failure.
 */
struct tx *writer_borrow(struct store *store)
{
	struct writer *writer = &store->writer;
	if (!writer->running)
		return NULL;
	int64_t now = time_now();
	pthread_mutex_lock(&writer->mutex);
	bool idle = !writer->busy && !writer->wanted && !writer->first && writer->alone &&
		    now - writer->ended < LATELY && now >= writer->ended;
	if (idle)
		writer->busy = true;
	pthread_mutex_unlock(&writer->mutex);
	return idle ? writer->tx : NULL;
}

void writer_hold(struct store *store)
{
	struct writer *writer = &store->writer;
	pthread_mutex_lock(&writer->mutex);
	writer->wanted = true;
	while (writer->busy)
		pthread_cond_wait(&writer->released, &writer->mutex);
	writer->busy = true;
	writer->wanted = false;
	pthread_mutex_unlock(&writer->mutex);
}

void writer_release(struct store *store)
{
	pthread_mutex_lock(&store->writer.mutex);
	release(&store->writer);
	pthread_mutex_unlock(&store->writer.mutex);
}

/* Until the store closes and nothing is left to do. */
static void *commit_jobs(void *context)
{
	struct writer *writer = context;
	pthread_setname_np(pthread_self(), "escrow-commit"); /* others may not: see confine.h */
	pthread_mutex_lock(&writer->mutex);
	for (;;) {
		while (writer->busy || writer->wanted || (!writer->first && !writer->closing))
			pthread_cond_wait(&writer->arrived, &writer->mutex);
		struct job *batch = take(writer);
		if (!batch)
			break;
		pthread_mutex_unlock(&writer->mutex);
		commit(writer, batch);
		pthread_mutex_lock(&writer->mutex);
		writer->alone = false;
		release(writer);
	}
	pthread_mutex_unlock(&writer->mutex);
	return NULL;
}

/* ---- callers ---- */

static enum error check_writable(struct store *store, bool vital)
{
	if (!store->writer.running)
		return fail(ERR_READ_ONLY, "%s: the store is open for reading only", store->path);
	return vital ? OK : reserve_check(store);
}

static void wake(struct job *job)
{
	sem_post(&job->finished);
}

/* The caller holds the mutex. */
static void submit(struct writer *writer, struct job *job)
{
	job->done = wake;
	sem_init(&job->finished, 0, 0);
	*writer->last = job;
	writer->last = &job->next;
	if (!writer->busy)
		pthread_cond_signal(&writer->arrived);
}

static void step_aside(const struct writer *writer)
{
	if (writer->waits)
		writer->waits(writer->waits_context);
}

static enum error wait_for(struct writer *writer, struct job *job)
{
	step_aside(writer);
	while (sem_wait(&job->finished) && errno == EINTR)
		;
	sem_destroy(&job->finished);
	return job->result ? fail(job->result, "%s", job->why) : OK;
}

/* The connection is the caller's. */
static enum error commit_alone(struct writer *writer, struct job *job)
{
	step_aside(writer);
	commit(writer, job);
	pthread_mutex_lock(&writer->mutex);
	writer->alone = !writer->first;
	release(writer);
	pthread_mutex_unlock(&writer->mutex);
	return job->result ? fail(job->result, "%s", job->why) : OK;
}

static enum error submit_or_commit(struct store *store, store_apply *apply, void *context,
				   bool vital)
{
	struct writer *writer = &store->writer;
	struct job job = {.apply = apply, .context = context, .vital = vital};
	TRY(check_writable(store, vital));
	pthread_mutex_lock(&writer->mutex);
	bool alone = !writer->busy && !writer->wanted && !writer->first;
	if (alone)
		writer->busy = true;
	else
		submit(writer, &job);
	pthread_mutex_unlock(&writer->mutex);
	return alone ? commit_alone(writer, &job) : wait_for(writer, &job);
}

enum error store_change(struct store *store, store_apply *apply, void *context)
{
	return submit_or_commit(store, apply, context, false);
}

enum error store_change_vital(struct store *store, store_apply *apply, void *context)
{
	return submit_or_commit(store, apply, context, true);
}

void store_on_wait(struct store *store, store_waits *waits, void *context)
{
	store->writer.waits = waits;
	store->writer.waits_context = context;
}

struct change {
	struct writer *writer;
	struct job job;
};

enum error store_change_begin(struct store *store, store_apply *apply, void *context,
			      struct change **out)
{
	struct writer *writer = &store->writer;
	TRY(check_writable(store, false));
	struct change *change = malloc(sizeof *change);
	if (!change)
		return fail(ERR_MEMORY, "out of memory");
	*change = (struct change){
		.writer = writer,
		.job = {.apply = apply, .context = context, .again = true},
	};
	pthread_mutex_lock(&writer->mutex);
	submit(writer, &change->job);
	pthread_mutex_unlock(&writer->mutex);
	*out = change;
	return OK;
}

int64_t store_changed(const struct store *store)
{
	return atomic_load(&store->writer.changed);
}

void store_rehearse(struct store *store)
{
	atomic_store(&store->writer.rehearse, true);
}

enum error store_change_wait(struct change *change)
{
	enum error result = wait_for(change->writer, &change->job);
	free(change);
	return result;
}

/* ---- starting and stopping ---- */

/* Signals are for the threads that expect them: the new one is born with all of them blocked. */
int thread_start(pthread_t *thread, size_t stack, void *(*work)(void *), void *context)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = pthread_create(thread, &attributes, work, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return code;
}

enum error writer_start(struct store *store)
{
	struct writer *writer = &store->writer;
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->arrived, NULL);
	pthread_cond_init(&writer->released, NULL);
	writer->last = &writer->first;
	writer->ready = true;
	return writer_go_on(store);
}

enum error writer_go_on(struct store *store)
{
	struct writer *writer = &store->writer;
	if (writer->running || !writer->ready)
		return OK;
	int code = thread_start(&writer->thread, STACK, commit_jobs, writer);
	if (code)
		return fail(ERR_MEMORY, "no thread for the store: %s", strerror(code));
	writer->running = true;
	return OK;
}

void writer_rest(struct store *store)
{
	struct writer *writer = &store->writer;
	if (!writer->running)
		return;
	pthread_mutex_lock(&writer->mutex);
	writer->closing = true;
	pthread_cond_signal(&writer->arrived);
	pthread_mutex_unlock(&writer->mutex);
	pthread_join(writer->thread, NULL);
	writer->closing = false;
	writer->running = false;
}

void writer_stop(struct store *store)
{
	struct writer *writer = &store->writer;
	writer_rest(store);
	if (writer->ready) {
		pthread_cond_destroy(&writer->arrived);
		pthread_cond_destroy(&writer->released);
		pthread_mutex_destroy(&writer->mutex);
		writer->ready = false;
	}
	if (!writer->tx)
		return;
	/* Readers elsewhere need the log still: then it stays, and nobody waits for them here. */
	connection_waits(writer->tx, false);
	if (!atomic_load(&store->checkpoint.unsynced))
		sqlite3_wal_checkpoint_v2(writer->tx->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
					  NULL);
	connection_free(writer->tx);
	writer->tx = NULL;
}
