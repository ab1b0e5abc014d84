/*
 * Answers to the kernel, and the one table of errnos.
 *
 * MUST: what was sent is wiped. (test: memory.bats, "no token is left")
 */
#include "reply.h"

#include "fault.h"
#include "handle.h"

#include <errno.h>

int reply_errno(enum error code)
{
	static const int numbers[ERR_COUNT] = {
		[OK] = 0,
		[ERR_INVALID] = EINVAL,
		[ERR_FORBIDDEN] = EPERM,
		[ERR_TOO_BIG] = EFBIG,
		[ERR_NO_KEY] = ENOKEY,
		[ERR_BAD_SEAL] = EBADMSG,
		[ERR_NO_SPACE] = ENOSPC,
		[ERR_READ_ONLY] = EROFS,
		[ERR_IO] = EIO,
		[ERR_MEMORY] = ENOMEM,
		[ERR_NOT_FOUND] = ENOENT,
		[ERR_EXISTS] = EEXIST,
		[ERR_NOT_EMPTY] = ENOTEMPTY,
		[ERR_GONE] = ESTALE,
		[ERR_BUSY] = EBUSY,
		[ERR_ACCESS] = EACCES,
		[ERR_QUOTA] = EDQUOT,
		[ERR_UNPINNED] = EKEYREJECTED,
		[ERR_CHANGED] = EAGAIN,
	};
	return numbers[code];
}

struct reply reply_error(enum error code)
{
	return (struct reply){.kind = REPLY_ERROR, .error = reply_errno(code)};
}

void reply_send(fuse_req_t req, struct reply *reply)
{
	switch (reply->kind) {
	case REPLY_ERROR:
		fuse_reply_err(req, reply->error);
		break;
	case REPLY_ENTRY:
		fuse_reply_entry(req, &reply->entry);
		break;
	case REPLY_ATTR:
		fuse_reply_attr(req, &reply->entry.attr, reply->entry.attr_timeout);
		break;
	case REPLY_OPEN:
		fault_point("open-answer");
		/* No release follows an open that its caller doesn't get. */
		if (fuse_reply_open(req, &reply->file) == -ENOENT)
			handle_drop(handle_of(&reply->file));
		break;
	case REPLY_WRITTEN:
		fault_point("write-answer");
		fuse_reply_write(req, reply->written);
		fault_point("write-answered");
		break;
	case REPLY_DATA:
		fault_point("data-answer");
		fuse_reply_buf(req, (const char *)reply->data.data, reply->data.len);
		secret_free(&reply->data);
		break;
	}
}
