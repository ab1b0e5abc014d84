/* Versions: every token that was escrowed, as what is known of it and as its seal. */
#include "inside.h"

/* Columns as in VERSION_COLUMNS. */
static enum error version_read(struct rows *rows, struct version *out)
{
	struct version version = {
		.id = sql_int(rows, 0),
		.device = sql_int(rows, 1),
		.number = (int)sql_int(rows, 2),
		.escrowed_at = sql_int(rows, 3),
		.confirmed_at = sql_int(rows, 4),
		.sealed_at = sql_int(rows, 5),
		.ended_at = sql_int(rows, 6),
		.end = (enum version_end)sql_enum(rows, 7, END_COUNT),
		.renewal = (enum version_renewal)sql_enum(rows, 8, RENEWAL_SET_UP + 1),
		.token_size = sql_u32(rows, 9),
		.blob_size = sql_u32(rows, 10),
		.verified = sql_bool(rows, 13),
		.generation = sql_int(rows, 14),
	};
	sql_bytes(rows, 11, version.mac, sizeof version.mac);
	sql_bytes(rows, 12, version.digest, sizeof version.digest);
	TRY(rows->error);
	*out = version;
	return OK;
}

#define COLUMN_UDID 15

const char *version_end_word(enum version_end end)
{
	static const char *const words[END_COUNT] = {
		[END_REPLACED] = "replaced",
		[END_REMOVED] = "removed",
		[END_UNDONE] = "undone",
	};
	return words[end];
}

/* ---- looking ---- */

/* `rows` has one row at most. */
static enum error read_one(struct rows *rows, struct version *out)
{
	if (sql_next(rows))
		return version_read(rows, out);
	TRY(rows->error);
	return fail(ERR_NOT_FOUND, "there is no such version");
}

enum error store_version_current(struct tx *tx, int64_t device, struct version *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_VERSION_CURRENT, VALUES(INT(device)));
	return read_one(&rows, out);
}

enum error store_versions_unverified(struct tx *tx, uint64_t *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_VERSIONS_UNVERIFIED, NO_VALUES);
	if (sql_next(&rows))
		*out = (uint64_t)sql_int(&rows, 0);
	return rows.error;
}

enum error store_version_numbered(struct tx *tx, int64_t device, int number, struct version *out)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_VERSION_NUMBERED, VALUES(INT(device), INT(number)));
	return read_one(&rows, out);
}

enum error store_version(struct tx *tx, int64_t id, struct version *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_VERSION, VALUES(INT(id)));
	return read_one(&rows, out);
}

enum error store_version_with_mac(struct tx *tx, int64_t device,
				  const uint8_t mac[static STORE_DIGEST], struct version *out)
{
	SCOPED(sql_end)
	struct rows rows =
		sql_query(tx, SQL_VERSION_WITH_MAC, VALUES(INT(device), BLOB(mac, STORE_DIGEST)));
	return read_one(&rows, out);
}

/* `cursor`: the number of the row that these come after; NULL: they have another order. */
static enum error list(struct rows *rows, int64_t *cursor, store_each_version *each, void *context)
{
	bool more = true;
	while (more && (cursor ? sql_next_past(rows, 0, cursor) : sql_next(rows))) {
		struct version version;
		char udid[UDID_MAX + 1];
		TRY(version_read(rows, &version));
		sql_text(rows, COLUMN_UDID, udid, sizeof udid);
		more = each(context, &version, udid);
	}
	return rows->error;
}

enum error store_versions(struct tx *tx, int64_t device, int64_t after, store_each_version *each,
			  void *context)
{
	SCOPED(sql_end)
	struct rows rows =
		device ? sql_query(tx, SQL_VERSIONS_OF_DEVICE, VALUES(INT(device), INT(after)))
		       : sql_query(tx, SQL_VERSIONS, VALUES(INT(after)));
	return list(&rows, device ? NULL : &after, each, context);
}

enum error store_versions_ended(struct tx *tx, int64_t before, int64_t after_device,
				int after_number, store_each_version *each, void *context)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_VERSIONS_ENDED,
				     VALUES(INT(after_device), INT(after_number), INT(before)));
	return list(&rows, NULL, each, context);
}

enum error store_versions_named(struct tx *tx, const char *udid, store_each_past *each,
				void *context)
{
	static const enum statement halves[] = {SQL_VERSIONS_REMOVED, SQL_VERSIONS_PRESENT};
	bool more = true;
	for (int i = 0; i < 2 && more; i++) {
		SCOPED(sql_end) struct rows rows = sql_query(tx, halves[i], VALUES(TEXT(udid)));
		while (more && sql_next(&rows)) {
			struct version version;
			char name[UDID_MAX + 1];
			TRY(version_read(&rows, &version));
			sql_text(&rows, COLUMN_UDID, name, sizeof name);
			more = each(context, &version, name, halves[i] == SQL_VERSIONS_REMOVED);
		}
		TRY(rows.error);
	}
	return OK;
}

enum error store_blob(struct tx *tx, int64_t version, struct bytes *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_BLOB, VALUES(INT(version)));
	if (!sql_next(&rows)) {
		TRY(rows.error);
		return fail(ERR_NOT_FOUND, "version row %lld has no seal in the store",
			    (long long)version);
	}
	size_t len;
	const void *blob = sql_blob(&rows, 0, &len);
	return bytes_add(out, blob, len);
}

/* ---- changing ---- */

/*
 * Whose last_version counts for a device's UDID: that of the device of this name that is there, even for
 * one that was taken away; else the highest of those that were.
 */
static enum error counter_of(struct tx *tx, int64_t id, int64_t *counter)
{
	struct device device, there;
	*counter = id;
	enum error found = store_device(tx, id, &device);
	if (found != ERR_GONE)
		return found;
	TRY(store_removed(tx, id, &device));
	found = store_device_folded(tx, device.udid, &there);
	if (found == OK)
		*counter = there.id;
	if (found != ERR_NOT_FOUND)
		return found;
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_REMOVED_COUNTER, VALUES(TEXT(device.udid)));
	if (sql_next(&rows))
		*counter = sql_int(&rows, 0);
	return rows.error;
}

static enum error use_number(struct tx *tx, int64_t device, int64_t number)
{
	return sql_run(tx, SQL_VERSION_NUMBER_USED, VALUES(INT(device), INT(number)));
}

static enum error ask_number(struct tx *tx, enum statement how, int64_t device, int64_t *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, how, VALUES(INT(device)));
	while (sql_next(&rows))
		*out = sql_int(&rows, 0);
	return rows.error;
}

/* The device is one that is there, unless the past of another is put together (import). */
static enum error next_number(struct tx *tx, int64_t device, int64_t *out)
{
	int64_t counter = 0;
	*out = 0;
	TRY(ask_number(tx, SQL_VERSION_NUMBER_NEXT, device, out));
	if (*out)
		return use_number(tx, device, *out);
	TRY(counter_of(tx, device, &counter));
	TRY(ask_number(tx, SQL_VERSION_NUMBER_OF, counter, out));
	TRY(use_number(tx, counter, *out));
	return counter == device ? OK : use_number(tx, device, *out);
}

enum error store_version_reserve(struct tx *tx, int64_t device, int number)
{
	int64_t counter = 0;
	TRY(counter_of(tx, device, &counter));
	TRY(use_number(tx, counter, number));
	return counter == device ? OK : use_number(tx, device, number);
}

/* A number that was given elsewhere. */
static enum error take_number(struct tx *tx, int64_t device, int number)
{
	struct version other;
	enum error found = store_version_numbered(tx, device, number, &other);
	if (found == OK)
		return fail(ERR_EXISTS, "device number %lld has a version %d already",
			    (long long)device, number);
	return found == ERR_NOT_FOUND ? store_version_reserve(tx, device, number) : found;
}

static enum error insert(struct tx *tx, const struct version *v, int64_t number, size_t len)
{
	return sql_run(tx, SQL_VERSION_ADD,
		       VALUES(INT(v->device), INT(number), INT(v->escrowed_at),
			      INT(v->confirmed_at), INT(v->sealed_at), INT(v->ended_at),
			      INT(v->end), INT(v->renewal), INT(v->token_size), INT((int64_t)len),
			      BLOB(v->mac, sizeof v->mac), BLOB(v->digest, sizeof v->digest),
			      INT(v->verified), INT(v->generation)));
}

static enum error refuse_second(struct tx *tx, int64_t device)
{
	struct version current = {0};
	TRY(store_version_current(tx, device, &current));
	return fail(ERR_EXISTS,
		    "device number %lld has a token already, its version %d: that one must end "
		    "first",
		    (long long)device, current.number);
}

enum error store_version_add(struct tx *tx, struct version *version, const void *blob, size_t len)
{
	int64_t number = version->number;
	if (number)
		TRY(take_number(tx, version->device, version->number));
	else
		TRY(next_number(tx, version->device, &number));
	TRY(insert(tx, version, number, len));
	if (sql_changed(tx) != 1)
		return refuse_second(tx, version->device);
	int64_t id = sql_inserted(tx);
	TRY(sql_run(tx, SQL_BLOB_ADD, VALUES(INT(id), BLOB(blob, len))));
	version->id = id;
	version->number = (int)number;
	version->blob_size = (uint32_t)len;
	return OK;
}

enum error store_version_save(struct tx *tx, const struct version *v)
{
	struct version current = {0};
	enum error found =
		v->ended_at ? ERR_NOT_FOUND : store_version_current(tx, v->device, &current);
	if (found == OK && current.id != v->id)
		return refuse_second(tx, v->device);
	if (found != OK && found != ERR_NOT_FOUND)
		return found;
	TRY(sql_run(tx, SQL_VERSION_SAVE,
		    VALUES(INT(v->id), INT(v->escrowed_at), INT(v->confirmed_at), INT(v->sealed_at),
			   INT(v->ended_at), INT(v->end), INT(v->renewal), INT(v->token_size),
			   BLOB(v->mac, sizeof v->mac), BLOB(v->digest, sizeof v->digest),
			   INT(v->verified))));
	if (sql_changed(tx) != 1)
		return fail(ERR_NOT_FOUND, "there is no such version");
	return OK;
}

enum error store_version_reseal(struct tx *tx, struct version *v, const void *blob, size_t len)
{
	TRY(sql_run(tx, SQL_VERSION_RESEAL,
		    VALUES(INT(v->id), INT(v->sealed_at), INT(v->token_size), INT((int64_t)len),
			   BLOB(v->mac, sizeof v->mac), BLOB(v->digest, sizeof v->digest),
			   INT(v->verified), INT(v->generation))));
	if (sql_changed(tx) != 1)
		return fail(ERR_NOT_FOUND, "there is no such version");
	v->blob_size = (uint32_t)len;
	return sql_run(tx, SQL_BLOB_SAVE, VALUES(INT(v->id), BLOB(blob, len)));
}

enum error store_version_destroy(struct tx *tx, int64_t id)
{
	TRY(sql_run(tx, SQL_BLOB_DELETE, VALUES(INT(id))));
	TRY(sql_run(tx, SQL_VERSION_DELETE, VALUES(INT(id))));
	return sql_changed(tx) == 1 ? OK : fail(ERR_NOT_FOUND, "there is no such version");
}
