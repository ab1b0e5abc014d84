/*
 * Compacting: what was deleted or overwritten leaves the files. SQLite overwrites what is deleted
 * (secure_delete), but pieces of it may lie in the free space of pages that were rearranged, and
 * older pages in the log. VACUUM writes every page anew; a TRUNCATE checkpoint then moves them from
 * the log to the database and cuts the log to nothing.
 *
 * On a connection of its own, whose temporary file (a copy of the database: sealed tokens, as it
 * is) lies in the store's directory and not in memory: the store may be larger than that.
 */
#include "inside.h"

#include "fault.h"

#include "text.h"

#include <time.h>

#define MOMENT 100	 /* ms between two tries to cut the log */
#define TRIES_A_SECOND 5 /* each takes another moment */
#define LOOKS_A_MS 10
#define PASSING INT64_C(2000000000) /* ns */
#define ROUNDS 3		    /* when seals are taken out meanwhile */

static void free_scoped(struct tx **tx)
{
	connection_free(*tx);
}

/*
 * For a moment, and not longer: who waits for readers has kept writers out already. Often: behind a
 * process that commits without pause the door is open for an instant.
 */
static int look_often(void *context, int tries)
{
	static const struct timespec instant = {.tv_nsec = 1000000 / LOOKS_A_MS};
	(void)context;
	nanosleep(&instant, NULL);
	return tries < MOMENT * LOOKS_A_MS;
}

/* `reads`: if it is busy, it isn't since another process checkpoints, too. */
static int try_to_cut(struct tx *tx, bool *reads)
{
	int log = -1;
	sqlite3_busy_handler(tx->db, look_often, NULL);
	int code = sqlite3_wal_checkpoint_v2(tx->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, NULL);
	*reads = log >= 0;
	return code;
}

/*
 * A mount that serves is in the way for moments: it reads, it commits, it checkpoints, for which it
 * takes as long as the disk does. Who reads on after PASSING is a sealed mount.
 */
static enum error cut_log(struct store *store, struct tx *tx, store_waiting *waiting, void *context)
{
	static const struct timespec moment = {.tv_nsec = MOMENT * 1000000L};
	bool reads;
	int code = try_to_cut(tx, &reads);
	int64_t since = time_now();
	for (int tries = 1; code == SQLITE_BUSY; tries++) {
		if (!reads)
			since = time_now();
		bool reader = time_now() - since >= PASSING;
		if (tries % TRIES_A_SECOND == 0 && !waiting(context, reader))
			return fail(ERR_BUSY,
				    "%s: a sealed mount still reads what was there before, so its "
				    "files hold it too; unmount it and call this again",
				    store->path);
		nanosleep(&moment, NULL);
		code = try_to_cut(tx, &reads);
	}
	return code ? sql_fail(tx, code) : OK;
}

/* ---- what is taken out meanwhile ---- */

static enum error look(struct store *store, int64_t *unclean)
{
	struct store_state state;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	TRY(store_state(tx, &state));
	*unclean = state.unclean;
	return OK;
}

/* An import, say, which has no claim, may have taken out a seal since. */
static enum error clean_apply(struct tx *tx, void *context)
{
	const int64_t *before = context;
	struct store_state state;
	TRY(store_state(tx, &state));
	if (state.unclean != *before)
		return fail(ERR_CHANGED,
			    "%s: seals were replaced while its files were written anew, so they "
			    "may hold those; call it again when nothing is imported",
			    tx->path);
	return store_set_unclean(tx, false);
}

static enum error compact_once(struct store *store, struct tx *tx, store_waiting *waiting,
			       void *context)
{
	int64_t unclean;
	TRY(look(store, &unclean));
	fault_point("vacuum-before");
	TRY(sql_run_text(tx, "VACUUM"));
	fault_point("vacuum-after");
	TRY(cut_log(store, tx, waiting, context));
	fault_point("log-cut");
	return store_change(store, clean_apply, &unclean);
}

enum error store_compact(struct store *store, store_waiting *waiting, void *context)
{
	SCOPED(free_scoped) struct tx *tx = NULL;
	TRY(connection_keep_files_here(store));
	TRY(connection_new(store, CONNECT_WRITE, &tx));
	TRY(sql_run_text(tx, "PRAGMA temp_store = FILE"));
	enum error result = compact_once(store, tx, waiting, context);
	for (int i = 1; i < ROUNDS && result == ERR_CHANGED; i++)
		result = compact_once(store, tx, waiting, context);
	return result;
}
