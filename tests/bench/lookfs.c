/* Names and attributes are looked up in the store, listings step through it, security.json is made of it. */
#include "limit.h"

#include "cli/confine.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMED, NUMBERED, NAMES, FACTS, VERSIONS, SEAL, STATEMENTS };

/* What files' attributes are made of. */
#define ATTRIBUTES "id, status, security_size, token_size, security_at, status_at, token_at, pinned"

static const char *const text[STATEMENTS] = {
	"SELECT " ATTRIBUTES " FROM device WHERE udid = ?1 AND removed_at = 0",
	"SELECT " ATTRIBUTES " FROM device WHERE id = ?1 AND removed_at = 0",
	"SELECT id, udid FROM device WHERE id > ?1 AND removed_at = 0 ORDER BY id",
	"SELECT fact, value, at, source, state FROM fact WHERE device = ?1",
	"SELECT id, number, escrowed_at, confirmed_at, sealed_at, ended_at, ending FROM version "
	"WHERE device = ?1 ORDER BY number",
	"SELECT blob FROM version v CROSS JOIN sealed s ON s.version = v.id "
	"WHERE v.device = ?1 AND v.ended_at = 0",
};

/* One connection, which keeps what it has read, as the one that a mount uses for one client. */
static const char *path;
static sqlite3_stmt *statements[STATEMENTS];
static uint64_t last; /* the device whose attributes are at hand */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static json_t *sample; /* a device's security.json */

static bool open_store(void)
{
	sqlite3 *db;
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
		return false;
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i],
				       NULL))
			return false;
	return true;
}

int limit_prepare(char **what, int count, const char *security)
{
	json_error_t error;
	if (count != 1) {
		fprintf(stderr, "usage: lookfs [-s] N MOUNTPOINT DEVICE STORE/escrow.db\n");
		return -1;
	}
	path = what[0];
	sample = json_loads(security, 0, &error);
	if (sample && open_store())
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

/* False: something failed. The last row's first column is put into `first`. */
static bool read_all(sqlite3_stmt *rows, int64_t *first)
{
	int code;
	while ((code = sqlite3_step(rows)) == SQLITE_ROW)
		*first = read_row(rows);
	sqlite3_reset(rows);
	return code == SQLITE_DONE;
}

static bool read_of(int which, uint64_t id)
{
	int64_t first;
	sqlite3_bind_int64(statements[which], 1, (int64_t)id);
	return read_all(statements[which], &first);
}

uint64_t limit_device(const char *name)
{
	int64_t id = 0;
	pthread_mutex_lock(&mutex);
	sqlite3_bind_text(statements[NAMED], 1, name, -1, SQLITE_STATIC);
	if (!read_all(statements[NAMED], &id))
		id = 0;
	last = (uint64_t)id;
	pthread_mutex_unlock(&mutex);
	return (uint64_t)id;
}

bool limit_attributes(uint64_t id)
{
	pthread_mutex_lock(&mutex);
	bool done = id == last || read_of(NUMBERED, id);
	last = id;
	pthread_mutex_unlock(&mutex);
	return done;
}

void limit_names(uint64_t after, limit_each *each, void *context)
{
	sqlite3_stmt *names = statements[NAMES];
	pthread_mutex_lock(&mutex);
	sqlite3_bind_int64(names, 1, (int64_t)after);
	while (sqlite3_step(names) == SQLITE_ROW &&
	       each(context, (const char *)sqlite3_column_text(names, 1),
		    (uint64_t)sqlite3_column_int64(names, 0)))
		;
	sqlite3_reset(names);
	pthread_mutex_unlock(&mutex);
}

bool limit_security(uint64_t id)
{
	pthread_mutex_lock(&mutex);
	bool done = read_of(FACTS, id) && read_of(VERSIONS, id);
	pthread_mutex_unlock(&mutex);
	json_t *object = done ? json_deep_copy(sample) : NULL;
	char *made = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	done = made != NULL;
	free(made);
	json_decref(object);
	return done;
}

bool limit_seal(uint64_t id)
{
	static _Thread_local unsigned char pem[64 * 1024];
	sqlite3_stmt *seal = statements[SEAL];
	pthread_mutex_lock(&mutex);
	sqlite3_bind_int64(seal, 1, (int64_t)id);
	bool found = sqlite3_step(seal) == SQLITE_ROW;
	int len = found ? sqlite3_column_bytes(seal, 0) : 0;
	found = found && len < (int)sizeof pem / 2;
	if (found)
		EVP_EncodeBlock(pem, sqlite3_column_blob(seal, 0), len);
	sqlite3_reset(seal);
	pthread_mutex_unlock(&mutex);
	return found;
}
