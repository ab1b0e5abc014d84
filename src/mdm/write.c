/*
 * Property lists and the line of base64 that go out: XML to devices and to other servers, binary ones
 * into seals. libplist's copies of a token are wiped here as far as they can be reached, and by free()
 * where they can't.
 *
 * MUST: what is made is in secure memory. (test: token_in_secret)
 * MUST: a copy that libplist made is wiped. (test: memory.bats, "no token is left")
 */
#include "mdm.h"

#include "base64.h"
#include "mdm/mold.h"
#include "mdm/token.h"

#include <plist/plist.h>
#include <stdio.h>
#include <string.h>

static void plist_scoped(plist_t *node)
{
	plist_free(*node);
}

/* libplist's `text`, which is wiped, to secure memory. */
static enum error take(char *text, uint32_t len, void (*release)(char *), struct secret *out)
{
	if (!text)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = secret_new(len, out);
	if (!result)
		result = secret_add(out, text, len);
	secret_wipe(text, len);
	release(text);
	return result;
}

static enum error write_xml(plist_t root, struct secret *out)
{
	char *text = NULL;
	uint32_t len = 0;
	plist_to_xml(root, &text, &len);
	return take(text, len, plist_to_xml_free, out);
}

static enum error write_binary(plist_t root, struct secret *out)
{
	char *text = NULL;
	uint32_t len = 0;
	plist_to_bin(root, &text, &len);
	return take(text, len, plist_to_bin_free, out);
}

static void add_token(plist_t dict, const struct secret *token)
{
	plist_dict_set_item(dict, "BootstrapToken",
			    plist_new_data((const char *)token->data, token->len));
}

enum error mdm_write_reply(const struct secret *token, struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(plist_scoped) plist_t root = plist_new_dict();
	if (token)
		add_token(root, token);
	return write_xml(root, out);
}

/* One of the two above. */
typedef enum error encoder(plist_t root, struct secret *out);

static enum error write_message(encoder *encode, const char *udid, const struct secret *token,
				struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(plist_scoped) plist_t root = plist_new_dict();
	add_token(root, token);
	plist_dict_set_item(root, "MessageType", plist_new_string("SetBootstrapToken"));
	plist_dict_set_item(root, "UDID", plist_new_string(udid));
	return encode(root, out);
}

enum error mdm_write_token(const char *udid, const struct secret *token, struct secret *out)
{
	return write_message(write_xml, udid, token, out);
}

static enum error write_content(const char *udid, const struct secret *token, struct secret *out)
{
	return write_message(write_binary, udid, token, out);
}

enum error mdm_write_content(const char *udid, const struct secret *token, struct secret *out)
{
	return mold_cast(write_content, udid, token, out);
}

/* The token of a message that was cast. */
static enum error take_cast(const char *udid, const uint8_t *token, size_t len, struct message *out)
{
	*out = (struct message){.kind = MESSAGE_SET_BOOTSTRAP_TOKEN};
	snprintf(out->id, sizeof out->id, "%s", udid);
	TRY(secret_new(len, &out->token));
	TRY(secret_add(&out->token, token, len));
	return mdm_check_token(&out->token);
}

enum error mdm_read_content(const char *udid, const uint8_t *text, size_t len, struct message *out)
{
	const uint8_t *token;
	size_t token_len;
	if (mold_fits(udid, text, len, &token, &token_len))
		return take_cast(udid, token, token_len, out);
	TRY(mdm_read_token(text, len, out));
	mold_learn(write_content, out->id, out->token.len);
	return OK;
}

static enum error message_len(encoder *encode, const char *udid, size_t size, size_t *len)
{
	SCOPED(secret_free) struct secret token = {0}, message = {0};
	TRY(secret_new(size, &token));
	memset(token.data, 0, size);
	token.len = size;
	TRY(write_message(encode, udid, &token, &message));
	*len = message.len;
	return OK;
}

/* Sizes grow by `step` with the lengths. A message is longer than its token. */
static enum error size_of(encoder *encode, size_t step, const char *udid, size_t wanted,
			  uint32_t *size)
{
	size_t low = 0, high = (wanted < TOKEN_BYTES_MAX ? wanted : TOKEN_BYTES_MAX) / step;
	while (low < high) {
		size_t middle = (low + high) / 2, len;
		TRY(message_len(encode, udid, step * (middle + 1), &len));
		if (len == wanted)
			*size = (uint32_t)(step * (middle + 1));
		if (len < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return OK;
}

enum error mdm_token_size(const char *udid, size_t content_len, uint32_t *size)
{
	*size = 0;
	TRY(size_of(write_xml, 3, udid, content_len, size));
	return *size ? OK : size_of(write_binary, 1, udid, content_len, size);
}

enum error mdm_write_base64(const struct secret *token, struct secret *out)
{
	TRY(secret_new(BASE64_ENCODED(token->len) + 1, out));
	base64_encode(token->data, token->len, out->data);
	out->len = BASE64_ENCODED(token->len);
	out->data[out->len++] = '\n';
	return OK;
}
