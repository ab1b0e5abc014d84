/*
 * Room that is kept back on the disk, so that it is full for escrow before it is full for logins: a file
 * of zeros beside the database. A retrieval whose record finds no room makes the file shorter by a step,
 * and tries again; from then on, until the file has its length again, every other change is refused
 * before it writes. So the room goes to retrievals alone, whatever else is sent.
 *
 * How long it is: 10,000 records take RECORD bytes each at the most (one of usual length takes 330), and
 * before them the log may have to be copied into the database, PAGES of which none has its place there
 * yet. On a small disk it is a SHARE of all of it, and 10,000 is not promised.
 *
 * Of all that is kept the last SHARE is for the database to grow by when the log is copied. If the log
 * could have that too, while somebody reads and it can't be copied, it could never be copied again.
 *
 * Whoever makes room has no more to do: the next change, and the mount once a second, fills it up.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define RECORDS 10000
#define RECORD 768
#define PAGE 4096
#define SHARE 16
#define OPENING (48 * 1024) /* the log's index, and a few pages */
#define REST 2		    /* seconds */
#define STEP_MIN (64 * 1024)
#define STEP_MAX (256 * 1024)

static int64_t seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Is there room for so many bytes? What the filesystem says is more than it gives; so it is tried. */
static bool has_room(const struct store *store, int64_t bytes)
{
	int fd = open(store->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno != ENOSPC && errno != EDQUOT;
	int why = posix_fallocate(fd, 0, bytes);
	close(fd);
	return why != ENOSPC && why != EDQUOT;
}

/* Bytes that may still be written, at least: what is there for root alone may not be, by root either. */
static int64_t room(const struct store *store)
{
	struct statvfs disk;
	if (statvfs(store->directory, &disk))
		return 0;
	return (int64_t)(disk.f_bavail * disk.f_frsize);
}

static int64_t length(const struct reserve *reserve)
{
	struct stat file;
	if (reserve->fd < 0 || atomic_load(&reserve->none) || fstat(reserve->fd, &file))
		return INT64_MAX;
	return file.st_size;
}

/* Another name of a file that is elsewhere isn't ours to cut, or to give away. */
static void open_file(struct store *store, int flags)
{
	char path[PATH_MAX + sizeof RESERVE];
	struct stat file;
	snprintf(path, sizeof path, "%s/" RESERVE, store->directory);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
	if (fd >= 0 && (fstat(fd, &file) || !S_ISREG(file.st_mode) || file.st_nlink != 1)) {
		close(fd);
		fd = -1;
	}
	store->reserve.fd = fd;
}

/* Of the log. It is there while somebody has the store open, and takes room when it is made. */
static bool has_index(const struct store *store)
{
	char path[PATH_MAX + sizeof DATABASE "-shm"];
	snprintf(path, sizeof path, "%s/" DATABASE "-shm", store->directory);
	return access(path, F_OK) == 0;
}

void reserve_open(struct store *store)
{
	struct reserve *reserve = &store->reserve;
	struct statvfs disk;
	if (statvfs(store->directory, &disk))
		return;
	int64_t all = (int64_t)(disk.f_blocks * disk.f_frsize);
	int64_t most = RECORDS * RECORD + (int64_t)CHECKPOINT_PAGES * PAGE;
	reserve->target = (all / SHARE < most ? all / SHARE : most) / PAGE * PAGE;
	int64_t step = reserve->target / SHARE;
	reserve->step = step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
	reserve->last = step < STEP_MIN && STEP_MIN < reserve->target ? STEP_MIN : step;
	open_file(store, 0);
	if ((store->mode == STORE_SERVE || !has_index(store)) && !has_room(store, OPENING))
		(void)reserve_release(store);
}

void reserve_make(struct store *store)
{
	struct reserve *reserve = &store->reserve;
	if (reserve->fd < 0) {
		open_file(store, O_CREAT | O_EXCL);
		if (reserve->fd >= 0)
			open_pass_on(store, reserve->fd);
	}
	int64_t have = length(reserve);
	/* The store may come from a larger disk. */
	if (have != INT64_MAX && have > reserve->target)
		(void)!ftruncate(reserve->fd, reserve->target);
	(void)reserve_fill(store);
}

void reserve_close(struct store *store)
{
	if (store->reserve.fd >= 0)
		close(store->reserve.fd);
	store->reserve.fd = -1;
}

bool reserve_is_whole(const struct store *store)
{
	return length(&store->reserve) >= store->reserve.target;
}

bool reserve_fill(struct store *store)
{
	struct reserve *reserve = &store->reserve;
	int64_t have = length(reserve);
	if (have >= reserve->target)
		return true;
	/* What was given to a retrieval just now is for it, and for nobody else. */
	int64_t more = reserve->target - have;
	bool just_now = seconds() - atomic_load(&reserve->released) < REST;
	if (room(store) < (just_now ? more + 2 * reserve->step : more))
		return false;
	int why = posix_fallocate(reserve->fd, have, more);
	if (!why)
		return true;
	(void)!ftruncate(reserve->fd, have);
	/* Where room can't be kept, nothing is held back for it. */
	bool never = why != ENOSPC && why != EDQUOT && why != EINTR;
	if (never)
		atomic_store(&reserve->none, true);
	return never;
}

bool reserve_ends(const struct store *store)
{
	return length(&store->reserve) <= store->reserve.last;
}

void reserve_begin(struct store *store)
{
	int64_t have = length(&store->reserve);
	if (have < store->reserve.last)
		(void)!posix_fallocate(store->reserve.fd, have, store->reserve.last - have);
}

bool reserve_release(struct store *store)
{
	struct reserve *reserve = &store->reserve;
	int64_t have = length(reserve);
	if (reserve->fd < 0 || have == 0 || have == INT64_MAX)
		return false;
	atomic_store(&reserve->released, seconds());
	if (ftruncate(reserve->fd, have > reserve->step ? have - reserve->step : 0))
		return false;
	/* Blocks are free once the filesystem's journal says so. */
	(void)fsync(reserve->fd);
	return true;
}

enum error reserve_check(struct store *store)
{
	if (reserve_is_whole(store) || reserve_fill(store))
		return OK;
	return fail(ERR_NO_SPACE,
		    "%s: the store's disk is full: what is left of it is kept for retrievals, and "
		    "the change was not made; make room",
		    store->path);
}

void reserve_look(const struct store *store, struct store_space *out)
{
	int64_t have = length(&store->reserve);
	if (have == INT64_MAX)
		return;
	out->kept = (uint64_t)have;
	out->to_keep = (uint64_t)store->reserve.target;
}

void store_keep_room(struct store *store)
{
	if (store->mode == STORE_SERVE)
		(void)reserve_fill(store);
}
