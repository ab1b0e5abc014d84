#include "put.h"

#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the character at `text` has, as jansson sees it; 0: it is none. */
static size_t character(const char *text)
{
	for (size_t n = 1; n <= 4 && text[n - 1]; n++) {
		json_t *one = json_stringn(text, n);
		if (!one)
			continue;
		json_decref(one);
		return n;
	}
	return 0;
}

static json_t *words(const char *text)
{
	json_t *value = json_string(text);
	if (value)
		return value;
	char *copy = strdup(text);
	for (char *c = copy; c && *c;) {
		size_t n = character(c);
		if (!n)
			*c = '?';
		c += n ? n : 1;
	}
	if (copy)
		value = json_string(copy);
	free(copy);
	return value;
}

enum error put(json_t *to, const char *key, json_t *value)
{
	return json_object_set_new(to, key, value) ? fail(ERR_MEMORY, "out of memory") : OK;
}

enum error put_words(json_t *to, const char *key, const char *text)
{
	return text ? put(to, key, words(text)) : OK;
}

enum error put_time(json_t *to, const char *key, int64_t at)
{
	char text[TEXT_TIME];
	if (!at)
		return OK;
	time_text(at, text);
	return put_words(to, key, text);
}

enum error put_item(json_t *to, const char *text)
{
	return json_array_append_new(to, words(text)) ? fail(ERR_MEMORY, "out of memory") : OK;
}

/* ---- as text ---- */

struct sink {
	struct bytes text;
	enum error result;
};

static void sink_free(struct sink *sink)
{
	bytes_free(&sink->text);
}

/*
 * json_dumps(3) would be shorter, but jansson doesn't look at what becomes of an object's keys: if
 * its buffer can't grow just then, the key is left out and all is said to be well. So a failure is
 * remembered here.
 */
static int sink_add(const char *text, size_t n, void *context)
{
	struct sink *sink = context;
	if (!sink->result)
		sink->result = bytes_add(&sink->text, text, n);
	return sink->result ? -1 : 0;
}

enum error put_text(const json_t *object, size_t flags, struct bytes *out)
{
	SCOPED(sink_free) struct sink sink = {0};
	if (json_dump_callback(object, sink_add, &sink, flags) || sink.result)
		return fail(ERR_MEMORY, "out of memory");
	return bytes_add(out, sink.text.data, sink.text.len);
}

static int count(const char *text, size_t n, void *context)
{
	(void)text;
	*(uint32_t *)context += (uint32_t)n;
	return 0;
}

enum error put_length(const json_t *object, size_t flags, uint32_t *out)
{
	*out = 0;
	return json_dump_callback(object, count, out, flags) ? fail(ERR_MEMORY, "out of memory")
							     : OK;
}
