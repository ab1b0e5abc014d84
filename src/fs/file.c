/*
 * Open files. Opening asks the table what a file is; writing is the same for all that can be
 * written: bytes go to the descriptor's writer (escrow.h), whose verdict is the answer.
 *
 * In a sealed mount nothing changes, so a descriptor has nothing to hold there. The kernel is told so at
 * the first open, opendir and flush (ENOSYS), and asks for none any more: it reads, and keeps what it has
 * read, pages and listings, for as long as the mount lasts. A backup makes less than half of the requests.
 * What comes all the same comes without a handle. (Root may have the kernel forget that the mount is
 * read-only: then what is written is refused here, but what is stored into a shared mapping is in the page
 * cache, for all who read there.)
 *
 * MUST: what was written is wiped from the worker's buffer. (test: memory.bats)
 */
#include "file.h"

#include "changes.h"

#include <errno.h>
#include <fcntl.h>

void file_unopened(fuse_req_t req, struct fuse_file_info *info)
{
	info->keep_cache = 1;
	if (fs_of(req)->spared)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, info);
}

static bool reads(const struct fuse_file_info *info)
{
	return (info->flags & O_ACCMODE) != O_WRONLY;
}

static bool writes(const struct fuse_file_info *info)
{
	return (info->flags & O_ACCMODE) != O_RDONLY;
}

/* ---- open ---- */

/* What no permission makes possible; the kernel lets root through all modes. */
static enum error check(const struct file *file, const struct node *node,
			const struct fuse_file_info *info)
{
	if (!writes(info) && !(info->flags & O_TRUNC))
		return OK;
	if (!file->writable)
		return fail(ERR_FORBIDDEN, "%s: %s", node_path(node), file->why_not);
	if (info->flags & O_APPEND)
		return fail(ERR_INVALID,
			    "%s: a message replaces what is there; write with > and not with >>",
			    node_path(node));
	return OK;
}

static enum error open_file(struct fs *fs, const struct node *node, const struct actor *actor,
			    struct handle *handle, struct fuse_file_info *info)
{
	const struct file *file = node->entry->file;
	if (writes(info)) {
		/* Or what was written became what is read, until the kernel is told. */
		info->direct_io = 1;
		TRY(writer_new(fs->escrow, file->target, node->device.id, reads(info),
			       &handle->writer));
	}
	return reads(info) && file->open ? file->open(handle, node, actor, info) : OK;
}

void op_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct node node;
	struct handle *handle = NULL;
	const struct file *file = NULL;
	int64_t told = changes_told(fs->changes); /* of the node it may be more */
	if (fs->sealed) {
		file_unopened(req, info);
		return;
	}
	enum error result = node_find(fs, number, &node);
	if (!result)
		file = node.entry->file;
	if (!result && !file)
		result = fail(ERR_INVALID, "%s: it is no regular file", node_path(&node));
	if (!file) {
		fuse_reply_err(req, reply_errno(result));
		return;
	}
	result = check(file, &node, info);
	if (result) {
		refuse(req, &node, result);
		return;
	}
	struct actor actor = {0};
	bool event = reads(info) && file->recorded;
	if (event)
		actor_of(req, &actor);
	/* A close says something only to who wrote. */
	info->noflush = !writes(info);
	result = handle_new(fs, &node, told, &handle);
	if (!result)
		result = open_file(fs, &node, &actor, handle, info);
	struct reply reply = {.kind = REPLY_OPEN};
	if (result) {
		handle_drop(handle);
		reply = reply_error(result);
	} else {
		handle_put(info, handle);
		reply.file = *info;
		if (node.number == NODE_CHECKIN)
			checkin_opened(fs, number);
	}
	if (event)
		changes_answer(fs->changes, req, &reply);
	else
		reply_send(req, &reply);
}

/* ---- read ---- */

void file_reply_text(fuse_req_t req, const void *text, size_t len, size_t size, off_t offset)
{
	size_t at = offset < 0 || (uint64_t)offset > len ? len : (size_t)offset;
	size_t n = size < len - at ? size : len - at;
	fuse_reply_buf(req, n ? (const char *)text + at : NULL, n);
}

void file_reply_content(fuse_req_t req, const struct content *content, size_t size, off_t offset)
{
	file_reply_text(req, content ? content->data : NULL, content ? content->len : 0, size,
			offset);
}

enum error file_settle(struct fs *fs, const struct node *node, struct handle **out)
{
	struct actor actor = {.loginuid = -1};
	struct fuse_file_info info = {.flags = O_RDONLY};
	enum error result = handle_new(fs, node, changes_told(fs->changes), out);
	if (!result && node->entry->file->open)
		result = node->entry->file->open(*out, node, &actor, &info);
	return result;
}

static void read_of(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
		    const struct fuse_file_info *info)
{
	if (handle->entry->file->read)
		handle->entry->file->read(handle, req, size, offset, info);
	else
		file_reply_content(req, handle->text, size, offset);
}

/* No descriptor has settled it: it says what it said, and always will. */
static void read_sealed(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
			const struct fuse_file_info *info)
{
	struct node node;
	struct handle *handle = NULL;
	enum error result = node_find(fs_of(req), number, &node);
	if (!result)
		result = file_settle(fs_of(req), &node, &handle);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		read_of(handle, req, size, offset, info);
	handle_drop(handle);
}

void op_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
	     struct fuse_file_info *info)
{
	if (fs_of(req)->sealed) {
		read_sealed(req, number, size, offset, info);
		return;
	}
	struct handle *handle = handle_of(info);
	handle_hold(handle);
	read_of(handle, req, size, offset, info);
	handle_drop(handle);
}

/* ---- write ---- */

void op_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
	      struct fuse_file_info *info)
{
	(void)number;
	struct handle *handle = handle_of(info);
	struct reply reply = {.kind = REPLY_WRITTEN, .written = size};
	struct actor actor;
	if (fs_of(req)->sealed) {
		secret_wipe((void *)bytes, size);
		fuse_reply_err(req, EROFS);
		return;
	}
	actor_of(req, &actor);
	enum error result =
		handle->writer ? writer_write(handle->writer, &actor, bytes, size, (uint64_t)offset)
			       : fail(ERR_FORBIDDEN, "not open for writing");
	/* The memory is this worker's: session.c. */
	secret_wipe((void *)bytes, size);
	if (result)
		reply = reply_error(result);
	changes_answer_own(handle->fs->changes, req, &reply);
}

void op_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)number;
	struct handle *handle = handle_of(info);
	if (fs_of(req)->sealed) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (!handle->writer) {
		fuse_reply_err(req, 0);
		return;
	}
	struct actor room;
	const struct actor *actor = actor_if_it_matters(req, handle->writer, &room);
	struct reply reply = reply_error(writer_flush(handle->writer, actor));
	changes_answer_own(handle->fs->changes, req, &reply);
}

/* What was acted on is on disk already. */
void op_fsync(fuse_req_t req, fuse_ino_t number, int data, struct fuse_file_info *info)
{
	(void)number;
	(void)data;
	(void)info;
	fuse_reply_err(req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	if (handle && handle->entry->node == NODE_CHECKIN)
		checkin_closed(handle->fs, number);
	handle_drop(handle);
	fuse_reply_err(req, 0);
}
