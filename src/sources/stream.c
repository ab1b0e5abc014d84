/*
 * Messages, one or many in a file, each as /checkin would take it.
 *
 * MUST: a message's copy is in secure memory, and wiped when it was taken in. (test: stream_in_secret)
 */
#include "sources/kinds.h"

#include "mdm.h"
#include "sources/messages.h"

#include <stdlib.h>
#include <unistd.h>

static enum error prepare(struct escrow *escrow, const struct actor *actor, const struct unit *unit,
			  bool again, struct arrival **out)
{
	const struct secret *text = unit->work;
	enum error error = escrow_message_prepare(escrow, actor, text->data, text->len, unit->came,
						  again, out);
	bool none = error && unit->number <= 1 && mdm_headers_end(text->data, text->len) == 0 &&
		    mdm_form(text->data, text->len) == FORM_BASE64;
	return none ? fail(error,
			   "%s; nor a table: that is UTF-8, with commas or tabs between its "
			   "columns, and its first line has udid or id in it",
			   fail_why())
		    : error;
}

static void release(void *work)
{
	if (work)
		secret_free(work);
	free(work);
}

static const struct unit_kind message = {.item = "message", .prepare = prepare, .release = release};

static enum error hand_over(struct intake *intake, const char *name, int64_t number,
			    const uint8_t *text, size_t len)
{
	struct secret *copy = calloc(1, sizeof *copy);
	if (!copy)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = secret_new(len, copy);
	if (!result)
		result = secret_add(copy, text, len);
	if (result) {
		release(copy);
		return result;
	}
	return intake_add(intake, &(struct unit){.kind = &message,
						 .work = copy,
						 .size = len,
						 .file = name,
						 .number = number});
}

/* A file with one message alone is named without a number. */
static enum error read_stream(struct intake *intake, int fd, const char *name, int64_t seen_at)
{
	(void)seen_at;
	SCOPED(messages_free) struct messages messages = {0};
	TRY(messages_new(fd, intake_stop(intake), &messages));
	for (int64_t number = 1; !intake_stopped(intake); number++) {
		const uint8_t *text;
		size_t len;
		enum error error = messages_next(&messages, &text, &len);
		if (error) {
			if (number > 1)
				(void)intake_refuse(intake, name, message.item, number, NULL,
						    ERR_INVALID);
			else
				intake_unread(intake, name);
			return OK;
		}
		if (!len) {
			/* A pipe may have nothing to say today. */
			if (number > 1 || intake_stopped(intake) || fd == STDIN_FILENO)
				return OK;
			fail(ERR_INVALID, "it is empty");
			intake_unread(intake, name);
			return OK;
		}
		bool alone = number == 1 && messages_over(&messages);
		TRY(hand_over(intake, name, alone ? 0 : number, text, len));
	}
	return OK;
}

const struct source_kind source_stream = {
	.name = "messages",
	.read_file = read_stream,
};
