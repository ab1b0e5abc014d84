/*
 * Lines of the trail. ASCII only, whatever a process calls itself: log shippers and terminals get
 * no surprises.
 *
 * A line's chain covers the bytes before it. So that it covers all of them, nothing may stand
 * behind it: a line that doesn't end in its chain, its brace and its newline is none.
 *
 * MUST: what is read of a line is covered by its chain. (test: event_ends_in_chain)
 */
#include "json.h"
#include "parse.h"
#include "put.h"

#include "text.h"

#include <limits.h>
#include <string.h>

/* ---- writing ---- */

static enum error put_actor(json_t *to, const struct actor *actor)
{
	TRY(put(to, "uid", json_integer(actor->uid)));
	TRY(put(to, "gid", json_integer(actor->gid)));
	TRY(put(to, "pid", json_integer(actor->pid)));
	if (actor->loginuid >= 0)
		TRY(put(to, "loginuid", json_integer(actor->loginuid)));
	return put_words(to, "command", actor->command);
}

static enum error put_event(json_t *to, const struct event *event, int64_t seq)
{
	char time[TEXT_TIME];
	time_text(event->at, time);
	TRY(put(to, "seq", json_integer(seq)));
	TRY(put_words(to, "time", time));
	TRY(put_words(to, "action", action_word(event->action)));
	TRY(put_words(to, "outcome", event->outcome));
	TRY(put_words(to, "udid", event->udid));
	if (event->version)
		TRY(put(to, "version", json_integer(event->version)));
	if (event->actor)
		TRY(put_actor(to, event->actor));
	TRY(put_words(to, "reason", event->reason));
	return put_words(to, "blob", event->blob);
}

enum error json_event_write(const struct event *event, int64_t seq, struct bytes *out)
{
	SCOPED(parse_free) json_t *line = json_object();
	TRY(put_event(line, event, seq));
	TRY(put_text(line, JSON_COMPACT | JSON_ENSURE_ASCII, out));
	out->data[--out->len] = 0; /* the brace: the chain comes first */
	return OK;
}

/* ---- reading ---- */

static enum error wrong(const char *key)
{
	return fail(ERR_INVALID, "its %s is missing, too long or of the wrong type", key);
}

static enum error get_text(const json_t *from, const char *key, bool needed, char *out, size_t size)
{
	const json_t *value = json_object_get(from, key);
	*out = 0;
	if (!value && !needed)
		return OK;
	if (!json_is_string(value) || json_string_length(value) >= size)
		return wrong(key);
	memcpy(out, json_string_value(value), json_string_length(value) + 1);
	return OK;
}

/* What is too long is cut. */
static enum error get_words(const json_t *from, const char *key, char *out, size_t size)
{
	const json_t *value = json_object_get(from, key);
	*out = 0;
	if (!value)
		return OK;
	if (!json_is_string(value))
		return wrong(key);
	strncat(out, json_string_value(value), size - 1);
	return OK;
}

static enum error get_number(const json_t *from, const char *key, bool needed, int64_t max,
			     int64_t *out)
{
	const json_t *value = json_object_get(from, key);
	*out = 0;
	if (!value && !needed)
		return OK;
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= 1 && *out <= max ? OK : wrong(key);
}

/* Is the end of the line `,"chain":"..."}` and a newline, to the byte? */
static enum error check_end(const char *line, size_t len, const char *chain)
{
	static const char before[] = ",\"chain\":\"", after[] = "\"}\n";
	const size_t n = strlen(chain), b = sizeof before - 1, a = sizeof after - 1;
	if (len < b + n + a || memcmp(line + len - a, after, a) != 0 ||
	    memcmp(line + len - a - n, chain, n) != 0 ||
	    memcmp(line + len - a - n - b, before, b) != 0)
		return fail(ERR_INVALID, "it doesn't end in its chain");
	return OK;
}

enum error json_event_read(const char *line, size_t len, struct json_line *out)
{
	SCOPED(parse_free) json_t *root = NULL;
	int64_t version;
	*out = (struct json_line){0};
	TRY(parse((const uint8_t *)line, len, "the line", &root));
	TRY(get_number(root, "seq", true, INT64_MAX, &out->seq));
	TRY(get_number(root, "version", false, INT_MAX, &version));
	out->version = (int)version;
	TRY(get_text(root, "action", true, out->action, sizeof out->action));
	TRY(get_text(root, "outcome", true, out->outcome, sizeof out->outcome));
	TRY(get_text(root, "udid", false, out->udid, sizeof out->udid));
	TRY(get_text(root, "time", false, out->time, sizeof out->time));
	TRY(get_words(root, "reason", out->reason, sizeof out->reason));
	TRY(get_text(root, "blob", false, out->blob, sizeof out->blob));
	TRY(get_text(root, "chain", true, out->chain, sizeof out->chain));
	return check_end(line, len, out->chain);
}
