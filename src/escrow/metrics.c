/* Counters for Prometheus (text exposition format 0.0.4) and numbers for `status`. */
#include "inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000

/* "check out" is no label value that anybody wants to type. */
static void label(enum action action, char out[static 16])
{
	snprintf(out, 16, "%s", action_word(action));
	for (char *c = out; *c; c++)
		if (*c == ' ')
			*c = '_';
}

static enum error events(const struct escrow *escrow, struct bytes *out)
{
	TRY(bytes_print(out,
			"# HELP escrowfs_events_total Events on the audit trail since the mount, "
			"by action.\n# TYPE escrowfs_events_total counter\n"));
	for (int i = 0; i < ACTION_COUNT; i++) {
		char action[16];
		label((enum action)i, action);
		TRY(bytes_print(out, "escrowfs_events_total{action=\"%s\"} %" PRIuFAST64 "\n",
				action, atomic_load(&escrow->counted[i])));
	}
	return OK;
}

static enum error devices(const struct escrow_status *status, struct bytes *out)
{
	TRY(bytes_print(out, "# HELP escrowfs_devices Devices in each status.\n"
			     "# TYPE escrowfs_devices gauge\n"));
	for (int i = 0; i < STATUS_COUNT; i++)
		TRY(bytes_print(out, "escrowfs_devices{status=\"%s\"} %" PRIu64 "\n",
				status_word((enum status)i), status->devices[i]));
	return OK;
}

static enum error gauge(struct bytes *out, const char *name, const char *help, uint64_t value)
{
	return bytes_print(out, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRIu64 "\n", name, help, name,
			   name, value);
}

static enum error recipients(struct escrow *escrow, const struct escrow_status *status,
			     struct bytes *out)
{
	TRY(bytes_print(out, "# HELP escrowfs_recipient_expiry_seconds When a recipient's "
			     "certificate expires, in seconds since the epoch.\n"
			     "# TYPE escrowfs_recipient_expiry_seconds gauge\n"));
	for (int i = 0; i < status->recipients; i++) {
		struct recipient recipient;
		char fingerprint[65];
		int64_t expires;
		TRY(escrow_recipient(escrow, i, &recipient, fingerprint, &expires));
		TRY(bytes_print(
			out, "escrowfs_recipient_expiry_seconds{fingerprint=\"%s\"} %" PRId64 "\n",
			fingerprint, expires / SECOND));
	}
	return OK;
}

enum error escrow_metrics(struct escrow *escrow, struct bytes *out)
{
	struct escrow_status status;
	TRY(escrow_status(escrow, &status));
	TRY(devices(&status, out));
	TRY(events(escrow, out));
	TRY(gauge(out, "escrowfs_key_present", "Whether this mount has a private key.",
		  escrow->key != NULL));
	TRY(gauge(out, "escrowfs_audit_lines", "Lines of the audit trail.",
		  (uint64_t)status.trail.seq));
	TRY(gauge(out, "escrowfs_audit_bytes", "Length of the audit trail.", status.trail.size));
	TRY(gauge(out, "escrowfs_store_bytes", "Size of the store's files.", status.space.used));
	TRY(gauge(out, "escrowfs_store_log_bytes",
		  "Of these, the log, which grows while a sealed mount is there.",
		  status.space.log));
	TRY(gauge(out, "escrowfs_store_available_bytes", "Room on the store's disk.",
		  status.space.available));
	return recipients(escrow, &status, out);
}

/* ---- status ---- */

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

enum error escrow_status(struct escrow *escrow, struct escrow_status *out)
{
	*out = (struct escrow_status){0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(store_device_counts(tx, out->devices));
	struct store_state state;
	TRY(store_versions_unverified(tx, &out->unverified));
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
