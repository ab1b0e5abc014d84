/* Numbers for `status`: as they are, and counted. */
#include "count.h"

#include "inside.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>

enum error escrow_space(struct escrow *escrow, struct store_space *space, uint64_t *count)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	uint64_t counts[STATUS_COUNT];
	TRY(store_view(escrow->store, &tx));
	TRY(store_device_counts(tx, counts));
	*count = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		*count += counts[i];
	return store_space(escrow->store, space);
}

static enum error count_recipients(struct escrow *escrow, struct tx *tx, int *count)
{
	TRY(sealing_follow(escrow, tx));
	pthread_rwlock_rdlock(&escrow->sealing);
	*count = recipients_count(escrow->recipients);
	pthread_rwlock_unlock(&escrow->sealing);
	return OK;
}

enum error status_look(struct escrow *escrow, struct tx *tx, struct escrow_status *out)
{
	*out = (struct escrow_status){0};
	struct store_state state;
	TRY(store_device_counts(tx, out->devices));
	TRY(store_state(tx, &state));
	out->unclean = state.unclean != 0;
	TRY(store_trail_end(tx, &out->trail));
	memcpy(out->key_uri, escrow->key_uri, sizeof out->key_uri);
	if (!store_served_by(escrow->path, out->served_by, sizeof out->served_by))
		out->served_by[0] = 0;
	if (escrow->recipients)
		TRY(count_recipients(escrow, tx, &out->recipients));
	return store_space(escrow->store, &out->space);
}

enum error escrow_status(struct escrow *escrow, struct escrow_status *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(status_look(escrow, tx, out));
	return store_versions_unverified(tx, &out->unverified);
}

enum error escrow_census(struct escrow *escrow, struct escrow_status *status, struct census *census)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(status_look(escrow, tx, status));
	TRY(store_versions_unverified(tx, &status->unverified));
	return census_take(tx, time_now(), census);
}

struct nth {
	int left;
	struct recipient *out;
};

static enum error find_nth(void *context, const struct recipient *recipient, const uint8_t *der,
			   size_t len)
{
	(void)der;
	(void)len;
	struct nth *nth = context;
	if (nth->left-- == 0)
		*nth->out = *recipient;
	return OK;
}

enum error escrow_recipient(struct escrow *escrow, int i, struct recipient *out,
			    char fingerprint[static 65], int64_t *expires_at)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	struct nth nth = {.left = i, .out = out};
	TRY(sealing_follow(escrow, tx));
	TRY(store_recipients(tx, find_nth, &nth));
	pthread_rwlock_rdlock(&escrow->sealing);
	enum error result = recipients_about(escrow->recipients, i, fingerprint, expires_at);
	pthread_rwlock_unlock(&escrow->sealing);
	return result;
}

/* ---- for programs ---- */

static enum error add_recipients(struct escrow *escrow, int count, struct json_status *out)
{
	for (; out->recipient_count < count && out->recipient_count < JSON_RECIPIENTS;
	     out->recipient_count++) {
		struct json_recipient *recipient = &out->recipient[out->recipient_count];
		TRY(escrow_recipient(escrow, out->recipient_count, &recipient->recipient,
				     recipient->fingerprint, &recipient->expires_at));
	}
	return OK;
}

static enum error write_json(struct escrow *escrow, const char *store, struct census *census,
			     struct bytes *out)
{
	struct escrow_status status;
	TRY(escrow_census(escrow, &status, census));
	struct json_status json = {
		.store = store,
		.at = time_now(),
		.devices = status.devices,
		.census = census,
		.served_by = status.served_by,
		.key_uri = status.key_uri,
		.key_present = escrow->key != NULL,
		.space = &status.space,
		.trail = &status.trail,
		.unverified = status.unverified,
		.unclean = status.unclean,
	};
	TRY(add_recipients(escrow, status.recipients, &json));
	return json_status_write(&json, out);
}

enum error escrow_status_json(struct escrow *escrow, const char *store, struct bytes *out)
{
	struct census *census = malloc(sizeof *census);
	if (!census)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = write_json(escrow, store, census, out);
	free(census);
	return result;
}
