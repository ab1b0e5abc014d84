/*
 * MUST: the payload may hold a token: it leaves in secure memory, and jansson's copy is wiped.
 *       (test: webhook_payload)
 * MUST: no sentence quotes it. (test: webhook_refuses)
 */
#include "json.h"
#include "parse.h"

#include "base64.h"
#include "text.h"

#include <string.h>

static enum error wrong(const char *key, const char *should)
{
	return fail(ERR_INVALID, "the webhook: %s: %s is expected", key, should);
}

/* Null counts as left out: *out is NULL then. */
static enum error get(const json_t *from, const char *key, json_type type, const char *should,
		      json_t **out)
{
	*out = json_object_get(from, key);
	if (json_is_null(*out))
		*out = NULL;
	return *out && json_typeof(*out) != type ? wrong(key, should) : OK;
}

static enum error get_event(const json_t *root, json_t **event)
{
	json_t *other;
	TRY(get(root, "checkin_event", JSON_OBJECT, "an object", event));
	TRY(get(root, "acknowledge_event", JSON_OBJECT, "an object", &other));
	if (*event && other)
		return fail(ERR_INVALID, "the webhook: checkin_event and acknowledge_event in one");
	if (!*event)
		*event = other;
	return *event ? OK
		      : fail(ERR_INVALID, "JSON without checkin_event and acknowledge_event: not a "
					  "webhook of NanoMDM or MicroMDM");
}

static enum error get_created(const json_t *root, int64_t *at)
{
	json_t *created;
	TRY(get(root, "created_at", JSON_STRING, "a text", &created));
	if (!created || !time_read(json_string_value(created), at))
		*at = 0;
	return OK;
}

static enum error get_payload(const json_t *event, struct secret *out)
{
	json_t *payload;
	TRY(get(event, "raw_payload", JSON_STRING, "a text", &payload));
	if (!payload)
		return OK;
	char *text = (char *)(uintptr_t)json_string_value(payload);
	size_t size = json_string_length(payload);
	enum error result = secret_new(BASE64_DECODED_MAX(size), out);
	if (!result)
		result = base64_decode((const uint8_t *)text, size, out->data, &out->len);
	secret_wipe(text, size);
	if (result == ERR_INVALID) {
		secret_free(out);
		return fail(ERR_INVALID, "the webhook: raw_payload: %s", fail_why());
	}
	return result;
}

enum error json_webhook(const uint8_t *text, size_t len, struct json_webhook *out)
{
	*out = (struct json_webhook){0};
	SCOPED(parse_free) json_t *root = NULL;
	json_t *event;
	TRY(parse(text, len, "the webhook", &root));
	TRY(get_event(root, &event));
	TRY(get_created(root, &out->created_at));
	return get_payload(event, &out->payload);
}
