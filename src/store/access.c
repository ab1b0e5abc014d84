/* Owners, modes and ACLs, by inode number. */
#include "inside.h"

enum error store_access(struct tx *tx, uint64_t node, struct access *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_ACCESS, VALUES(INT((int64_t)node)));
	if (!sql_next(&rows)) {
		TRY(rows.error);
		return fail(ERR_NOT_FOUND, "node %llu has no setting of its own",
			    (unsigned long long)node);
	}
	size_t acl_len, default_len;
	const void *acl = sql_blob(&rows, 3, &acl_len);
	const void *default_acl = sql_blob(&rows, 4, &default_len);
	if (acl_len > STORE_ACL_MAX || default_len > STORE_ACL_MAX)
		return fail(ERR_IO, "%s: the store is damaged: an ACL is too long", tx->path);
	out->uid = sql_u32(&rows, 0);
	out->gid = sql_u32(&rows, 1);
	out->mode = sql_u32(&rows, 2);
	out->changed_at = sql_int(&rows, 5);
	out->acl_len = (uint16_t)acl_len;
	out->default_len = (uint16_t)default_len;
	memcpy(out->acl, acl, acl_len);
	memcpy(out->default_acl, default_acl, default_len);
	return OK;
}

enum error store_access_save(struct tx *tx, uint64_t node, const struct access *access)
{
	if (access->acl_len > STORE_ACL_MAX || access->default_len > STORE_ACL_MAX)
		return fail(ERR_TOO_BIG, "an ACL of more than %d bytes", STORE_ACL_MAX);
	return sql_run(tx, SQL_ACCESS_SAVE,
		       VALUES(INT((int64_t)node), INT(access->uid), INT(access->gid),
			      INT(access->mode), BLOB(access->acl, access->acl_len),
			      BLOB(access->default_acl, access->default_len),
			      INT(access->changed_at)));
}

enum error access_delete(struct tx *tx, int64_t device)
{
	return sql_run(
		tx, SQL_ACCESS_DELETE,
		VALUES(INT(device * STORE_NODES), INT(device * STORE_NODES + STORE_NODES - 1)));
}
