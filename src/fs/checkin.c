/*
 * /checkin: one message in, its reply out, on one descriptor. The kernel's offset says nothing
 * here, since a read after a write starts behind what was written: the writer has a cursor of its
 * own.
 */
#include "file.h"

#include "changes.h"

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
static enum error take_reply(struct handle *handle, const struct actor *actor, size_t size,
			     struct secret *out)
{
	const void *data;
	size_t n;
	if (!handle->writer)
		return fail(ERR_INVALID, "/checkin: open it for reading and writing, write a "
					 "message, then read the reply");
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
	struct actor actor;
	actor_of(req, &actor);
	struct reply reply = {.kind = REPLY_DATA};
	enum error result = take_reply(handle, &actor, size, &reply.data);
	if (result) {
		secret_free(&reply.data);
		reply = reply_error(result);
	}
	/* A read may have been what made the message whole. */
	changes_answer(handle->fs->changes, req, &reply);
}

const struct file file_checkin = {
	.open = checkin_open,
	.read = checkin_read,
	.writable = true,
	.target = WRITER_CHECKIN,
};
