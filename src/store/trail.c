/*
 * The audit trail: lines, and where each begins in the file that they make together. The trail's
 * end is kept apart from the lines: to add one costs the same whatever is there, and an end that
 * was cut off by hand shows.
 */
#include "inside.h"

enum error store_trail_end(struct tx *tx, struct trail_end *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_TRAIL_END, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error
			       ? rows.error
			       : fail(ERR_IO, "%s: the store is damaged: it lost its trail's end",
				      tx->path);
	struct trail_end end = {
		.seq = sql_int(&rows, 0),
		.size = (uint64_t)sql_int(&rows, 2),
		.at = sql_int(&rows, 3),
	};
	sql_bytes(&rows, 1, end.chain, sizeof end.chain);
	TRY(rows.error);
	*out = end;
	return OK;
}

enum error store_trail_add(struct tx *tx, int64_t seq, int64_t at, const void *line, size_t len,
			   const uint8_t chain[static STORE_DIGEST])
{
	TRY(sql_run(tx, SQL_TRAIL_ADD, VALUES(INT(seq), INT(at), TEXT_OF(line, len))));
	if (sql_changed(tx) != 1)
		return fail(ERR_INVALID, "line %lld isn't the trail's next", (long long)seq);
	return sql_run(tx, SQL_TRAIL_END_MOVE,
		       VALUES(INT(seq), INT(at), INT((int64_t)len), BLOB(chain, STORE_DIGEST)));
}

enum error store_trail_read(struct tx *tx, uint64_t offset, void *buffer, size_t size, size_t *n)
{
	struct trail_end end = {0};
	TRY(store_trail_end(tx, &end));
	size_t have = 0;
	*n = 0;
	if (offset >= end.size)
		return OK;
	if (size > end.size - offset)
		size = (size_t)(end.size - offset);
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_TRAIL_AT, VALUES(INT((int64_t)offset)));
	while (have < size && sql_next(&rows)) {
		size_t len;
		const char *line = sql_blob(&rows, 1, &len);
		uint64_t skip = offset + have - (uint64_t)sql_int(&rows, 0);
		/* A line that is read from its middle can only be the first. */
		if (skip >= len || (have && skip))
			break;
		size_t take = len - (size_t)skip < size - have ? len - (size_t)skip : size - have;
		memcpy((char *)buffer + have, line + skip, take);
		have += take;
	}
	TRY(rows.error);
	if (have < size)
		return fail(ERR_IO,
			    "%s: the trail's lines don't fit together at byte %llu: somebody "
			    "changed it; `escrowfs verify` says where",
			    tx->path, (unsigned long long)offset + have);
	*n = have;
	return OK;
}

enum error store_trail(struct tx *tx, int64_t from, store_each_line *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_TRAIL, VALUES(INT(from)));
	bool more = true;
	while (more && sql_next(&rows)) {
		size_t len;
		const char *line = sql_blob(&rows, 1, &len);
		more = each(context, sql_int(&rows, 0), sql_int(&rows, 2), line, len);
	}
	return rows.error;
}
