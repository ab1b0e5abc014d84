#include "mdm/cursor.h"

#include <string.h>

/* Is `name` of n characters, the inside of "&...;", one of XML's five or a character's number? */
static bool is_reference(const uint8_t *name, size_t n)
{
	static const char *const predefined[] = {"amp", "lt", "gt", "quot", "apos"};
	for (size_t i = 0; i < sizeof predefined / sizeof *predefined; i++)
		if (n == strlen(predefined[i]) && memcmp(name, predefined[i], n) == 0)
			return true;
	if (n < 2 || name[0] != '#')
		return false;
	unsigned base = name[1] == 'x' ? 16 : 10, value = 0;
	size_t i = base == 16 ? 2 : 1;
	if (i == n)
		return false;
	for (; i < n; i++) {
		uint8_t c = name[i];
		unsigned digit = c >= '0' && c <= '9'	? c - '0' + 0u
				 : c >= 'a' && c <= 'f' ? c - 'a' + 10u
				 : c >= 'A' && c <= 'F' ? c - 'A' + 10u
							: 99u;
		if (digit >= base)
			return false;
		value = value * base + digit;
		if (value > 0x10ffff)
			return false;
	}
	return value == '\t' || value == '\n' || value == '\r' ||
	       (value >= 0x20 && (value < 0xd800 || value > 0xdfff));
}

#define REFERENCE_MAX 8 /* as much as libplist takes */

bool xml_references(const uint8_t *run, size_t len, size_t *count, const uint8_t **at)
{
	const uint8_t *end = run + len;
	for (*at = run; (*at = memchr(*at, '&', (size_t)(end - *at))) != NULL; (*at)++) {
		size_t left = (size_t)(end - *at) - 1;
		size_t room = left < REFERENCE_MAX + 1 ? left : REFERENCE_MAX + 1;
		const uint8_t *semicolon = memchr(*at + 1, ';', room);
		if (!semicolon || !is_reference(*at + 1, (size_t)(semicolon - *at) - 1))
			return false;
		(*count)++;
	}
	return true;
}

bool xml_integer(const uint8_t *text, size_t len)
{
	while (len && is_blank(*text))
		text++, len--;
	while (len && is_blank(text[len - 1]))
		len--;
	if (!len)
		return true;
	if (*text == '-' || *text == '+')
		text++, len--;
	bool hex = len > 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
	if (hex)
		text += 2, len -= 2;
	for (size_t i = 0; i < len; i++)
		if (!((text[i] >= '0' && text[i] <= '9') ||
		      (hex && (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'f')))
			return false;
	return len > 0;
}
