/*
 * Rows without a stop. To hand one row of a listing to its caller and come back for the next costs
 * SQLite more than to find it. So listings of whole fleets have a condition that isn't one: for each
 * row the engine asks visit(...), the row goes to whoever is to have it, and the answer is whether that
 * was the last one. A statement ends with one row when it was stopped, and with none at the end.
 *
 * A visitor may not use the connection that it is called from (store.h: what listings call doesn't
 * call the store).
 */
#include "inside.h"

static void visit(sqlite3_context *context, int count, sqlite3_value **columns)
{
	struct tx *tx = sqlite3_user_data(context);
	int64_t number = sqlite3_value_int64(columns[0]);
	(void)count;
	tx->out_of_order = tx->out_of_order || number <= tx->visit_last;
	tx->visit_last = number;
	bool stops = tx->out_of_order || !tx->visitor || !tx->visitor(tx->visited, columns);
	sqlite3_result_int(context, stops);
}

enum error visit_prepare(struct tx *tx)
{
	int code = sqlite3_create_function_v2(tx->db, "visit", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
					      tx, visit, NULL, NULL, NULL);
	return code ? sql_fail(tx, code) : OK;
}

enum error sql_visit(struct tx *tx, enum statement which, int64_t after, sql_visitor *visitor,
		     void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, which, VALUES(INT(after)));
	tx->visitor = visitor;
	tx->visited = context;
	tx->visit_last = after;
	tx->out_of_order = false;
	(void)sql_next(&rows);
	tx->visitor = NULL;
	return rows.error || !tx->out_of_order ? rows.error
					       : sql_damaged(tx, "rows are out of order");
}
