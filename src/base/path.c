#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as many as the kernel follows */

/* Users' own groups have their gid; group 0 is root's. */
static bool others_write(const struct stat *directory)
{
	bool group = directory->st_gid != 0 && directory->st_gid != getegid();
	return (directory->st_mode & S_IWOTH) || (group && (directory->st_mode & S_IWGRP)) ||
	       (directory->st_uid != 0 && directory->st_uid != geteuid());
}

static bool is_sticky_and_ours(const struct stat *directory, const struct stat *link)
{
	return (directory->st_mode & S_ISVTX) &&
	       (directory->st_uid == 0 || directory->st_uid == geteuid()) &&
	       (link->st_uid == 0 || link->st_uid == geteuid());
}

/* The directory that the link's name is in: "." and "/" too. */
static void directory_of(const char *link, char out[static PATH_MAX])
{
	const char *slash = strrchr(link, '/');
	if (!slash)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", slash == link ? 1 : (int)(slash - link), link);
}

static enum error check_link(const char *link, const char *directory, const struct stat *attr)
{
	struct stat around;
	if (stat(directory, &around))
		return OK;
	if (!others_write(&around) || is_sticky_and_ours(&around, attr))
		return OK;
	return fail(ERR_INVALID,
		    "%s: a symbolic link in a directory that others may write: it may be theirs, "
		    "and lead anywhere; name what it leads to",
		    link);
}

/* Where `path` leads to when its first `len` bytes are the link. False: nowhere. */
static bool follow(const char *link, const char *directory, const char *rest,
		   char out[static PATH_MAX])
{
	char target[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof target - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	int len = *target == '/' ? snprintf(out, PATH_MAX, "%s%s", target, rest)
				 : snprintf(out, PATH_MAX, "%s/%s%s", directory, target, rest);
	return len > 0 && len < PATH_MAX;
}

/* The length of the first part of `path` that is a link; 0: none is, or what follows isn't there. */
static size_t first_link(const char *path, struct stat *attr)
{
	for (size_t end = 1; path[end - 1]; end++) {
		if (path[end] && path[end] != '/')
			continue;
		char part[PATH_MAX];
		snprintf(part, sizeof part, "%.*s", (int)end, path);
		if (lstat(part, attr))
			return 0;
		if (S_ISLNK(attr->st_mode))
			return end;
		if (!path[end])
			return 0;
	}
	return 0;
}

/* `at`: where it leads in the end, over links of ours. */
static enum error resolve(const char *path, char at[static PATH_MAX])
{
	char link[PATH_MAX], directory[PATH_MAX], next[PATH_MAX];
	struct stat attr;
	snprintf(at, PATH_MAX, "%s", path);
	for (int i = 0; i < LINKS_MAX; i++) {
		size_t end = first_link(at, &attr);
		if (!end)
			return OK;
		snprintf(link, sizeof link, "%.*s", (int)end, at);
		directory_of(link, directory);
		TRY(check_link(link, directory, &attr));
		if (!follow(link, directory, at + end, next))
			return OK;
		memcpy(at, next, PATH_MAX);
	}
	return OK;
}

enum error path_check_links(const char *path)
{
	char at[PATH_MAX];
	if (strlen(path) >= sizeof at)
		return OK; /* no system call takes it */
	return resolve(path, at);
}

/* What was looked at may be another thing by now: so no link at all is followed from here on. */
static int open_without_links(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
			       .resolve = RESOLVE_NO_SYMLINKS};
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	/* Before Linux 5.6: of the last part alone that can be said. */
	if (fd < 0 && errno == ENOSYS)
		fd = open(path, (int)how.flags | O_NOFOLLOW);
	return (int)fd;
}

static enum error not_opened(const char *path)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return fail(ERR_NOT_FOUND, "%s: there is no such file", path);
	case EACCES:
	case EPERM:
		return fail(ERR_ACCESS, "%s: may not be read by this user", path);
	case ELOOP:
		return fail(ERR_INVALID, "%s: a symbolic link took its place just now", path);
	default:
		return fail(ERR_INVALID, "%s: can't be opened (%s)", path, strerror(errno));
	}
}

enum error path_open(const char *path, int *out)
{
	char at[PATH_MAX];
	struct stat attr;
	*out = -1;
	if (strlen(path) >= sizeof at)
		return fail(ERR_NOT_FOUND, "%.64s...: the path is too long", path);
	TRY(resolve(path, at));
	int fd = open_without_links(at);
	if (fd < 0)
		return not_opened(path);
	if (fstat(fd, &attr) || !S_ISREG(attr.st_mode)) {
		close(fd);
		return fail(ERR_INVALID, "%s: not a regular file", path);
	}
	*out = fd;
	return OK;
}

static enum error check_attr(const char *path, const struct stat *attr)
{
	if (!S_ISREG(attr->st_mode))
		return fail(ERR_INVALID, "%s: not a regular file", path);
	if (attr->st_mode & S_IWOTH)
		return fail(ERR_INVALID, "%s: anybody may write to it: chmod o-w %s", path, path);
	return OK;
}

enum error path_check_opened(int fd, const char *path)
{
	struct stat attr;
	if (fstat(fd, &attr))
		return fail(ERR_IO, "%s: %s", path, strerror(errno));
	return check_attr(path, &attr);
}

enum error path_check_file(const char *path)
{
	struct stat attr;
	TRY(path_check_links(path));
	if (stat(path, &attr))
		return fail(errno == ENOENT   ? ERR_NOT_FOUND
			    : errno == EACCES ? ERR_ACCESS
					      : ERR_IO,
			    "%s: %s", path, strerror(errno));
	return check_attr(path, &attr);
}
