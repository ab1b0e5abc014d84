/*
 * The kernel keeps attributes, names and the pages of security.json and bootstrap_status for an
 * hour. After a change it must be told to drop them, and before the call that made the change
 * returns: whoever looks then, looks at the new state.
 *
 * Who is told what. Every change of a device has a number, and the store lists the devices after
 * a number (escrow_changes()), those that another process changed too. For each the kernel drops
 * the attributes of the directory and the attributes and pages of the two kept files. `token`
 * needs nothing: the kernel asks for its attributes every time and keeps no pages. A name needs
 * nothing either: the inode of a device that was taken away answers ESTALE, and on that the
 * kernel looks the name up again. A policy stands behind the attributes of all devices, so when
 * one is set, all are told of, in pages.
 *
 * Who tells. One at a time. A worker whose answer has to wait puts it in a queue. If nobody tells, it
 * does so itself, and sends what is in the queue, until nothing is; else it goes on, and its answer is
 * sent by who tells, after looking once more. What takes long, a walk over all devices, and what other
 * processes change is told of by a thread, which looks once a second.
 *
 * Who waits for whom. Before it tells a worker steps aside (workers.h), so that another one takes
 * requests, and it waits for no one else. What may the telling wait for?
 * fuse_lowlevel_notify_inval_inode() takes no inode's lock, only the locks of pages that are being
 * read in. Those are held by reads of kept files, and such a read is the one request that is always
 * answered by its handler (plain.c). So whatever locks the callers of waiting requests hold (a direct
 * write and chmod hold their file's, mkdir and rmdir their directory's), none of them is wanted here.
 * That is why there is no fuse_lowlevel_notify_inval_entry() in this program: it takes the lock of the
 * directory, which the caller of a waiting mkdir holds.
 *
 * Old text in new pages. A read that is being answered during the telling holds its page's lock, and
 * the page is dropped right afterwards. But a descriptor that was opened before the change can be read
 * just after that. Therefore descriptors take the new text as soon as `told` has passed their device's
 * change; and a read that came in after the pages were dropped but before `told` was set (`readings`
 * counts them) makes the teller drop the pages again, before it answers anybody (`settled`).
 *
 *     handler:  count itself in readings; read told; answer with the old or the new text
 *     teller:   look at readings; drop; set told; readings grew? drop again; set settled; answer
 *
 * Whatever order these interleave in, a read that took the old text was counted before the second
 * look.
 */
#include "changes.h"
#include "workers.h"

#include "known.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define BATCH 256
/* How long answers may wait for all devices to be told of; what is left then follows. */
#define WALK_BEFORE_ANSWER INT64_C(100000000)
#define SECOND INT64_C(1000000000)
#define STACK (1024 * 1024)

struct waiting {
	struct waiting *next;
	fuse_req_t req;
	struct reply reply;
};

struct changes {
	struct fs *fs;
	atomic_int_fast64_t told, settled, devices_at;
	atomic_uint_fast64_t readings;

	pthread_t thread;
	pthread_mutex_t mutex; /* over what follows; held for moments only, never while telling */
	pthread_cond_t wake;
	bool running, stop, telling;
	struct waiting *first, **end;
	atomic_uint policies; /* 1 << enum device_file: set, and not yet begun to be told of */

	/* The teller's own: a walk over all devices. */
	unsigned walking;
	int64_t walked;
};

static int64_t monotonic(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return time_of(now);
}

/* ---- for handlers ---- */

int64_t changes_told(const struct changes *changes)
{
	return atomic_load(&changes->told);
}

int64_t changes_reading(struct changes *changes)
{
	atomic_fetch_add(&changes->readings, 1);
	return atomic_load(&changes->told);
}

int64_t changes_devices_at(const struct changes *changes)
{
	return atomic_load(&changes->devices_at);
}

void changes_access(struct changes *changes, const struct node *node)
{
	/* Of a token's attributes the kernel keeps none. */
	if (node->number < NODE_POLICIES + FILE_DIRECTORY ||
	    node->number > NODE_POLICIES + FILE_STATUS)
		return;
	pthread_mutex_lock(&changes->mutex);
	changes->policies |= 1u << (node->number - NODE_POLICIES);
	pthread_mutex_unlock(&changes->mutex);
}

/* A change of another process is told of within a second, whatever is answered meanwhile. */
static bool all_told(const struct changes *changes)
{
	return changes->fs->sealed ||
	       (escrow_changed(changes->fs->escrow) <= atomic_load(&changes->settled) &&
		!atomic_load(&changes->policies));
}

/* ---- telling ---- */

struct batch {
	int count;
	int64_t last;
	int64_t device[BATCH];
	bool removed[BATCH];
};

static bool collect(void *context, int64_t change, int64_t id, const char *udid, bool removed)
{
	(void)udid;
	struct batch *batch = context;
	batch->device[batch->count] = id;
	batch->removed[batch->count] = removed;
	batch->last = change;
	return ++batch->count < BATCH;
}

static void drop_attributes(const struct changes *changes, uint64_t node)
{
	fuse_lowlevel_notify_inval_inode(changes->fs->session, node, -1, 0);
}

static void drop_pages(const struct changes *changes, uint64_t node)
{
	fuse_lowlevel_notify_inval_inode(changes->fs->session, node, 0, 0);
}

static void drop_files(const struct changes *changes, const struct batch *batch)
{
	for (int i = 0; i < batch->count; i++) {
		drop_pages(changes, tree_device_node(batch->device[i], FILE_SECURITY));
		drop_pages(changes, tree_device_node(batch->device[i], FILE_STATUS));
	}
}

/* /devices is as new as the last device that came or went. */
static void note_arrivals(struct changes *changes, int64_t newest)
{
	if (newest == atomic_load(&changes->devices_at))
		return;
	atomic_store(&changes->devices_at, newest);
	drop_attributes(changes, NODE_DEVICES);
}

static void tell_batch(struct changes *changes, const struct batch *batch, int64_t devices_at)
{
	uint_fast64_t readings = atomic_load(&changes->readings);
	note_arrivals(changes, devices_at);
	for (int i = 0; i < batch->count; i++)
		known_forget(changes->fs->known, batch->device[i]);
	for (int i = 0; i < batch->count; i++)
		drop_attributes(changes, tree_device_node(batch->device[i], FILE_DIRECTORY));
	drop_files(changes, batch);
	atomic_store(&changes->told, batch->last);
	if (atomic_load(&changes->readings) != readings)
		drop_files(changes, batch);
	atomic_store(&changes->settled, batch->last);
}

static void tell(struct changes *changes)
{
	struct batch batch;
	do {
		int64_t devices_at;
		batch.count = 0;
		if (escrow_changes(changes->fs->escrow, atomic_load(&changes->told), BATCH, collect,
				   &batch, &devices_at)) {
			log_say(LOG_LEVEL_WARNING,
				"the store doesn't say what changed, and what the kernel keeps may "
				"be old: %s",
				fail_why());
			return;
		}
		if (batch.count)
			tell_batch(changes, &batch, devices_at);
	} while (batch.count == BATCH);
}

/* ---- policies ---- */

static bool collect_device(void *context, int64_t id, const char *udid)
{
	return collect(context, 0, id, udid, false);
}

/* One page of the walk over all devices. */
static void walk(struct changes *changes)
{
	struct batch batch = {0};
	if (escrow_devices(changes->fs->escrow, STATUS_COUNT, changes->walked, BATCH,
			   collect_device, &batch))
		batch.count = 0;
	for (int i = 0; i < batch.count; i++)
		for (int file = FILE_DIRECTORY; file < FILES_PER_DEVICE; file++)
			if (changes->walking & 1u << file)
				drop_attributes(changes, tree_device_node(batch.device[i],
									  (enum device_file)file));
	if (batch.count < BATCH)
		changes->walking = 0;
	else
		changes->walked = batch.device[batch.count - 1];
}

/* ---- who tells ---- */

static struct waiting *take(struct changes *changes)
{
	struct waiting *first = changes->first;
	changes->first = NULL;
	changes->end = &changes->first;
	return first;
}

static void answer(struct waiting *first)
{
	while (first) {
		struct waiting *next = first->next;
		reply_send(first->req, &first->reply);
		free(first);
		first = next;
	}
}

static bool is_work(const struct changes *changes)
{
	return changes->first || changes->policies || changes->walking || changes->stop;
}

/* A worker tells, as long as answers wait and nothing else does. It holds the mutex. */
static void tell_and_answer(struct changes *changes)
{
	changes->telling = true;
	while (changes->first && !changes->policies) {
		struct waiting *first = take(changes);
		pthread_mutex_unlock(&changes->mutex);
		tell(changes);
		answer(first);
		pthread_mutex_lock(&changes->mutex);
	}
	changes->telling = false;
	if (is_work(changes))
		pthread_cond_signal(&changes->wake);
}

/* False: nothing is queued any more. */
static bool queue(struct changes *changes, struct waiting *waiting)
{
	pthread_mutex_lock(&changes->mutex);
	bool running = changes->running;
	if (running) {
		*changes->end = waiting;
		changes->end = &waiting->next;
		if (!changes->telling && !changes->policies && !changes->walking)
			tell_and_answer(changes);
		else if (!changes->telling)
			pthread_cond_signal(&changes->wake);
	}
	pthread_mutex_unlock(&changes->mutex);
	return running;
}

void changes_answer(struct changes *changes, fuse_req_t req, struct reply *reply)
{
	struct waiting *waiting = NULL;
	if (!all_told(changes))
		waiting = malloc(sizeof *waiting);
	if (waiting) {
		*waiting = (struct waiting){.req = req, .reply = *reply};
		workers_step_aside(changes->fs->workers);
		if (queue(changes, waiting))
			return;
		free(waiting);
	}
	reply_send(req, reply);
}

void changes_answer_own(struct changes *changes, fuse_req_t req, struct reply *reply)
{
	if (workers_aside())
		changes_answer(changes, req, reply);
	else
		reply_send(req, reply);
}

/* ---- the thread ---- */

/* Sleeps until there is something to do. False: a worker is about to do it. */
static bool sleep_until(struct changes *changes, int64_t due)
{
	struct timespec until = time_spec(due);
	int result = 0;
	while ((changes->telling || !is_work(changes)) && result != ETIMEDOUT)
		result = pthread_cond_timedwait(&changes->wake, &changes->mutex, &until);
	return !changes->telling;
}

/* What waits, and what other processes changed. It holds the mutex. */
static void do_all(struct changes *changes)
{
	struct waiting *first = take(changes);
	if (changes->policies) {
		changes->walking |= changes->policies;
		changes->walked = 0;
		changes->policies = 0;
	}
	/* Nothing is queued any more once this is false. */
	changes->running = !changes->stop;
	changes->telling = true;
	pthread_mutex_unlock(&changes->mutex);

	tell(changes);
	int64_t enough = monotonic() + WALK_BEFORE_ANSWER;
	while (changes->walking && monotonic() < enough)
		walk(changes);
	answer(first);

	pthread_mutex_lock(&changes->mutex);
	changes->telling = false;
}

static void *serve(void *context)
{
	struct changes *changes = context;
	int64_t due = monotonic() + SECOND;
	pthread_mutex_lock(&changes->mutex);
	while (changes->running) {
		if (sleep_until(changes, due))
			do_all(changes);
		if (monotonic() < due)
			continue;
		due = monotonic() + SECOND;
		pthread_mutex_unlock(&changes->mutex);
		escrow_tick(changes->fs->escrow);
		pthread_mutex_lock(&changes->mutex);
	}
	pthread_mutex_unlock(&changes->mutex);
	return NULL;
}

/* ---- from start to end ---- */

enum error changes_new(struct fs *fs, struct changes **out)
{
	struct changes *changes = calloc(1, sizeof *changes);
	if (!changes)
		return fail(ERR_MEMORY, "out of memory");
	changes->fs = fs;
	changes->end = &changes->first;
	pthread_mutex_init(&changes->mutex, NULL);
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&changes->wake, &clock);
	pthread_condattr_destroy(&clock);
	*out = changes;

	int64_t number, devices_at;
	TRY(escrow_change_number(fs->escrow, &number));
	TRY(escrow_devices_at(fs->escrow, &devices_at));
	atomic_store(&changes->told, number);
	atomic_store(&changes->settled, number);
	atomic_store(&changes->devices_at, devices_at);
	return OK;
}

enum error changes_start(struct changes *changes)
{
	if (changes->fs->sealed)
		return OK;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	changes->running = true;
	int error = pthread_create(&changes->thread, &attributes, serve, changes);
	pthread_attr_destroy(&attributes);
	if (error) {
		changes->running = false;
		return fail(ERR_MEMORY, "no thread can be started");
	}
	return OK;
}

void changes_stop(struct changes *changes)
{
	pthread_mutex_lock(&changes->mutex);
	bool running = changes->running;
	changes->stop = true;
	pthread_cond_signal(&changes->wake);
	pthread_mutex_unlock(&changes->mutex);
	if (running)
		pthread_join(changes->thread, NULL);
}

void changes_free(struct changes *changes)
{
	if (!changes)
		return;
	pthread_cond_destroy(&changes->wake);
	pthread_mutex_destroy(&changes->mutex);
	free(changes);
}
