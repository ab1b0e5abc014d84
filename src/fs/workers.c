/*
 * Workers: threads that read a request from the kernel, answer it, and read the next.
 *
 * Two of them at a time (threads=) are as fast as any number on two processors, and ten that wake each
 * other for nothing are a good deal slower. But a request that changes something spends most of its
 * time waiting for the disk, and the more of them wait the more share one commit. So there are more
 * threads than slots. Who has a slot may read requests; who is about to wait for the disk gives it up,
 * so that another one reads; and who comes back from there finishes its request without one, which is
 * soon done, and then needs one again, or parks.
 *
 *	reading      has a slot, and sleeps in read(2) or is about to
 *	working      has a request
 *	aside        has one, and gave its slot up: waits for the disk, or tells the kernel, or answers
 *	parked       has neither slot nor request
 *
 * A slot that was given up isn't handed to a parked worker as long as somebody reads: most often the
 * one who gave it up is back first, and nobody was woken for nothing. The last to read hands it on as
 * soon as it has a request. And nobody parks while requests wait: it is sleeping readers that there
 * mustn't be too many of. Threads are made when there is nobody to hand a slot to.
 *
 * Is there always somebody to read a request that others wait for? Who is aside waits for a commit,
 * which waits for the disk, and on a full one for readers, who wait for nobody, or tells the kernel, one
 * at a time (changes.c). So one more than have slots, which is started with them, is enough.
 */
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define ACTIVE_MAX 64
/* As many as keep two processors sealing while the disk works. */
#define SPARE 14
#define STACK (1024 * 1024)
#define NUDGE 10000000 /* ns between signals to a worker that is to end */
/* What most messages are shorter than. A buffer that has held a longer one is given back. */
#define BUFFER_KEPT ((size_t)64 * 1024)

struct workers {
	struct fs *fs;
	void (*ended)(void);
	int active;
	atomic_int slots, reading, waiting; /* slots: nobody's */
	atomic_bool ending;
	pthread_mutex_t mutex; /* over what follows */
	pthread_cond_t wake;
	int parked, count;
	pthread_t thread[ACTIVE_MAX + SPARE];
};

static _Thread_local bool has_slot, has_request, is_aside;

static void *work(void *);

/* ---- slots ---- */

static bool try_slot(struct workers *workers)
{
	int free = atomic_load(&workers->slots);
	while (free > 0 && !has_slot)
		has_slot = atomic_compare_exchange_weak(&workers->slots, &free, free - 1);
	return has_slot;
}

static bool start_one(struct workers *workers)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	bool started =
		pthread_create(&workers->thread[workers->count], &attributes, work, workers) == 0;
	pthread_attr_destroy(&attributes);
	workers->count += started;
	return started;
}

/* There is a slot, and nobody reads. If no thread can be had, those that come back will. */
static void hand_on(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	if (workers->parked)
		pthread_cond_signal(&workers->wake);
	else if (workers->count < workers->active + SPARE && !atomic_load(&workers->ending))
		(void)start_one(workers);
	pthread_mutex_unlock(&workers->mutex);
}

int workers_waiting(const struct workers *workers)
{
	return atomic_load(&workers->waiting);
}

bool workers_aside(void)
{
	return is_aside;
}

void workers_step_aside(void *context)
{
	struct workers *workers = context;
	if (!has_request || is_aside)
		return;
	is_aside = true;
	atomic_fetch_add(&workers->waiting, 1);
	if (!has_slot)
		return;
	has_slot = false;
	atomic_fetch_add(&workers->slots, 1);
	if (atomic_load(&workers->reading) == 0)
		hand_on(workers);
}

static void park(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	workers->parked++;
	while (!atomic_load(&workers->ending) && !try_slot(workers))
		pthread_cond_wait(&workers->wake, &workers->mutex);
	workers->parked--;
	pthread_mutex_unlock(&workers->mutex);
}

static bool is_waited_for(const struct workers *workers)
{
	struct pollfd device = {.fd = fuse_session_fd(workers->fs->session), .events = POLLIN};
	return poll(&device, 1, 0) > 0;
}

/* ---- requests ---- */

static int receive(struct workers *workers, struct fuse_buf *buffer)
{
	atomic_fetch_add(&workers->reading, 1);
	int n = fuse_session_receive_buf(workers->fs->session, buffer);
	if (atomic_fetch_sub(&workers->reading, 1) == 1 && atomic_load(&workers->slots) > 0)
		hand_on(workers);
	return n;
}

/* False: the mount has ended. */
static bool serve_one(struct workers *workers, struct fuse_buf *buffer)
{
	int n = receive(workers, buffer);
	if (n == -EINTR || n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	has_request = true;
	fuse_session_process_buf(workers->fs->session, buffer);
	has_request = false;
	if (is_aside)
		atomic_fetch_sub(&workers->waiting, 1);
	is_aside = false;
	if ((size_t)n > BUFFER_KEPT) {
		free(buffer->mem);
		buffer->mem = NULL;
	}
	return true;
}

static void *work(void *context)
{
	struct workers *workers = context;
	struct fuse_buf buffer = {.mem = NULL};
	bool serving = true;
	while (serving) {
		if (!has_slot && !try_slot(workers) && !is_waited_for(workers))
			park(workers);
		serving = !fuse_session_exited(workers->fs->session) &&
			  !atomic_load(&workers->ending) && serve_one(workers, &buffer);
	}
	free(buffer.mem);
	workers->ended();
	return NULL;
}

/* ---- from start to end ---- */

enum error workers_new(struct fs *fs, int active, void (*ended)(void), struct workers **out)
{
	if (active > ACTIVE_MAX)
		return fail(ERR_INVALID, "%d threads: at most %d", active, ACTIVE_MAX);
	struct workers *workers = calloc(1, sizeof *workers);
	if (!workers)
		return fail(ERR_MEMORY, "out of memory");
	*workers = (struct workers){.fs = fs, .ended = ended, .active = active};
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->wake, NULL);
	*out = workers;
	return OK;
}

/* The first request settles what the kernel and we agree on; no other is answered before it. */
enum error workers_greet(struct workers *workers)
{
	struct fs *fs = workers->fs;
	struct fuse_buf buffer = {.mem = NULL};
	while (serve_one(workers, &buffer) && !fs->greeted)
		;
	free(buffer.mem);
	return fs->greeted ? OK : fail(ERR_IO, "the kernel doesn't talk to us over /dev/fuse");
}

enum error workers_start(struct workers *workers)
{
	atomic_store(&workers->slots, workers->active);
	int wanted = workers->active + 1;
	pthread_mutex_lock(&workers->mutex);
	while (workers->count < wanted && start_one(workers))
		;
	int started = workers->count;
	pthread_mutex_unlock(&workers->mutex);
	if (started < wanted)
		return fail(ERR_MEMORY, "only %d of %d threads can be started", started, wanted);
	return OK;
}

static void end_one(pthread_t thread)
{
	struct timespec until;
	do {
		pthread_kill(thread, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += NUDGE;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT);
}

void workers_end(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	atomic_store(&workers->ending, true);
	int count = workers->count;
	pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->mutex);
	for (int i = 0; i < count; i++)
		end_one(workers->thread[i]);
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	pthread_cond_destroy(&workers->wake);
	pthread_mutex_destroy(&workers->mutex);
	free(workers);
}
