/*
 * The XML guard. It reads the property list by its grammar, which is small, and writes a clean copy
 * of it for libplist, so that the two can't take the same text for different things: what libplist
 * reads in a way of its own (comments, quotes in declarations, attributes, bad base64, odd dates)
 * isn't in the copy.
 *
 *	document = misc* [doctype misc*] "<plist" attributes ">" misc* dict misc* "</plist>" misc*
 *	misc     = white space | comment | processing instruction
 *	dict     = "<dict/>" | "<dict>" (misc* key misc* value)* misc* "</dict>"
 *	array    = "<array/>" | "<array>" (misc* value)* misc* "</array>"
 *	value    = dict | array | leaf;  leaf = "<name/>" | "<name>" (text | comment | CDATA)* "</name>"
 *
 * All of it in one pass, without recursion. The copy is never longer than the original.
 *
 * MUST: no entity but XML's five and numbers, and nothing outside the text, is followed.
 *       (test: guard_entities, guard_doctype)
 * MUST: depth, elements, and what libplist does with them, are bounded.
 *       (test: guard_depth, guard_elements, guard_references_bounded)
 */
#include "mdm/cursor.h"

#include <stdlib.h>
#include <string.h>

/*
 * libplist moves the rest of a string for each reference in it: bytes that it may move for a whole
 * message.
 */
#define MOVES_MAX ((uint64_t)512 * 1024 * 1024)

enum element { DICT, ARRAY, KEY, STRING, INTEGER, DATA, DATE, REAL, TRUE, FALSE, ELEMENT_COUNT };

/* What of an element's text goes into the copy. */
enum text { TEXT_NONE, TEXT_WORDS, TEXT_NUMBER, TEXT_ANYTHING };

static const struct {
	const char *name;
	enum text text; /* TEXT_NONE: white space only; TEXT_ANYTHING: not looked at, left out */
} elements[ELEMENT_COUNT] = {
	[DICT] = {"dict", TEXT_NONE},	      [ARRAY] = {"array", TEXT_NONE},
	[KEY] = {"key", TEXT_WORDS},	      [STRING] = {"string", TEXT_WORDS},
	[INTEGER] = {"integer", TEXT_NUMBER}, [DATA] = {"data", TEXT_ANYTHING},
	[DATE] = {"date", TEXT_ANYTHING},     [REAL] = {"real", TEXT_ANYTHING},
	[TRUE] = {"true", TEXT_NONE},	      [FALSE] = {"false", TEXT_NONE},
};

struct tag {
	enum element element;
	bool closing, empty; /* </x>, <x/> */
};

struct level {
	enum element element;
	bool has_key; /* a key that waits for its value */
	size_t keys;
};

struct parser {
	struct cursor cursor;
	struct guarded *found;
	struct level levels[MDM_DEPTH_MAX];
	size_t depth, elements;
	uint64_t moves;
	bool token_is_next; /* the last key of the top dictionary was BootstrapToken */
};

/* What an element holds. */
struct content {
	const uint8_t *text; /* all of it, as it stands */
	size_t len;
};

static enum error bad(const struct parser *p, const char *what)
{
	return cursor_bad(&p->cursor, what);
}

static enum error keep(struct parser *p, const void *text, size_t n)
{
	return bytes_add(&p->found->clean, text, n);
}

static enum error keep_tag(struct parser *p, struct tag tag)
{
	return bytes_print(&p->found->clean, "<%s%s%s>", tag.closing ? "/" : "",
			   elements[tag.element].name, tag.empty ? "/" : "");
}

/* ---- text ---- */

/* One run of text in an element, up to the next '<'. */
static enum error read_run(struct parser *p, enum text kind, size_t *references)
{
	const uint8_t *run = p->cursor.at;
	const uint8_t *stop = memchr(run, '<', (size_t)(p->cursor.end - run));
	if (!stop)
		return bad(p, "the text here has no end");
	size_t len = (size_t)(stop - run);
	p->cursor.at = stop;
	switch (kind) {
	case TEXT_NONE:
		return mdm_blank(run, len) ? OK : bad(p, "there is text where none belongs");
	case TEXT_WORDS:
		if (!xml_references(run, len, references, &p->cursor.at))
			return bad(p, "an entity that is neither one of XML's five nor a "
				      "character's number");
		p->cursor.at = stop;
		return keep(p, run, len);
	case TEXT_NUMBER:
		if (!xml_integer(run, len))
			return bad(p, "this is no integer");
		return keep(p, run, len);
	default:
		return OK;
	}
}

static enum error read_cdata(struct parser *p, enum text kind)
{
	static const char opening[] = "<![CDATA[";
	const uint8_t *from = p->cursor.at;
	if (kind == TEXT_NONE || kind == TEXT_NUMBER)
		return bad(p, "CDATA where none belongs");
	p->cursor.at += sizeof opening - 1;
	TRY(cursor_past(&p->cursor, "]]>"));
	return kind == TEXT_WORDS ? keep(p, from, (size_t)(p->cursor.at - from)) : OK;
}

/* Everything in an element up to its closing tag, which is left to be read. */
static enum error read_content(struct parser *p, enum text kind, struct content *out)
{
	size_t references = 0;
	*out = (struct content){.text = p->cursor.at};
	for (;;) {
		TRY(read_run(p, kind, &references));
		if (cursor_sees(&p->cursor, "</"))
			break;
		if (cursor_take(&p->cursor, "<!--"))
			TRY(cursor_past(&p->cursor, "-->"));
		else if (cursor_sees(&p->cursor, "<![CDATA["))
			TRY(read_cdata(p, kind));
		else
			return bad(p, "an element where only text belongs");
	}
	out->len = (size_t)(p->cursor.at - out->text);
	p->moves += (uint64_t)references * out->len;
	if (p->moves > MOVES_MAX)
		return bad(p, "there are too many entities in one message");
	return OK;
}

/* ---- elements ---- */

static enum error read_tag(struct parser *p, struct tag *tag)
{
	*tag = (struct tag){0};
	if (!cursor_take(&p->cursor, "<"))
		return bad(p, p->cursor.at == p->cursor.end ? "it ends before </plist>"
							    : "a tag belongs here");
	tag->closing = cursor_take(&p->cursor, "/");
	const uint8_t *name = p->cursor.at;
	while (p->cursor.at < p->cursor.end && *p->cursor.at >= 'a' && *p->cursor.at <= 'z')
		p->cursor.at++;
	size_t len = (size_t)(p->cursor.at - name);
	while (tag->element < ELEMENT_COUNT &&
	       (len != strlen(elements[tag->element].name) ||
		memcmp(name, elements[tag->element].name, len) != 0))
		tag->element++;
	if (tag->element == ELEMENT_COUNT)
		return bad(p, "no element of a property list");
	cursor_blank(&p->cursor);
	tag->empty = !tag->closing && cursor_take(&p->cursor, "/");
	if (!cursor_take(&p->cursor, ">"))
		return bad(p, "the tag has no end");
	return OK;
}

/* A leaf: what it holds, and its closing tag. */
static enum error read_leaf(struct parser *p, struct tag tag, struct content *content)
{
	*content = (struct content){.text = p->cursor.at};
	enum text kind = elements[tag.element].text;
	bool copied = kind == TEXT_WORDS || kind == TEXT_NUMBER;
	TRY(keep_tag(p, (struct tag){tag.element, false, tag.empty || !copied}));
	if (tag.empty)
		return OK;
	TRY(read_content(p, kind, content));
	struct tag closing;
	TRY(read_tag(p, &closing));
	if (!closing.closing || closing.element != tag.element)
		return bad(p, "the closing tag is another element's");
	return copied ? keep_tag(p, closing) : OK;
}

static enum error read_key(struct parser *p, struct tag tag, struct level *level)
{
	static const char token[] = "BootstrapToken";
	struct content content;
	if (++level->keys > GUARD_KEYS_MAX)
		return bad(p, "a dictionary has too many keys");
	TRY(read_leaf(p, tag, &content));
	level->has_key = true;
	if (p->depth > 1)
		return OK;
	p->found->keys++;
	p->token_is_next = content.len == sizeof token - 1 &&
			   memcmp(content.text, token, sizeof token - 1) == 0;
	return OK;
}

static enum error open_container(struct parser *p, struct tag tag)
{
	TRY(keep_tag(p, tag));
	if (tag.empty)
		return OK;
	if (p->depth == MDM_DEPTH_MAX)
		return bad(p, "it is nested too deeply");
	p->levels[p->depth++] = (struct level){.element = tag.element};
	return OK;
}

static enum error read_value(struct parser *p, struct tag tag)
{
	bool is_token = p->depth == 1 && p->token_is_next;
	p->token_is_next = false;
	if (is_token) {
		p->found->has_token = true;
		p->found->token = NULL;
	}
	if (tag.element == DICT || tag.element == ARRAY)
		return open_container(p, tag);
	struct content content;
	TRY(read_leaf(p, tag, &content));
	if (is_token && tag.element == DATA) {
		p->found->token = content.text;
		p->found->token_len = content.len;
	}
	return OK;
}

static enum error close_container(struct parser *p, struct tag tag)
{
	struct level *level = p->depth ? &p->levels[p->depth - 1] : NULL;
	if (!level || level->element != tag.element)
		return bad(p, "a closing tag without its opening tag");
	if (level->has_key)
		return bad(p, "a key has no value");
	p->depth--;
	return keep_tag(p, tag);
}

static enum error read_element(struct parser *p)
{
	struct tag tag;
	TRY(read_tag(p, &tag));
	if (tag.closing)
		return close_container(p, tag);
	if (++p->elements > GUARD_NODES_MAX)
		return bad(p, "it has too many elements");
	if (!p->depth && tag.element != DICT)
		return bad(p, "a message is a dictionary, and this is something else");
	struct level *level = p->depth ? &p->levels[p->depth - 1] : NULL;
	bool wants_key = level && level->element == DICT && !level->has_key;
	if (wants_key != (tag.element == KEY))
		return bad(p, wants_key ? "a key belongs here" : "a key where a value belongs");
	if (wants_key)
		return read_key(p, tag, level);
	if (level)
		level->has_key = false;
	return read_value(p, tag);
}

static enum error read_document(struct parser *p)
{
	TRY(cursor_prolog(&p->cursor));
	TRY(keep(p, "<plist>", 7));
	do {
		TRY(cursor_misc(&p->cursor));
		TRY(read_element(p));
	} while (p->depth);
	TRY(keep(p, "</plist>", 8));
	return cursor_epilog(&p->cursor);
}

enum error guard_xml(const uint8_t *text, size_t len, struct guarded *out)
{
	*out = (struct guarded){0};
	if (len > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "the message is over %d KiB", MDM_MESSAGE_MAX / 1024);
	size_t before = lead(text, len);
	if (!utf8_valid(text + before, len - before))
		return fail(ERR_INVALID, "the property list is no UTF-8 text");
	/* Once and for all: the copy would leave pieces of itself behind as it grew. */
	out->clean = (struct bytes){.data = malloc(len + 1), .cap = len + 1};
	if (!out->clean.data)
		return fail(ERR_MEMORY, "out of memory");
	struct parser parser = {.cursor = {text, text + before, text + len}, .found = out};
	return read_document(&parser);
}

void guarded_free(struct guarded *guarded)
{
	bytes_free(&guarded->clean);
	*guarded = (struct guarded){0};
}
