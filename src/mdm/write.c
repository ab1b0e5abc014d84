/*
 * Property lists and the line of base64 that go out. libplist's copies of a token are wiped here
 * as far as they can be reached, and by free() where they can't.
 */
#include "mdm.h"

#include "base64.h"
#include "mdm/token.h"

#include <plist/plist.h>
#include <string.h>

static void plist_scoped(plist_t *node)
{
	plist_free(*node);
}

static enum error write_xml(plist_t root, struct secret *out)
{
	char *xml = NULL;
	uint32_t len = 0;
	plist_to_xml(root, &xml, &len);
	if (!xml)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = secret_new(len, out);
	if (!result)
		result = secret_add(out, xml, len);
	secret_wipe(xml, len);
	plist_to_xml_free(xml);
	return result;
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

enum error mdm_write_token(const char *udid, const struct secret *token, struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(plist_scoped) plist_t root = plist_new_dict();
	add_token(root, token);
	plist_dict_set_item(root, "MessageType", plist_new_string("SetBootstrapToken"));
	plist_dict_set_item(root, "UDID", plist_new_string(udid));
	return write_xml(root, out);
}

static enum error message_len(const char *udid, size_t size, size_t *len)
{
	SCOPED(secret_free) struct secret token = {0}, message = {0};
	TRY(secret_new(size, &token));
	memset(token.data, 0, size);
	token.len = size;
	TRY(mdm_write_token(udid, &token, &message));
	*len = message.len;
	return OK;
}

enum error mdm_token_size(const char *udid, size_t wanted, uint32_t *size)
{
	size_t low = 0, high = TOKEN_BYTES_MAX / 3; /* in threes, exclusive */
	*size = 0;
	while (low < high) {
		size_t middle = (low + high) / 2, len;
		TRY(message_len(udid, 3 * middle + 3, &len));
		if (len == wanted)
			*size = (uint32_t)(3 * middle + 3);
		if (len < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return OK;
}

enum error mdm_write_base64(const struct secret *token, struct secret *out)
{
	TRY(secret_new(BASE64_ENCODED(token->len) + 1, out));
	base64_encode(token->data, token->len, out->data);
	out->len = BASE64_ENCODED(token->len);
	out->data[out->len++] = '\n';
	return OK;
}
