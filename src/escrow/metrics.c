/*
 * Counters for Prometheus (text exposition format 0.0.4). To ask for them costs the same in a store of any
 * size: what takes longer is counted by the patrol beforehand.
 */
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
				action, atomic_load(&escrow->counters.events[i])));
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

static enum error retrievals(const struct escrow *escrow, struct bytes *out)
{
	struct quota_counts counts;
	quota_count(escrow->retrievals, &counts);
	TRY(gauge(out, "escrowfs_retrievals_limit",
		  "How many tokens may be retrieved within an hour; 0: any number.", counts.limit));
	TRY(gauge(out, "escrowfs_retrievals_last_hour", "Tokens retrieved within the last hour.",
		  counts.last_hour));
	return bytes_print(out,
			   "# HELP escrowfs_retrievals_over_limit_total Retrievals that were "
			   "refused because of the limit, since the mount.\n"
			   "# TYPE escrowfs_retrievals_over_limit_total counter\n"
			   "escrowfs_retrievals_over_limit_total %" PRIu64 "\n",
			   counts.refused);
}

/* ---- what somebody should look at ---- */

void count_withheld(struct escrow *escrow, enum error code)
{
	enum withheld why;
	switch (code) {
	case OK:
	case ERR_GONE:
	case ERR_CHANGED:
		return;
	case ERR_NO_KEY:
		why = WITHHELD_NO_KEY;
		break;
	case ERR_BAD_SEAL:
		why = WITHHELD_BAD_SEAL;
		break;
	case ERR_QUOTA:
		why = WITHHELD_LIMIT;
		break;
	default:
		why = WITHHELD_OTHER;
	}
	atomic_fetch_add(&escrow->counters.withheld[why], 1);
}

static enum error withheld(const struct escrow *escrow, struct bytes *out)
{
	static const char *const words[WITHHELD_COUNT] = {
		[WITHHELD_NO_KEY] = "no_key", [WITHHELD_BAD_SEAL] = "bad_seal",
		[WITHHELD_LIMIT] = "limit",   [WITHHELD_IDENTITY] = "identity",
		[WITHHELD_OTHER] = "other",
	};
	TRY(bytes_print(out, "# HELP escrowfs_reads_refused_total Tokens that were asked for and "
			     "not given since the mount, by why. What the kernel refuses isn't "
			     "among them.\n# TYPE escrowfs_reads_refused_total counter\n"));
	for (int i = 0; i < WITHHELD_COUNT; i++)
		TRY(bytes_print(out, "escrowfs_reads_refused_total{why=\"%s\"} %" PRIuFAST64 "\n",
				words[i], atomic_load(&escrow->counters.withheld[i])));
	return OK;
}

static enum error counter(struct bytes *out, const char *name, const char *help, uint64_t value)
{
	return bytes_print(out, "# HELP %s %s\n# TYPE %s counter\n%s %" PRIu64 "\n", name, help,
			   name, name, value);
}

static enum error patrol(const struct escrow *escrow, struct bytes *out)
{
	struct patrol_report report;
	patrol_look(escrow->patrol, &report);
	TRY(gauge(out, "escrowfs_audit_chain_broken",
		  "Whether the audit trail's chain is broken, as far as the mount has walked it.",
		  report.broken));
	TRY(gauge(out, "escrowfs_audit_walked_timestamp_seconds",
		  "When the mount last came to the chain's end, in seconds since the epoch; 0: not "
		  "yet.",
		  (uint64_t)(report.walked_at / SECOND)));
	/* Before the first count there is none. */
	if (report.overdue < 0)
		return OK;
	return gauge(out, "escrowfs_devices_overdue",
		     "Devices that could have a token, have been enrolled for over 14 days and "
		     "have none; counted every minute, or as fast as 500 devices a second allow.",
		     (uint64_t)report.overdue);
}

static enum error latencies(const struct counters *counters, struct bytes *out)
{
	TRY(latency_print(&counters->escrow, "escrowfs_escrow_duration_seconds",
			  "How long it took to escrow a token, by hand or by check-in, until it "
			  "was on disk.",
			  out));
	TRY(latency_print(&counters->retrieval, "escrowfs_retrieval_duration_seconds",
			  "How long it took to retrieve a token, its record on disk included.",
			  out));
	return latency_print(&counters->checkin, "escrowfs_checkin_duration_seconds",
			     "How long a message took from its last byte to its verdict.", out);
}

static enum error show(struct escrow *escrow, const struct escrow_status *status, struct bytes *out)
{
	TRY(devices(status, out));
	TRY(events(escrow, out));
	TRY(withheld(escrow, out));
	TRY(counter(out, "escrowfs_replays_total",
		    "Tokens that were escrowed since the mount and equal one that had been "
		    "replaced.",
		    atomic_load(&escrow->counters.replays)));
	TRY(counter(out, "escrowfs_identity_changes_total",
		    "Times since the mount that a device came with another client certificate "
		    "than before.",
		    atomic_load(&escrow->counters.identities)));
	TRY(patrol(escrow, out));
	TRY(latencies(&escrow->counters, out));
	TRY(gauge(out, "escrowfs_key_present", "Whether this mount has a private key.",
		  escrow_has_key(escrow)));
	TRY(retrievals(escrow, out));
	TRY(gauge(out, "escrowfs_audit_lines", "Lines of the audit trail.",
		  (uint64_t)status->trail.seq));
	TRY(gauge(out, "escrowfs_audit_bytes", "Length of the audit trail.", status->trail.size));
	TRY(gauge(out, "escrowfs_store_bytes", "Size of the store's files.", status->space.used));
	TRY(gauge(out, "escrowfs_store_log_bytes",
		  "Of these, the log, which grows while a sealed mount is there.",
		  status->space.log));
	TRY(gauge(out, "escrowfs_store_available_bytes", "Room on the store's disk.",
		  status->space.available));
	TRY(gauge(out, "escrowfs_store_kept_bytes",
		  "Besides, room that is kept back so that retrievals can be recorded.",
		  status->space.kept));
	TRY(gauge(out, "escrowfs_store_disk_low", "Whether the store's disk is nearly full.",
		  store_room(&status->space) != ROOM_ENOUGH));
	TRY(gauge(out, "escrowfs_store_disk_full",
		  "Whether it is: only retrievals go on, as long as room is kept for them.",
		  store_room(&status->space) == ROOM_FULL));
	return recipients(escrow, status, out);
}

enum error escrow_metrics(struct escrow *escrow, struct bytes *out)
{
	struct escrow_status status;
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		TRY(status_look(escrow, tx, &status));
	}
	return show(escrow, &status, out);
}
