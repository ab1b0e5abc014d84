#include "messages.h"

#include "mdm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ROOM MDM_MESSAGE_MAX

enum error messages_new(int fd, const volatile sig_atomic_t *stop, struct messages *out)
{
	*out = (struct messages){.fd = fd, .stop = stop};
	return secret_new(ROOM, &out->gathered);
}

void messages_free(struct messages *messages)
{
	secret_free(&messages->gathered);
}

bool messages_over(const struct messages *messages)
{
	return messages->ended && mdm_blank(messages->gathered.data + messages->at,
					    messages->gathered.len - messages->at);
}

/* Moves what is left to the front and reads once behind it. */
static enum error gather(struct messages *messages)
{
	struct secret *gathered = &messages->gathered;
	gathered->len -= messages->at;
	memmove(gathered->data, gathered->data + messages->at, gathered->len);
	messages->at = 0;
	if (gathered->len == ROOM)
		return fail(ERR_TOO_BIG,
			    "no message ends within %d bytes, the limit of a message; the rest is "
			    "left out",
			    MDM_MESSAGE_MAX);
	ssize_t n = read(messages->fd, gathered->data + gathered->len, ROOM - gathered->len);
	if (n < 0 && errno != EINTR)
		return fail(ERR_IO, "it can't be read: %s", strerror(errno));
	if (n == 0)
		messages->ended = true;
	if (n > 0)
		gathered->len += (size_t)n;
	return OK;
}

enum error messages_next(struct messages *messages, const uint8_t **text, size_t *len)
{
	const struct secret *gathered = &messages->gathered;
	*len = 0;
	while (!*messages->stop) {
		*text = gathered->data + messages->at;
		size_t left = gathered->len - messages->at;
		size_t end = left ? mdm_stream_next(*text, left) : 0;
		/* What has no end of its own is whole when there is no more. */
		if (!end && messages->ended && !mdm_blank(*text, left))
			end = left;
		if (end) {
			*len = end;
			messages->at += end;
			return OK;
		}
		if (messages->ended)
			return OK;
		TRY(gather(messages));
	}
	return OK;
}
