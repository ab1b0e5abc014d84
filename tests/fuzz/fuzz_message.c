/* Messages as /checkin and `token` take them: header lines, property lists of both kinds, webhooks, base64. */
#include "mdm.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void written_is_read(enum error (*write)(const char *, const struct secret *,
						struct secret *),
			    const struct message *message)
{
	struct secret written = {0};
	struct message again = {0};
	if (write(message->id, &message->token, &written) ||
	    mdm_read_token(written.data, written.len, &again) ||
	    !secret_equal(&again.token, &message->token))
		abort();
	secret_free(&written);
	message_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message message;
	if (mdm_read(data, size, 1, &message) == OK) {
		/* What is let through names a valid device, or is of a kind that needs none. */
		if (message.kind != MESSAGE_OTHER && !message.user_channel &&
		    !udid_valid(message.id, strlen(message.id)))
			abort();
	}
	message_free(&message);
	if (mdm_read_token(data, size, &message) == OK && message.token.len && *message.id) {
		written_is_read(mdm_write_token, &message);
		written_is_read(mdm_write_content, &message);
	}
	message_free(&message);
	struct secret token = {0};
	(void)mdm_read_base64(data, size, &token);
	secret_free(&token);
	(void)mdm_stream_next(data, size);
	return 0;
}
