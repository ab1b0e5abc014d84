/*
 * Who serves the store: the process that holds flock(2) on STORE/lock. The kernel lets go of it
 * when the process dies, however that happens; what the file says is only for people, and means
 * nothing while nobody holds the lock.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20
#define MOMENT 10000000 /* ns between them */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Never waits, as for the other end of a FIFO that somebody put there. -1 with errno. */
static int open_lock(const char *path, int flags)
{
	struct stat status;
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

/* What the holder wrote, up to the end of its line: the name of a mount point may have one in it. */
static void read_holder(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);
	if (n > 0 && out[n - 1] == '\n')
		n--;
	out[n > 0 ? n : 0] = 0;
	if (!*out)
		snprintf(out, size, "another process");
}

/*
 * Somebody who only asks (store_served_by()) holds the lock for an instant: that is no reason to
 * give up.
 */
static int lock_exclusively(int fd)
{
	static const struct timespec moment = {.tv_nsec = MOMENT};
	for (int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return errno;
		nanosleep(&moment, NULL);
	}
	return EWOULDBLOCK;
}

static enum error hold(const struct store *store, int fd, const char *holder)
{
	int why = lock_exclusively(fd);
	if (why == EWOULDBLOCK) {
		char who[STORE_HOLDER_MAX];
		read_holder(fd, who, sizeof who);
		text_printable(who);
		return fail(ERR_BUSY,
			    "%s: in use by %s; one mount at a time can write: stop that one first",
			    store->path, who);
	}
	if (why)
		return fail(ERR_IO, "%s/" LOCK ": it can't be locked: %s", store->path,
			    strerror(why));
	/* If it can't be written, the lock holds all the same. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "process %d, %s\n", (int)getpid(), holder ? holder : "serving");
	return OK;
}

/* Only what we have made is given away: what somebody put there may be another file's other name. */
static int open_or_make(const struct store *store)
{
	char path[PATH_MAX + sizeof LOCK];
	snprintf(path, sizeof path, "%s/" LOCK, store->directory);
	int fd = open_lock(path, O_RDWR | O_CREAT | O_EXCL);
	if (fd >= 0)
		open_pass_on(store, fd);
	return fd < 0 && errno == EEXIST ? open_lock(path, O_RDWR) : fd;
}

enum error lock_take(struct store *store, const char *holder)
{
	int fd = open_or_make(store);
	if (fd < 0)
		return fail(errno == EROFS    ? ERR_READ_ONLY
			    : errno == EACCES ? ERR_ACCESS
			    : errno == ENOSPC ? ERR_NO_SPACE
					      : ERR_IO,
			    errno == EINVAL || errno == ELOOP
				    ? "%s/" LOCK ": not a regular file; take it away (%s)"
				    : "%s/" LOCK ": %s",
			    store->path, strerror(errno));
	enum error result = hold(store, fd, holder);
	if (result)
		close(fd);
	else
		store->lock = fd;
	return result;
}

/* On the directory itself: it is there already, and readers of the store never lock it. */
enum error store_claim(struct store *store)
{
	int fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int why = fd < 0 ? errno : lock_exclusively(fd);
	if (!why) {
		store->claim = fd;
		return OK;
	}
	if (fd >= 0)
		close(fd);
	if (why == EWOULDBLOCK)
		return fail(
			ERR_BUSY,
			"%s: a rekey or a purge is at work on this store already: wait for its end",
			store->path);
	return fail(why == EACCES ? ERR_ACCESS : ERR_IO, "%s: it can't be locked: %s", store->path,
		    strerror(why));
}

/* On a descriptor of its own: flock(2) is the open file's. */
bool lock_claimed(const struct store *store)
{
	if (store->claim >= 0)
		return false;
	SCOPED(close_fd) int fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

void lock_release(struct store *store)
{
	close_fd(&store->claim);
	store->claim = -1;
	if (store->lock < 0)
		return;
	(void)!ftruncate(store->lock, 0);
	close(store->lock);
	store->lock = -1;
}

bool store_served_by(const char *path, char *out, size_t size)
{
	char lock[PATH_MAX];
	snprintf(out, size, "%s", "");
	snprintf(lock, sizeof lock, "%s/" LOCK, path);
	SCOPED(close_fd) int fd = open_lock(lock, O_RDONLY);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return false;
	read_holder(fd, out, size);
	return true;
}
