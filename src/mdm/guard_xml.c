/*
 * The XML guard. It reads the property list by its grammar, which is small, and writes a clean copy
 * of it for libplist, so that the two can't take the same text for different things: what libplist
 * reads in a way of its own (comments, CDATA beside text, quotes in declarations, attributes, bad
 * base64, dates without an end) isn't in the copy.
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
#include "guard.h"

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
	const uint8_t *text, *at, *end;
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
	bool plain; /* neither comments nor CDATA in it */
};

static enum error bad(const struct parser *p, const char *what)
{
	return fail(ERR_INVALID, "the property list is not valid at byte %zu: %s",
		    (size_t)(p->at - p->text) + 1, what);
}

static bool looking_at(const struct parser *p, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(p->end - p->at) >= n && memcmp(p->at, word, n) == 0;
}

static bool take(struct parser *p, const char *word)
{
	if (!looking_at(p, word))
		return false;
	p->at += strlen(word);
	return true;
}

static void skip_blank(struct parser *p)
{
	while (p->at < p->end && is_blank(*p->at))
		p->at++;
}

/* Skips to behind the first `ending`. */
static enum error skip_past(struct parser *p, const char *ending)
{
	const uint8_t *found = memmem(p->at, (size_t)(p->end - p->at), ending, strlen(ending));
	if (!found)
		return bad(p, "something begins here that has no end");
	p->at = found + strlen(ending);
	return OK;
}

static enum error skip_misc(struct parser *p)
{
	for (;;) {
		skip_blank(p);
		if (take(p, "<!--"))
			TRY(skip_past(p, "-->"));
		else if (take(p, "<?"))
			TRY(skip_past(p, "?>"));
		else
			return OK;
	}
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

/* ---- before the root ---- */

/* "..." or '...' on one side of a tag: no angle brackets in it. */
static enum error skip_quoted(struct parser *p)
{
	if (!looking_at(p, "\"") && !looking_at(p, "'"))
		return bad(p, "a quoted text belongs here");
	uint8_t quote = *p->at++;
	while (p->at < p->end && *p->at != quote && *p->at != '<' && *p->at != '>')
		p->at++;
	if (p->at == p->end || *p->at != quote)
		return bad(p, "a quoted text has no end");
	p->at++;
	return OK;
}

static enum error skip_doctype(struct parser *p)
{
	skip_blank(p);
	if (!take(p, "plist"))
		return bad(p, "the DOCTYPE is not plist's");
	skip_blank(p);
	if (take(p, "PUBLIC")) {
		skip_blank(p);
		TRY(skip_quoted(p));
		skip_blank(p);
		TRY(skip_quoted(p));
		skip_blank(p);
	}
	if (!take(p, ">"))
		return bad(p, "the DOCTYPE has more than a PUBLIC identifier: entities and "
			      "references to files are not taken");
	return OK;
}

static enum error skip_attributes(struct parser *p)
{
	for (;;) {
		skip_blank(p);
		if (take(p, ">"))
			return OK;
		const uint8_t *name = p->at;
		while (p->at < p->end && ((*p->at | 0x20) >= 'a' && (*p->at | 0x20) <= 'z'))
			p->at++;
		if (p->at == name)
			return bad(p, "the plist tag has no end");
		skip_blank(p);
		if (!take(p, "="))
			return bad(p, "an attribute has no value");
		skip_blank(p);
		TRY(skip_quoted(p));
	}
}

/* ---- text ---- */

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

static enum error check_references(struct parser *p, const uint8_t *run, size_t len, size_t *count)
{
	for (const uint8_t *at = run, *end = run + len;
	     (at = memchr(at, '&', (size_t)(end - at))) != NULL; at++) {
		size_t left = (size_t)(end - at) - 1;
		size_t room = left < REFERENCE_MAX + 1 ? left : REFERENCE_MAX + 1;
		const uint8_t *semicolon = memchr(at + 1, ';', room);
		if (!semicolon || !is_reference(at + 1, (size_t)(semicolon - at) - 1)) {
			p->at = at;
			return bad(p, "an entity that is neither one of XML's five nor a "
				      "character's number");
		}
		(*count)++;
	}
	return OK;
}

/* Digits as strtoull(3) takes them: white space, a sign, 0x. */
static bool is_number(const uint8_t *text, size_t len)
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

/* One run of text in an element, up to the next '<'. */
static enum error read_run(struct parser *p, enum text kind, size_t *references)
{
	const uint8_t *run = p->at;
	const uint8_t *stop = memchr(run, '<', (size_t)(p->end - run));
	if (!stop)
		return bad(p, "the text here has no end");
	size_t len = (size_t)(stop - run);
	p->at = stop;
	switch (kind) {
	case TEXT_NONE:
		return mdm_blank(run, len) ? OK : bad(p, "there is text where none belongs");
	case TEXT_WORDS:
		TRY(check_references(p, run, len, references));
		return keep(p, run, len);
	case TEXT_NUMBER:
		if (!is_number(run, len))
			return bad(p, "this is no integer");
		return keep(p, run, len);
	default:
		return OK;
	}
}

static enum error read_cdata(struct parser *p, enum text kind)
{
	static const char opening[] = "<![CDATA[";
	const uint8_t *from = p->at;
	if (kind == TEXT_NONE || kind == TEXT_NUMBER)
		return bad(p, "CDATA where none belongs");
	p->at += sizeof opening - 1;
	TRY(skip_past(p, "]]>"));
	return kind == TEXT_WORDS ? keep(p, from, (size_t)(p->at - from)) : OK;
}

/* Everything in an element up to its closing tag, which is left to be read. */
static enum error read_content(struct parser *p, enum text kind, struct content *out)
{
	size_t references = 0;
	*out = (struct content){.text = p->at, .plain = true};
	for (;;) {
		TRY(read_run(p, kind, &references));
		if (looking_at(p, "</"))
			break;
		out->plain = false;
		if (take(p, "<!--"))
			TRY(skip_past(p, "-->"));
		else if (looking_at(p, "<![CDATA["))
			TRY(read_cdata(p, kind));
		else
			return bad(p, "an element where only text belongs");
	}
	out->len = (size_t)(p->at - out->text);
	p->moves += (uint64_t)references * out->len;
	if (p->moves > MOVES_MAX)
		return bad(p, "there are too many entities in one message");
	return OK;
}

/* ---- elements ---- */

static enum error read_tag(struct parser *p, struct tag *tag)
{
	*tag = (struct tag){0};
	if (!take(p, "<"))
		return bad(p, p->at == p->end ? "it ends before </plist>" : "a tag belongs here");
	tag->closing = take(p, "/");
	const uint8_t *name = p->at;
	while (p->at < p->end && *p->at >= 'a' && *p->at <= 'z')
		p->at++;
	size_t len = (size_t)(p->at - name);
	while (tag->element < ELEMENT_COUNT &&
	       (len != strlen(elements[tag->element].name) ||
		memcmp(name, elements[tag->element].name, len) != 0))
		tag->element++;
	if (tag->element == ELEMENT_COUNT)
		return bad(p, "no element of a property list");
	skip_blank(p);
	tag->empty = !tag->closing && take(p, "/");
	if (!take(p, ">"))
		return bad(p, "the tag has no end");
	return OK;
}

/* A leaf: what it holds, and its closing tag. */
static enum error read_leaf(struct parser *p, struct tag tag, struct content *content)
{
	*content = (struct content){.text = p->at, .plain = true};
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
	p->token_is_next = content.plain && content.len == sizeof token - 1 &&
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
		p->found->tokens++;
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
	TRY(skip_misc(p));
	if (take(p, "<!DOCTYPE")) {
		TRY(skip_doctype(p));
		TRY(skip_misc(p));
	}
	if (!take(p, "<plist"))
		return bad(p, "<plist> belongs here");
	TRY(skip_attributes(p));
	TRY(keep(p, "<plist>", 7));
	do {
		TRY(skip_misc(p));
		TRY(read_element(p));
	} while (p->depth);
	TRY(skip_misc(p));
	if (!take(p, "</plist"))
		return bad(p, "</plist> belongs here");
	skip_blank(p);
	if (!take(p, ">"))
		return bad(p, "the tag has no end");
	TRY(keep(p, "</plist>", 8));
	TRY(skip_misc(p));
	return p->at == p->end ? OK : bad(p, "there is more behind </plist>");
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
	struct parser parser = {.text = text, .at = text + before, .end = text + len, .found = out};
	return read_document(&parser);
}

void guarded_free(struct guarded *guarded)
{
	bytes_free(&guarded->clean);
	*guarded = (struct guarded){0};
}
