#include "parse.h"

#include <stdbool.h>

#define DEPTH_MAX 32

static bool too_deep(const uint8_t *text, size_t len)
{
	int depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '[') && ++depth > DEPTH_MAX)
			return true;
		else if (!in_string && (text[i] == '}' || text[i] == ']'))
			depth--;
	}
	return false;
}

enum error parse(const uint8_t *text, size_t len, const char *what, json_t **out)
{
	json_error_t error;
	if (too_deep(text, len))
		return fail(ERR_INVALID, "%s: nested deeper than %d", what, DEPTH_MAX);
	*out = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, &error);
	/* jansson's sentence may quote the text: the line is told, not what stands there. */
	if (!*out)
		return fail(ERR_INVALID, "%s: no JSON: wrong at line %d, column %d", what,
			    error.line, error.column);
	if (!json_is_object(*out))
		return fail(ERR_INVALID, "%s: one JSON object is expected", what);
	return OK;
}

void parse_free(json_t **json)
{
	json_decref(*json);
}
