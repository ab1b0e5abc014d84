/*
 * A stream of messages, taken apart.
 *
 * MUST: what is gathered is in secure memory alone. (test: stream_in_secret)
 */
#include "sources/messages.h"

#include "mdm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ROOM MDM_MESSAGE_MAX

/*
 * Broken messages in a row, after which a source is given up: each costs a look at all that is
 * gathered.
 */
#define CUTS_MAX 100

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

/*
 * Where the next message seems to start, behind text that has no end: one broken line of a log
 * isn't to take the lines behind it along. 0: nowhere.
 */
static size_t next_start(struct messages *messages, const uint8_t *text, size_t len)
{
	static const char *const starts[] = {"\n{", "\n<?xml", "\nbplist00"};
	size_t first = 0, before = 0;
	while (mdm_blank(text + before, 1)) /* not all of it is */
		before++;
	if (++messages->cuts > CUTS_MAX)
		return 0;
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		const uint8_t *found =
			memmem(text + before, len - before, starts[i], strlen(starts[i]));
		if (found && (!first || (size_t)(found - text) < first))
			first = (size_t)(found - text) + 1;
	}
	return first;
}

static size_t next_end(struct messages *messages, const uint8_t *text, size_t len)
{
	size_t end = len ? mdm_stream_next(text, len) : 0;
	if (end) {
		messages->cuts = 0;
		return end;
	}
	bool full = messages->gathered.len == ROOM && messages->at == 0;
	if ((!messages->ended && !full) || mdm_blank(text, len))
		return 0;
	end = next_start(messages, text, len);
	/* What has no end of its own is whole when there is no more. */
	return end || full ? end : len;
}

enum error messages_next(struct messages *messages, const uint8_t **text, size_t *len)
{
	const struct secret *gathered = &messages->gathered;
	*len = 0;
	while (!*messages->stop) {
		*text = gathered->data + messages->at;
		size_t left = gathered->len - messages->at;
		size_t end = next_end(messages, *text, left);
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
