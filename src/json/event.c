/*
 * Lines of the trail. ASCII only, whatever a process calls itself: log shippers and terminals get no
 * surprises.
 */
#include "json.h"
#include "parse.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A process may call itself anything: bytes that are no UTF-8 stand as question marks. */
static void put_text(json_t *to, const char *key, const char *text)
{
	if (!text)
		return;
	json_t *value = json_string(text);
	if (!value) {
		char safe[512];
		snprintf(safe, sizeof safe, "%s", text);
		for (char *c = safe; *c; c++)
			if (*c & 0x80)
				*c = '?';
		value = json_string(safe);
	}
	json_object_set_new(to, key, value);
}

enum error json_event_write(const struct event *event, int64_t seq, struct bytes *out)
{
	json_t *line = json_object();
	char time[TEXT_TIME];
	time_text(event->at, time);
	json_object_set_new(line, "seq", json_integer(seq));
	put_text(line, "time", time);
	put_text(line, "action", action_word(event->action));
	put_text(line, "outcome", event->outcome);
	put_text(line, "udid", event->udid);
	if (event->version)
		json_object_set_new(line, "version", json_integer(event->version));
	if (event->actor) {
		json_object_set_new(line, "uid", json_integer(event->actor->uid));
		json_object_set_new(line, "gid", json_integer(event->actor->gid));
		json_object_set_new(line, "pid", json_integer(event->actor->pid));
		if (event->actor->loginuid >= 0)
			json_object_set_new(line, "loginuid", json_integer(event->actor->loginuid));
		put_text(line, "command", event->actor->command);
	}
	put_text(line, "reason", event->reason);
	put_text(line, "blob", event->blob);
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	if (!text)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = bytes_add(out, text, strlen(text) - 1);
	free(text);
	return result;
}

static void get_text(const json_t *from, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(from, key));
	strncpy(out, text ? text : "", size - 1);
	out[size - 1] = 0;
}

enum error json_event_read(const char *line, size_t len, struct json_line *out)
{
	SCOPED(parse_free) json_t *root = NULL;
	*out = (struct json_line){0};
	TRY(parse((const uint8_t *)line, len, "the line", &root));
	out->seq = json_integer_value(json_object_get(root, "seq"));
	out->version = (int)json_integer_value(json_object_get(root, "version"));
	get_text(root, "action", out->action, sizeof out->action);
	get_text(root, "udid", out->udid, sizeof out->udid);
	get_text(root, "outcome", out->outcome, sizeof out->outcome);
	get_text(root, "blob", out->blob, sizeof out->blob);
	get_text(root, "chain", out->chain, sizeof out->chain);
	return OK;
}
