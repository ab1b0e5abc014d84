/*
 * Where a mount may go, and what a killed daemon left there: the mount stays, and everything on
 * it answers ENOTCONN until it is unmounted.
 */
#include "fs.h"

#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUR_TYPE "fuse.escrowfs"
/* systemd's x-systemd.automount: whoever opens the directory waits for the mount, even who makes it. */
#define TRAP_TYPE "autofs"

/* ---- what is mounted ---- */

/* realpath(3) without touching the last part, which may be dead. */
static bool resolve(const char *path, char out[static PATH_MAX])
{
	if (realpath(path, out))
		return true;
	char copy[PATH_MAX], parent[PATH_MAX];
	size_t len = (size_t)snprintf(copy, sizeof copy, "%s", path);
	while (len > 1 && len < sizeof copy && copy[len - 1] == '/')
		copy[--len] = 0;
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (slash)
		*slash = 0;
	if (!realpath(slash ? (*copy ? copy : "/") : ".", parent))
		return false;
	int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
	return n > 0 && n < PATH_MAX;
}

/* The type of what is mounted at `path` on top, or "" when nothing is. */
static void mounted_type(const char *path, char *type, size_t size)
{
	char resolved[PATH_MAX];
	*type = 0;
	if (!resolve(path, resolved))
		return;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return;
	struct mntent entry;
	char buffer[4 * PATH_MAX];
	while (getmntent_r(mounts, &entry, buffer, sizeof buffer))
		if (strcmp(entry.mnt_dir, resolved) == 0)
			snprintf(type, size, "%s", entry.mnt_type);
	endmntent(mounts);
}

/* ---- unmounting ---- */

static bool unmount(const char *path)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return true;
	char program[] = "fusermount3", flags[] = "-uqz", separator[] = "--", where[PATH_MAX];
	char *const arguments[] = {program, flags, separator, where, NULL};
	snprintf(where, sizeof where, "%s", path);
	pid_t child;
	int status = -1;
	if (posix_spawnp(&child, program, NULL, NULL, arguments, environ) != 0)
		return false;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Opens it, since stat(2) may be answered from what the kernel keeps. */
static bool dead(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTCONN;
	close(fd);
	return false;
}

void fs_mountpoint_clear(const char *path)
{
	char type[64];
	mounted_type(path, type, sizeof type);
	if (strcmp(type, OUR_TYPE) == 0 && dead(path))
		(void)unmount(path);
}

/* ---- for another process ---- */

enum error fs_mountpoint_connect(const char *source, const char *path, int *connection)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(ERR_ACCESS, "/dev/fuse: %s; load the kernel's module (modprobe fuse)",
			    strerror(errno));
	snprintf(options, sizeof options,
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
	if (mount(source, path, OUR_TYPE, MS_NODEV | MS_NOSUID | MS_NOEXEC, options) != 0) {
		enum error result =
			fail(ERR_ACCESS, "%s: it can't be mounted: %s", path, strerror(errno));
		close(fd);
		return result;
	}
	*connection = fd;
	return OK;
}

/* ---- is it fit? ---- */

int fs_mountpoint_passed(const char *path)
{
	static const char prefix[] = "/dev/fd/";
	if (strncmp(path, prefix, strlen(prefix)) != 0)
		return -1;
	char *end;
	long fd = strtol(path + strlen(prefix), &end, 10);
	return end == path + strlen(prefix) || *end || fd < 0 || fd >= FD_SETSIZE ? -1 : (int)fd;
}

static enum error take_over(const char *path)
{
	char type[64];
	mounted_type(path, type, sizeof type);
	if (strcmp(type, OUR_TYPE) != 0)
		return fail(ERR_BUSY,
			    "%s: a dead mount that isn't ours is there (%s); unmount it with "
			    "`umount -l %s`",
			    path, type, path);
	if (!unmount(path))
		return fail(ERR_BUSY,
			    "%s: the mount of a killed escrowfs is there and can't be unmounted; "
			    "try `umount -l %s` as root",
			    path, path);
	log_say(LOG_LEVEL_WARNING, "%s: unmounted what a killed escrowfs left there", path);
	return OK;
}

static enum error check_empty(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return fail(ERR_ACCESS, "%s: %s", path, strerror(errno));
	bool empty = true;
	const struct dirent *entry;
	while (empty && (entry = readdir(directory)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(directory);
	if (!empty)
		return fail(ERR_NOT_EMPTY,
			    "%s: the directory isn't empty, and a mount would hide what is in it; "
			    "choose an empty one",
			    path);
	return OK;
}

enum error fs_mountpoint_check(const char *path)
{
	struct stat attr;
	char type[64];
	mounted_type(path, type, sizeof type);
	/* Killed twice, mounted over twice. */
	for (int layers = 0; strcmp(type, TRAP_TYPE) != 0 && dead(path) && layers < 16; layers++) {
		TRY(take_over(path));
		mounted_type(path, type, sizeof type);
	}
	if (strcmp(type, TRAP_TYPE) == 0)
		return OK;
	if (stat(path, &attr) != 0)
		return fail(errno == ENOENT ? ERR_NOT_FOUND : ERR_ACCESS, "%s: %s%s", path,
			    strerror(errno), errno == ENOENT ? "; make the directory first" : "");
	if (!S_ISDIR(attr.st_mode))
		return fail(ERR_INVALID, "%s: it is no directory", path);
	if (*type)
		return fail(ERR_BUSY, "%s: something is mounted there (%s); unmount it first", path,
			    type);
	return check_empty(path);
}
