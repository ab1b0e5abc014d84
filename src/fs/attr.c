/* Attributes: what stat(2) shows, and chmod, chown, truncate and utimes. */
#include "changes.h"
#include "file.h"
#include "known.h"

#include <string.h>

#define BLOCK 4096
#define SECOND INT64_C(1000000000)

/* Nothing in a cache outlives a change: changes.c tells the kernel. */
#define LONG_TIMEOUT 3600.0
/* Links follow the store by themselves, without being told. */
#define LINK_TIMEOUT 1.0

/* ---- stat ---- */

struct timespec time_spec(int64_t at)
{
	return (struct timespec){.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
}

int64_t time_of(struct timespec at)
{
	return at.tv_sec * SECOND + at.tv_nsec;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void set_times(struct stat *attr, int64_t modified, int64_t changed)
{
	attr->st_mtim = attr->st_atim = time_spec(modified);
	attr->st_ctim = time_spec(later(modified, changed));
}

/*
 * A link is as new as the fact that put it where it is. One of a name may take the place of another
 * device's (a serial number moves with a new enrolment): were it older than the last backup, tar
 * would leave it out of the next.
 */
static int64_t link_modified_at(const struct node *node)
{
	switch (node->by) {
	case BY_UDID:
	case BY_DEVICE_ID:
		return node->device.created_at;
	case BY_STATUS:
		return node->device.status_at;
	default:
		return node->device.security_at;
	}
}

/*
 * A directory is as new as its newest entry, and a device's entries come with it: were it as new as
 * its files, tar would say of every device that it changed while it read its token.
 */
static int64_t modified_at(const struct fs *fs, const struct node *node)
{
	const struct device *device = &node->device;
	if (node->kind == KIND_LINK)
		return link_modified_at(node);
	if (node->kind == KIND_PAST)
		return node_past_modified(node);
	if (node->number == NODE_DEVICES || node->number == NODE_REMOVED)
		return changes_devices_at(fs->changes);
	if (node->kind == KIND_FIXED)
		return fs->born_at;
	switch (node->entry->node) {
	case FILE_SECURITY:
		return device->security_at;
	case FILE_STATUS:
		return device->status_at;
	case FILE_TOKEN:
		return device->token_at;
	default:
		return device->created_at;
	}
}

/* A link has no setting of its own: it belongs to whom its directory belongs. */
static enum error owner_of(struct fs *fs, const struct node *node, struct owner *out)
{
	struct node directory = *node;
	if (node->kind == KIND_LINK)
		node_fixed(tree_fixed(NODE_BY + node->by), &directory);
	struct access_node access = node_access(&directory);
	TRY(escrow_owner(fs->escrow, &access, out));
	if (node->kind == KIND_LINK)
		out->mode = (uint32_t)node->entry->mode;
	return OK;
}

enum error node_attr(struct fs *fs, const struct node *node, struct stat *out)
{
	struct owner owner;
	TRY(owner_of(fs, node, &owner));
	*out = (struct stat){
		.st_ino = node->number,
		.st_mode = node->entry->type | owner.mode,
		.st_nlink = 1,
		.st_uid = owner.uid,
		.st_gid = owner.gid,
		.st_blksize = BLOCK,
	};
	set_times(out, modified_at(fs, node), owner.changed_at);
	if (node->kind == KIND_LINK) {
		char target[NODE_PATH];
		node_target(node, target);
		out->st_size = (off_t)strlen(target);
	} else if (node->entry->file && node->entry->file->stat) {
		TRY(node->entry->file->stat(fs, node, out));
	}
	out->st_blocks = (out->st_size + 511) / 512;
	return OK;
}

double node_attr_timeout(const struct fs *fs, const struct node *node)
{
	if (fs->sealed)
		return LONG_TIMEOUT;
	if (node->kind == KIND_LINK)
		return LINK_TIMEOUT;
	return node->entry->fresh ? 0 : LONG_TIMEOUT;
}

double node_entry_timeout(const struct fs *fs, const struct node *node)
{
	if (fs->sealed)
		return LONG_TIMEOUT;
	if (node->kind == KIND_LINK)
		return LINK_TIMEOUT;
	return node->number == NODE_CHECKIN ? 0 : LONG_TIMEOUT;
}

/* /checkin has many inodes; all show one st_ino. */
enum error node_entry(struct fs *fs, const struct node *node, struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){
		.ino = node->number,
		.attr_timeout = node_attr_timeout(fs, node),
		.entry_timeout = node_entry_timeout(fs, node),
	};
	if (node->number == NODE_CHECKIN)
		out->ino = checkin_number(fs);
	return node_attr(fs, node, &out->attr);
}

void node_entry_like(struct fuse_entry_param *entry, int64_t set_at, const struct device *device)
{
	entry->ino = entry->attr.st_ino = tree_device_node(device->id, FILE_DIRECTORY);
	set_times(&entry->attr, device->created_at, set_at);
}

void op_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)info;
	struct fs *fs = fs_of(req);
	struct node node;
	struct stat attr;
	enum error result = node_find(fs, number, &node);
	if (!result)
		result = node_attr(fs, &node, &attr);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		fuse_reply_attr(req, &attr, node_attr_timeout(fs, &node));
}

/* ---- chmod, chown, truncate ---- */

#define SET_TIMES                                                                                  \
	(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |                     \
	 FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_TIMES_SET)

/* truncate(2) and ftruncate(2); `handle` is NULL for the first. */
static enum error set_size(struct fs *fs, const struct node *node, const struct actor *actor,
			   off_t size, const struct handle *handle)
{
	const struct file *file = node->entry->file;
	enum error wrong;
	if (!file || !file->writable)
		wrong = fail(ERR_FORBIDDEN, "%s: %s", node_path(node), file ? file->why_not : "");
	else if (handle && handle->writer && (size > 0 || file->target == WRITER_TOKEN))
		return writer_truncate(handle->writer, actor, (uint64_t)size);
	else if (!handle && size == 0 && file->target == WRITER_TOKEN)
		return escrow_remove(fs->escrow, actor, node->device.id);
	else
		wrong = fail(ERR_INVALID, "%s: it can't be truncated; write a whole message to it",
			     node_path(node));
	return escrow_refuse(fs->escrow, actor, node_udid(node), wrong);
}

static enum error set_access(struct fs *fs, const struct node *node, const struct actor *actor,
			     const struct stat *attr, int to_set)
{
	struct access_node access = node_access(node);
	access.path = node_path(node);
	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		TRY(escrow_chown(fs->escrow, actor, &access,
				 (to_set & FUSE_SET_ATTR_UID) ? attr->st_uid : UINT32_MAX,
				 (to_set & FUSE_SET_ATTR_GID) ? attr->st_gid : UINT32_MAX));
	if (to_set & FUSE_SET_ATTR_MODE)
		TRY(escrow_chmod(fs->escrow, actor, &access, attr->st_mode & 07777));
	changes_access(fs->changes, node);
	return OK;
}

static enum error set(struct fs *fs, const struct node *node, const struct actor *actor,
		      const struct stat *attr, int to_set, const struct handle *handle)
{
	if (node->kind == KIND_LINK)
		return escrow_refuse(fs->escrow, actor, node_udid(node),
				     fail(ERR_FORBIDDEN, "a link in /search has nothing to set"));
	if (to_set & FUSE_SET_ATTR_SIZE)
		return set_size(fs, node, actor, attr->st_size, handle);
	if (to_set & SET_TIMES)
		return escrow_refuse(fs->escrow, actor, node_udid(node),
				     fail(ERR_FORBIDDEN,
					  "%s: times can't be set; they are those of the device",
					  node_path(node)));
	return set_access(fs, node, actor, attr, to_set);
}

void op_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set,
		struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct node node;
	struct actor actor;
	actor_of(req, &actor);
	struct reply reply = {.kind = REPLY_ATTR};
	enum error result = node_find(fs, number, &node);
	if (!result)
		result = set(fs, &node, &actor, attr, to_set, info ? handle_of(info) : NULL);
	bool done = !result;
	/*
	 * As it is now: what is known of it is as old as what the kernel was told. As it was where the
	 * device was taken away since: what was asked for is done.
	 */
	if (done && node.kind == KIND_DEVICE)
		known_forget(fs->known, node.device.id);
	struct node now = node;
	if (!result)
		result = node_find(fs, number, &now);
	if (!result)
		node = now;
	if (result == ERR_GONE && done)
		result = OK;
	if (!result)
		result = node_attr(fs, &node, &reply.entry.attr);
	if (result)
		reply = reply_error(result);
	else
		reply.entry.attr_timeout = node_attr_timeout(fs, &node);
	changes_answer(fs->changes, req, &reply);
}
