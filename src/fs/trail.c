/*
 * /audit: the trail's own bytes, by offset. It only grows, and its size and time are asked for at
 * each stat(2).
 */
#include "file.h"

#include <stdlib.h>

static enum error trail_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)node;
	struct trail_end end;
	TRY(escrow_trail_end(fs->escrow, &end));
	attr->st_size = (off_t)end.size;
	if (end.at) {
		attr->st_mtim = attr->st_atim = time_spec(end.at);
		if (attr->st_ctim.tv_sec < attr->st_mtim.tv_sec ||
		    (attr->st_ctim.tv_sec == attr->st_mtim.tv_sec &&
		     attr->st_ctim.tv_nsec < attr->st_mtim.tv_nsec))
			attr->st_ctim = attr->st_mtim;
	}
	return OK;
}

static enum error trail_open(struct handle *handle, const struct node *node,
			     const struct actor *actor, struct fuse_file_info *info)
{
	(void)handle;
	(void)node;
	(void)actor;
	info->direct_io = 1;
	return OK;
}

static void trail_read(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
		       const struct fuse_file_info *info)
{
	(void)info;
	size_t n = 0;
	char *piece = malloc(size);
	enum error result =
		piece ? escrow_trail_read(handle->fs->escrow, (uint64_t)offset, piece, size, &n)
		      : fail(ERR_MEMORY, "out of memory");
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		fuse_reply_buf(req, piece, n);
	free(piece);
}

const struct file file_trail = {
	.stat = trail_stat,
	.open = trail_open,
	.read = trail_read,
	.why_not = "the trail is written by what happens, and by nothing else",
};
