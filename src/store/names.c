/*
 * Names under /search. A name is a row of its own, which devices bear: so it has one number, the
 * cursor of listings, however many devices come and go under it.
 */
#include "inside.h"

#define NAME_MAX_LEN 256

/* ---- changing ---- */

static bool among(const char *name, const char *const names[], int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The number of a name that the device bears and that isn't among those; 0: none. */
static enum error find_other(struct tx *tx, int64_t device, enum name_kind kind,
			     const char *const names[], int n, int64_t *out)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_NAMES_OF_DEVICE, VALUES(INT(device), INT(kind)));
	*out = 0;
	while (!*out && sql_next(&rows)) {
		char name[NAME_MAX_LEN];
		sql_text(&rows, 1, name, sizeof name);
		if (!among(name, names, n))
			*out = sql_int(&rows, 0);
	}
	return rows.error;
}

/* Names of one kind are few, so each that goes may be looked for from the start. */
static enum error drop_others(struct tx *tx, int64_t device, enum name_kind kind,
			      const char *const names[], int n)
{
	for (;;) {
		int64_t name;
		TRY(find_other(tx, device, kind, names, n, &name));
		if (!name)
			return OK;
		TRY(sql_run(tx, SQL_BEARER_DELETE, VALUES(INT(device), INT(name))));
		TRY(sql_run(tx, SQL_NAME_DELETE, VALUES(INT(name))));
	}
}

enum error store_names_save(struct tx *tx, int64_t device, enum name_kind kind,
			    const char *const names[], int n)
{
	for (int i = 0; i < n; i++)
		if (strlen(names[i]) >= NAME_MAX_LEN)
			return fail(ERR_TOO_BIG, "a name of more than %d bytes", NAME_MAX_LEN - 1);
	TRY(drop_others(tx, device, kind, names, n));
	for (int i = 0; i < n; i++) {
		TRY(sql_run(tx, SQL_NAME_ADD, VALUES(INT(kind), TEXT(names[i]))));
		TRY(sql_run(tx, SQL_BEARER_ADD, VALUES(INT(device), INT(kind), TEXT(names[i]))));
	}
	return OK;
}

enum error names_delete(struct tx *tx, int64_t device)
{
	for (int kind = NAME_SERIAL; kind <= NAME_IMEI; kind++)
		TRY(drop_others(tx, device, (enum name_kind)kind, NULL, 0));
	return OK;
}

/* ---- looking ---- */

enum error store_name(struct tx *tx, enum name_kind kind, const char *folded, struct device *out)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_NAME, VALUES(INT(kind), TEXT(folded)));
	if (sql_next(&rows))
		return device_read(&rows, out);
	TRY(rows.error);
	return fail(ERR_NOT_FOUND, "%s: no device has this name", folded);
}

enum error store_names(struct tx *tx, enum name_kind kind, int64_t after, int limit,
		       store_each_name *each, void *context)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_NAMES, VALUES(INT(kind), INT(after), INT(limit)));
	bool more = true;
	while (more && sql_next_past(&rows, 0, &after)) {
		char name[NAME_MAX_LEN];
		sql_text(&rows, 1, name, sizeof name);
		more = each(context, after, name, sql_int(&rows, 2));
	}
	return rows.error;
}

enum error store_names_borne(struct tx *tx, int64_t device, store_each_borne *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_NAMES_BORNE, VALUES(INT(device)));
	bool more = true;
	while (more && sql_next(&rows)) {
		char name[NAME_MAX_LEN];
		int kind = sql_enum(&rows, 0, NAME_IMEI + 1);
		TRY(rows.error);
		sql_text(&rows, 1, name, sizeof name);
		more = each(context, (enum name_kind)kind, name);
	}
	return rows.error;
}
