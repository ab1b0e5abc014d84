/*
 * Where a JSON object ends, byte by byte. Only braces outside strings count; brackets, depth and
 * all else that may be wrong inside are the parser's to refuse.
 */
#include "json.h"

#include <string.h>

/* White space, and the three bytes of a BOM. */
static bool may_lead(uint8_t c)
{
	return c && strchr(" \t\r\n\xef\xbb\xbf", c);
}

size_t json_scan(struct json_scan *scan, const uint8_t *text, size_t len)
{
	for (; scan->at < len; scan->at++) {
		uint8_t c = text[scan->at];
		if (scan->in_string) {
			if (scan->escaped)
				scan->escaped = false;
			else if (c == '\\')
				scan->escaped = true;
			else if (c == '"')
				scan->in_string = false;
		} else if (c == '{') {
			scan->depth++;
		} else if (!scan->depth) {
			if (!may_lead(c))
				return ++scan->at;
		} else if (c == '"') {
			scan->in_string = true;
		} else if (c == '}' && --scan->depth == 0) {
			return ++scan->at;
		}
	}
	return 0;
}
