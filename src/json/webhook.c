/*
 * MUST: the payload may hold a token: it leaves in secure memory only. (test: webhook_payload)
 */
#include "json.h"
#include "parse.h"

#include "base64.h"
#include "text.h"

#include <string.h>

enum error json_webhook(const uint8_t *text, size_t len, struct json_webhook *out)
{
	*out = (struct json_webhook){0};
	SCOPED(parse_free) json_t *root = NULL;
	TRY(parse(text, len, "the webhook", &root));
	const json_t *event = json_object_get(root, "checkin_event");
	if (!json_is_object(event))
		event = json_object_get(root, "acknowledge_event");
	if (!json_is_object(event))
		return fail(ERR_INVALID, "JSON without checkin_event and acknowledge_event: not a "
					 "webhook of NanoMDM or MicroMDM");
	const char *created = json_string_value(json_object_get(root, "created_at"));
	if (created && !time_read(created, &out->created_at))
		out->created_at = 0;
	const json_t *payload = json_object_get(event, "raw_payload");
	if (!payload || json_is_null(payload))
		return OK;
	if (!json_is_string(payload))
		return fail(ERR_INVALID, "raw_payload is no string");
	size_t size = json_string_length(payload), n;
	TRY(secret_new(BASE64_DECODED_MAX(size), &out->payload));
	enum error decoded = base64_decode((const uint8_t *)json_string_value(payload), size,
					   out->payload.data, &n);
	if (decoded)
		return fail(ERR_INVALID, "raw_payload: %s", fail_why());
	out->payload.len = n;
	return OK;
}
