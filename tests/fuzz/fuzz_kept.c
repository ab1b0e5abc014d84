/* A backup's security.json: what is read of it makes sense, and can be written and read again. */
#include "json.h"
#include "seal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UDID "9353BC9A"

static void read_again(struct bytes *text, const struct json_kept *kept)
{
	struct json_kept again;
	if (json_kept_read(text->data, text->len, UDID, &again) ||
	    again.version_count != kept->version_count || again.device.id != kept->device.id)
		abort();
	json_kept_free(&again);
	bytes_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_kept kept;
	struct bytes text = {0};
	if (json_kept_read(data, size, UDID, &kept) == OK) {
		for (int i = 0; i < kept.version_count; i++) {
			const struct version *version = &kept.versions[i];
			if (version->number < 1 || version->number > VERSION_NUMBER_MAX ||
			    version->escrowed_at <= 0 ||
			    (version->ended_at != 0) != (version->end != END_NONE))
				abort();
		}
		if (!kept.device.id)
			kept.device.id = 1; /* every device has a number */
		struct json_security shown = {.device = &kept.device,
					      .facts = &kept.facts,
					      .versions = kept.versions,
					      .version_count = kept.version_count,
					      .token_keys = true,
					      .sealed = true};
		if (json_security_write(&shown, &text))
			abort();
		read_again(&text, &kept);
		if (json_removed_write(&kept.device, kept.versions, kept.version_count, &text))
			abort();
		read_again(&text, &kept);
	}
	json_kept_free(&kept);

	/* And what shows of a seal that nobody opens. */
	struct recipients *recipients;
	struct seal_outline outline;
	if (recipients_new(&recipients))
		abort();
	if (seal_outline(recipients, data, size, &outline) == OK && outline.ours)
		abort();
	recipients_free(recipients);
	return 0;
}
