/*
 * security.json as a backup has it: not what somebody says of a device, but what the escrow knew of
 * it, with times and numbers. The operator's own file; still, it may have been cut short or mixed
 * up, and everything in it is checked for sense.
 */
#include "json.h"
#include "parse.h"
#include "reports.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSIONS_MAX 100000

static enum error wrong(const char *key)
{
	return fail(ERR_INVALID, "%s has a value that it can't have", key);
}

/* A time that may be missing. */
static enum error read_time(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	if (!value)
		return OK;
	const char *text = json_string_value(value);
	return text && time_read(text, out) && *out > 0 ? OK : wrong(key);
}

static enum error read_number(const json_t *object, const char *key, int64_t most, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	if (!value)
		return OK;
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= 1 && *out <= most ? OK : wrong(key);
}

static enum error read_status(const json_t *escrow, struct device *out)
{
	const char *word = json_string_value(json_object_get(escrow, "Status"));
	out->status = STATUS_NOT_ESCROWED;
	if (!word)
		return OK;
	for (int i = 0; i < STATUS_COUNT; i++)
		if (strcmp(status_word((enum status)i), word) == 0) {
			out->status = (enum status)i;
			out->unenrolled = i == STATUS_UNENROLLED;
			return OK;
		}
	return wrong("Status");
}

static enum error read_identity(const json_t *escrow, struct device *out)
{
	const char *text = json_string_value(json_object_get(escrow, "Identity"));
	uint8_t digest[STORE_DIGEST];
	if (!text)
		return OK;
	if (!hex_read(text, sizeof digest, digest))
		return wrong("Identity");
	hex_write(digest, sizeof digest, out->identity);
	return OK;
}

static enum error read_device(const json_t *escrow, const char *udid, struct device *out)
{
	const char *name = json_string_value(json_object_get(escrow, "Udid"));
	if (!name || strcasecmp(name, udid) != 0)
		return fail(ERR_INVALID, "it is another device's");
	strncpy(out->udid, udid, UDID_MAX);
	TRY(read_number(escrow, "DeviceId", INT64_C(1) << 60, &out->id));
	TRY(read_status(escrow, out));
	TRY(read_identity(escrow, out));
	out->user_enrolled = json_is_true(json_object_get(escrow, "KnownByEnrollmentID"));
	TRY(read_time(escrow, "EscrowedAt", &out->escrowed_at));
	TRY(read_time(escrow, "RetrievedAt", &out->retrieved_at));
	TRY(read_time(escrow, "ProvenAt", &out->proven_at));
	TRY(read_time(escrow, "EnrolledAt", &out->enrolled_at));
	TRY(read_time(escrow, "ReenrolledAt", &out->reenrolled_at));
	TRY(read_time(escrow, "CheckedOutAt", &out->checked_out_at));
	return read_time(escrow, "RemovedAt", &out->removed_at);
}

static enum error read_version(const json_t *object, struct version *out)
{
	int64_t number = 0;
	TRY(read_number(object, "Number", VERSION_NUMBER_MAX, &number));
	out->number = (int)number;
	TRY(read_time(object, "EscrowedAt", &out->escrowed_at));
	TRY(read_time(object, "ConfirmedAt", &out->confirmed_at));
	TRY(read_time(object, "EndedAt", &out->ended_at));
	if (!number)
		return wrong("Versions");
	const char *word = json_string_value(json_object_get(object, "Ended"));
	if (!out->escrowed_at)
		out->escrowed_at = TIME_UNKNOWN;
	if (!out->ended_at && !word)
		return OK;
	if (!out->ended_at)
		out->ended_at = TIME_UNKNOWN_END;
	for (int i = END_NONE + 1; word && i < END_COUNT; i++)
		if (strcmp(version_end_word((enum version_end)i), word) == 0)
			out->end = (enum version_end)i;
	return out->end ? OK : wrong("Versions");
}

static enum error read_versions(const json_t *escrow, struct json_kept *out)
{
	const json_t *list = json_object_get(escrow, "Versions");
	size_t count = json_array_size(list), i;
	json_t *one;
	if (!list)
		return OK;
	if (!json_is_array(list) || count > VERSIONS_MAX)
		return wrong("Versions");
	out->versions = calloc(count ? count : 1, sizeof *out->versions);
	if (!out->versions)
		return fail(ERR_MEMORY, "out of memory");
	json_array_foreach(list, i, one)
	{
		TRY(read_version(one, &out->versions[out->version_count]));
		out->version_count++;
	}
	return OK;
}

/* A file whose reports somebody took out still says when the newest was. */
static enum error read_undated(const json_t *escrow, const struct facts *shown,
			       struct json_kept *out)
{
	int64_t at = 0;
	TRY(read_time(escrow, "FactsAt", &at));
	for (int i = 0; at && i < FACT_COUNT; i++) {
		out->facts.of[i] = shown->of[i];
		if (shown->of[i].at)
			out->facts.of[i].at = at;
	}
	return OK;
}

enum error json_kept_read(const uint8_t *text, size_t len, const char *udid, struct json_kept *out)
{
	*out = (struct json_kept){0};
	SCOPED(parse_free) json_t *root = NULL;
	TRY(parse(text, len, "the text", &root));
	const json_t *escrow = json_object_get(root, "Escrow");
	if (!json_is_object(escrow))
		return fail(ERR_INVALID,
			    "it has no Escrow block: it is no security.json of a backup");
	TRY(read_device(escrow, udid, &out->device));
	TRY(read_versions(escrow, out));
	const json_t *reports = json_object_get(escrow, "Reports");
	struct facts shown;
	TRY(parse_security(root, udid, 1, &shown));
	return reports ? reports_read(reports, &shown, &out->facts)
		       : read_undated(escrow, &shown, out);
}

void json_kept_free(struct json_kept *kept)
{
	free(kept->versions);
	kept->versions = NULL;
	kept->version_count = 0;
}
