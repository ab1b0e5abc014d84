/*
 * Making and taking away. Devices are made with mkdir and taken away with rmdir in /devices;
 * nothing else is, since the files belong to the device. Whatever isn't done here answers EPERM
 * and is on the trail.
 */
#include "changes.h"
#include "inside.h"

#include <errno.h>
#include <stdio.h>

void refuse(fuse_req_t req, const struct node *node, enum error code)
{
	struct actor actor;
	actor_of(req, &actor);
	code = escrow_refuse(fs_of(req)->escrow, &actor, node_udid(node), code);
	fuse_reply_err(req, reply_errno(code));
}

/* Refuses something in a directory, under the name of its device. */
static void refuse_in(fuse_req_t req, fuse_ino_t directory, const char *name, const char *what)
{
	struct node node;
	enum error result = node_find(fs_of(req), directory, &node);
	if (result) {
		fuse_reply_err(req, reply_errno(result));
		return;
	}
	if (node.kind == KIND_DEVICE)
		fail(ERR_FORBIDDEN,
		     "%s/%s: nothing is %s here, the files belong to the device; write to "
		     "token, security.json or /checkin instead",
		     node_path(&node), name, what);
	else
		fail(ERR_FORBIDDEN,
		     "%s/%s: nothing is %s here; a device is made with mkdir and taken away with "
		     "rmdir, in /devices",
		     node.number == NODE_ROOT ? "" : node_path(&node), name, what);
	refuse(req, &node, ERR_FORBIDDEN);
}

/* ---- devices ---- */

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)mode;
	struct fs *fs = fs_of(req);
	if (parent != NODE_DEVICES) {
		refuse_in(req, parent, name, "created");
		return;
	}
	struct actor actor;
	struct device device;
	struct node node;
	struct reply reply = {.kind = REPLY_ENTRY};
	actor_of(req, &actor);
	enum error result = escrow_device_make(fs->escrow, &actor, name, &device);
	if (!result) {
		node_device(&device, FILE_DIRECTORY, &node);
		result = node_entry(fs, &node, &reply.entry);
	}
	if (result)
		reply = reply_error(result);
	changes_answer(fs->changes, req, &reply);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	if (parent != NODE_DEVICES) {
		refuse_in(req, parent, name, "removed");
		return;
	}
	struct actor actor;
	struct device device;
	actor_of(req, &actor);
	struct reply reply = reply_error(escrow_device_remove(fs->escrow, &actor, name, &device));
	changes_answer(fs->changes, req, &reply);
}

/* ---- what isn't done ---- */

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)mode;
	(void)device;
	refuse_in(req, parent, name, "created");
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *info)
{
	(void)mode;
	(void)info;
	refuse_in(req, parent, name, "created");
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	refuse_in(req, parent, name, "created");
}

void op_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t parent, const char *name)
{
	(void)number;
	refuse_in(req, parent, name, "linked");
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse_in(req, parent, name, "removed");
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags)
{
	(void)new_parent;
	(void)new_name;
	(void)flags;
	refuse_in(req, parent, name, "renamed");
}

/*
 * EPERM and not EOPNOTSUPP: for that the C library would write zeros, and the kernel would copy
 * through the page cache. cp(1) goes on with read and write.
 */
void op_fallocate(fuse_req_t req, fuse_ino_t number, int mode, off_t offset, off_t length,
		  struct fuse_file_info *info)
{
	(void)number;
	(void)mode;
	(void)offset;
	(void)length;
	(void)info;
	fuse_reply_err(req, EPERM);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
			struct fuse_file_info *from_info, fuse_ino_t to, off_t to_offset,
			struct fuse_file_info *to_info, size_t length, int flags)
{
	(void)from;
	(void)from_offset;
	(void)from_info;
	(void)to;
	(void)to_offset;
	(void)to_info;
	(void)length;
	(void)flags;
	fuse_reply_err(req, EPERM);
}

/* ---- the whole ---- */

#define BLOCK 4096

void op_statfs(fuse_req_t req, fuse_ino_t number)
{
	(void)number;
	struct store_space space;
	uint64_t devices;
	enum error result = escrow_space(fs_of(req)->escrow, &space, &devices);
	if (result) {
		fuse_reply_err(req, reply_errno(result));
		return;
	}
	uint64_t used = devices * FILES_PER_DEVICE + (uint64_t)tree_count;
	struct statvfs statvfs = {
		.f_bsize = BLOCK,
		.f_frsize = BLOCK,
		.f_blocks = space.total / BLOCK,
		.f_bfree = space.free / BLOCK,
		.f_bavail = space.available / BLOCK,
		.f_files = used + space.files_free,
		.f_ffree = space.files_free,
		.f_favail = space.files_free,
		.f_namemax = 255,
	};
	fuse_reply_statfs(req, &statvfs);
}

/*
 * Asked only in sealed mounts, where whoever is in may read all; the kernel refuses writing. It need not ask
 * again.
 */
void op_access(fuse_req_t req, fuse_ino_t number, int mask)
{
	(void)number;
	(void)mask;
	fuse_reply_err(req, ENOSYS);
}
