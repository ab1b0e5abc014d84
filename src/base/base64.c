#include "base64.h"

#include <stdbool.h>

/*
 * A character's value is computed from comparisons, not looked up: a table's cache lines would tell
 * another process which characters a token has.
 */

/* All ones when low <= c <= high, else 0. */
static unsigned between(unsigned c, unsigned low, unsigned high)
{
	return (((c - low) | (high - c)) >> 31) - 1;
}

/* 0 to 63, or -1. */
static int value_of(unsigned c)
{
	unsigned v = (between(c, 'A', 'Z') & (c - 'A' + 1)) |
		     (between(c, 'a', 'z') & (c - 'a' + 27)) |
		     (between(c, '0', '9') & (c - '0' + 53)) | (between(c, '+', '+') & 63) |
		     (between(c, '/', '/') & 64);
	return (int)v - 1;
}

static unsigned char_of(unsigned v)
{
	return (between(v, 0, 25) & (v + 'A')) | (between(v, 26, 51) & (v - 26 + 'a')) |
	       (between(v, 52, 61) & (v - 52 + '0')) | (between(v, 62, 62) & '+') |
	       (between(v, 63, 63) & '/');
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum error base64_decode(const uint8_t *text, size_t len, uint8_t *out, size_t *n)
{
	*n = 0;
	unsigned group = 0; /* the bits of the characters gathered so far */
	int filled = 0, padding = 0;
	bool ended = false; /* padding closes the text */

	for (size_t i = 0; i < len; i++) {
		if (is_space(text[i])) {
			if (filled)
				return fail(ERR_INVALID,
					    "the base64 is broken inside a group at character %zu: "
					    "line ends go between groups of four",
					    i + 1);
			continue;
		}
		if (ended)
			return fail(ERR_INVALID,
				    "the base64 goes on behind its padding at character %zu",
				    i + 1);
		int value = value_of(text[i]);
		if (text[i] == '=' && filled >= 2) {
			padding++;
			value = 0;
		} else if (value < 0 || padding) {
			return fail(ERR_INVALID, "character %zu is no base64", i + 1);
		}
		group = group << 6 | (unsigned)value;
		if (++filled < 4)
			continue;
		if (group & ((1u << 8 * padding) - 1))
			return fail(ERR_INVALID,
				    "the base64's last group has bits that its padding leaves out");
		out[(*n)++] = (uint8_t)(group >> 16);
		if (padding < 2)
			out[(*n)++] = (uint8_t)(group >> 8);
		if (padding < 1)
			out[(*n)++] = (uint8_t)group;
		ended = padding > 0;
		group = 0;
		filled = padding = 0;
	}
	if (filled)
		return fail(ERR_INVALID, "the base64 is cut: its length is no multiple of four");
	return OK;
}

void base64_encode(const uint8_t *bytes, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i += 3) {
		bool second = n - i > 1, third = n - i > 2;
		unsigned group = (unsigned)bytes[i] << 16;
		if (second)
			group |= (unsigned)bytes[i + 1] << 8;
		if (third)
			group |= bytes[i + 2];
		*out++ = (uint8_t)char_of(group >> 18);
		*out++ = (uint8_t)char_of(group >> 12 & 63);
		*out++ = second ? (uint8_t)char_of(group >> 6 & 63) : '=';
		*out++ = third ? (uint8_t)char_of(group & 63) : '=';
	}
}
