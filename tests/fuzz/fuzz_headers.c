/*
 * Header lines before a message. Where they end must not depend on the pieces they come in; of all that they say
 * only a whole SHA-256 is taken, and only from a line called Identity. The input's first byte says how many lines
 * stand before it, so that the limit is within reach.
 */
#include "mdm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char filler[] = "X-Filler: 64 bytes long, with its newline, as many of them as it t\n";
static const char body[] =
	"<plist version=\"1.0\"><dict><key>MessageType</key><string>Authenticate</string>"
	"<key>UDID</key><string>9353BC9A</string></dict></plist>";

/* The Identity lines, read as plainly as can be: how many, whether the last is a whole SHA-256, and its digits. */
static struct plain {
	int lines;
	bool whole;
	char digits[65];
} plain;

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void read_identity(const char *text, size_t len)
{
	size_t n = 0;
	while (len && is_blank(*text))
		text++, len--;
	while (len && is_blank(text[len - 1]))
		len--;
	plain.lines++;
	plain.whole = true;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ':')
			continue;
		if (!text[i] || !strchr("0123456789abcdefABCDEF", text[i]) || n == 64)
			plain.whole = false;
		else
			plain.digits[n++] = (char)(text[i] | 0x20);
	}
	plain.whole = plain.whole && n == 64;
}

static void read_plainly(const char *text, size_t len)
{
	static const char name[] = "Identity:";
	plain = (struct plain){0};
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;
		if (n >= sizeof name - 1 && strncasecmp(text + at, name, sizeof name - 1) == 0)
			read_identity(text + at + sizeof name - 1, n - (sizeof name - 1));
		at += n + 1;
	}
}

static void check_pieces(const uint8_t *text, size_t len, size_t from)
{
	size_t whole = mdm_headers_end(text, len);
	for (size_t have = from; have < len; have++) {
		size_t end = mdm_headers_end(text, have);
		if (end != SIZE_MAX && end != whole)
			abort();
	}
}

/* White space and a BOM, which may stand before the first line. */
static size_t before(const uint8_t *text, size_t len)
{
	size_t at = 0;
	while (at < len && (is_blank((char)text[at]) || text[at] >= 0x80))
		at++;
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message message;
	static uint8_t text[256 * (sizeof filler - 1) + 2048];
	size_t len = 0;
	if (!size || size > 1024)
		return 0;
	for (int i = 0; i < data[0]; i++, len += sizeof filler - 1)
		memcpy(text + len, filler, sizeof filler - 1);
	size_t from = len;
	memcpy(text + len, data + 1, size - 1);
	len += size - 1;
	memcpy(text + len, body, sizeof body - 1);
	size_t all = len + sizeof body - 1;
	check_pieces(text, all, from ? from - 1 : 0);

	enum error error = mdm_read(text, all, 1, &message);
	if (mdm_headers_end(text, all) == len) {
		size_t first = before(text, len);
		read_plainly((const char *)text + first, len - first);
		if (error !=
		    (plain.lines == 0 || (plain.lines == 1 && plain.whole) ? OK : ERR_INVALID))
			abort();
		if (!error &&
		    (strcmp(message.identity, plain.digits) != 0 ||
		     strcmp(message.id, "9353BC9A") != 0 || message.kind != MESSAGE_AUTHENTICATE))
			abort();
	}
	message_free(&message);
	return 0;
}
