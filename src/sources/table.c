/*
 * Tables of devices out of another MDM's database, as a source: each row is a device that moves in.
 *
 * MUST: a row's messages and token lie in secure memory alone. (test: row_in_secret)
 */
#include "sources/csv.h"
#include "sources/kinds.h"
#include "sources/moving.h"

#include <stdio.h>
#include <string.h>

struct reading {
	struct intake *intake;
	const char *name; /* of the file */
	int64_t seen_at;
	bool any;	  /* row has come */
	enum error error; /* what ended it, beside the reader's own */
};

static enum error copy(const void *data, size_t len, struct secret *out)
{
	if (!len)
		return OK;
	TRY(secret_new(len, out));
	return secret_add(out, data, len);
}

static enum error check_serial(const char *serial)
{
	if (!text_plain(serial))
		return fail(ERR_INVALID,
			    "its serial number isn't text in UTF-8, or has a line break or another "
			    "control character in it: correct it, or write the table in that "
			    "encoding");
	if (strlen(serial) >= FACT_TEXT)
		return fail(ERR_INVALID, "its serial number is longer than %d bytes",
			    FACT_TEXT - 1);
	return OK;
}

static enum error fill(const struct reading *reading, const struct csv_row *row,
		       struct moving *moving)
{
	struct migrant *migrant = &moving->migrant;
	snprintf(moving->from, sizeof moving->from, "%.200s, line %lld", reading->name,
		 (long long)row->line);
	migrant->seen_at = reading->seen_at;
	migrant->authenticate_at = row->authenticate_at;
	migrant->token_update_at = row->token_update_at;
	migrant->token_at = row->token_at;
	if (row->serial)
		snprintf(migrant->serial, sizeof migrant->serial, "%s", row->serial);
	TRY(copy(row->authenticate, row->authenticate_len, &migrant->authenticate));
	TRY(copy(row->token_update, row->token_update_len, &migrant->token_update));
	return copy(row->token, row->token ? strlen(row->token) : 0, &moving->base64);
}

static enum error hand_over(const struct reading *reading, const struct csv_row *row)
{
	struct moving *moving;
	TRY(moving_new(row->udid, &moving));
	enum error result = fill(reading, row, moving);
	if (result) {
		moving_free(moving);
		return result;
	}
	return moving_hand_over(reading->intake, moving, reading->name, row->line);
}

static void refuse_row(void *context, int64_t line, const char *udid, enum error code)
{
	struct reading *reading = context;
	reading->any = true;
	if (reading->error)
		return;
	if (udid)
		fail(code, "device %s: %s", udid, fail_why());
	reading->error = intake_refuse(reading->intake, reading->name, "line", line, udid, code);
}

static enum error take_row(void *context, const struct csv_row *row)
{
	struct reading *reading = context;
	reading->any = true;
	/* A user's channel: it has no Bootstrap Token, and its device has a row of its own. */
	if (strchr(row->udid, ':'))
		return OK;
	if (!udid_valid(row->udid, strlen(row->udid)))
		refuse_row(reading, row->line, NULL,
			   fail(ERR_INVALID,
				"what stands for the device is no UDID: only letters, digits and "
				"'-' are one, %d at the most",
				UDID_MAX));
	else if (row->serial && check_serial(row->serial))
		refuse_row(reading, row->line, row->udid, ERR_INVALID);
	else
		reading->error = hand_over(reading, row);
	return reading->error;
}

static enum error read_table(struct intake *intake, int fd, const char *name, int64_t seen_at)
{
	struct reading reading = {.intake = intake, .name = name, .seen_at = seen_at};
	enum error result = csv_read(fd, intake_stop(intake), take_row, refuse_row, &reading);
	if (reading.error)
		return reading.error;
	if (!result && !reading.any && !intake_stopped(intake))
		result = fail(ERR_INVALID, "there is no row below its header");
	/* The store's disk isn't what is read here. */
	if (result && result != ERR_MEMORY) {
		intake_unread(intake, name);
		return OK;
	}
	return result;
}

static bool tells(const uint8_t *head, size_t len)
{
	return csv_tells(head, len);
}

const struct source_kind source_csv = {
	.name = "a table of devices",
	.tells_file = tells,
	.read_file = read_table,
};
