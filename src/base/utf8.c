#include "text.h"

#include <string.h>

/*
 * How many bytes the character at `text` has; 0: it isn't one. The second byte's range is what
 * forbids overlong forms, surrogates and what lies beyond U+10FFFF (Unicode, table 3-7).
 */
static size_t character(const uint8_t *text, size_t len)
{
	uint8_t c = text[0], low = 0x80, high = 0xbf;
	size_t n;
	if (c < 0x80)
		return c >= 0x20 || c == '\t' || c == '\r' || c == '\n';
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (n > len || text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_valid(const uint8_t *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = character(text + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

bool text_plain(const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return utf8_valid((const uint8_t *)text, strlen(text));
}

/* C1, too, which some terminals obey: U+0080 to U+009F. */
static bool is_control(const uint8_t *text, size_t len)
{
	return text[0] < ' ' || text[0] == 0x7f || (len == 2 && text[0] == 0xc2 && text[1] < 0xa0);
}

void text_printable(char *text)
{
	const uint8_t *from = (const uint8_t *)text, *end = from + strlen(text);
	while (from < end) {
		size_t n = character(from, (size_t)(end - from));
		if (!n || is_control(from, n)) {
			*text++ = '?';
			from += n ? n : 1;
		} else {
			memmove(text, from, n);
			text += n;
			from += n;
		}
	}
	*text = 0;
}
