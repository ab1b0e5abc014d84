/*
 * What the parts of an escrow and of a retrieval do. Bare SQLite, with the pragmas of the store; and the
 * program's own seals.
 */
#include "part.h"

#include "mdm.h"
#include "seal.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN 192 /* bytes */
#define HEAP (1024 * 1024)
#define LINE 260  /* bytes of the trail that a retrieval takes */
#define BLOB 1500 /* bytes of a seal to two recipients */
#define FIRST_DEVICE 256
#define UDID "00000000-0000-4000-8000-000000000000"

struct part {
	enum error (*once)(struct part *);
	struct recipients *recipients;
	struct seal_key *key;
	struct secret content;
	struct bytes blob;
	sqlite3 *db;
	sqlite3_stmt *statement[8];
	int statements, batch;
	sqlite3_int64 rows, devices;
	char line[LINE], sealed[BLOB];
};

/* ---- one commit ---- */

static const char settings[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;"
	"PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;";
/*
 * The log once as long as it gets: from then on it is written over, which spares the disk to say each time
 * how long it is. A mount is there after a few hundred escrows.
 */
static const char fill_log[] =
	"CREATE TABLE filling (text BLOB); INSERT INTO filling VALUES (zeroblob(17000000));"
	"DROP TABLE filling; VACUUM; PRAGMA wal_checkpoint(RESTART)";
static const char table[] = "CREATE TABLE trail (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
			    " start INTEGER NOT NULL UNIQUE, line TEXT NOT NULL) STRICT";

static const char *const line[] = {"INSERT INTO trail VALUES (?1, ?1, ?2, ?3)"};

/* ?1: how many there were; ?2: the device. ?3: the line; ?4: the seal. */
static const char *const escrow[] = {
	"BEGIN IMMEDIATE",
	"UPDATE version SET ended_at = ?1, ending = 1 WHERE device = ?2 AND ended_at = 0",
	"INSERT INTO version (device, number, escrowed_at, confirmed_at, sealed_at, ended_at, "
	"ending, "
	"renewal, token_size, blob_size, mac, digest, verified) SELECT id, last_version + 1, ?1, "
	"0, ?1, 0, "
	"0, 0, 192, length(?4), randomblob(32), randomblob(32), 1 FROM device WHERE id = ?2",
	"INSERT INTO sealed (version, blob) VALUES (last_insert_rowid(), ?4)",
	"UPDATE device SET change = (SELECT change + 1 FROM head), escrowed_at = ?1, token_at = "
	"?1, "
	"security_at = ?1, last_version = last_version + 1 WHERE id = ?2",
	"INSERT INTO trail (seq, at, start, line) SELECT trail_seq + 1, ?1, trail_size, ?3 FROM "
	"head",
	"UPDATE head SET change = change + 1, trail_seq = trail_seq + 1, trail_at = ?1, "
	"trail_size = trail_size + length(?3), trail_chain = randomblob(32)",
	"COMMIT",
};

static const char *const retrieval[] = {
	"BEGIN IMMEDIATE",
	"UPDATE device SET change = (SELECT change + 1 FROM head), retrieved_at = ?1, "
	"security_at = ?1 WHERE id = ?2",
	"INSERT INTO trail (seq, at, start, line) SELECT trail_seq + 1, ?1, trail_size, ?3 FROM "
	"head",
	"UPDATE head SET change = change + 1, trail_seq = trail_seq + 1, trail_at = ?1, "
	"trail_size = trail_size + length(?3), trail_chain = randomblob(32)",
	"COMMIT",
};

static bool run(struct part *part, sqlite3_stmt *statement, sqlite3_int64 second)
{
	int values = sqlite3_bind_parameter_count(statement);
	if (values >= 1)
		sqlite3_bind_int64(statement, 1, part->rows);
	if (values >= 2)
		sqlite3_bind_int64(statement, 2, second);
	if (values >= 3)
		sqlite3_bind_text(statement, 3, part->line, LINE, SQLITE_STATIC);
	if (values >= 4)
		sqlite3_bind_blob(statement, 4, part->sealed, BLOB, SQLITE_STATIC);
	int code = sqlite3_step(statement);
	sqlite3_reset(statement);
	return code == SQLITE_DONE;
}

static enum error once_commit(struct part *part)
{
	part->rows++;
	/* Devices in an order that isn't the database's, as Macs come. */
	sqlite3_int64 second = part->devices ? FIRST_DEVICE + part->rows * 7919 % part->devices
					     : LINE * part->rows;
	int first = 0, last = part->statements;
	/* All but the first of a batch are without its BEGIN, all but the last without its COMMIT. */
	if (part->batch > 1 && part->rows % part->batch != 1)
		first++;
	if (part->batch > 1 && part->rows % part->batch != 0)
		last--;
	for (int i = first; i < last; i++)
		if (!run(part, part->statement[i], second))
			return fail(ERR_IO, "%s", sqlite3_errmsg(part->db));
	return OK;
}

static enum error prepare_statements(struct part *part, const char *const *text, int count)
{
	for (; part->statements < count; part->statements++)
		if (sqlite3_prepare_v2(part->db, text[part->statements], -1,
				       &part->statement[part->statements], NULL))
			return fail(ERR_IO, "%s", sqlite3_errmsg(part->db));
	return OK;
}

static enum error open_database(struct part *part, const char *path)
{
	part->once = once_commit;
	memset(part->line, 'x', LINE);
	if (sqlite3_open(path, &part->db) || sqlite3_exec(part->db, settings, NULL, NULL, NULL) ||
	    sqlite3_exec(part->db, fill_log, NULL, NULL, NULL))
		return fail(ERR_IO, "%s: %s", path, sqlite3_errmsg(part->db));
	return OK;
}

static enum error prepare_commit(struct part *part, const char *path)
{
	TRY(open_database(part, path));
	if (sqlite3_exec(part->db, table, NULL, NULL, NULL))
		return fail(ERR_IO, "%s: %s", path, sqlite3_errmsg(part->db));
	return prepare_statements(part, line, 1);
}

static enum error prepare_rows(struct part *part, const char *path, const char *const *text,
			       int count)
{
	sqlite3_stmt *devices;
	TRY(open_database(part, path));
	TRY(seal_random(part->sealed, BLOB));
	if (sqlite3_prepare_v2(part->db, "SELECT count(*) FROM device", -1, &devices, NULL))
		return fail(ERR_IO, "%s: %s", path, sqlite3_errmsg(part->db));
	sqlite3_step(devices);
	part->devices = sqlite3_column_int64(devices, 0);
	sqlite3_finalize(devices);
	return prepare_statements(part, text, count);
}

/* ---- one seal, one open ---- */

static enum error once_seal(struct part *part)
{
	SCOPED(bytes_free) struct bytes blob = {0};
	return seal_close(part->recipients, part->content.data, part->content.len, &blob);
}

static enum error once_open(struct part *part)
{
	SCOPED(secret_free) struct secret content = {0};
	return seal_open(part->key, part->blob.data, part->blob.len, &content);
}

static enum error prepare_seal(struct part *part, bool opens, char **files, int count)
{
	SCOPED(secret_free) struct secret token = {0};
	part->once = opens ? once_open : once_seal;
	TRY(secret_prepare(HEAP));
	TRY(recipients_new(&part->recipients));
	for (int i = 0; i < count; i++) {
		SCOPED(bytes_free) struct bytes der = {0};
		TRY(seal_certificate_read(files[i], &der));
		TRY(recipients_add(part->recipients, der.data, der.len));
	}
	TRY(secret_new(TOKEN, &token));
	token.len = TOKEN;
	TRY(seal_random(token.data, token.len));
	TRY(mdm_write_content(UDID, &token, &part->content));
	TRY(seal_key_load(files[0], NULL, NULL, &part->key));
	(void)seal_key_recipient(part->key, part->recipients);
	return seal_close(part->recipients, part->content.data, part->content.len, &part->blob);
}

/* ---- any of them ---- */

static enum error prepare(struct part *part, const char *what, char **files, int count)
{
	if (strcmp(what, "commit") == 0)
		return prepare_commit(part, files[0]);
	if (strcmp(what, "escrow") == 0)
		return prepare_rows(part, files[0], escrow, sizeof escrow / sizeof *escrow);
	if (strcmp(what, "retrieval") == 0)
		return prepare_rows(part, files[0], retrieval,
				    sizeof retrieval / sizeof *retrieval);
	if (strcmp(what, "seal") == 0 || strcmp(what, "open") == 0)
		return prepare_seal(part, strcmp(what, "open") == 0, files, count);
	return fail(ERR_INVALID, "%s: no such part", what);
}

enum error part_new(const char *what, char **files, int count, int batch, struct part **out)
{
	struct part *part = calloc(1, sizeof *part);
	if (!part)
		return fail(ERR_MEMORY, "out of memory");
	part->batch = batch;
	enum error result = prepare(part, what, files, count);
	if (result)
		part_free(part);
	else
		*out = part;
	return result;
}

enum error part_do(struct part *part)
{
	return part->once(part);
}

void part_free(struct part *part)
{
	if (!part)
		return;
	while (part->statements > 0)
		sqlite3_finalize(part->statement[--part->statements]);
	sqlite3_close(part->db);
	secret_free(&part->content);
	bytes_free(&part->blob);
	seal_key_free(part->key);
	recipients_free(part->recipients);
	free(part);
}
