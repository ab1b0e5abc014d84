/* Devices: rows that stay, names that are unique among those that are there. */
#include "inside.h"

/* Columns as in DEVICE_COLUMNS. */
enum error device_read(struct rows *rows, struct device *out)
{
	struct device device = {
		.id = sql_int(rows, 0),
		.user_enrolled = sql_bool(rows, 2),
		.unenrolled = sql_bool(rows, 3),
		.status = (enum status)sql_enum(rows, 4, STATUS_COUNT),
		.created_at = sql_int(rows, 6),
		.enrolled_at = sql_int(rows, 7),
		.reenrolled_at = sql_int(rows, 8),
		.checked_out_at = sql_int(rows, 9),
		.retrieved_at = sql_int(rows, 10),
		.proven_at = sql_int(rows, 11),
		.escrowed_at = sql_int(rows, 12),
		.security_size = sql_u32(rows, 13),
		.token_size = sql_u32(rows, 14),
		.security_at = sql_int(rows, 15),
		.status_at = sql_int(rows, 16),
		.token_at = sql_int(rows, 17),
		.change = sql_int(rows, 18),
		.removed_at = sql_int(rows, 19),
		.sealed_size = sql_u32(rows, 20),
		.pinned = sql_u32(rows, 21),
		.last_version = (int)sql_int(rows, 22),
	};
	sql_text(rows, 1, device.udid, sizeof device.udid);
	sql_text(rows, 5, device.identity, sizeof device.identity);
	TRY(rows->error);
	*out = device;
	return OK;
}

/* ---- looking ---- */

enum error store_device(struct tx *tx, int64_t id, struct device *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_DEVICE, VALUES(INT(id)));
	if (sql_next(&rows))
		return device_read(&rows, out);
	TRY(rows.error);
	return fail(ERR_GONE, "device number %lld was taken away", (long long)id);
}

static enum error find(struct tx *tx, enum statement how, const char *udid, struct device *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, how, VALUES(TEXT(udid)));
	if (sql_next(&rows))
		return device_read(&rows, out);
	TRY(rows.error);
	return fail(ERR_NOT_FOUND, "device %s: there is none of this name", udid);
}

enum error store_device_named(struct tx *tx, const char *udid, struct device *out)
{
	return find(tx, SQL_DEVICE_NAMED, udid, out);
}

enum error store_device_folded(struct tx *tx, const char *udid, struct device *out)
{
	return find(tx, SQL_DEVICE_FOLDED, udid, out);
}

enum error store_device_known(struct tx *tx, int64_t id, bool *out)
{
	struct device device;
	enum error found = store_device(tx, id, &device);
	if (found == ERR_GONE)
		found = store_removed(tx, id, &device);
	*out = found == OK;
	return found == ERR_GONE ? OK : found;
}

/* ---- changing ---- */

static enum error number_change(struct tx *tx, int64_t *out)
{
	TRY(store_change_number(tx, out));
	tx->numbered = *out;
	return OK;
}

static enum error next_change(struct tx *tx, int64_t *out)
{
	TRY(sql_run(tx, SQL_CHANGE_NEXT, NO_VALUES));
	return number_change(tx, out);
}

/* One with which a device comes or goes. */
static enum error next_move(struct tx *tx, int64_t at, int64_t *out)
{
	TRY(sql_run(tx, SQL_CHANGE_MOVES, VALUES(INT(at))));
	return number_change(tx, out);
}

static enum error insert(struct tx *tx, const struct device *d, int64_t change)
{
	return sql_run(tx, SQL_DEVICE_ADD,
		       VALUES(TEXT(d->udid), INT(d->user_enrolled), INT(d->unenrolled),
			      INT(d->status), TEXT(d->identity), INT(d->created_at),
			      INT(d->enrolled_at), INT(d->reenrolled_at), INT(d->checked_out_at),
			      INT(d->retrieved_at), INT(d->proven_at), INT(d->escrowed_at),
			      INT(d->security_size), INT(d->token_size), INT(d->security_at),
			      INT(d->status_at), INT(d->token_at), INT(change), INT(d->sealed_size),
			      INT(d->removed_at), INT(d->id)));
}

/* Nothing was added. */
static enum error refuse_second(struct tx *tx, const char *udid)
{
	struct device there = {0};
	TRY(store_device_folded(tx, udid, &there));
	return fail(ERR_EXISTS, "device %s: it is there already, as %s", udid, there.udid);
}

enum error store_device_add(struct tx *tx, struct device *device)
{
	int64_t change = 0;
	TRY(next_move(tx, device->created_at, &change));
	TRY(insert(tx, device, change));
	if (sql_changed(tx) != 1)
		return refuse_second(tx, device->udid);
	int64_t id = sql_inserted(tx);
	device->id = id;
	device->change = change;
	return OK;
}

enum error store_device_save(struct tx *tx, struct device *d)
{
	int64_t change = 0;
	TRY(next_change(tx, &change));
	TRY(sql_run(tx, SQL_DEVICE_SAVE,
		    VALUES(INT(d->id), INT(d->user_enrolled), INT(d->unenrolled), TEXT(d->identity),
			   INT(d->created_at), INT(d->enrolled_at), INT(d->reenrolled_at),
			   INT(d->checked_out_at), INT(d->retrieved_at), INT(d->proven_at),
			   INT(d->escrowed_at), INT(d->security_size), INT(d->token_size),
			   INT(d->security_at), INT(d->status_at), INT(d->token_at), INT(change),
			   INT(d->sealed_size))));
	if (sql_changed(tx) != 1)
		return fail(ERR_GONE, "device %s: it was taken away", d->udid);
	TRY(sql_run(tx, SQL_DEVICE_TURN, VALUES(INT(d->id), INT(d->status))));
	d->change = change;
	return OK;
}

enum error store_device_finish(struct tx *tx, const struct device *d)
{
	TRY(sql_run(tx, SQL_DEVICE_FINISH,
		    VALUES(INT(d->id), INT(d->user_enrolled), INT(d->unenrolled), TEXT(d->identity),
			   INT(d->created_at), INT(d->enrolled_at), INT(d->reenrolled_at),
			   INT(d->checked_out_at), INT(d->retrieved_at), INT(d->proven_at),
			   INT(d->escrowed_at), INT(d->security_size), INT(d->token_size),
			   INT(d->security_at), INT(d->status_at), INT(d->token_at),
			   INT(d->sealed_size))));
	return sql_changed(tx) == 1 ? OK : fail(ERR_GONE, "device %s: it was taken away", d->udid);
}

enum error store_device_remove(struct tx *tx, int64_t id, int64_t at)
{
	int64_t change = 0;
	TRY(next_move(tx, at, &change));
	TRY(sql_run(tx, SQL_DEVICE_REMOVE, VALUES(INT(id), INT(at), INT(change))));
	if (sql_changed(tx) != 1)
		return fail(ERR_GONE, "device number %lld was taken away", (long long)id);
	TRY(facts_delete(tx, id));
	TRY(names_delete(tx, id));
	TRY(store_stranger_forget(tx, id));
	return access_delete(tx, id);
}

enum error store_removed_touch(struct tx *tx, int64_t id, int64_t at)
{
	int64_t change = 0;
	TRY(next_change(tx, &change));
	TRY(sql_run(tx, SQL_REMOVED_TOUCH, VALUES(INT(id), INT(at), INT(change))));
	if (sql_changed(tx) != 1)
		return fail(ERR_GONE, "device number %lld was not taken away", (long long)id);
	return OK;
}

/* ---- listing ---- */

static enum error list(struct rows *rows, int64_t after, store_each_device *each, void *context)
{
	bool more = true;
	while (more && sql_next_past(rows, 0, &after)) {
		char udid[UDID_MAX + 1];
		sql_text(rows, 1, udid, sizeof udid);
		more = each(context, after, udid);
	}
	return rows->error;
}

struct visit {
	store_each_device *each;
	store_each_glance *each_glance;
	void *context;
	int left; /* how many more are wanted */
};

static void text_of(sqlite3_value *column, char out[static UDID_MAX + 1])
{
	const unsigned char *text = sqlite3_value_text(column);
	size_t len = text ? (size_t)sqlite3_value_bytes(column) : 0;
	len = len < UDID_MAX ? len : UDID_MAX;
	if (len)
		memcpy(out, text, len);
	out[len] = 0;
}

static bool visit_name(void *context, sqlite3_value **columns)
{
	struct visit *visit = context;
	char udid[UDID_MAX + 1];
	text_of(columns[1], udid);
	return visit->each(visit->context, sqlite3_value_int64(columns[0]), udid) &&
	       --visit->left > 0;
}

static bool visit_glance(void *context, sqlite3_value **columns)
{
	struct visit *visit = context;
	struct device glance = {.id = sqlite3_value_int64(columns[0]),
				.created_at = sqlite3_value_int64(columns[2]),
				.pinned = (uint32_t)sqlite3_value_int64(columns[3])};
	text_of(columns[1], glance.udid);
	return visit->each_glance(visit->context, &glance) && --visit->left > 0;
}

enum error store_devices(struct tx *tx, enum status status, int64_t after, int limit,
			 store_each_device *each, void *context)
{
	struct visit visit = {.each = each, .context = context, .left = limit};
	if (status == STATUS_COUNT)
		return sql_visit(tx, SQL_DEVICES, after, visit_name, &visit);
	SCOPED(sql_end)
	struct rows rows =
		sql_query(tx, SQL_DEVICES_IN_STATUS, VALUES(INT(after), INT(limit), INT(status)));
	return list(&rows, after, each, context);
}

enum error store_glances(struct tx *tx, int64_t after, int limit, store_each_glance *each,
			 void *context)
{
	struct visit visit = {.each_glance = each, .context = context, .left = limit};
	return sql_visit(tx, SQL_GLANCES, after, visit_glance, &visit);
}

enum error store_devices_between(struct tx *tx, int64_t after, int64_t last,
				 store_each_glance *each, void *context)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_DEVICES_BETWEEN, VALUES(INT(after), INT(last)));
	bool more = true;
	while (more && sql_next(&rows)) {
		struct device device;
		TRY(device_read(&rows, &device));
		more = each(context, &device);
	}
	return rows.error;
}

enum error store_devices_changed(struct tx *tx, int64_t after, int limit, store_each_change *each,
				 void *context)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_DEVICES_CHANGED, VALUES(INT(after), INT(limit)));
	bool more = true;
	while (more && sql_next_past(&rows, 0, &after)) {
		char udid[UDID_MAX + 1];
		sql_text(&rows, 2, udid, sizeof udid);
		more = each(context, after, sql_int(&rows, 1), udid, sql_bool(&rows, 3));
	}
	return rows.error;
}

/* ---- those that were taken away ---- */

enum error store_removed(struct tx *tx, int64_t id, struct device *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_REMOVED, VALUES(INT(id)));
	if (sql_next(&rows))
		return device_read(&rows, out);
	TRY(rows.error);
	return fail(ERR_GONE, "device number %lld was not taken away", (long long)id);
}

enum error store_removed_named(struct tx *tx, const char *udid, struct device *out)
{
	return find(tx, SQL_REMOVED_NAMED, udid, out);
}

enum error store_removed_last(struct tx *tx, const char *udid, int64_t *at)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_REMOVED_LAST, VALUES(TEXT(udid)));
	*at = sql_next(&rows) ? sql_int(&rows, 0) : 0;
	return rows.error;
}

enum error store_removed_devices(struct tx *tx, int64_t after, int limit, store_each_device *each,
				 void *context)
{
	SCOPED(sql_end)
	struct rows rows = sql_query(tx, SQL_REMOVED_DEVICES, VALUES(INT(after), INT(limit)));
	return list(&rows, after, each, context);
}

enum error store_device_counts(struct tx *tx, uint64_t out[static STATUS_COUNT])
{
	uint64_t counts[STATUS_COUNT] = {0};
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_DEVICE_COUNTS, NO_VALUES);
	while (sql_next(&rows)) {
		int status = sql_enum(&rows, 0, STATUS_COUNT);
		if (!rows.error)
			counts[status] = (uint64_t)sql_int(&rows, 1);
	}
	TRY(rows.error);
	memcpy(out, counts, sizeof counts);
	return OK;
}
