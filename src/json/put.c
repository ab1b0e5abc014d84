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
	/* Keys are the program's own: nobody need look whether they are UTF-8. */
	return json_object_set_new_nocheck(to, key, value) ? fail(ERR_MEMORY, "out of memory") : OK;
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
	return put(to, key, json_string_nocheck(text));
}

enum error put_item(json_t *to, const char *text)
{
	return json_array_append_new(to, words(text)) ? fail(ERR_MEMORY, "out of memory") : OK;
}

/* ---- as text ---- */

#define USUAL 2048 /* bytes of what is written most */

/*
 * json_dumpb(3) writes into what room there is, and says how much it takes: without an allocation it
 * can fail for want of memory alone. (json_dumps(3) leaves a key out when its buffer can't grow just
 * then, and says that all is well.)
 */
enum error put_text(const json_t *object, size_t flags, struct bytes *out)
{
	size_t room = USUAL, n;
	for (;;) {
		TRY(bytes_reserve(out, room));
		n = json_dumpb(object, (char *)out->data + out->len, room, flags);
		if (n <= room)
			break;
		room = n;
	}
	out->data[out->len += n] = 0;
	return n ? OK : fail(ERR_MEMORY, "out of memory");
}

enum error put_length(const json_t *object, size_t flags, uint32_t *out)
{
	size_t n = json_dumpb(object, NULL, 0, flags);
	*out = (uint32_t)n;
	return n ? OK : fail(ERR_MEMORY, "out of memory");
}
