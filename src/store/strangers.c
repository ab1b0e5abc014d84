/* Client certificates that devices came with, and that weren't theirs. */
#include "inside.h"

static void read(const struct rows *rows, struct stranger *out)
{
	*out = (struct stranger){.at = sql_int(rows, 1)};
	sql_text(rows, 0, out->identity, sizeof out->identity);
}

enum error store_stranger(struct tx *tx, int64_t device, struct stranger *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_STRANGER, VALUES(INT(device)));
	if (!sql_next(&rows))
		return rows.error ? rows.error : fail(ERR_NOT_FOUND, "there is no stranger");
	read(&rows, out);
	return OK;
}

enum error store_stranger_save(struct tx *tx, int64_t device, const struct stranger *stranger)
{
	return sql_run(tx, SQL_STRANGER_SAVE,
		       VALUES(INT(device), TEXT(stranger->identity), INT(stranger->at)));
}

enum error store_stranger_forget(struct tx *tx, int64_t device)
{
	return sql_run(tx, SQL_STRANGER_DELETE, VALUES(INT(device)));
}

enum error store_strangers(struct tx *tx, store_each_stranger *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_STRANGERS, NO_VALUES);
	bool more = true;
	while (more && sql_next(&rows)) {
		struct stranger stranger;
		char udid[UDID_MAX + 1], own[sizeof stranger.identity];
		read(&rows, &stranger);
		sql_text(&rows, 2, udid, sizeof udid);
		sql_text(&rows, 3, own, sizeof own);
		more = each(context, udid, own, &stranger);
	}
	return rows.error;
}
