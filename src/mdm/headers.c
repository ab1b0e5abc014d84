/*
 * Header lines before a message, as a web server in front of the MDM can pass them on. Only
 * Identity is read. A text that merely looks like header lines is not waited for without end.
 */
#include "guard.h"

#include <string.h>
#include <strings.h>

#define HEADERS_LEN_MAX ((size_t)16 * 1024)
#define HEADER_NAME_MAX 64

enum line { LINE_HEADER, LINE_EMPTY, LINE_CUT, LINE_OTHER };

struct header {
	const char *name, *value;
	size_t name_len, value_len; /* the value without white space around it */
	size_t len;		    /* of the whole line, with its end */
};

/* The characters of a token (RFC 9110, section 5.6.2). */
static bool is_name(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static enum line read_line(const uint8_t *text, size_t len, struct header *out)
{
	size_t name = 0;
	while (name < len && name <= HEADER_NAME_MAX && is_name(text[name]))
		name++;
	if (name > HEADER_NAME_MAX)
		return LINE_OTHER;
	if (!name && len && text[0] == '\r' && len == 1)
		return LINE_CUT;
	if (!name && len && (text[0] == '\n' || (text[0] == '\r' && text[1] == '\n'))) {
		*out = (struct header){.len = text[0] == '\r' ? 2 : 1};
		return LINE_EMPTY;
	}
	if (name == len)
		return LINE_CUT;
	if (!name || text[name] != ':')
		return LINE_OTHER;
	const uint8_t *end = memchr(text, '\n', len);
	if (!end)
		return LINE_CUT;

	const uint8_t *value = text + name + 1, *stop = end;
	while (value < stop && is_blank(*value))
		value++;
	while (stop > value && is_blank(stop[-1]))
		stop--;
	*out = (struct header){.name = (const char *)text,
			       .name_len = name,
			       .value = (const char *)value,
			       .value_len = (size_t)(stop - value),
			       .len = (size_t)(end - text) + 1};
	return LINE_HEADER;
}

/* The start of a BOM of which the rest hasn't come yet. */
static bool is_cut_bom(const uint8_t *text, size_t len)
{
	static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
	return len < sizeof bom && memcmp(text, bom, len) == 0;
}

size_t mdm_headers_end(const uint8_t *text, size_t len)
{
	static const char magic[] = "bplist";
	size_t at = lead(text, len);
	if (at == len || is_cut_bom(text + at, len - at))
		return SIZE_MAX;
	uint8_t first = text[at] | 0x20;
	if (first < 'a' || first > 'z' ||
	    (len - at >= sizeof magic - 1 && memcmp(text + at, magic, sizeof magic - 1) == 0))
		return 0;
	while (at <= HEADERS_LEN_MAX) {
		struct header header;
		switch (read_line(text + at, len - at, &header)) {
		case LINE_HEADER:
			at += header.len;
			break;
		case LINE_EMPTY:
			at += header.len;
			return at > HEADERS_LEN_MAX ? 0 : at;
		case LINE_CUT:
			return len > HEADERS_LEN_MAX ? 0 : SIZE_MAX;
		default:
			return 0;
		}
	}
	return 0;
}

/* Colons between the digits are how openssl and browsers show it. */
static enum error read_identity(const struct header *header, char out[static 65])
{
	char hex[65];
	size_t n = 0;
	for (size_t i = 0; i < header->value_len; i++)
		if (header->value[i] != ':' && n++ < sizeof hex - 1)
			hex[n - 1] = header->value[i];
	if (n == sizeof hex - 1) {
		uint8_t digest[32];
		hex[n] = 0;
		if (hex_read(hex, sizeof digest, digest)) {
			hex_write(digest, sizeof digest, out);
			return OK;
		}
	}
	return fail(ERR_INVALID, "the Identity header is no SHA-256 in hex (64 digits): let the "
				 "web server send the verified client certificate's");
}

enum error headers_read(const uint8_t *text, size_t len, char identity[static 65])
{
	*identity = 0;
	struct header header;
	for (size_t at = lead(text, len); read_line(text + at, len - at, &header) == LINE_HEADER;
	     at += header.len) {
		static const char name[] = "Identity";
		if (header.name_len != sizeof name - 1 ||
		    strncasecmp(header.name, name, sizeof name - 1) != 0)
			continue;
		if (*identity)
			return fail(ERR_INVALID, "there are two Identity headers: the web server "
						 "must remove the one that a device sends");
		TRY(read_identity(&header, identity));
	}
	return OK;
}
