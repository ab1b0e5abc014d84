#include "schema.h"

#include "fault.h"

#include <stdio.h>

/* What the columns are for, schema.sql says. */
static const struct migration migrations[] = {
	/* to 2: sealed mounts are alike whoever makes them; recipients change */
	{"ALTER TABLE store ADD COLUMN uid INTEGER NOT NULL DEFAULT -1;"
	 "ALTER TABLE store ADD COLUMN gid INTEGER NOT NULL DEFAULT -1;"
	 "ALTER TABLE store ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE store ADD COLUMN unclean INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE store ADD COLUMN rendering INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE head ADD COLUMN devices_at INTEGER NOT NULL DEFAULT 0;"
	 "UPDATE head SET devices_at = trail_at;"
	 "ALTER TABLE device ADD COLUMN sealed_size INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE version ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE recipient ADD COLUMN retired_at INTEGER NOT NULL DEFAULT 0;"
	 "CREATE INDEX version_unverified ON version (verified) WHERE verified = 0;"},
	/* to 3: stat(2) asks for a node's own setting only where there is one; devices that were taken
	   away are listed without a look at the others */
	{"ALTER TABLE device ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;"
	 "UPDATE device SET pinned = (SELECT sum(1 << (node % 4)) FROM access WHERE node BETWEEN "
	 "device.id * 4 AND device.id * 4 + 3) WHERE id IN (SELECT node / 4 FROM access WHERE "
	 "node >= 1024);"
	 "CREATE INDEX device_gone ON device (id) WHERE removed_at <> 0;"},
	/* to 4: a device's certificate that isn't its own is kept until it is accepted */
	{"CREATE TABLE stranger (device INTEGER PRIMARY KEY REFERENCES device (id), "
	 "identity TEXT NOT NULL, at INTEGER NOT NULL) STRICT;"},
};
#define MIGRATIONS (SCHEMA_VERSION - 1)

enum error schema_create(struct tx *tx)
{
	char marks[96];
	snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 SCHEMA_APPLICATION, SCHEMA_VERSION);
	TRY(sql_run_text(tx, schema_sql));
	return sql_run_text(tx, marks);
}

/* A number from the header. Not one of the prepared statements: it is asked once. */
static enum error mark(struct tx *tx, const char *pragma, int *out)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(tx->db, pragma, -1, &statement, NULL);
	if (!code)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	if (code == SQLITE_ROW)
		return OK;
	if ((code & 0xff) == SQLITE_NOTADB)
		return fail(ERR_INVALID, "%s: not a store: its " DATABASE " is not a database",
			    tx->path);
	return sql_fail(tx, code);
}

static enum error version_of(struct tx *tx, int *version)
{
	TRY(mark(tx, "PRAGMA user_version", version));
	return *version >= 1
		       ? OK
		       : fail(ERR_INVALID, "%s: not a store: its schema has no number", tx->path);
}

enum error schema_check(struct tx *tx)
{
	int application = 0, version = 0;
	TRY(mark(tx, "PRAGMA application_id", &application));
	if (application != SCHEMA_APPLICATION)
		return fail(ERR_INVALID,
			    "%s: not a store: its " DATABASE " belongs to another "
			    "program",
			    tx->path);
	TRY(version_of(tx, &version));
	if (version > SCHEMA_VERSION)
		return fail(ERR_INVALID,
			    "%s: made by a newer escrowfs (schema %d, this one knows %d): use that "
			    "one",
			    tx->path, version, SCHEMA_VERSION);
	return OK;
}

static enum error step(struct tx *tx, const struct migration *migration, int to)
{
	char mark_sql[48];
	int now = 0;
	snprintf(mark_sql, sizeof mark_sql, "PRAGMA user_version = %d", to);
	TRY(sql_run(tx, SQL_BEGIN_WRITING, NO_VALUES));
	enum error result = version_of(tx, &now);
	/* Another process may have made this step meanwhile. */
	if (!result && now == to - 1) {
		result = sql_run_text(tx, migration->sql);
		if (!result)
			result = sql_run_text(tx, mark_sql);
	}
	fault_point("migration-before");
	if (!result)
		result = sql_run(tx, SQL_COMMIT, NO_VALUES);
	fault_point("migration-after");
	if (result)
		connection_rollback(tx);
	return result;
}

enum error schema_migrate(struct store *store, struct tx *tx, const struct migration *steps,
			  int count)
{
	int version = 0;
	TRY(version_of(tx, &version));
	if (version > count)
		return OK;
	bool borrowed = store->lock < 0;
	if (borrowed)
		TRY(lock_take(store, "bringing the store up to date"));
	enum error result = OK;
	for (; !result && version <= count; version++)
		result = step(tx, &steps[version - 1], version + 1);
	if (borrowed)
		lock_release(store);
	return result;
}

enum error schema_bring_up(struct store *store, struct tx *tx, bool writable)
{
	int version = 0;
	TRY(version_of(tx, &version));
	if (version < SCHEMA_VERSION && !writable)
		return fail(ERR_INVALID,
			    "%s: made by an older escrowfs (schema %d, this one reads %d): mount "
			    "it once, or run `escrowfs status` on it, to bring it up to date",
			    store->path, version, SCHEMA_VERSION);
	return schema_migrate(store, tx, migrations, MIGRATIONS);
}
