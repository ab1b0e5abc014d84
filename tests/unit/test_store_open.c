/* Making, opening, refusing and locking a store. */
#include "store_fixture.h"

#include "store/inside.h"
#include "store/schema.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static mode_t mode_of(const struct fixture *f, const char *name)
{
	char path[700];
	struct stat status;
	snprintf(path, sizeof path, "%s/%s", f->path, name);
	return stat(path, &status) ? 0 : status.st_mode & 07777;
}

static void sql(const struct fixture *f, const char *text)
{
	char path[700];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/escrow.db", f->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int64_t number(const struct fixture *f, const char *query)
{
	char path[700];
	sqlite3 *db;
	sqlite3_stmt *statement;
	snprintf(path, sizeof path, "%s/escrow.db", f->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t result = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return result;
}

/* ---- making ---- */

static void born_as_told(void **state)
{
	struct fixture *f = *state;
	struct store_birth birth;
	assert_int_equal(store_birth(f->store, &birth), OK);
	assert_memory_equal(birth.key, fixture_birth.key, sizeof birth.key);
	assert_string_equal(birth.key_uri, fixture_birth.key_uri);
	assert_int_equal(birth.at, 7);
}

static void private_modes(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	assert_int_equal(mode_of(f, "."), 0700);
	assert_int_equal(mode_of(f, "escrow.db"), 0600);
	assert_int_equal(mode_of(f, "escrow.db-wal"), 0600);
	assert_int_equal(mode_of(f, "escrow.db-shm"), 0600);
	assert_int_equal(mode_of(f, "lock"), 0600);
}

static void create_only_where_nothing_is(void **state)
{
	struct fixture *f = *state;
	char path[700];
	assert_int_equal(store_create(f->path, &fixture_birth), ERR_EXISTS);
	assert_says(f->path);
	add_device(f->store, "A"); /* still whole */

	snprintf(path, sizeof path, "%s/file", f->dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(store_create(path, &fixture_birth), ERR_EXISTS);
	assert_int_equal(access(path, F_OK), 0);

	snprintf(path, sizeof path, "%s/empty", f->dir);
	struct stat status;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(store_create(path, &fixture_birth), OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);

	snprintf(path, sizeof path, "%s/missing/store", f->dir);
	assert_int_equal(store_create(path, &fixture_birth), ERR_NOT_FOUND);
}

static void destroy_takes_its_own_only(void **state)
{
	struct fixture *f = *state;
	char path[700];
	fixture_close(f);
	snprintf(path, sizeof path, "%s/mine", f->path);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	store_destroy(f->path);
	assert_int_equal(mode_of(f, "escrow.db"), 0);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	store_destroy(f->path);
	assert_int_not_equal(access(f->path, F_OK), 0);
}

static void numbers_of_the_header(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(number(f, "PRAGMA application_id"), SCHEMA_APPLICATION);
	assert_int_equal(number(f, "PRAGMA user_version"), SCHEMA_VERSION);
	assert_int_equal(number(f, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' "
				   "AND name NOT LIKE 'sqlite%' AND strict = 0"),
			 0);
}

/* ---- refusing ---- */

static void refused_as(const struct fixture *f, enum store_mode mode, enum error code,
		       const char *part)
{
	struct store *store = NULL;
	assert_int_equal(store_open(f->path, mode, "test", &store), code);
	assert_null(store);
	assert_says(part);
	assert_says(f->path);
}

static void refused(const struct fixture *f, enum error code, const char *part)
{
	refused_as(f, STORE_SERVE, code, part);
	refused_as(f, STORE_SHARE, code, part);
	refused_as(f, STORE_SNAPSHOT, code, part);
}

static void refuses_what_is_none(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	struct fixture other = *f;
	snprintf(other.path, sizeof other.path, "%.500s/nowhere", f->dir);
	refused(&other, ERR_NOT_FOUND, "escrowfs init");

	snprintf(other.path, sizeof other.path, "%.500s/file", f->dir);
	close(open(other.path, O_WRONLY | O_CREAT, 0600));
	refused(&other, ERR_INVALID, "directory");

	snprintf(other.path, sizeof other.path, "%.500s/empty", f->dir);
	assert_int_equal(mkdir(other.path, 0700), 0);
	refused(&other, ERR_INVALID, "not a store");
	/* And leaves nothing in it. */
	assert_int_equal(rmdir(other.path), 0);
}

static void refuses_garbage(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	fixture_run("head -c 100000 /dev/urandom >'@/escrow.db'", f->path);
	refused(f, ERR_INVALID, "not a store");
	fixture_run(": >'@/escrow.db'", f->path);
	refused(f, ERR_INVALID, "not a store");
	fixture_run("echo short >'@/escrow.db'", f->path);
	refused(f, ERR_INVALID, "not a store");
}

static void refuses_foreign_database(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	fixture_run("rm '@'/escrow.db*", f->path);
	sql(f, "CREATE TABLE photos (id)");
	refused(f, ERR_INVALID, "another program");
	assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void refuses_newer(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	sql(f, "PRAGMA user_version = 7");
	char newer[80];
	snprintf(newer, sizeof newer, "made by a newer escrowfs (schema 7, this one knows %d)",
		 SCHEMA_VERSION);
	refused(f, ERR_INVALID, newer);
}

static void refuses_open_directory(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	chmod(f->path, 0777);
	refused(f, ERR_INVALID, "anybody may write");
	chmod(f->path, 0702);
	refused(f, ERR_INVALID, "anybody may write");
	chmod(f->path, 0755);
	fixture_open(f, STORE_SERVE);
}

static void refuses_links(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	fixture_run("mv '@/escrow.db' '@/real.db' && ln -s real.db '@/escrow.db'", f->path);
	refused(f, ERR_INVALID, "not a regular file");
	fixture_run("rm '@/escrow.db' && mkfifo '@/escrow.db'", f->path);
	refused(f, ERR_INVALID, "not a regular file");
	fixture_run("rm '@/escrow.db' && mv '@/real.db' '@/escrow.db'", f->path);
	fixture_run("rm '@/lock' && ln -s /etc/hostname '@/lock'", f->path);
	struct store *store;
	assert_int_equal(store_open(f->path, STORE_SERVE, "test", &store), ERR_IO);
	/* A link to the store's directory in a directory of one's own is one's own business. */
	fixture_run("rm '@/lock'", f->path);
	fixture_run("ln -s store '@/link'", f->dir);
	snprintf(f->path, sizeof f->path, "%.500s/link", f->dir);
	fixture_open(f, STORE_SERVE);
	add_device(f->store, "A");
}

static void odd_path_names(void **state)
{
	struct fixture *f = *state;
	struct store *store;
	char path[700];
	snprintf(path, sizeof path, "%s/a%%20b?mode=memory#\xc3\xa9 'x'", f->dir);
	assert_int_equal(store_create(path, &fixture_birth), OK);
	assert_int_equal(store_open(path, STORE_SHARE, NULL, &store), OK);
	add_device(store, "A");
	store_close(store);
	assert_int_equal(store_open(path, STORE_SNAPSHOT, NULL, &store), OK);
	struct device device;
	assert_int_equal(look(store, 256, &device), OK);
	store_close(store);
}

static void restored_from_another_journal_mode(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	fixture_close(f);
	sql(f, "PRAGMA journal_mode = DELETE");
	fixture_open(f, STORE_SHARE);
	add_device(f->store, "B");
	fixture_close(f);
	sql(f, "SELECT 1");
	fixture_open(f, STORE_SERVE);
}

/* ---- migrations ---- */

/* The step after the last one. */
static const struct migration next[SCHEMA_VERSION] = {
	[SCHEMA_VERSION - 1] = {"ALTER TABLE device ADD COLUMN colour TEXT"}};
static const struct migration broken[SCHEMA_VERSION] = {
	[SCHEMA_VERSION - 1] = {"CREATE TABLE half (x); CREATE TABLE half (x)"}};

static void migrates_in_one_transaction(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	fixture_close(f);
	fixture_open(f, STORE_SHARE);
	struct tx *tx;
	assert_int_equal(connection_new(f->store, CONNECT_WRITE, &tx), OK);
	assert_int_not_equal(schema_migrate(f->store, tx, broken, SCHEMA_VERSION), OK);
	assert_int_equal(number(f, "PRAGMA user_version"), SCHEMA_VERSION);
	assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);

	assert_int_equal(schema_migrate(f->store, tx, next, SCHEMA_VERSION), OK);
	assert_int_equal(number(f, "PRAGMA user_version"), SCHEMA_VERSION + 1);
	assert_int_equal(number(f, "SELECT count(colour IS NULL) FROM device"), 1);
	assert_int_equal(schema_migrate(f->store, tx, next, SCHEMA_VERSION),
			 OK); /* nothing left to do */
	connection_free(tx);
	char who[256];
	assert_false(store_served_by(f->path, who, sizeof who)); /* it let go of the lock */
	fixture_close(f);
	char newer[32];
	snprintf(newer, sizeof newer, "schema %d", SCHEMA_VERSION + 1);
	refused(f, ERR_INVALID, newer);
}

static void no_migration_under_a_mount(void **state)
{
	struct fixture *f = *state;
	struct store *share;
	struct tx *tx;
	assert_int_equal(store_open(f->path, STORE_SHARE, NULL, &share), OK);
	assert_int_equal(connection_new(share, CONNECT_WRITE, &tx), OK);
	assert_int_equal(schema_migrate(share, tx, next, SCHEMA_VERSION), ERR_BUSY);
	assert_says("mounted on /mnt/test");
	connection_free(tx);
	store_close(share);
	assert_int_equal(number(f, "PRAGMA user_version"), SCHEMA_VERSION);
}

/* What a column is, and what is indexed; a table's text differs in its comments. */
#define COLUMNS                                                                                    \
	"SELECT * FROM (SELECT m.name, i.name, i.type, i.\"notnull\", i.dflt_value, i.pk FROM "    \
	"sqlite_schema m, pragma_table_info(m.name) i WHERE m.type = 'table' AND "                 \
	"m.name <> 'expected' UNION ALL SELECT name, tbl_name, sql, 0, NULL, 0 FROM "              \
	"sqlite_schema WHERE type = 'index')"

static void brings_schema_1_up(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	sql(f, "CREATE TABLE expected AS " COLUMNS);
	fixture_run("cd '@' && rm -f ../new.db && mv escrow.db ../new.db && rm -f escrow.db-*",
		    f->path);
	fixture_run("sqlite3 '@/escrow.db' <tests/unit/schema_1.sql >/dev/null", f->path);
	fixture_run("cd '@' && sqlite3 escrow.db \"ATTACH '../new.db' AS new; "
		    "CREATE TABLE expected AS SELECT * FROM new.expected\"",
		    f->path);
	fixture_run("sqlite3 '@/escrow.db' \"INSERT INTO access VALUES "
		    "(256 * 4 + 3, 0, 0, 416, x'', x'', 1), (256 * 4, 0, 0, 448, x'', x'', 1)\"",
		    f->path);
	refused_as(f, STORE_SNAPSHOT, ERR_INVALID, "schema 1");
	fixture_open(f, STORE_SERVE);
	assert_int_equal(number(f, "PRAGMA user_version"), SCHEMA_VERSION);
	assert_true(number(f, "SELECT count(*) FROM expected") > 80);
	assert_int_equal(
		number(f, "SELECT count(*) FROM (SELECT * FROM expected EXCEPT " COLUMNS ")"), 0);
	struct device device;
	struct store_state now;
	struct tx *tx;
	assert_int_equal(look(f->store, 256, &device), OK);
	assert_int_equal(device.pinned, 1 << 3 | 1 << 0);
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_state(tx, &now), OK);
	store_view_end(tx);
	assert_false(now.served);
	assert_false(now.unclean);
	assert_int_equal(now.generation, 0);
}

/* ---- who serves ---- */

static void one_serves(void **state)
{
	struct fixture *f = *state;
	struct store *second = NULL;
	char who[256], expected[64];
	snprintf(expected, sizeof expected, "process %d, mounted on /mnt/test", (int)getpid());
	assert_int_equal(store_open(f->path, STORE_SERVE, "elsewhere", &second), ERR_BUSY);
	assert_says(expected);
	assert_true(store_served_by(f->path, who, sizeof who));
	assert_string_equal(who, expected);

	assert_int_equal(store_open(f->path, STORE_SHARE, NULL, &second), OK);
	store_close(second);
	assert_true(store_served_by(f->path, who, sizeof who));

	fixture_close(f);
	assert_false(store_served_by(f->path, who, sizeof who));
	assert_string_equal(who, "");
	fixture_open(f, STORE_SERVE);
	assert_true(store_served_by(f->path, who, sizeof who));
}

static void asking_disturbs_nobody(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	/* Somebody asks just now, as store_served_by() does. */
	char path[700];
	snprintf(path, sizeof path, "%s/lock", f->path);
	pid_t child = fork();
	if (child == 0) {
		int fd = open(path, O_RDONLY);
		flock(fd, LOCK_SH);
		usleep(60000);
		_exit(0);
	}
	usleep(20000);
	fixture_open(f, STORE_SERVE);
	waitpid(child, NULL, 0);
}

static void killed_server_lets_go(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	int ready[2];
	char c, who[256], expected[64];
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct store *store;
		struct device device = {.udid = "KILLED"};
		if (store_open(f->path, STORE_SERVE, "mounted on /mnt/child", &store) ||
		    store_change(store, add_apply, &device))
			_exit(1);
		(void)!write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	struct store *store = NULL;
	snprintf(expected, sizeof expected, "process %d, mounted on /mnt/child", (int)child);
	assert_int_equal(store_open(f->path, STORE_SERVE, "here", &store), ERR_BUSY);
	assert_says(expected);
	assert_true(store_served_by(f->path, who, sizeof who));
	assert_string_equal(who, expected);

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(store_served_by(f->path, who, sizeof who));
	fixture_open(f, STORE_SERVE);
	/* What it had committed is there. */
	struct device device;
	assert_int_equal(look(f->store, 256, &device), OK);
	assert_string_equal(device.udid, "KILLED");
}

/* ---- closing ---- */

static int threads(void)
{
	char line[128];
	int n = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "Threads: %d", &n);
	if (status)
		fclose(status);
	return n;
}

static void close_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	int before = threads();
	fixture_open(f, STORE_SERVE);
	assert_int_equal(threads(), before + 2); /* who commits, who copies the log */
	add_device(f->store, "A");
	fixture_close(f);
	assert_int_equal(threads(), before);
	assert_int_equal(mode_of(f, "escrow.db-wal"), 0);
	assert_int_equal(mode_of(f, "escrow.db-shm"), 0);
	store_close(NULL);
}

/* ---- how it is ---- */

static void space(void **state)
{
	struct fixture *f = *state;
	struct store_space space;
	assert_int_equal(store_space(f->store, &space), OK);
	assert_true(space.total >= space.available && space.available > 0);
	assert_true(space.used > 50000);
	assert_true(space.used < 50000000);
	/* A point in time that somebody holds keeps the log, and it grows. */
	uint64_t before = space.log;
	struct store *snapshot;
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &snapshot), OK);
	for (int i = 0; i < 50; i++) {
		char udid[16];
		snprintf(udid, sizeof udid, "D%d", i);
		add_device(f->store, udid);
	}
	assert_int_equal(store_space(f->store, &space), OK);
	assert_true(space.log > before + 50 * 4096 && space.log < space.used);
	store_close(snapshot);
}

static void check_is_clean(void **state)
{
	struct fixture *f = *state;
	struct device device = add_device(f->store, "A");
	device.status = STATUS_ESCROWED;
	save_device(f->store, &device);
	remove_device(f->store, add_device(f->store, "B").id);
	assert_int_equal(store_check(f->store), OK);
	struct store *snapshot;
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &snapshot), OK);
	assert_int_equal(store_check(snapshot), OK);
	store_close(snapshot);
}

static void check_finds(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	sql(f, "PRAGMA foreign_keys = OFF; INSERT INTO sealed VALUES (99, x'00')");
	assert_int_equal(store_check(f->store), ERR_INVALID);
	assert_says("sealed");
	sql(f, "DELETE FROM sealed; UPDATE tally SET devices = 5");
	assert_int_equal(store_check(f->store), ERR_INVALID);
	assert_says("add up");
	sql(f, "UPDATE tally SET devices = 1; INSERT INTO tally VALUES (0, 3)");
	assert_int_equal(store_check(f->store), ERR_INVALID);
	sql(f, "DELETE FROM tally WHERE status = 0");
	assert_int_equal(store_check(f->store), OK);
	sql(f, "PRAGMA ignore_check_constraints = ON; UPDATE device SET udid = '../x'");
	assert_int_equal(store_check(f->store), ERR_INVALID);
	sql(f, "PRAGMA ignore_check_constraints = ON; UPDATE device SET udid = 'A', status = 77");
	struct device device;
	assert_int_equal(look(f->store, 256, &device), ERR_IO);
	assert_says("damaged");
}

static void check_finds_broken_pages(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 50; i++) {
		char udid[16];
		snprintf(udid, sizeof udid, "DEVICE-%d", i);
		add_device(f->store, udid);
	}
	fixture_close(f);
	fixture_run("dd if=/dev/urandom of='@/escrow.db' bs=4096 seek=4 count=20 conv=notrunc "
		    "status=none",
		    f->path);
	struct store *store = NULL;
	enum error opened = store_open(f->path, STORE_SHARE, NULL, &store);
	if (opened == OK)
		assert_int_equal(store_check(store), ERR_INVALID);
	else
		assert_int_equal(opened, ERR_IO);
	assert_says(f->path);
	store_close(store);
}

/* ---- rows out of order ---- */

/* Adds 64 to the number of the second row of a table that is one page, or takes it back: one bit. */
static void raise_second(struct fixture *f, const char *table)
{
	char name[640], text[128];
	uint8_t page[4096];
	sqlite3 *db;
	sqlite3_stmt *statement;
	snprintf(name, sizeof name, "%s/escrow.db", f->path);
	snprintf(text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	long start = (sqlite3_column_int(statement, 0) - 1L) * (long)sizeof page;
	sqlite3_finalize(statement);
	sqlite3_close(db);

	/* https://www.sqlite.org/fileformat2.html, 1.6: a leaf's cells; a cell's size and number. */
	FILE *file = fopen(name, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, start, SEEK_SET), 0);
	assert_int_equal(fread(page, sizeof page, 1, file), 1);
	assert_int_equal(page[0], 0x0d);
	size_t at = (size_t)page[10] << 8 | page[11];
	for (int varint = 0; varint < 2; varint++, at++)
		while (page[at] & 0x80)
			at++;
	page[at - 1] ^= 0x40;
	assert_int_equal(fseek(file, start, SEEK_SET), 0);
	assert_int_equal(fwrite(page, sizeof page, 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

struct paging {
	int64_t last;
	int rows;
};

static bool page_device(void *context, int64_t id, const char *udid)
{
	struct paging *paging = context;
	(void)udid;
	paging->last = id;
	return ++paging->rows % 4 != 0;
}

static bool page_glance(void *context, const struct device *device)
{
	return page_device(context, device->id, device->udid);
}

static bool page_version(void *context, const struct version *version, const char *udid)
{
	return page_device(context, version->id, udid);
}

static enum error next_page(struct tx *tx, int kind, struct paging *paging)
{
	return kind == 0   ? store_devices(tx, STATUS_COUNT, paging->last, 4, page_device, paging)
	       : kind == 1 ? store_glances(tx, paging->last, 4, page_glance, paging)
			   : store_versions(tx, 0, paging->last, page_version, paging);
}

/* All pages, or a hundred rows. */
static enum error walk(struct store *store, int kind, struct paging *paging)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	for (int before = -1; paging->rows > before && paging->rows < 100;) {
		before = paging->rows;
		TRY(next_page(tx, kind, paging));
	}
	return OK;
}

static enum error version_add_apply(struct tx *tx, void *device)
{
	struct version version = {.device = *(int64_t *)device, .escrowed_at = 5};
	return store_version_add(tx, &version, "seal", 4);
}

/* Who goes on after the last row that came, comes to an end. */
static void damaged_listings_end(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 6; i++) {
		char udid[16];
		snprintf(udid, sizeof udid, "DEVICE-%d", i);
		struct device device = add_device(f->store, udid);
		assert_int_equal(store_change(f->store, version_add_apply, &device.id), OK);
	}
	for (int kind = 0; kind < 3; kind++) {
		const char *table = kind < 2 ? "device" : "version";
		fixture_close(f);
		raise_second(f, table);
		fixture_open(f, STORE_SHARE);
		struct paging paging = {0};
		assert_int_equal(walk(f->store, kind, &paging), ERR_IO);
		assert_says("out of order");
		assert_true(paging.rows < 6);
		raise_second(f, table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(born_as_told),
		WITH_STORE(private_modes),
		WITH_STORE(create_only_where_nothing_is),
		WITH_STORE(destroy_takes_its_own_only),
		WITH_STORE(numbers_of_the_header),
		WITH_STORE(refuses_what_is_none),
		WITH_STORE(refuses_garbage),
		WITH_STORE(refuses_foreign_database),
		WITH_STORE(refuses_newer),
		WITH_STORE(refuses_open_directory),
		WITH_STORE(refuses_links),
		WITH_STORE(odd_path_names),
		WITH_STORE(restored_from_another_journal_mode),
		WITH_STORE(migrates_in_one_transaction),
		WITH_STORE(no_migration_under_a_mount),
		WITH_STORE(brings_schema_1_up),
		WITH_STORE(one_serves),
		WITH_STORE(asking_disturbs_nobody),
		WITH_STORE(killed_server_lets_go),
		WITH_STORE(close_leaves_nothing),
		WITH_STORE(space),
		WITH_STORE(check_is_clean),
		WITH_STORE(check_finds),
		WITH_STORE(check_finds_broken_pages),
		WITH_STORE(damaged_listings_end),
	};
	return cmocka_run_group_tests_name("store: open", tests, NULL, NULL);
}
