/*
 * The sealed tree, written down: files and directories as a sealed mount shows them, with their
 * modes, times and ACLs, and owners when the caller may set them. A directory gets its own last,
 * since what is made in it moves its time.
 *
 * MUST: nothing leaves but what a sealed mount shows. (test: export.bats, "what a sealed mount")
 */
#include "export.h"

#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* "search/status/WORD" is as deep as it gets, and a file in it. */
#define DEPTH 8

struct writing {
	struct export *export;
	int fd[DEPTH]; /* from the target down to the file that is written */
	int depth;
	char file[FACT_TEXT]; /* the file that is written; "" between two */
	bool said_acl;
};

static bool going_on(void *context)
{
	(void)context;
	return !cli_stop;
}

static void failed(void *context)
{
	struct writing *writing = context;
	export_say_failed(writing->export);
}

static int at(const struct writing *writing)
{
	return writing->fd[writing->depth];
}

/* ---- what belongs to a file ---- */

static enum error set_acl(struct writing *writing, int fd, const char *name, const char *which,
			  const void *acl, size_t len)
{
	if (!len || fsetxattr(fd, which, acl, len, 0) == 0)
		return OK;
	if (errno != ENOTSUP)
		return target_fail(&writing->export->target, name);
	if (!writing->said_acl)
		cli_say("%s: this disk keeps no ACLs; those of the tree are left out",
			writing->export->target.path);
	writing->said_acl = true;
	return OK;
}

/* In this order: to give a file away clears nothing, and an ACL sets the mode's group. */
static enum error set_attributes(struct writing *writing, int fd, const struct fs_copied *copied)
{
	const struct target *target = &writing->export->target;
	const struct stat *attr = copied->attr;
	const struct timespec times[2] = {attr->st_atim, attr->st_mtim};
	if (fchown(fd, attr->st_uid, attr->st_gid) != 0 && errno != EPERM)
		return target_fail(target, copied->name);
	if (fchmod(fd, attr->st_mode & 0777) != 0)
		return target_fail(target, copied->name);
	TRY(set_acl(writing, fd, copied->name, "system.posix_acl_access", copied->access->acl,
		    copied->access->acl_len));
	TRY(set_acl(writing, fd, copied->name, "system.posix_acl_default",
		    copied->access->default_acl, copied->access->default_len));
	if (futimens(fd, times) != 0)
		return target_fail(target, copied->name);
	return OK;
}

/* ---- in and out ---- */

static enum error make_link(struct writing *writing, const struct fs_copied *copied)
{
	const struct target *target = &writing->export->target;
	const struct stat *attr = copied->attr;
	const struct timespec times[2] = {attr->st_atim, attr->st_mtim};
	if (symlinkat(copied->target, at(writing), copied->name) != 0)
		return target_fail(target, copied->name);
	if (fchownat(at(writing), copied->name, attr->st_uid, attr->st_gid, AT_SYMLINK_NOFOLLOW) !=
		    0 &&
	    errno != EPERM)
		return target_fail(target, copied->name);
	if (utimensat(at(writing), copied->name, times, AT_SYMLINK_NOFOLLOW) != 0)
		return target_fail(target, copied->name);
	return OK;
}

static enum error make_directory(struct writing *writing, const char *name, int *fd)
{
	const struct target *target = &writing->export->target;
	if (mkdirat(at(writing), name, 0700) != 0)
		return target_fail(target, name);
	*fd = openat(at(writing), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? target_fail(target, name) : OK;
}

static enum error enter(void *context, const struct fs_copied *copied)
{
	struct writing *writing = context;
	int fd = -1;
	if (copied->target)
		return make_link(writing, copied);
	if (writing->depth + 1 == DEPTH)
		return fail(ERR_INVALID, "%s: the tree is too deep", copied->name);
	TRY(S_ISDIR(copied->attr->st_mode)
		    ? make_directory(writing, copied->name, &fd)
		    : target_create(&writing->export->target, at(writing), copied->name, &fd));
	writing->fd[++writing->depth] = fd;
	if (!S_ISDIR(copied->attr->st_mode))
		snprintf(writing->file, sizeof writing->file, "%s", copied->name);
	return OK;
}

static enum error piece(void *context, const void *bytes, size_t len)
{
	struct writing *writing = context;
	return target_write(&writing->export->target, at(writing), writing->file, bytes, len);
}

static enum error leave(void *context, const struct fs_copied *copied)
{
	struct writing *writing = context;
	TRY(set_attributes(writing, at(writing), copied));
	int fd = writing->fd[writing->depth--];
	if (close(fd) != 0)
		return target_fail(&writing->export->target, copied->name);
	if (*writing->file)
		writing->export->files++;
	*writing->file = 0;
	return OK;
}

enum error export_tree(struct export *export)
{
	struct writing writing = {.export = export, .fd = {export->target.fd}};
	enum error result =
		fs_copy(export->escrow, &(struct fs_copying){
						.udids = (const char *const *)export->udids,
						.udid_count = export->udid_count,
						.enter = enter,
						.piece = piece,
						.leave = leave,
						.failed = failed,
						.going_on = going_on,
						.context = &writing,
					});
	if (*writing.file && writing.depth > 0)
		(void)unlinkat(writing.fd[writing.depth - 1], writing.file, 0);
	while (writing.depth > 0)
		close(writing.fd[writing.depth--]);
	return result;
}
