/* What a store says of itself besides its birth. */
#include "inside.h"

enum error store_state(struct tx *tx, struct store_state *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_STATE, NO_VALUES);
	if (!sql_next(&rows))
		return rows.error ? rows.error
				  : fail(ERR_IO, "%s: the store is damaged: it lost its head",
					 tx->path);
	*out = (struct store_state){
		.served = sql_int(&rows, 0) >= 0,
		.uid = sql_u32(&rows, 0),
		.gid = sql_u32(&rows, 1),
		.generation = sql_int(&rows, 2),
		.unclean = sql_int(&rows, 3),
		.rendering = (int)sql_int(&rows, 4),
		.devices_at = sql_int(&rows, 5),
	};
	return rows.error;
}

enum error store_set_owner(struct tx *tx, uint32_t uid, uint32_t gid)
{
	return sql_run(tx, SQL_OWNER_SAVE, VALUES(INT(uid), INT(gid)));
}

enum error store_set_key_uri(struct tx *tx, const char *uri)
{
	return sql_run(tx, SQL_KEY_URI_SAVE, VALUES(TEXT(uri)));
}

enum error store_set_unclean(struct tx *tx, bool unclean)
{
	return sql_run(tx, unclean ? SQL_UNCLEAN_ADD : SQL_UNCLEAN_CLEAR, NO_VALUES);
}

enum error store_set_rendering(struct tx *tx, int rendering)
{
	return sql_run(tx, SQL_RENDERING_SAVE, VALUES(INT(rendering)));
}
