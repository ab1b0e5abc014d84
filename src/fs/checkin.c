/*
 * /checkin: one message in, its reply out, on one descriptor. The kernel's offset says nothing
 * here, since a read after a write starts behind what was written: the writer has a cursor of its
 * own.
 *
 * The kernel lets one writer at a time into an inode. So each lookup gets another one, unless the last
 * one is not open any more; to the kernel, which asks at each open whether the name still stands for the
 * inode that it knows, that is a file that was replaced. But of many who open at the same time each then
 * finds the others' inodes replaced, and looks again and again. When so many are at work that one more
 * writer at a time would gain nothing, some lookups get the same one.
 *
 * MUST: a reply goes from secure memory to the kernel and nowhere else. (test: memory.bats, "check-ins")
 */
#include "file.h"

#include "changes.h"
#include "workers.h"

/* ---- which inode it is ---- */

#define BUSY 8	 /* so many workers that wait for the disk share commits well enough */
#define SHARED 8 /* lookups that get one inode then */

uint64_t checkin_number(struct fs *fs)
{
	struct checkins *checkins = &fs->checkins;
	pthread_mutex_lock(&fs->mutex);
	if (checkins->given >= (workers_waiting(fs->workers) < BUSY ? 1 : SHARED)) {
		checkins->number++;
		checkins->given = checkins->open = 0;
	}
	checkins->given++;
	uint64_t number = tree_checkin_node(checkins->number);
	pthread_mutex_unlock(&fs->mutex);
	return number;
}

void checkin_opened(struct fs *fs, uint64_t number)
{
	pthread_mutex_lock(&fs->mutex);
	if (number == tree_checkin_node(fs->checkins.number))
		fs->checkins.open++;
	pthread_mutex_unlock(&fs->mutex);
}

void checkin_closed(struct fs *fs, uint64_t number)
{
	pthread_mutex_lock(&fs->mutex);
	if (number == tree_checkin_node(fs->checkins.number) && --fs->checkins.open <= 0)
		fs->checkins.given = fs->checkins.open = 0;
	pthread_mutex_unlock(&fs->mutex);
}

/* ---- one message ---- */

static enum error checkin_open(struct handle *handle, const struct node *node,
			       const struct actor *actor, struct fuse_file_info *info)
{
	(void)handle;
	(void)node;
	(void)actor;
	info->direct_io = 1;
	info->nonseekable = 1;
	return OK;
}

/*
 * The writer's bytes are valid until its next call, which another thread may make: the answer
 * gets its own.
 */
static enum error take_reply(struct handle *handle, fuse_req_t req, size_t size, struct secret *out)
{
	struct actor room;
	const void *data;
	size_t n;
	if (!handle->writer)
		return fail(ERR_INVALID, "/checkin: open it for reading and writing, write a "
					 "message, then read the reply");
	const struct actor *actor = actor_if_it_matters(req, handle->writer, &room);
	pthread_mutex_lock(&handle->mutex);
	enum error result = writer_read(handle->writer, actor, size, &data, &n);
	if (!result)
		result = secret_new(n ? n : 1, out);
	if (!result)
		result = secret_add(out, data, n);
	pthread_mutex_unlock(&handle->mutex);
	return result;
}

static void checkin_read(struct handle *handle, fuse_req_t req, size_t size, off_t offset,
			 const struct fuse_file_info *info)
{
	(void)offset;
	(void)info;
	struct reply reply = {.kind = REPLY_DATA};
	enum error result = take_reply(handle, req, size, &reply.data);
	if (result) {
		secret_free(&reply.data);
		reply = reply_error(result);
	}
	/* A read may have been what made the message whole. */
	changes_answer_own(handle->fs->changes, req, &reply);
}

const struct file file_checkin = {
	.open = checkin_open,
	.read = checkin_read,
	.writable = true,
	.target = WRITER_CHECKIN,
};
