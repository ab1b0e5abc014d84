/*
 * From bytes to a struct message: what stands around it, the property list, which kind it is, whose
 * it is, and then what that kind carries. The device is found first, so that a refusal of all the
 * rest can be recorded under its name.
 *
 * MUST: a message's token is in secure memory, and goes with the message. (test: token_in_secret)
 */
#include "mdm/property.h"
#include "mdm/read_facts.h"
#include "mdm/token.h"

#include "json.h"

#include <string.h>

#define WORD_MAX 64
#define USER_MAX 256

/* Check-ins are told by MessageType, results by what they carry. */
static const struct {
	const char *word;
	bool by_type;
} kinds[MESSAGE_COUNT] = {
	[MESSAGE_OTHER] = {"other", false},
	[MESSAGE_AUTHENTICATE] = {"Authenticate", true},
	[MESSAGE_TOKEN_UPDATE] = {"TokenUpdate", true},
	[MESSAGE_CHECK_OUT] = {"CheckOut", true},
	[MESSAGE_SET_BOOTSTRAP_TOKEN] = {"SetBootstrapToken", true},
	[MESSAGE_GET_BOOTSTRAP_TOKEN] = {"GetBootstrapToken", true},
	[MESSAGE_SECURITY_INFO] = {"SecurityInfo", false},
	[MESSAGE_DEVICE_INFORMATION] = {"DeviceInformation", false},
};

const char *message_word(enum message_kind kind)
{
	return kinds[kind].word;
}

void message_free(struct message *message)
{
	secret_free(&message->token);
	*message = (struct message){0};
}

/* ---- whose, and which ---- */

static enum error read_id(plist_t root, const char *key, char out[static UDID_MAX + 1])
{
	char id[UDID_MAX + 1];
	enum error result = property_text(root, key, id, sizeof id);
	if (result)
		return result;
	if (!*id)
		return OK;
	if (!udid_valid(id, strlen(id)))
		return fail(ERR_INVALID,
			    "%s is none: it has other characters than letters, digits "
			    "and '-'",
			    key);
	memcpy(out, id, sizeof id);
	return OK;
}

static enum error read_sender(plist_t root, struct message *out)
{
	char enrollment[UDID_MAX + 1] = "", user[USER_MAX];
	TRY(read_id(root, "UDID", out->id));
	TRY(read_id(root, "EnrollmentID", enrollment));
	if (!*out->id && *enrollment) {
		memcpy(out->id, enrollment, sizeof enrollment);
		out->user_enrolled = true;
	}
	TRY(property_text(root, "UserID", user, sizeof user));
	out->user_channel = *user;
	TRY(property_text(root, "EnrollmentUserID", user, sizeof user));
	out->user_channel = out->user_channel || *user;
	return OK;
}

static enum error read_kind(plist_t root, enum message_kind *kind)
{
	char type[WORD_MAX];
	TRY(property_text(root, "MessageType", type, sizeof type));
	*kind = MESSAGE_OTHER;
	if (*type) {
		for (enum message_kind i = 0; i < MESSAGE_COUNT; i++)
			if (kinds[i].by_type && strcmp(type, kinds[i].word) == 0)
				*kind = i;
		return OK;
	}
	plist_t result;
	TRY(property_get(root, "SecurityInfo", PLIST_DICT, &result));
	if (result) {
		*kind = MESSAGE_SECURITY_INFO;
		return OK;
	}
	TRY(property_get(root, "QueryResponses", PLIST_DICT, &result));
	if (result)
		*kind = MESSAGE_DEVICE_INFORMATION;
	return OK;
}

/* ---- the message ---- */

static enum error read_rest(const struct property_list *list, int64_t at, struct message *out)
{
	enum property_flag awaiting;
	TRY(read_kind(list->root, &out->kind));
	if (out->kind == MESSAGE_OTHER)
		return OK;
	if (!*out->id)
		return fail(ERR_INVALID,
			    "a %s message without UDID or EnrollmentID: it names no "
			    "device",
			    message_word(out->kind));
	TRY(property_flag(list->root, "AwaitingConfiguration", &awaiting));
	out->awaiting_configuration = awaiting == FLAG_TRUE;
	if (out->kind == MESSAGE_SET_BOOTSTRAP_TOKEN)
		TRY(token_read(list, &out->token));
	return facts_read(list->root, at, out);
}

static enum error read_list(enum mdm_form form, const uint8_t *text, size_t len, int64_t now,
			    struct message *out)
{
	SCOPED(property_close) struct property_list list;
	TRY(property_open(form, text, len, &list));
	TRY(read_sender(list.root, out));
	enum error result = read_rest(&list, out->at ? out->at : now, out);
	if (result && *out->id)
		return fail(result, "device %s: %s", out->id, fail_why());
	return result;
}

static void webhook_free(struct json_webhook *webhook)
{
	secret_free(&webhook->payload);
}

static enum error read_webhook(const uint8_t *text, size_t len, int64_t now, struct message *out)
{
	SCOPED(webhook_free) struct json_webhook webhook = {0};
	TRY(json_webhook(text, len, &webhook));
	out->webhook = true;
	if (webhook.created_at > 0 && webhook.created_at <= now)
		out->at = webhook.created_at;
	if (!webhook.payload.len)
		return OK;
	enum mdm_form form = mdm_form(webhook.payload.data, webhook.payload.len);
	if (form != FORM_XML && form != FORM_BINARY)
		return fail(ERR_INVALID, "the webhook's raw_payload is no property list");
	return read_list(form, webhook.payload.data, webhook.payload.len, now, out);
}

enum error mdm_read(const uint8_t *text, size_t len, int64_t now, struct message *out)
{
	*out = (struct message){0};
	if (len > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "the message is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (mdm_blank(text, len))
		return fail(ERR_INVALID, "the message is empty");
	size_t headers = mdm_headers_end(text, len);
	if (headers == SIZE_MAX)
		return fail(ERR_INVALID, "the message is not whole: after the header lines come an "
					 "empty line and a property list");
	TRY(headers_read(text, headers, out->identity));
	text += headers;
	len -= headers;
	switch (mdm_form(text, len)) {
	case FORM_XML:
		return read_list(FORM_XML, text, len, now, out);
	case FORM_BINARY:
		return read_list(FORM_BINARY, text, len, now, out);
	case FORM_JSON:
		return read_webhook(text, len, now, out);
	default:
		return fail(ERR_INVALID, "this is neither a property list nor a webhook's JSON");
	}
}

enum error mdm_read_token(const uint8_t *text, size_t len, struct message *out)
{
	*out = (struct message){0};
	enum mdm_form form = mdm_form(text, len);
	if (form != FORM_XML && form != FORM_BINARY)
		return fail(ERR_INVALID, "this is no SetBootstrapToken property list");
	SCOPED(property_close) struct property_list list;
	TRY(property_open(form, text, len, &list));
	TRY(read_sender(list.root, out));
	TRY(read_kind(list.root, &out->kind));
	if (out->kind != MESSAGE_SET_BOOTSTRAP_TOKEN)
		return fail(ERR_INVALID,
			    "a token is written as a SetBootstrapToken property list, "
			    "and this is another message (%s)",
			    message_word(out->kind));
	if (out->user_channel)
		return fail(ERR_INVALID,
			    "the message is of the user channel (UserID), which has no "
			    "Bootstrap Token");
	return token_read(&list, &out->token);
}
