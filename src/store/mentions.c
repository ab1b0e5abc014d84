/*
 * Mentions: a table of its own, added to in the order of the trail, and sorted once when it is whole.
 * Things are mostly asked for in the order in which the trail mentions them: so both the table and
 * the store are read from one end to the other, and little of them needs to be in memory at a time.
 */
#include "inside.h"

#include <stdlib.h>

struct mentions {
	struct tx *tx;
	bool sorted;
};

const char mentions_schema[] = "CREATE TABLE mention ("
			       "id INTEGER PRIMARY KEY," /* grows: the last has the highest */
			       "whose TEXT NOT NULL COLLATE NOCASE,"
			       "number INTEGER NOT NULL,"
			       "line INTEGER NOT NULL,"
			       "at INTEGER NOT NULL,"
			       "kind INTEGER NOT NULL,"
			       "text TEXT NOT NULL,"
			       "found INTEGER NOT NULL DEFAULT 0) STRICT;";

/* To sort them when all are there is less work than to keep them sorted. */
const char mentions_order[] = "CREATE INDEX mention_thing ON mention (whose, number);";

static enum error begin(struct mentions *mentions, struct store *store)
{
	TRY(connection_scratch(store, &mentions->tx));
	TRY(sql_run_text(mentions->tx, mentions_schema));
	return sql_run(mentions->tx, SQL_BEGIN, NO_VALUES);
}

enum error store_mentions_new(struct store *store, struct mentions **out)
{
	SCOPED(store_mentions_scoped) struct mentions *mentions = calloc(1, sizeof *mentions);
	if (!mentions)
		return fail(ERR_MEMORY, "out of memory");
	TRY(begin(mentions, store));
	*out = mentions;
	mentions = NULL;
	return OK;
}

void store_mentions_free(struct mentions *mentions)
{
	if (!mentions)
		return;
	connection_free(mentions->tx);
	free(mentions);
}

void store_mentions_scoped(struct mentions **mentions)
{
	store_mentions_free(*mentions);
}

enum error store_mention_add(struct mentions *mentions, const struct mention *mention)
{
	return sql_run(mentions->tx, SQL_MENTION_ADD,
		       VALUES(TEXT(mention->whose), INT(mention->number), INT(mention->line),
			      INT(mention->at), INT(mention->kind), TEXT(mention->text)));
}

static enum error settle(struct mentions *mentions)
{
	if (!mentions->sorted)
		TRY(sql_run_text(mentions->tx, mentions_order));
	mentions->sorted = true;
	return OK;
}

/* Columns as in MENTION_COLUMNS. */
static void mention_read(const struct rows *rows, struct mention *out)
{
	sql_text(rows, 0, out->whose, sizeof out->whose);
	out->number = sql_int(rows, 1);
	out->line = sql_int(rows, 2);
	out->at = sql_int(rows, 3);
	out->kind = (int)sql_int(rows, 4);
	sql_text(rows, 5, out->text, sizeof out->text);
}

#define COLUMN_ID 6

enum error store_mention_find(struct mentions *mentions, const char *whose, int64_t number,
			      struct mention *out)
{
	TRY(settle(mentions));
	SCOPED(sql_end)
	struct rows rows =
		sql_query(mentions->tx, SQL_MENTION_LAST, VALUES(TEXT(whose), INT(number)));
	if (!sql_next(&rows)) {
		TRY(rows.error);
		return fail(ERR_NOT_FOUND, "%s %lld isn't mentioned", whose, (long long)number);
	}
	mention_read(&rows, out);
	return sql_run(mentions->tx, SQL_MENTION_FOUND, VALUES(INT(sql_int(&rows, COLUMN_ID))));
}

enum error store_mentions_of(struct mentions *mentions, const char *whose, store_each_told *each,
			     void *context)
{
	TRY(settle(mentions));
	SCOPED(sql_end)
	struct rows rows = sql_query(mentions->tx, SQL_MENTIONS_OF, VALUES(TEXT(whose)));
	while (sql_next(&rows)) {
		struct mention mention;
		mention_read(&rows, &mention);
		TRY(each(context, &mention));
	}
	return rows.error;
}

enum error store_mentions_left(struct mentions *mentions, store_each_mention *each, void *context)
{
	TRY(settle(mentions));
	SCOPED(sql_end) struct rows rows = sql_query(mentions->tx, SQL_MENTIONS_LEFT, NO_VALUES);
	while (sql_next(&rows)) {
		struct mention mention;
		mention_read(&rows, &mention);
		each(context, &mention);
	}
	return rows.error;
}
