/*
 * /metrics: counters as they are when it is read from its start, as files of /proc are; an open descriptor
 * costs nothing but itself.
 *
 * Nearly everybody reads all of it at once. Who reads in pieces must get pieces of one text: it is kept
 * until its end was read, but of all such readers together no more than PIECES, so that nobody's open
 * descriptors fill the memory. The oldest makes way, and its reader is told (EAGAIN) to begin again.
 */
#include "file.h"

static enum error make(struct fs *fs, struct content **out)
{
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_metrics(fs->escrow, &text));
	return content_take(&text, out);
}

static enum error metrics_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)node;
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_metrics(fs->escrow, &text));
	attr->st_size = (off_t)text.len;
	attr->st_mtim = attr->st_atim = attr->st_ctim = time_spec(time_now());
	return OK;
}

static enum error metrics_open(struct handle *handle, const struct node *node,
			       const struct actor *actor, struct fuse_file_info *info)
{
	(void)handle;
	(void)node;
	(void)actor;
	info->direct_io = 1;
	return OK;
}

/* ---- texts that are read in pieces: with the mount's mutex ---- */

static uint64_t keep(struct pieces *pieces, struct content *text)
{
	uint64_t number = ++pieces->number;
	content_drop(pieces->of[number % PIECES].text);
	pieces->of[number % PIECES].number = number;
	pieces->of[number % PIECES].text = content_hold(text);
	return number;
}

static struct content *find(const struct pieces *pieces, uint64_t number)
{
	const size_t at = number % PIECES;
	bool there = number && pieces->of[at].number == number && pieces->of[at].text;
	return there ? content_hold(pieces->of[at].text) : NULL;
}

static void forget(struct pieces *pieces, uint64_t number)
{
	const size_t at = number % PIECES;
	if (!number || pieces->of[at].number != number)
		return;
	content_drop(pieces->of[at].text);
	pieces->of[at].text = NULL;
}

void metrics_forget_all(struct fs *fs)
{
	for (int i = 0; i < PIECES; i++)
		content_drop(fs->pieces.of[i].text);
}

/* ---- reading ---- */

/* The text that the descriptor goes on in. `piece` 0: it has begun none, or read the last one to its end. */
static enum error go_on(struct handle *handle, uint64_t piece, struct content **out)
{
	pthread_mutex_lock(&handle->fs->mutex);
	*out = find(&handle->fs->pieces, piece);
	pthread_mutex_unlock(&handle->fs->mutex);
	if (*out)
		return OK;
	if (piece)
		return fail(ERR_CHANGED, "/metrics: too many read it in pieces; begin again");
	return make(handle->fs, out);
}

/* What is left of the text stays for the next read. */
static uint64_t leave(struct handle *handle, uint64_t piece, struct content *text, bool rest)
{
	struct fs *fs = handle->fs;
	pthread_mutex_lock(&fs->mutex);
	if (!rest) {
		forget(&fs->pieces, piece);
		piece = 0;
	} else if (!piece) {
		piece = keep(&fs->pieces, text);
	}
	pthread_mutex_unlock(&fs->mutex);
	return piece;
}

/* One read at a time has the descriptor's place in its text: handle->piece and handle->size. */
static enum error read_piece(struct handle *handle, size_t size, off_t offset, struct content **out)
{
	size_t at = offset > 0 ? (size_t)offset : 0;
	if (at && at >= handle->size && handle->size)
		return OK; /* its end */
	if (!at)
		handle->piece = leave(handle, handle->piece, NULL, false);
	TRY(go_on(handle, handle->piece, out));
	handle->size = *out ? (*out)->len : 0;
	handle->piece = leave(handle, handle->piece, *out, at + size < handle->size);
	return OK;
}

static void metrics_read(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
			 const struct fuse_file_info *info)
{
	SCOPED(content_scoped) struct content *text = NULL;
	(void)info;
	pthread_mutex_lock(&handle->mutex);
	enum error result = read_piece(handle, size, offset, &text);
	pthread_mutex_unlock(&handle->mutex);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		file_reply_content(req, text, size, offset);
}

const struct file file_metrics = {
	.stat = metrics_stat,
	.open = metrics_open,
	.read = metrics_read,
	.why_not = "counters can't be set",
};
