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
#include "known.h"

#include <string.h>

/* How long a device is quiet before pages of its files are kept. */
#define QUIET INT64_C(2000000000)

/* ---- the texts ---- */

static enum error status_line(enum status status, struct content **text)
{
	char line[32];
	char *end = stpcpy(stpcpy(line, status_word(status)), "\n");
	return content_new(line, (size_t)(end - line), text);
}

enum error plain_words_new(struct fs *fs)
{
	for (int i = 0; i < STATUS_COUNT; i++)
		TRY(status_line((enum status)i, &fs->words[i]));
	return OK;
}

void plain_words_free(struct fs *fs)
{
	for (int i = 0; i < STATUS_COUNT; i++)
		content_drop(fs->words[i]);
}

/* One text for all devices that it is true of. */
static enum error status_text(const struct fs *fs, enum status status, struct content **text)
{
	if (!fs->words[status])
		return status_line(status, text);
	*text = content_hold(fs->words[status]);
	return OK;
}

/*
 * What the file says, and of which device. bootstrap_status is made of the one that is there; of
 * security.json it is the one that the text belongs to.
 */
static enum error make_text(const struct handle *handle, struct device *device,
			    struct content **text)
{
	if (handle->entry->node == FILE_SECURITY)
		return known_security(handle->fs, handle->device, device, text);
	return status_text(handle->fs, device->status, text);
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
	struct device device = node->device;
	(void)actor;
	TRY(make_text(handle, &device, &handle->text));
	handle->change = device.change;
	bool quiet = handle->fs->sealed || time_now() - device.security_at > QUIET;
	info->direct_io = info->direct_io || !quiet;
	info->keep_cache = 1;
	handle->direct = info->direct_io;
	return OK;
}

/* Takes the new text if the device changed and the kernel knows. The handle's mutex is held. */
static enum error renew(struct handle *handle, int64_t told)
{
	struct content *text;
	struct device device;
	if (handle->told == told)
		return OK;
	TRY(known_device(handle->fs, handle->device, &device));
	if (device.change != handle->change && device.change <= told) {
		TRY(make_text(handle, &device, &text));
		content_drop(handle->text);
		handle->text = text;
		handle->change = device.change;
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
		file_reply_content(req, handle->text, size, offset);
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
