/* The certificates to which everything is sealed. */
#include "inside.h"

enum error store_recipients(struct tx *tx, store_each_recipient *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_RECIPIENTS, NO_VALUES);
	while (sql_next(&rows)) {
		struct recipient recipient = {.added_at = sql_int(&rows, 1)};
		size_t len;
		sql_text(&rows, 0, recipient.name, sizeof recipient.name);
		const void *der = sql_blob(&rows, 2, &len);
		TRY(each(context, &recipient, der, len));
	}
	return rows.error;
}

static enum error refuse_second(struct tx *tx, const uint8_t *der, size_t len)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_RECIPIENT, VALUES(BLOB(der, len)));
	if (!sql_next(&rows))
		return rows.error;
	char name[64];
	sql_text(&rows, 0, name, sizeof name);
	return fail(ERR_EXISTS, "this certificate is a recipient already, as \"%s\"", name);
}

enum error store_recipient_add(struct tx *tx, const struct recipient *recipient, const uint8_t *der,
			       size_t len)
{
	TRY(refuse_second(tx, der, len));
	TRY(sql_run(tx, SQL_RECIPIENT_ADD,
		    VALUES(TEXT(recipient->name), INT(recipient->added_at), BLOB(der, len))));
	return sql_run(tx, SQL_GENERATION_NEXT, NO_VALUES);
}

enum error store_recipient_retire(struct tx *tx, const uint8_t *der, size_t len, int64_t at)
{
	TRY(sql_run(tx, SQL_RECIPIENT_RETIRE, VALUES(BLOB(der, len), INT(at))));
	if (sql_changed(tx) != 1)
		return fail(ERR_NOT_FOUND, "this certificate is no recipient");
	return sql_run(tx, SQL_GENERATION_NEXT, NO_VALUES);
}
