#include "parse.h"

#include <stdbool.h>
#include <string.h>

/* What jansson would need stack and heap for. Text that is no JSON may pass: jansson finds that. */
static enum error guard(const uint8_t *text, size_t len, const char *what)
{
	int depth = 0, values = 0;
	bool in_string = false;
	if (len > PARSE_MAX)
		return fail(ERR_TOO_BIG, "%s: over %d KiB", what, PARSE_MAX / 1024);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = text[i];
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (c == '{' || c == '[') {
			depth++;
			values++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == ',') {
			values++;
		}
		if (depth > PARSE_DEPTH_MAX)
			return fail(ERR_INVALID, "%s: nested deeper than %d", what,
				    PARSE_DEPTH_MAX);
		if (values > PARSE_VALUES_MAX)
			return fail(ERR_INVALID, "%s: more than %d values", what, PARSE_VALUES_MAX);
	}
	return OK;
}

/* Windows' editors put a BOM in front, which JSON has none of: its end, or 0. */
static size_t bom_end(const uint8_t *text, size_t len)
{
	static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
	size_t at = 0;
	while (at < len &&
	       (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
		at++;
	size_t end = at + sizeof bom;
	return end <= len && memcmp(text + at, bom, sizeof bom) == 0 ? end : 0;
}

enum error parse(const uint8_t *text, size_t len, const char *what, json_t **out)
{
	json_error_t error;
	TRY(guard(text, len, what));
	size_t before = bom_end(text, len);
	*out = json_loadb((const char *)text + before, len - before, JSON_REJECT_DUPLICATES,
			  &error);
	if (!*out && json_error_code(&error) == json_error_out_of_memory)
		return fail(ERR_MEMORY, "out of memory");
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

const char *parse_name(const char *key, char out[static PARSE_NAME])
{
	size_t n = 0;
	for (; n < PARSE_NAME - 1 && key[n]; n++)
		out[n] = (char)(key[n] >= ' ' && key[n] <= '~' ? key[n] : '?');
	out[n] = 0;
	return out;
}
