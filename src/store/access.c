/* Owners, modes and ACLs, by inode number. */
#include "inside.h"

/* OWNER_COLUMNS, which come first. */
static void read_owner(const struct rows *rows, struct owner *out)
{
	*out = (struct owner){.uid = sql_u32(rows, 0),
			      .gid = sql_u32(rows, 1),
			      .mode = sql_u32(rows, 2),
			      .changed_at = sql_int(rows, 3),
			      .lists = sql_bool(rows, 4)};
}

static enum error none(uint64_t node)
{
	return fail(ERR_NOT_FOUND, "node %llu has no setting of its own", (unsigned long long)node);
}

enum error store_owner(struct tx *tx, uint64_t node, struct owner *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_OWNER, VALUES(INT((int64_t)node)));
	if (sql_next(&rows)) {
		read_owner(&rows, out);
		return OK;
	}
	TRY(rows.error);
	return none(node);
}

enum error store_owners(struct tx *tx, uint64_t before, store_each_owner *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_OWNERS, VALUES(INT((int64_t)before)));
	bool more = true;
	while (more && sql_next(&rows)) {
		struct owner owner;
		read_owner(&rows, &owner);
		more = each(context, (uint64_t)sql_int(&rows, 5), &owner);
	}
	return rows.error;
}

/* OWNER_COLUMNS, and both lists behind them. */
static enum error read_access(const struct rows *rows, struct access *out)
{
	size_t acl_len, default_len;
	const void *acl = sql_blob(rows, 5, &acl_len);
	const void *default_acl = sql_blob(rows, 6, &default_len);
	if (acl_len > STORE_ACL_MAX || default_len > STORE_ACL_MAX)
		return fail(ERR_IO, "%s: the store is damaged: an ACL is too long", rows->tx->path);
	read_owner(rows, &out->owner);
	out->acl_len = (uint16_t)acl_len;
	out->default_len = (uint16_t)default_len;
	memcpy(out->acl, acl, acl_len);
	memcpy(out->default_acl, default_acl, default_len);
	return OK;
}

enum error store_access(struct tx *tx, uint64_t node, struct access *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_ACCESS, VALUES(INT((int64_t)node)));
	if (sql_next(&rows))
		return read_access(&rows, out);
	TRY(rows.error);
	return none(node);
}

enum error store_accesses(struct tx *tx, store_each_access *each, void *context)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_ACCESSES, NO_VALUES);
	while (sql_next(&rows)) {
		struct access access;
		TRY(read_access(&rows, &access));
		TRY(each(context, (uint64_t)sql_int(&rows, 7), &access));
	}
	return rows.error;
}

enum error store_access_save(struct tx *tx, uint64_t node, const struct access *access)
{
	if (access->acl_len > STORE_ACL_MAX || access->default_len > STORE_ACL_MAX)
		return fail(ERR_TOO_BIG, "an ACL of more than %d bytes", STORE_ACL_MAX);
	const struct owner *owner = &access->owner;
	TRY(sql_run(tx, SQL_ACCESS_SAVE,
		    VALUES(INT((int64_t)node), INT(owner->uid), INT(owner->gid), INT(owner->mode),
			   BLOB(access->acl, access->acl_len),
			   BLOB(access->default_acl, access->default_len),
			   INT(owner->changed_at))));
	/* Of a node that is no device's it changes nothing. */
	return sql_run(tx, SQL_ACCESS_PIN,
		       VALUES(INT((int64_t)(node / STORE_NODES)), INT(1 << node % STORE_NODES)));
}

enum error access_delete(struct tx *tx, int64_t device)
{
	return sql_run(
		tx, SQL_ACCESS_DELETE,
		VALUES(INT(device * STORE_NODES), INT(device * STORE_NODES + STORE_NODES - 1)));
}
