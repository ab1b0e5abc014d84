/*
 * security.json and bootstrap_status: texts that the kernel keeps in its page cache, and /policy's
 * files, which are empty.
 *
 * A descriptor reads what the file said when it was opened. The page cache, though, belongs to the
 * inode, not to the descriptor, and so does the size up to which the kernel reads from it. Two
 * things follow.
 *
 * While a device changes, its files are read past the page cache: the size that the kernel knows
 * and the text may be those of two different moments, and a reader would get the one cut to the
 * length of the other. Once a device was quiet for a while, pages are kept.
 *
 * And a descriptor that was opened before a change must not bring the old text back into the page
 * cache after it: once the kernel was told of the change (changes.h), such reads get the new one.
 * Until then they get the old one, and those pages are dropped when it is told.
 */
#include "changes.h"
#include "file.h"

#include <string.h>

/* How long a device is quiet before pages of its files are kept. */
#define QUIET INT64_C(2000000000)

/* ---- the texts ---- */

static enum error security_text(struct fs *fs, int64_t device, struct bytes *text, int64_t *change)
{
	return escrow_security(fs->escrow, device, text, change);
}

static enum error status_text(struct fs *fs, int64_t id, struct bytes *text, int64_t *change)
{
	struct device device;
	TRY(escrow_device(fs->escrow, id, &device));
	*change = device.change;
	return bytes_print(text, "%s\n", status_word(device.status));
}

static enum error make_text(struct handle *handle, struct bytes *text, int64_t *change)
{
	if (handle->entry->node == FILE_SECURITY)
		return security_text(handle->fs, handle->device, text, change);
	return status_text(handle->fs, handle->device, text, change);
}

static enum error security_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)fs;
	attr->st_size = node->device.security_size;
	return OK;
}

static enum error status_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)fs;
	attr->st_size = (off_t)strlen(status_word(node->device.status)) + 1;
	return OK;
}

/* ---- open and read ---- */

static enum error plain_open(struct handle *handle, const struct node *node,
			     const struct actor *actor, struct fuse_file_info *info)
{
	(void)actor;
	bool quiet = handle->fs->sealed || time_now() - node->device.security_at > QUIET;
	info->direct_io = info->direct_io || !quiet;
	info->keep_cache = 1;
	handle->direct = info->direct_io;
	handle->told = changes_told(handle->fs->changes);
	return make_text(handle, &handle->text, &handle->change);
}

/* Takes the new text if the device changed and the kernel knows. The handle's mutex is held. */
static enum error renew(struct handle *handle, int64_t told)
{
	SCOPED(bytes_free) struct bytes text = {0};
	struct device device;
	int64_t change;
	if (handle->told == told)
		return OK;
	TRY(escrow_device(handle->fs->escrow, handle->device, &device));
	if (device.change != handle->change && device.change <= told) {
		TRY(make_text(handle, &text, &change));
		struct bytes old = handle->text;
		handle->text = text;
		text = old;
		handle->change = change;
	}
	handle->told = told;
	return OK;
}

static void plain_read(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
		       const struct fuse_file_info *info)
{
	/* Reads for the page cache carry no lock owner, whatever the descriptor. */
	bool direct = handle->direct && info->lock_owner;
	enum error result = OK;
	pthread_mutex_lock(&handle->mutex);
	if (!direct)
		result = renew(handle, changes_reading(handle->fs->changes));
	/* The descriptor of a device that was taken away goes on reading. */
	if (result && result != ERR_GONE)
		fuse_reply_err(req, reply_errno(result));
	else
		file_reply_text(req, handle->text.data, handle->text.len, size, offset);
	pthread_mutex_unlock(&handle->mutex);
}

const struct file file_security = {
	.stat = security_stat,
	.open = plain_open,
	.read = plain_read,
	.writable = true,
	.target = WRITER_SECURITY,
};

const struct file file_status = {
	.stat = status_stat,
	.open = plain_open,
	.read = plain_read,
	.why_not = "it follows from what is known of the device; write that to security.json",
};

const struct file file_policy = {
	.why_not = "a policy is its owner, mode and ACL; set them with chown, chmod and setfacl",
};
