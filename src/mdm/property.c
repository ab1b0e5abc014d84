#include "mdm/property.h"

#include <stdlib.h>
#include <string.h>

static enum error open_xml(const uint8_t *text, size_t len, struct property_list *list)
{
	TRY(guard_xml(text, len, &list->xml));
	plist_from_xml((const char *)list->xml.clean.data, (uint32_t)list->xml.clean.len,
		       &list->root);
	if (list->root && plist_get_node_type(list->root) == PLIST_DICT &&
	    plist_dict_get_size(list->root) != list->xml.keys)
		return fail(ERR_INVALID, "the message has a key twice");
	return OK;
}

static enum error open_binary(const uint8_t *text, size_t len, struct property_list *list)
{
	size_t before = lead(text, len), end = binary_end(text + before, len - before);
	if (!end)
		end = len - before;
	list->binary = true;
	TRY(guard_binary(text + before, end));
	plist_from_bin((const char *)text + before, (uint32_t)end, &list->root);
	return OK;
}

enum error property_open(enum mdm_form form, const uint8_t *text, size_t len,
			 struct property_list *list)
{
	*list = (struct property_list){0};
	if (len > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "the message is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (form == FORM_BINARY)
		TRY(open_binary(text, len, list));
	else
		TRY(open_xml(text, len, list));
	if (!list->root || plist_get_node_type(list->root) != PLIST_DICT)
		return fail(ERR_INVALID, "this is no property list that can be read");
	return OK;
}

void property_close(struct property_list *list)
{
	plist_free(list->root);
	guarded_free(&list->xml);
	*list = (struct property_list){0};
}

static const char *type_word(plist_type type)
{
	switch (type) {
	case PLIST_BOOLEAN:
		return "boolean";
	case PLIST_STRING:
		return "string";
	case PLIST_DATA:
		return "<data>";
	case PLIST_UINT:
		return "integer";
	case PLIST_ARRAY:
		return "array";
	default:
		return "dictionary";
	}
}

static void iterator_free(plist_dict_iter *iterator)
{
	free(*iterator);
}

/*
 * Looks at every key: in a binary property list one may be there twice, and whoever reads it takes
 * the first or the last.
 */
enum error property_get(plist_t dict, const char *key, plist_type type, plist_t *out)
{
	*out = NULL;
	SCOPED(iterator_free) plist_dict_iter iterator = NULL;
	plist_dict_new_iter(dict, &iterator);
	if (!iterator)
		return fail(ERR_MEMORY, "out of memory");
	for (;;) {
		plist_t value = NULL;
		plist_dict_next_item(dict, iterator, NULL, &value);
		if (!value)
			break;
		if (plist_key_val_compare(plist_dict_item_get_key(value), key) != 0)
			continue;
		if (*out)
			return fail(ERR_INVALID, "%s is there twice", key);
		*out = value;
	}
	if (*out && plist_get_node_type(*out) != type)
		return fail(ERR_INVALID, "%s is no %s", key, type_word(type));
	return OK;
}

enum error property_text(plist_t dict, const char *key, char *out, size_t size)
{
	*out = 0;
	plist_t node;
	TRY(property_get(dict, key, PLIST_STRING, &node));
	if (!node)
		return OK;
	uint64_t len = 0;
	const char *text = plist_get_string_ptr(node, &len);
	if (!text || strlen(text) != len)
		return fail(ERR_INVALID, "%s has a NUL in it", key);
	if (len >= size)
		return fail(ERR_INVALID, "%s is longer than %zu bytes", key, size - 1);
	if (!text_plain(text))
		return fail(ERR_INVALID, "%s has characters that aren't text", key);
	memcpy(out, text, len + 1);
	return OK;
}

enum error property_flag(plist_t dict, const char *key, enum property_flag *out)
{
	*out = FLAG_ABSENT;
	plist_t node;
	TRY(property_get(dict, key, PLIST_BOOLEAN, &node));
	if (node)
		*out = plist_bool_val_is_true(node) ? FLAG_TRUE : FLAG_FALSE;
	return OK;
}
