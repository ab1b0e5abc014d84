/* What `status` tells, for programs: numbers are numbers, times RFC 3339, what isn't known isn't there. */
#include "json.h"
#include "parse.h"
#include "put.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>

static enum error put_number(json_t *to, const char *key, uint64_t number)
{
	return put(to, key, json_integer((json_int_t)number));
}

/* An array's next object; it is the array's. */
static json_t *next(json_t *array)
{
	json_t *object = json_object();
	return json_array_append_new(array, object) ? NULL : object;
}

/* How many of them in each status. */
static enum error put_counts(json_t *to, const uint64_t counts[static STATUS_COUNT])
{
	uint64_t all = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		all += counts[i];
	TRY(put_number(to, "devices", all));
	json_t *status = json_object();
	TRY(put(to, "status", status));
	for (int i = 0; i < STATUS_COUNT; i++)
		TRY(put_number(status, status_word((enum status)i), counts[i]));
	return OK;
}

static enum error put_systems(json_t *to, const struct census *census)
{
	json_t *systems = json_array();
	TRY(put(to, "systems", systems));
	for (int i = 0; i < census->systems; i++) {
		json_t *system = next(systems);
		if (!system)
			return fail(ERR_MEMORY, "out of memory");
		TRY(put_words(system, "system", census->system[i].name));
		TRY(put_counts(system, census->system[i].devices));
	}
	return OK;
}

/* An age is from `days` on, up to the next one's; one that nobody knows has none. */
static enum error put_ages(json_t *to, const struct census *census)
{
	json_t *ages = json_array();
	TRY(put(to, "token_ages", ages));
	for (int i = 0, from = 0; i < AGE_COUNT; i++) {
		int until = age_days((enum token_age)i);
		json_t *age = next(ages);
		if (!age)
			return fail(ERR_MEMORY, "out of memory");
		if (i != AGE_UNKNOWN)
			TRY(put_number(age, "days", (uint64_t)from));
		if (until)
			TRY(put_number(age, "under_days", (uint64_t)until));
		from = until ? until : from;
		TRY(put_counts(age, census->tokens[i]));
	}
	return OK;
}

static enum error put_recipients(json_t *to, const struct json_status *status)
{
	json_t *recipients = json_array();
	TRY(put(to, "recipients", recipients));
	for (int i = 0; i < status->recipient_count; i++) {
		const struct json_recipient *about = &status->recipient[i];
		json_t *recipient = next(recipients);
		if (!recipient)
			return fail(ERR_MEMORY, "out of memory");
		TRY(put_words(recipient, "name", about->recipient.name));
		TRY(put_words(recipient, "sha256", about->fingerprint));
		TRY(put_time(recipient, "expires", about->expires_at));
	}
	return OK;
}

static enum error put_space(json_t *to, const struct store_space *space)
{
	static const char *const rooms[] = {
		[ROOM_ENOUGH] = "enough", [ROOM_LOW] = "low", [ROOM_FULL] = "full"};
	json_t *disk = json_object();
	TRY(put(to, "disk", disk));
	TRY(put_number(disk, "used_bytes", space->used));
	TRY(put_number(disk, "log_bytes", space->log));
	TRY(put_number(disk, "available_bytes", space->available));
	return put_words(disk, "room", rooms[store_room(space)]);
}

static enum error put_checkpoint(json_t *to, const struct trail_end *trail)
{
	char chain[2 * STORE_DIGEST + 1], text[sizeof chain + 24];
	hex_write(trail->chain, sizeof trail->chain, chain);
	snprintf(text, sizeof text, "%" PRId64 ":%s", trail->seq, chain);
	return put_words(to, "checkpoint", text);
}

static enum error put_status(json_t *to, const struct json_status *status)
{
	TRY(put_words(to, "store", status->store));
	TRY(put_time(to, "time", status->at));
	if (*status->served_by)
		TRY(put_words(to, "served_by", status->served_by));
	TRY(put_counts(to, status->devices));
	TRY(put_systems(to, status->census));
	TRY(put_ages(to, status->census));
	TRY(put_number(to, "overdue", status->census->overdue));
	TRY(put_number(to, "unverified", status->unverified));
	TRY(put(to, "unclean", json_boolean(status->unclean)));
	TRY(put_space(to, status->space));
	TRY(put_words(to, "key", status->key_uri));
	TRY(put(to, "key_present", json_boolean(status->key_present)));
	TRY(put_recipients(to, status));
	return put_checkpoint(to, status->trail);
}

enum error json_status_write(const struct json_status *status, struct bytes *out)
{
	SCOPED(parse_free) json_t *root = json_object();
	TRY(put_status(root, status));
	TRY(put_text(root, JSON_INDENT(2), out));
	return bytes_add(out, "\n", 1);
}
