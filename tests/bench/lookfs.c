/* A name is looked up in the store, attributes are, a listing asks it for names, security.json for what it says. */
#include "limit.h"

#include "cli/confine.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMED, NUMBERED, NAMES, FACTS, VERSIONS, STATEMENTS };

/* What files' attributes are made of. */
#define ATTRIBUTES "id, status, security_size, token_size, security_at, status_at, token_at, pinned"

static const char *const text[STATEMENTS] = {
	"SELECT " ATTRIBUTES " FROM device WHERE udid = ?1 AND removed_at = 0",
	"SELECT " ATTRIBUTES " FROM device WHERE id = ?1 AND removed_at = 0",
	"SELECT id, udid FROM device WHERE id > ?1 AND removed_at = 0 ORDER BY id",
	"SELECT fact, value, at, source, state FROM fact WHERE device = ?1",
	"SELECT id, number, escrowed_at, confirmed_at, sealed_at, ended_at, ending FROM version "
	"WHERE device = ?1 ORDER BY number",
};

static const char *path;
static json_t *sample; /* a device's security.json */
static _Thread_local sqlite3_stmt *statements[STATEMENTS];
static _Thread_local uint64_t last; /* the device whose attributes are at hand */

/* One for each thread, as in a mount. It ends with the process. */
static sqlite3_stmt *statement(int which)
{
	sqlite3 *db;
	if (statements[which])
		return statements[which];
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
		return NULL;
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i],
				       NULL))
			return NULL;
	return statements[which];
}

int limit_prepare(char **what, int count, const char *security)
{
	json_error_t error;
	if (count != 1) {
		fprintf(stderr, "usage: lookfs N MOUNTPOINT DEVICE STORE/escrow.db\n");
		return -1;
	}
	path = what[0];
	sample = json_loads(security, 0, &error);
	if (sample && statement(NAMED))
		return 0;
	fprintf(stderr, "lookfs: %s: %s\n", path, sample ? "it can't be read" : error.text);
	return -1;
}

bool limit_mounted(void)
{
	return confine_calls_serving(&(struct confinement){.store = path}) == OK;
}

/* So many of a row's columns are numbers that are wanted. */
static int64_t read_row(sqlite3_stmt *row)
{
	for (int i = sqlite3_column_count(row) - 1; i > 0; i--)
		(void)sqlite3_column_int64(row, i);
	return sqlite3_column_int64(row, 0);
}

uint64_t limit_device(const char *name)
{
	sqlite3_stmt *named = statement(NAMED);
	int64_t id = 0;
	sqlite3_bind_text(named, 1, name, -1, SQLITE_STATIC);
	if (sqlite3_step(named) == SQLITE_ROW)
		id = read_row(named);
	sqlite3_reset(named);
	last = (uint64_t)id;
	return last;
}

void limit_names(uint64_t after, limit_each *each, void *context)
{
	sqlite3_stmt *names = statement(NAMES);
	sqlite3_bind_int64(names, 1, (int64_t)after);
	while (sqlite3_step(names) == SQLITE_ROW &&
	       each(context, (const char *)sqlite3_column_text(names, 1),
		    (uint64_t)sqlite3_column_int64(names, 0)))
		;
	sqlite3_reset(names);
}

static void read_all(int which, uint64_t id)
{
	sqlite3_stmt *rows = statement(which);
	sqlite3_bind_int64(rows, 1, (int64_t)id);
	while (sqlite3_step(rows) == SQLITE_ROW)
		(void)read_row(rows);
	sqlite3_reset(rows);
}

void limit_attributes(uint64_t id)
{
	if (id != last)
		read_all(NUMBERED, id);
	last = id;
}

bool limit_security(uint64_t id)
{
	read_all(FACTS, id);
	read_all(VERSIONS, id);
	json_t *object = json_deep_copy(sample);
	char *made = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	bool done = made != NULL;
	free(made);
	json_decref(object);
	return done;
}
