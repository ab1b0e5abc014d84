#include "target.h"

#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum error target_fail(const struct target *target, const char *name)
{
	int error = errno;
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return fail(ERR_NO_SPACE, "%s/%s: the disk is full (%s)", target->path, name,
			    strerror(error));
	case EFBIG:
		return fail(ERR_NO_SPACE,
			    "%s/%s: it is over the limit on the size of files: raise that (ulimit "
			    "-f)",
			    target->path, name);
	case EEXIST:
		return fail(ERR_EXISTS, "%s/%s: it is there already", target->path, name);
	default:
		return fail(ERR_IO, "%s/%s: %s", target->path, name, strerror(error));
	}
}

/* ---- the directory ---- */

/* Is the file behind the descriptor in a mounted escrow? The mount table tells by its device. */
static bool in_mounted_escrow(int fd)
{
	struct stat attr;
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts || fstat(fd, &attr) != 0) {
		if (mounts)
			fclose(mounts);
		return false;
	}
	char device[32];
	snprintf(device, sizeof device, " %u:%u ", major(attr.st_dev), minor(attr.st_dev));
	while (!found && getline(&line, &size, mounts) > 0)
		found = strstr(line, device) && strstr(line, " - fuse.escrowfs ");
	free(line);
	fclose(mounts);
	return found;
}

/* By the descriptor, whatever its path has become since. */
static enum error check_place(const char *path, int fd, const struct escrow *escrow)
{
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (escrow_holds_path(escrow, self))
		return fail(ERR_INVALID,
			    "%s: it lies inside the store's own directory; name one elsewhere",
			    path);
	if (in_mounted_escrow(fd))
		return fail(ERR_INVALID, "%s: it lies inside a mounted escrow; name one elsewhere",
			    path);
	return OK;
}

/* Taken over by the list, which the caller closes. */
static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	bool empty = list != NULL;
	while (empty && (entry = readdir(list)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (list)
		closedir(list);
	else if (copy >= 0)
		close(copy);
	return empty;
}

static enum error check_own(const char *path, int fd)
{
	struct stat attr;
	if (fstat(fd, &attr) != 0)
		return fail(ERR_IO, "%s: %s", path, strerror(errno));
	if (attr.st_uid != geteuid())
		return fail(ERR_INVALID,
			    "%s: it belongs to another user; name a directory of your own, or one "
			    "that isn't there yet",
			    path);
	if ((attr.st_mode & 0777) != 0700)
		return fail(ERR_INVALID,
			    "%s: its mode is %04o, and what is written there is nobody else's "
			    "business: `chmod 0700 %s`",
			    path, attr.st_mode & 0777, path);
	if (!is_empty(fd))
		return fail(ERR_NOT_EMPTY,
			    "%s: it isn't empty; name an empty directory, or one that isn't there "
			    "yet",
			    path);
	return OK;
}

/* A mkdir(2) inside a mounted escrow would make a device: look before. */
static enum error make(const char *path, const struct escrow *escrow)
{
	char *copy = strdup(path);
	if (!copy)
		return fail(ERR_MEMORY, "out of memory");
	size_t len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = 0;
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy, *above = !slash ? "." : copy;
	if (slash == copy)
		above = "/";
	else if (slash)
		*slash = 0;
	enum error result = OK;
	int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		result = fail(ERR_IO, "%s: %s: %s", path, above, strerror(errno));
	if (!result)
		result = check_place(path, fd, escrow);
	if (!result && mkdirat(fd, name, 0700) != 0)
		result = fail(ERR_IO, "%s: it can't be made: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(copy);
	return result;
}

enum error target_open(const char *path, const struct escrow *escrow, struct target *out)
{
	*out = (struct target){.path = path, .fd = -1};
	TRY(path_check_links(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		TRY(make(path, escrow));
		out->made = true;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return fail(ERR_IO, "%s: %s", path, strerror(errno));
	out->fd = fd;
	TRY(check_place(path, fd, escrow));
	return check_own(path, fd);
}

void target_close(struct target *target)
{
	if (target->fd >= 0)
		close(target->fd);
	if (target->made)
		(void)rmdir(target->path);
	*target = (struct target){.fd = -1};
}

/* ---- what is in it ---- */

enum error target_create(const struct target *target, int directory, const char *name, int *fd)
{
	*fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *fd < 0 ? target_fail(target, name) : OK;
}

enum error target_write(const struct target *target, int fd, const char *name, const void *bytes,
			size_t len)
{
	const char *at = bytes;
	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return target_fail(target, name);
		at += n;
		len -= (size_t)n;
	}
	return OK;
}

enum error target_rename(const struct target *target, const char *from, const char *to)
{
	if (renameat2(target->fd, from, target->fd, to, RENAME_NOREPLACE) == 0)
		return OK;
	if (errno != EINVAL && errno != ENOSYS)
		return target_fail(target, to);
	/* Not every disk can do that at once; in a directory of our own two steps are as good. */
	if (faccessat(target->fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	else if (errno == ENOENT && renameat(target->fd, from, target->fd, to) == 0)
		return OK;
	return target_fail(target, to);
}

enum error target_sync(struct target *target)
{
	if (syncfs(target->fd) != 0 || fsync(target->fd) != 0)
		return target_fail(target, ".");
	target->made = false;
	return OK;
}
