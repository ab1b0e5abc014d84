#include "json.h"

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
		} else if (c == '"') {
			scan->in_string = true;
		} else if (c == '{') {
			scan->depth++;
		} else if (c == '}' && --scan->depth <= 0) {
			return ++scan->at;
		}
	}
	return 0;
}
