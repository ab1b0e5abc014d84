/*
 * /devices/UDID/token. Opening it for reading is the retrieval: recorded, unsealed and checked
 * before open returns. The descriptor reads what was retrieved then, whatever happens to the
 * token later.
 *
 * MUST: bytes go from secure memory to the kernel's reply and nowhere else. (test: memory.bats)
 * MUST: a token is never in the page cache: another descriptor, which nobody recorded, would read
 *       it there. (test: token_read.bats, "never through the page cache")
 *
 * A sealed mount shows seals, not tokens: there it is a text as others are.
 */
#include "file.h"

#include <errno.h>

static enum error token_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)fs;
	attr->st_size = node->device.token_size;
	return OK;
}

static enum error seal_open(struct handle *handle, const struct node *node)
{
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_token_text(handle->fs->escrow, &node->device, &text));
	return content_take(&text, &handle->text);
}

static enum error token_open(struct handle *handle, const struct node *node,
			     const struct actor *actor, struct fuse_file_info *info)
{
	if (handle->fs->sealed)
		return seal_open(handle, node);
	info->direct_io = 1;
	TRY(escrow_hold(handle->fs->escrow, actor, node->device.token_size, &handle->holding));
	return escrow_retrieve(handle->fs->escrow, actor, node->device.id, &handle->token);
}

/* Reads for the page cache (mmap, splice, sendfile) carry no lock owner; read(2) does. */
static void token_read(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
		       const struct fuse_file_info *info)
{
	if (handle->fs->sealed)
		file_reply_content(req, handle->text, size, offset);
	else if (info->lock_owner == 0)
		fuse_reply_err(req, EIO);
	else
		file_reply_text(req, handle->token.data, handle->token.len, size, offset);
}

const struct file file_token = {
	.stat = token_stat,
	.open = token_open,
	.read = token_read,
	.recorded = true,
	.writable = true,
	.target = WRITER_TOKEN,
};
