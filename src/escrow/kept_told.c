/*
 * What a backup tells of a device: its security.json, checked for sense, and what must be there then.
 */
#include "kept.h"

#include "json.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define DAY (INT64_C(86400) * 1000000000) /* how far two servers' clocks may be apart */

bool kept_later(int64_t a, int64_t b)
{
	const int64_t millisecond = 1000000;
	return a / millisecond > b / millisecond;
}

bool kept_same_time(int64_t a, int64_t b)
{
	return !kept_later(a, b) && !kept_later(b, a);
}

bool kept_same_place(const struct version *told, const struct version *known)
{
	return told->number && told->number == known->number && told->escrowed_at &&
	       kept_same_time(told->escrowed_at, known->escrowed_at);
}

int64_t kept_newest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t kept_last_seen(const struct version *version)
{
	return kept_newest(version->escrowed_at, version->confirmed_at);
}

int64_t kept_newest_told(const struct kept_arrival *this)
{
	const struct device *about = &this->about;
	const int64_t times[] = {about->enrolled_at, about->reenrolled_at, about->checked_out_at,
				 about->retrieved_at, about->proven_at};
	int64_t at = 0;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		at = kept_newest(at, times[i]);
	for (int i = 0; i < FACT_COUNT; i++)
		at = kept_newest(at, this->facts.of[i].at);
	for (int i = 0; i < this->told_count; i++)
		at = kept_newest(
			at, kept_newest(kept_last_seen(&this->told[i]), this->told[i].ended_at));
	return at;
}

/* ---- what the backup tells ---- */

static enum error describe(struct kept_arrival *this)
{
	struct kept_device *kept = &this->kept;
	if (!kept->security.len)
		return OK;
	SCOPED(json_kept_free) struct json_kept told;
	enum error read =
		json_kept_read(kept->security.data, kept->security.len, kept->udid, &told);
	if (read == ERR_MEMORY)
		return read;
	if (read) {
		fail(read,
		     "security.json: %s; its tokens come in without it: times and facts are lost",
		     fail_why());
		return kept_refuse(kept, kept->path, read);
	}
	this->about = told.device;
	this->facts = told.facts;
	this->told = told.versions;
	this->told_count = told.version_count;
	told.versions = NULL;
	return OK;
}

const struct version *kept_told_of(const struct kept_arrival *this, const struct kept_token *token)
{
	for (int i = 0; i < this->told_count; i++) {
		const struct version *told = &this->told[i];
		if (token->current ? !told->ended_at : told->number == token->number)
			return told;
	}
	return NULL;
}

static bool is_named(const struct kept_device *kept, const char *path)
{
	for (int i = 0; i < kept->refusal_count; i++)
		if (strcmp(kept->refusals[i].path, path) == 0)
			return true;
	return false;
}

/* What was there when the backup was made, and isn't any more. */
static enum error name_missing(struct kept_arrival *this)
{
	struct kept_device *kept = &this->kept;
	for (int i = 0; i < this->told_count; i++) {
		const struct version *told = &this->told[i];
		char path[PATH_MAX];
		bool there = false;
		for (int j = 0; j < kept->count; j++)
			there = there || (told->ended_at ? kept->tokens[j].number == told->number
							 : kept->tokens[j].current);
		if (told->ended_at)
			snprintf(path, sizeof path, "%.4000s/history/%d.pem", kept->path,
				 told->number);
		else
			snprintf(path, sizeof path, "%.4000s/token", kept->path);
		if (there || is_named(kept, path))
			continue;
		fail(ERR_INVALID,
		     "it isn't there, and security.json tells of it: restore it from the backup "
		     "again");
		TRY(kept_refuse(kept, path, ERR_INVALID));
	}
	return OK;
}

static void clamp(int64_t *at, int64_t now, int64_t *newest)
{
	*newest = kept_newest(*newest, *at);
	if (*at > now)
		*at = now;
}

/* Every time that the backup tells: none is later than now. Returns the newest that was told. */
static int64_t clamp_times(struct kept_arrival *this, int64_t now)
{
	struct device *about = &this->about;
	int64_t *const times[] = {&about->enrolled_at,	  &about->reenrolled_at,
				  &about->checked_out_at, &about->retrieved_at,
				  &about->proven_at,	  &about->escrowed_at,
				  &about->removed_at};
	int64_t newest = 0;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		clamp(times[i], now, &newest);
	for (int i = 0; i < FACT_COUNT; i++)
		clamp(&this->facts.of[i].at, now, &newest);
	for (int i = 0; i < this->told_count; i++) {
		clamp(&this->told[i].escrowed_at, now, &newest);
		clamp(&this->told[i].confirmed_at, now, &newest);
		clamp(&this->told[i].ended_at, now, &newest);
	}
	return newest;
}

/*
 * What comes from the future would be newer than all that happens here until then. Two servers'
 * clocks may differ somewhat; even so nothing is kept that lies in the future.
 */
static enum error check_times(struct kept_arrival *this)
{
	int64_t now = time_now(), told = clamp_times(this, now);
	char there[TEXT_TIME], here[TEXT_TIME];
	if (told <= now + DAY)
		return OK;
	time_text(told, there);
	time_text(now, here);
	return fail(ERR_INVALID,
		    "device %s: its security.json tells of %s, and this machine's clock says %s: "
		    "set the clock, and take it in again; nothing of it was taken in",
		    this->kept.udid, there, here);
}

enum error kept_describe(struct kept_arrival *this)
{
	TRY(describe(this));
	TRY(check_times(this));
	return name_missing(this);
}
