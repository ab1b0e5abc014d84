#include "reports.h"

#include "parse.h"
#include "put.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

enum list { SHOWN, NOT_SHOWN, OUT_OF_DATE, UNKNOWN, LISTS };
static const char *const list_names[LISTS] = {"Facts", "NotShown", "OutOfDate", "Unknown"};

/* The Bootstrap Token keys that came with macOS 11. */
static bool is_token_key(enum fact_name name)
{
	return name == FACT_BT_ALLOWED || name == FACT_BT_REQUIRED_FOR_KEXT ||
	       name == FACT_BT_REQUIRED_FOR_UPDATE;
}

bool reports_shows(const struct facts *facts, enum fact_name name, bool token_keys)
{
	return facts->of[name].state == FACT_KNOWN && facts_table[name].block != BLOCK_HIDDEN &&
	       (token_keys || !is_token_key(name));
}

/* ---- out ---- */

static enum error put_value(json_t *report, enum fact_name name, const struct fact *fact,
			    bool shown)
{
	enum list list = fact->state == FACT_OUT_OF_DATE ? OUT_OF_DATE
			 : fact->state == FACT_UNKNOWN	 ? UNKNOWN
			 : shown			 ? SHOWN
							 : NOT_SHOWN;
	bool flag = facts_table[name].kind == FACT_FLAG;
	char text[FACT_TEXT + 64];
	json_t *items = json_object_get(report, list_names[list]);
	if (!items) {
		items = json_array();
		TRY(put(report, list_names[list], items));
	}
	if (list == SHOWN || list == UNKNOWN)
		return put_item(items, facts_table[name].name);
	snprintf(text, sizeof text, "%s=%s", facts_table[name].name,
		 !flag	      ? fact->text
		 : fact->flag ? "true"
			      : "false");
	return put_item(items, text);
}

static bool together(const struct fact *a, const struct fact *b)
{
	return a->at == b->at && a->source == b->source;
}

/* Has a fact before this one the same report? */
static bool was_put(const struct facts *facts, int i)
{
	for (int j = 0; j < i; j++)
		if (facts->of[j].at && together(&facts->of[i], &facts->of[j]))
			return true;
	return false;
}

static enum error put_report(json_t *list, const struct facts *facts, int first, bool token_keys)
{
	const struct fact *fact = &facts->of[first];
	json_t *report = json_object();
	if (json_array_append_new(list, report))
		return fail(ERR_MEMORY, "out of memory");
	TRY(put_time(report, "At", fact->at));
	TRY(put_words(report, "Source", fact_source_word(fact->source)));
	for (int i = first; i < FACT_COUNT; i++)
		if (facts->of[i].at && together(&facts->of[i], fact))
			TRY(put_value(report, (enum fact_name)i, &facts->of[i],
				      reports_shows(facts, (enum fact_name)i, token_keys)));
	return OK;
}

enum error reports_put(json_t *to, const struct facts *facts, bool token_keys)
{
	json_t *list = NULL;
	for (int i = 0; i < FACT_COUNT; i++) {
		if (!facts->of[i].at || was_put(facts, i))
			continue;
		if (!list) {
			list = json_array();
			TRY(put(to, "Reports", list));
		}
		TRY(put_report(list, facts, i, token_keys));
	}
	return OK;
}

/* ---- in ---- */

/* Its name ends at a '=' or at the end. */
static bool find_fact(const char *text, enum fact_name *name)
{
	size_t len = strcspn(text, "=");
	for (int i = 0; i < FACT_COUNT; i++)
		if (strncmp(facts_table[i].name, text, len) == 0 && !facts_table[i].name[len]) {
			*name = (enum fact_name)i;
			return true;
		}
	return false;
}

static bool find_source(const char *word, enum fact_source *source)
{
	for (int i = SOURCE_NONE + 1; word && i < SOURCE_COUNT; i++)
		if (strcmp(fact_source_word((enum fact_source)i), word) == 0) {
			*source = (enum fact_source)i;
			return true;
		}
	return false;
}

struct report {
	int64_t at;
	enum fact_source source;
	const struct facts *shown;
	struct facts *out;
};

static bool read_value(const struct report *report, enum fact_name name, const char *value)
{
	if (facts_table[name].kind == FACT_WORDS && strlen(value) < FACT_TEXT)
		fact_set_text(report->out, name, value, report->at, report->source);
	else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
		fact_set_flag(report->out, name, *value == 't', report->at, report->source);
	else
		return false;
	return true;
}

static enum error read_item(const struct report *report, enum list list, const char *text)
{
	enum fact_name name;
	/* A fact that a later program knows. */
	if (text && !find_fact(text, &name))
		return OK;
	const char *value = text ? strchr(text, '=') : NULL;
	bool with_value = list == NOT_SHOWN || list == OUT_OF_DATE;
	if (!text || with_value != (value != NULL) ||
	    (with_value && !read_value(report, name, value + 1))) {
		char safe[PARSE_NAME];
		return fail(ERR_INVALID, "Reports: `%s` makes no sense in %s",
			    parse_name(text ? text : "", safe), list_names[list]);
	}
	struct fact *fact = &report->out->of[name];
	if (list == UNKNOWN)
		fact_set_unknown(report->out, name, report->at, report->source);
	if (list == OUT_OF_DATE)
		fact->state = FACT_OUT_OF_DATE;
	/* One that somebody took out of the file isn't known any more. */
	if (list == SHOWN && report->shown->of[name].state == FACT_KNOWN) {
		*fact = report->shown->of[name];
		fact->at = report->at;
		fact->source = report->source;
	}
	return OK;
}

static enum error read_report(const json_t *object, struct report *report)
{
	const char *at = json_string_value(json_object_get(object, "At"));
	if (!at || !time_read(at, &report->at) || report->at <= 0)
		return fail(ERR_INVALID, "Reports: one has no time");
	if (!find_source(json_string_value(json_object_get(object, "Source")), &report->source))
		return fail(ERR_INVALID, "Reports: one has no source");
	for (int list = 0; list < LISTS; list++) {
		size_t i;
		json_t *item;
		json_array_foreach(json_object_get(object, list_names[list]), i, item)
		{
			TRY(read_item(report, (enum list)list, json_string_value(item)));
		}
	}
	return OK;
}

enum error reports_read(const json_t *list, const struct facts *shown, struct facts *out)
{
	size_t i;
	json_t *one;
	if (!json_is_array(list))
		return fail(ERR_INVALID, "Reports: an array is expected");
	json_array_foreach(list, i, one)
	{
		struct report report = {.shown = shown, .out = out};
		TRY(read_report(one, &report));
	}
	return OK;
}
