/*
 * Which form a message has, and where it ends. Both are asked again with every write(2), so what
 * was looked at before is not looked at again: only a </plist> among the new bytes makes the XML be
 * walked from its start, to see whether it stands in a comment. Text with many of those is no
 * message of a device: it is taken to end at one, and refused for it.
 */
#include "guard.h"

#include "json.h"

#include <string.h>

#define BOM "\xef\xbb\xbf"
#define DECOYS_MAX 16

/*
 * White space before a message, and behind a binary property list in one piece with it: these are
 * looked at each time.
 */
#define LEAD_MAX ((size_t)4096)
#define TAIL_MAX 64

bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool mdm_blank(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_blank(text[i]))
			return false;
	return true;
}

static bool starts(const uint8_t *text, size_t len, const char *with)
{
	size_t n = strlen(with);
	return len >= n && memcmp(text, with, n) == 0;
}

/* Could it start so with more bytes? */
static bool may_start(const uint8_t *text, size_t len, const char *with)
{
	size_t n = strlen(with);
	return memcmp(text, with, len < n ? len : n) == 0;
}

size_t lead(const uint8_t *text, size_t len)
{
	size_t at = 0;
	if (!len)
		return 0;
	if (len > LEAD_MAX)
		len = LEAD_MAX;
	while (at < len && is_blank(text[at]))
		at++;
	if (starts(text + at, len - at, BOM))
		at += strlen(BOM);
	while (at < len && is_blank(text[at]))
		at++;
	return at;
}

enum mdm_form mdm_form(const uint8_t *text, size_t len)
{
	size_t at = lead(text, len);
	if (at == len)
		return FORM_UNKNOWN;
	text += at;
	len -= at;
	if (*text == '<')
		return FORM_XML;
	if (*text == '{')
		return FORM_JSON;
	if (starts(text, len, "bplist"))
		return FORM_BINARY;
	if (starts(text, len, "-----"))
		return FORM_PEM;
	if (may_start(text, len, "bplist") || may_start(text, len, "-----") ||
	    may_start(text, len, BOM))
		return FORM_UNKNOWN;
	return FORM_BASE64;
}

/* ---- XML ---- */

/* Is the '>' at text[i] the end of </plist>? White space may stand before it. */
static bool closes_plist(const uint8_t *text, size_t i)
{
	static const char tag[] = "</plist";
	while (i && is_blank(text[i - 1]))
		i--;
	return i >= sizeof tag - 1 && memcmp(text + i - (sizeof tag - 1), tag, sizeof tag - 1) == 0;
}

/* What hides a </plist>. */
static const struct section {
	const char *begin, *end;
} sections[] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};

static size_t walk_xml(const uint8_t *text, size_t len)
{
	const char *until = NULL;
	int decoys = 0;
	for (size_t i = 0; i < len;) {
		size_t step = 1;
		if (until) {
			if (starts(text + i, len - i, until)) {
				step = strlen(until);
				until = NULL;
			} else if (text[i] == '>' && closes_plist(text, i) &&
				   ++decoys > DECOYS_MAX) {
				return i + 1;
			}
		} else if (text[i] == '<') {
			for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
				if (!starts(text + i, len - i, sections[s].begin))
					continue;
				step = strlen(sections[s].begin);
				until = sections[s].end;
			}
		} else if (text[i] == '>' && closes_plist(text, i)) {
			return i + 1;
		}
		i += step;
	}
	return 0;
}

static size_t xml_end(const uint8_t *text, size_t len, size_t from)
{
	for (size_t i = from; i < len; i++)
		if (text[i] == '>' && closes_plist(text, i))
			return walk_xml(text, len);
	return 0;
}

/* ---- the others ---- */

static size_t pem_end(const uint8_t *text, size_t len, size_t from)
{
	static const char marker[] = "-----END CMS-----";
	size_t n = sizeof marker - 1;
	size_t start = from > n ? from - n : 0;
	if (start >= len)
		return 0;
	const uint8_t *found = memmem(text + start, len - start, marker, n);
	return found ? (size_t)(found - text) + n : 0;
}

size_t binary_end(const uint8_t *text, size_t len)
{
	struct trailer trailer;
	for (size_t end = len; end && len - end <= TAIL_MAX; end--) {
		if (trailer_read(text, end, &trailer))
			return end;
		if (!is_blank(text[end - 1]))
			break;
	}
	return 0;
}

size_t mdm_message_end(enum mdm_form form, const uint8_t *text, size_t len, size_t from)
{
	size_t before = 0, end;
	if (!len)
		return 0;
	switch (form) {
	case FORM_XML:
		return xml_end(text, len, from);
	case FORM_PEM:
		return pem_end(text, len, from);
	case FORM_BINARY:
		before = lead(text, len);
		end = binary_end(text + before, len - before);
		return end ? before + end : 0;
	case FORM_JSON:
		before = lead(text, len);
		end = json_scan(&(struct json_scan){0}, text + before, len - before);
		return end ? before + end : 0;
	default:
		return 0;
	}
}

/* ---- streams ---- */

/* A binary property list doesn't say its length in front: it ends where a trailer fits first. */
static size_t binary_stream_end(const uint8_t *text, size_t len)
{
	struct trailer trailer;
	for (size_t end = 1; end <= len; end++) {
		if (!trailer_read(text, end, &trailer))
			continue;
		if (end == len || is_blank(text[end]) || text[end] == '<' ||
		    may_start(text + end, len - end, "bplist"))
			return end;
	}
	return 0;
}

size_t mdm_stream_next(const uint8_t *text, size_t len)
{
	size_t at = mdm_headers_end(text, len), end;
	if (at == SIZE_MAX)
		return 0;
	at += lead(text + at, len - at);
	enum mdm_form form = mdm_form(text + at, len - at);
	if (form == FORM_BINARY)
		end = binary_stream_end(text + at, len - at);
	else
		end = mdm_message_end(form, text + at, len - at, 0);
	return end ? at + end : 0;
}
