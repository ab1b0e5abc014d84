/*
 * The text of an XML property list as it is walked, and what stands around its root: declaration,
 * comments, DOCTYPE, the plist tag. All that goes nowhere: libplist doesn't get to see it.
 *
 * MUST: no reference to anything outside the text, and no declaration of an entity, is taken.
 *       (test: guard_doctype)
 */
#include "mdm/cursor.h"

#include <string.h>

enum error cursor_bad(const struct cursor *c, const char *what)
{
	return fail(ERR_INVALID, "the property list is not valid at byte %zu: %s",
		    (size_t)(c->at - c->text) + 1, what);
}

bool cursor_sees(const struct cursor *c, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(c->end - c->at) >= n && memcmp(c->at, word, n) == 0;
}

bool cursor_take(struct cursor *c, const char *word)
{
	if (!cursor_sees(c, word))
		return false;
	c->at += strlen(word);
	return true;
}

void cursor_blank(struct cursor *c)
{
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
}

/* Skips to behind the first `ending`. */
enum error cursor_past(struct cursor *c, const char *ending)
{
	const uint8_t *found = memmem(c->at, (size_t)(c->end - c->at), ending, strlen(ending));
	if (!found)
		return cursor_bad(c, "something begins here that has no end");
	c->at = found + strlen(ending);
	return OK;
}

enum error cursor_misc(struct cursor *c)
{
	for (;;) {
		cursor_blank(c);
		if (cursor_take(c, "<!--"))
			TRY(cursor_past(c, "-->"));
		else if (cursor_take(c, "<?"))
			TRY(cursor_past(c, "?>"));
		else
			return OK;
	}
}

/* ---- before the root ---- */

/* "..." or '...' on one side of a tag: no angle brackets in it. */
static enum error skip_quoted(struct cursor *c)
{
	if (!cursor_sees(c, "\"") && !cursor_sees(c, "'"))
		return cursor_bad(c, "a quoted text belongs here");
	uint8_t quote = *c->at++;
	while (c->at < c->end && *c->at != quote && *c->at != '<' && *c->at != '>')
		c->at++;
	if (c->at == c->end || *c->at != quote)
		return cursor_bad(c, "a quoted text has no end");
	c->at++;
	return OK;
}

static enum error skip_doctype(struct cursor *c)
{
	cursor_blank(c);
	if (!cursor_take(c, "plist"))
		return cursor_bad(c, "the DOCTYPE is not plist's");
	cursor_blank(c);
	if (cursor_take(c, "PUBLIC")) {
		cursor_blank(c);
		TRY(skip_quoted(c));
		cursor_blank(c);
		TRY(skip_quoted(c));
		cursor_blank(c);
	}
	if (!cursor_take(c, ">"))
		return cursor_bad(c, "the DOCTYPE has more than a PUBLIC identifier: entities and "
				     "references to files are not taken");
	return OK;
}

static enum error skip_attributes(struct cursor *c)
{
	for (;;) {
		cursor_blank(c);
		if (cursor_take(c, ">"))
			return OK;
		const uint8_t *name = c->at;
		while (c->at < c->end && ((*c->at | 0x20) >= 'a' && (*c->at | 0x20) <= 'z'))
			c->at++;
		if (c->at == name)
			return cursor_bad(c, "the plist tag has no end");
		cursor_blank(c);
		if (!cursor_take(c, "="))
			return cursor_bad(c, "an attribute has no value");
		cursor_blank(c);
		TRY(skip_quoted(c));
	}
}

enum error cursor_prolog(struct cursor *c)
{
	TRY(cursor_misc(c));
	if (cursor_take(c, "<!DOCTYPE")) {
		TRY(skip_doctype(c));
		TRY(cursor_misc(c));
	}
	if (!cursor_take(c, "<plist"))
		return cursor_bad(c, "<plist> belongs here");
	return skip_attributes(c);
}

enum error cursor_epilog(struct cursor *c)
{
	TRY(cursor_misc(c));
	if (!cursor_take(c, "</plist"))
		return cursor_bad(c, "</plist> belongs here");
	cursor_blank(c);
	if (!cursor_take(c, ">"))
		return cursor_bad(c, "the tag has no end");
	TRY(cursor_misc(c));
	return c->at == c->end ? OK : cursor_bad(c, "there is more behind </plist>");
}
