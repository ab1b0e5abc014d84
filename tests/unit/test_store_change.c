/* Views and changes: together, apart, failing, on a full disk, beside other processes. */
#include "store_fixture.h"

#include "store/inside.h"

#include <sqlite3.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define THREADS 8
#define EACH 50

/* ---- many at once ---- */

struct crew {
	struct store *store;
	int number, failed;
};

static void *adds_lines(void *context)
{
	struct crew *crew = context;
	for (int i = 0; i < EACH; i++)
		if (store_change(crew->store, line_apply, NULL))
			crew->failed++;
	return NULL;
}

static void run_crew(struct store *store, void *(*work)(void *))
{
	pthread_t thread[THREADS];
	struct crew crew[THREADS];
	for (int i = 0; i < THREADS; i++) {
		crew[i] = (struct crew){.store = store, .number = i};
		assert_int_equal(pthread_create(&thread[i], NULL, work, &crew[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(crew[i].failed, 0);
	}
}

struct sequence {
	int64_t next;
	bool broken;
};

static bool in_sequence(void *context, int64_t seq, int64_t at, const char *line, size_t len)
{
	(void)at;
	struct sequence *sequence = context;
	char expected[64];
	int n = snprintf(expected, sizeof expected, "line %lld of the trail\n", (long long)seq);
	if (seq != sequence->next++ || len != (size_t)n || memcmp(line, expected, len) != 0)
		sequence->broken = true;
	return true;
}

static void assert_trail(struct store *store, int64_t lines)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct sequence sequence = {.next = 1};
	assert_int_equal(store_view(store, &tx), OK);
	assert_int_equal(store_trail(tx, 1, in_sequence, &sequence), OK);
	assert_false(sequence.broken);
	assert_int_equal(sequence.next, lines + 1);
}

static void many_threads_without_gaps(void **state)
{
	struct fixture *f = *state;
	run_crew(f->store, adds_lines);
	assert_trail(f->store, THREADS * EACH);
	fixture_close(f);
	fixture_open(f, STORE_SHARE);
	assert_trail(f->store, THREADS * EACH);
}

/* Every other one fails, after it has written: none of that may be seen, and the others stand. */
struct odd {
	int number;
};

static enum error odd_apply(struct tx *tx, void *context)
{
	struct odd *odd = context;
	struct device device = {.status = STATUS_ESCROWED};
	snprintf(device.udid, sizeof device.udid, "DEVICE-%d", odd->number);
	TRY(store_device_add(tx, &device));
	TRY(add_line(tx));
	return odd->number % 2 ? fail(ERR_FORBIDDEN, "number %d is odd", odd->number) : OK;
}

static void *adds_odd(void *context)
{
	struct crew *crew = context;
	for (int i = 0; i < EACH; i++) {
		struct odd odd = {.number = crew->number * EACH + i};
		char why[64];
		snprintf(why, sizeof why, "number %d is odd", odd.number);
		enum error result = store_change(crew->store, odd_apply, &odd);
		if (odd.number % 2 ? result != ERR_FORBIDDEN || strcmp(fail_why(), why) != 0
				   : result != OK)
			crew->failed++;
	}
	return NULL;
}

static void failing_apply_undoes_itself_only(void **state)
{
	struct fixture *f = *state;
	run_crew(f->store, adds_odd);
	assert_trail(f->store, THREADS * EACH / 2);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	uint64_t counts[STATUS_COUNT];
	struct device device;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_counts(tx, counts), OK);
	assert_int_equal(counts[STATUS_ESCROWED], THREADS * EACH / 2);
	assert_int_equal(store_device_named(tx, "DEVICE-7", &device), ERR_NOT_FOUND);
	assert_int_equal(store_device_named(tx, "DEVICE-8", &device), OK);
}

static enum error fails_by_itself(struct tx *tx, void *context)
{
	(void)tx;
	(void)context;
	return fail(ERR_NOT_EMPTY, "a sentence of the change's own");
}

static void sentence_crosses_threads(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(store_change(f->store, fails_by_itself, NULL), ERR_NOT_EMPTY);
	assert_string_equal(fail_why(), "a sentence of the change's own");
}

static void change_is_seen_by_next_view(void **state)
{
	struct fixture *f = *state;
	for (int64_t i = 1; i <= 100; i++) {
		assert_int_equal(store_change(f->store, line_apply, NULL), OK);
		assert_int_equal(trail_lines(f->store), i);
	}
}

/* More threads than there are connections, each with a view that lasts a little. */
static void *views(void *context)
{
	struct crew *crew = context;
	for (int i = 0; i < EACH; i++) {
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		struct trail_end one, two;
		if ((i % 2 ? store_view_beside : store_view)(crew->store, &tx) ||
		    store_trail_end(tx, &one))
			crew->failed++;
		sched_yield();
		if (store_trail_end(tx, &two) || one.seq != two.seq)
			crew->failed++;
	}
	return NULL;
}

static void *views_and_lines(void *context)
{
	return ((struct crew *)context)->number % 4 ? views(context) : adds_lines(context);
}

static void more_views_than_connections(void **state)
{
	struct fixture *f = *state;
	pthread_t more[THREADS];
	struct crew crew[THREADS];
	for (int i = 0; i < THREADS; i++) {
		crew[i] = (struct crew){.store = f->store, .number = i};
		assert_int_equal(pthread_create(&more[i], NULL, views, &crew[i]), 0);
	}
	run_crew(f->store, views_and_lines);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(more[i], NULL);
		assert_int_equal(crew[i].failed, 0);
	}
	assert_trail(f->store, 2 * EACH);
}

static void view_stays_as_it_was(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct trail_end end;
	int64_t change;
	assert_int_equal(store_view(f->store, &tx), OK);
	/* The picture is taken when the view begins, not when it is first looked at. */
	add_device(f->store, "A");
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	assert_int_equal(end.seq, 0);
	assert_int_equal(store_change_number(tx, &change), OK);
	assert_int_equal(change, 0);
	assert_int_equal(trail_lines(f->store), 1);
}

static void view_writes_nothing(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct device device = {.udid = "A"};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_add(tx, &device), ERR_READ_ONLY);
	assert_says(f->path);
}

static int signals_here;

static void count_signal(int number)
{
	(void)number;
	signals_here++;
}

static void committer_takes_no_signals(void **state)
{
	struct fixture *f = *state;
	sigset_t usr1, before;
	signal(SIGUSR1, count_signal);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	/* With it blocked here, any thread that would take it has it now. */
	pthread_sigmask(SIG_BLOCK, &usr1, &before);
	kill(getpid(), SIGUSR1);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_int_equal(signals_here, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(signals_here, 1);
	signal(SIGUSR1, SIG_DFL);
}

/* ---- snapshots ---- */

static void snapshot_stands_still(void **state)
{
	struct fixture *f = *state;
	struct store *snapshot;
	struct device device = add_device(f->store, "A"), seen;
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &snapshot), OK);
	run_crew(f->store, adds_lines);
	device.status = STATUS_STALE;
	save_device(f->store, &device);
	assert_trail(snapshot, 1);
	assert_int_equal(look(snapshot, device.id, &seen), OK);
	assert_int_equal(seen.status, STATUS_NOT_ESCROWED);
	/* Many threads take turns. */
	run_crew(snapshot, views);
	assert_int_equal(store_change(snapshot, line_apply, NULL), ERR_READ_ONLY);
	assert_says(f->path);
	assert_trail(snapshot, 1);
	store_close(snapshot);
	assert_trail(f->store, 1 + THREADS * EACH);
}

static void snapshot_without_a_writer(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	fixture_close(f);
	fixture_open(f, STORE_SNAPSHOT);
	struct device device;
	assert_int_equal(look(f->store, 256, &device), OK);
	struct store *second;
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &second), OK);
	assert_int_equal(look(second, 256, &device), OK);
	store_close(second);
}

/* A process that has the store open until it is killed. */
static pid_t fork_holder(struct fixture *f)
{
	int ready[2];
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct store *store;
		if (store_open(f->path, STORE_SHARE, NULL, &store) == OK)
			(void)!write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return child;
}

static enum error look_as_nobody(struct fixture *f)
{
	pid_t child = fork();
	int status;
	if (child == 0) {
		struct store *store;
		struct device device;
		if (setgid(65534) || setuid(65534))
			_exit(ERR_COUNT);
		enum error opened = store_open(f->path, STORE_SNAPSHOT, NULL, &store);
		_exit(opened ? (int)opened : (int)look(store, 256, &device));
	}
	waitpid(child, &status, 0);
	return (enum error)WEXITSTATUS(status);
}

/* Somebody who may read the files and not more. */
static void snapshot_by_a_reader(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(getuid(), 0);
	add_device(f->store, "A");
	fixture_close(f);
	fixture_run("chmod 755 '@'", f->dir);
	fixture_run("chmod 755 '@' && chmod 644 '@/escrow.db'", f->path);
	assert_int_equal(look_as_nobody(f), ERR_ACCESS);
	pid_t holder = fork_holder(f);
	assert_int_equal(look_as_nobody(f), OK);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

/* ---- a disk that can't be written ---- */

static void assert_nothing_changed(struct fixture *f, int64_t lines, int64_t change)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	int64_t now;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_change_number(tx, &now), OK);
	assert_int_equal(now, change);
	assert_trail(f->store, lines);
	assert_int_equal(store_check(f->store), OK);
}

static void limited_files(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, full;
	struct device device = add_device(f->store, "A");
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	full = (struct rlimit){.rlim_cur = 1, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	enum error line = store_change(f->store, line_apply, NULL);
	enum error save = store_change(f->store, save_apply, &device);
	char why[512];
	snprintf(why, sizeof why, "%s", fail_why());
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

	assert_int_equal(line, ERR_NO_SPACE);
	assert_int_equal(save, ERR_NO_SPACE);
	assert_non_null(strstr(why, f->path));
	assert_non_null(strstr(why, "ulimit -f"));
	assert_nothing_changed(f, 1, 1);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_trail(f->store, 2);
}

static enum error big_apply(struct tx *tx, void *context)
{
	(void)context;
	struct device device = {.status = STATUS_NOT_ESCROWED};
	static uint8_t blob[60000];
	struct trail_end end;
	TRY(store_trail_end(tx, &end));
	snprintf(device.udid, sizeof device.udid, "BIG-%lld", (long long)end.seq);
	TRY(store_device_add(tx, &device));
	struct version version = {.device = device.id, .escrowed_at = 1};
	TRY(store_version_add(tx, &version, blob, sizeof blob));
	return add_line(tx);
}

static void *adds_big(void *context)
{
	struct crew *crew = context;
	for (int i = 0; i < EACH; i++) {
		enum error result = store_change(crew->store, big_apply, NULL);
		if (result != OK && result != ERR_NO_SPACE)
			crew->failed++;
	}
	return NULL;
}

static void full_disk(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	char small[700];
	snprintf(small, sizeof small, "%s/small", f->dir);
	mkdir(small, 0700);
	assert_int_equal(mount("tmpfs", small, "tmpfs", 0, "size=1536k"), 0);
	snprintf(f->path, sizeof f->path, "%.500s/small/store", f->dir);
	enum error made = store_create(f->path, &fixture_birth);
	enum error opened = store_open(f->path, STORE_SERVE, "test", &f->store);
	int64_t lines = -1, grown = -2, devices = 0;
	enum error over = OK, check = ERR_IO, again = ERR_IO;
	char why[512] = "";
	if (!made && !opened) {
		run_crew(f->store, adds_big);
		/* Whatever fitted is whole: a device and a line each. */
		for (int i = 0; i < 100 && !over; i++)
			over = store_change(f->store, big_apply, NULL);
		snprintf(why, sizeof why, "%s", fail_why());
		lines = trail_lines(f->store);
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		uint64_t counts[STATUS_COUNT] = {0};
		if (store_view(f->store, &tx) == OK && store_device_counts(tx, counts) == OK)
			devices = (int64_t)counts[STATUS_NOT_ESCROWED];
	}
	if (!made && !opened) {
		check = store_check(f->store);
		again = mount("tmpfs", small, "tmpfs", MS_REMOUNT, "size=8m")
				? ERR_IO
				: store_change(f->store, big_apply, NULL);
		grown = trail_lines(f->store);
	}
	fixture_close(f);
	assert_int_equal(umount2(small, MNT_DETACH), 0);
	assert_int_equal(made, OK);
	assert_int_equal(opened, OK);
	assert_int_equal(over, ERR_NO_SPACE);
	assert_non_null(strstr(why, f->path));
	assert_true(lines > 1);
	assert_int_equal(devices, lines);
	assert_int_equal(check, OK);
	assert_int_equal(again, OK);
	assert_int_equal(grown, lines + 1);
}

static void read_only_disk(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	fixture_close(f);
	assert_int_equal(mount(f->path, f->path, "none", MS_BIND, ""), 0);
	assert_int_equal(mount("none", f->path, "none", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
	struct device device;
	struct store *store = NULL;
	enum error serve = store_open(f->path, STORE_SERVE, "test", &store);
	enum error snapshot = store_open(f->path, STORE_SNAPSHOT, NULL, &store);
	enum error seen = snapshot ? snapshot : look(store, 256, &device);
	store_close(store);
	store = NULL;
	enum error share = store_open(f->path, STORE_SHARE, NULL, &store);
	enum error seen_too = share ? share : look(store, 256, &device);
	enum error check = share ? share : store_check(store);
	enum error changed = share ? share : store_change(store, line_apply, NULL);
	store_close(store);
	assert_int_equal(umount2(f->path, MNT_DETACH), 0);
	assert_int_equal(serve, ERR_READ_ONLY);
	assert_int_equal(seen, OK);
	assert_int_equal(seen_too, OK);
	assert_int_equal(check, OK);
	assert_int_equal(changed, ERR_READ_ONLY);
}

/* ---- the log ---- */

static int64_t log_pages(struct fixture *f)
{
	struct store_space space;
	assert_int_equal(store_space(f->store, &space), OK);
	return (int64_t)space.log / 4096;
}

struct load {
	struct store *store;
	atomic_bool enough;
	atomic_int failed;
};

static void *commits_without_pause(void *context)
{
	struct load *load = context;
	while (!atomic_load(&load->enough))
		load->failed += store_change(load->store, big_apply, NULL) != OK;
	return NULL;
}

static void *views_without_pause(void *context)
{
	struct load *load = context;
	while (!atomic_load(&load->enough)) {
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		struct trail_end end;
		load->failed += store_view(load->store, &tx) || store_trail_end(tx, &end);
	}
	return NULL;
}

static int pages_now(struct checkpoint *checkpoint)
{
	pthread_mutex_lock(&checkpoint->mutex);
	int pages = checkpoint->pages;
	pthread_mutex_unlock(&checkpoint->mutex);
	return pages;
}

/* Nobody pauses, neither who writes nor who reads. */
static void log_starts_anew_under_load(void **state)
{
	struct fixture *f = *state;
	struct load load = {.store = f->store};
	pthread_t thread[4];
	int anew = 0, before = 0;
	for (size_t i = 0; i < COUNT(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						i % 2 ? views_without_pause : commits_without_pause,
						&load),
				 0);
	for (int ms = 0; anew < 3 && ms < 300000; ms++) {
		int pages = pages_now(&f->store->checkpoint);
		anew += pages < before;
		before = pages;
		usleep(1000);
	}
	atomic_store(&load.enough, true);
	for (size_t i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(load.failed, 0);
	assert_int_equal(anew, 3);
	assert_int_equal(store_check(f->store), OK);
}

static bool is_short_again(struct fixture *f)
{
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(store_change(f->store, big_apply, NULL), OK);
		/* Where it was longer than this, starting anew cuts it to this. */
		if (log_pages(f) <= INT64_C(64) << 20 >> 12)
			return true;
		usleep(1000);
	}
	return false;
}

static void log_grows_under_a_snapshot(void **state)
{
	struct fixture *f = *state;
	struct store *snapshot;
	int64_t limit = (INT64_C(64) << 20 >> 12) + CHECKPOINT_PAGES;
	assert_int_equal(store_change(f->store, big_apply, NULL), OK);
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &snapshot), OK);
	while (log_pages(f) < limit)
		assert_int_equal(store_change(f->store, big_apply, NULL), OK);
	assert_trail(snapshot, 1);
	store_close(snapshot);
	for (int64_t i = 0; i < CHECKPOINT_PAGES / 15; i++)
		assert_int_equal(store_change(f->store, big_apply, NULL), OK);
	assert_true(is_short_again(f));
	assert_int_equal(store_check(f->store), OK);
}

/* ---- a disk that fails to sync ---- */

static int fails_to_sync(sqlite3_file *file, int how)
{
	(void)file;
	(void)how;
	return SQLITE_IOERR_FSYNC;
}

static int64_t trail_now(struct fixture *f)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct trail_end end;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	return end.seq;
}

static bool is_unsynced(struct fixture *f)
{
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(store_change(f->store, big_apply, NULL), OK);
		if (atomic_load(&f->store->checkpoint.unsynced))
			return true;
	}
	return false;
}

/* What was copied then may be nowhere but in the log: it is kept until the store is opened anew. */
static void unsynced_database_keeps_log(void **state)
{
	struct fixture *f = *state;
	sqlite3_file *file = NULL;
	int64_t end;
	sqlite3_file_control(f->store->checkpoint.tx->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	const sqlite3_io_methods *own = file->pMethods;
	sqlite3_io_methods failing = *own;
	failing.xSync = fails_to_sync;
	file->pMethods = &failing;
	assert_true(is_unsynced(f));
	file->pMethods = own;

	/* The disk is well again, or says so. */
	int64_t log = log_pages(f);
	for (int64_t i = 0; i < 2 * CHECKPOINT_PAGES / 15; i++)
		assert_int_equal(store_change(f->store, big_apply, NULL), OK);
	assert_true(log_pages(f) > log + CHECKPOINT_PAGES);
	end = trail_now(f);
	log = log_pages(f);
	fixture_close(f);
	char path[640];
	struct stat kept;
	snprintf(path, sizeof path, "%s/escrow.db-wal", f->path);
	assert_int_equal(stat(path, &kept), 0);
	assert_int_equal(kept.st_size / 4096, log);

	fixture_open(f, STORE_SERVE);
	assert_int_equal(trail_now(f), end);
	assert_int_equal(store_check(f->store), OK);
}

static const sqlite3_io_methods *well;
static int syncs;

static int syncs_the_second_time(sqlite3_file *file, int how)
{
	return syncs++ ? well->xSync(file, how) : SQLITE_IOERR_FSYNC;
}

static int says_full(sqlite3_file *file, int what, void *out)
{
	if (what != SQLITE_FCNTL_LAST_ERRNO)
		return well->xFileControl(file, what, out);
	*(int *)out = ENOSPC;
	return SQLITE_OK;
}

/* A sync that failed for want of room isn't tried again once there is some: it would succeed. */
static void unsynced_for_want_of_room(void **state)
{
	struct fixture *f = *state;
	struct store_space before = {0}, after = {0};
	sqlite3_file *file = NULL;
	assert_int_equal(store_change(f->store, big_apply, NULL), OK);
	int64_t log = log_pages(f);
	reserve_look(f->store, &before);
	sqlite3_file_control(f->store->writer.tx->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	well = file->pMethods;
	sqlite3_io_methods failing = *well;
	failing.xSync = syncs_the_second_time;
	failing.xFileControl = says_full;
	writer_hold(f->store);
	file->pMethods = &failing;
	enum in_need result = checkpoint_in_need(f->store->writer.tx);
	file->pMethods = well;
	writer_release(f->store);
	assert_int_equal(result, NEED_LOST);
	assert_true(atomic_load(&f->store->checkpoint.unsynced));
	reserve_look(f->store, &after);
	assert_int_equal(after.kept, before.kept);
	assert_int_equal(log_pages(f), log);
}

/* ---- two processes ---- */

static pid_t fork_worker(struct fixture *f, int lines)
{
	pid_t child = fork();
	if (child)
		return child;
	struct store *store;
	if (store_open(f->path, STORE_SHARE, NULL, &store))
		_exit(2);
	int failed = 0;
	for (int i = 0; i < lines; i++)
		failed += store_change(store, line_apply, NULL) != OK;
	store_close(store);
	_exit(failed ? 1 : 0);
}

static void two_processes(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	pid_t one = fork_worker(f, 200), two = fork_worker(f, 200);
	int status_one, status_two;
	fixture_open(f, STORE_SERVE);
	for (int i = 0; i < 200; i++)
		assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	waitpid(one, &status_one, 0);
	waitpid(two, &status_two, 0);
	assert_int_equal(status_one, 0);
	assert_int_equal(status_two, 0);
	assert_trail(f->store, 600);
	assert_int_equal(store_check(f->store), OK);
}

/* Somebody else is in the middle of a change, for longer than a change takes. */
struct patient {
	struct store *store;
	atomic_bool done;
	enum error result;
};

static void *waits(void *context)
{
	struct patient *patient = context;
	patient->result = store_change(patient->store, line_apply, NULL);
	atomic_store(&patient->done, true);
	return NULL;
}

static void waits_for_another_writer(void **state)
{
	struct fixture *f = *state;
	struct patient patient = {.store = f->store};
	char path[700];
	sqlite3 *other;
	pthread_t thread;
	snprintf(path, sizeof path, "%s/escrow.db", f->path);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(pthread_create(&thread, NULL, waits, &patient), 0);
	usleep(50000);
	assert_false(atomic_load(&patient.done));
	/* Readers wait for nobody. */
	assert_int_equal(trail_lines(f->store), 0);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	pthread_join(thread, NULL);
	sqlite3_close(other);
	assert_int_equal(patient.result, OK);
	assert_int_equal(trail_lines(f->store), 1);
}

/* A process that is in the middle of a change, with the store's claim as a rekey has it, or without. */
struct holder {
	pid_t child;
	int pipe; /* closed: it ends */
};

static void hold_writing(const struct fixture *f, bool claims, int to_child, int to_parent)
{
	struct store holding = {.path = (char *)f->path, .directory = (char *)f->path};
	char path[700], c;
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/escrow.db", f->path);
	alarm(60); /* a test that fails must not leave it behind */
	if (read(to_child, &c, 1) != 1 || (claims && store_claim(&holding)) ||
	    sqlite3_open(path, &db) || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ||
	    write(to_parent, "x", 1) != 1 || read(to_child, &c, 1) != 0)
		_exit(1);
	_exit(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) ? 1 : 0);
}

/* SQLite doesn't survive a fork(2): the store is opened after it. */
static struct holder begin_holding(struct fixture *f, bool claims)
{
	int to_child[2], to_parent[2];
	char c;
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(to_parent), 0);
	fixture_close(f);
	pid_t child = fork();
	if (child == 0) {
		close(to_child[1]);
		hold_writing(f, claims, to_child[0], to_parent[1]);
	}
	close(to_child[0]);
	close(to_parent[1]);
	fixture_open(f, STORE_SERVE);
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(read(to_parent[0], &c, 1), 1);
	close(to_parent[0]);
	return (struct holder){child, to_child[1]};
}

static void end_holding(const struct holder *holder)
{
	int status;
	close(holder->pipe);
	waitpid(holder->child, &status, 0);
	assert_int_equal(status, 0);
}

static void waits_as_long_as_a_rekey_takes(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct holder holder = begin_holding(f, true);
	struct patient patient = {.store = f->store};
	f->store->patience = 200;
	assert_int_equal(pthread_create(&thread, NULL, waits, &patient), 0);
	usleep(2500000);
	assert_false(atomic_load(&patient.done));
	end_holding(&holder);
	pthread_join(thread, NULL);
	assert_int_equal(patient.result, OK);
	/* To look whether it is claimed claims nothing. */
	assert_int_equal(store_claim(f->store), OK);
}

static void waits_not_for_ever(void **state)
{
	struct fixture *f = *state;
	struct holder holder = begin_holding(f, false);
	f->store->patience = 200;
	assert_int_equal(store_change(f->store, line_apply, NULL), ERR_BUSY);
	assert_says("for too long");
	/* Nor for its own claim. */
	assert_int_equal(store_claim(f->store), OK);
	assert_int_equal(store_change(f->store, line_apply, NULL), ERR_BUSY);
	end_holding(&holder);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
}

/* Killed in the middle of its work: what it was told is there is there, and nothing half. */
static void killed_in_the_middle(void **state)
{
	struct fixture *f = *state;
	fixture_close(f);
	int64_t told = 0, there;
	for (int round = 0; round < 5; round++) {
		int pipes[2];
		assert_int_equal(pipe(pipes), 0);
		pid_t child = fork();
		if (child == 0) {
			struct store *store;
			if (store_open(f->path, STORE_SERVE, "child", &store))
				_exit(1);
			while (store_change(store, big_apply, NULL) == OK)
				(void)!write(pipes[1], "x", 1);
			_exit(1);
		}
		close(pipes[1]);
		char c;
		for (int i = 0; i < 10 + round; i++)
			told += read(pipes[0], &c, 1);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(pipes[0], &c, 1) == 1)
			told++;
		close(pipes[0]);
	}
	fixture_open(f, STORE_SERVE);
	there = trail_lines(f->store);
	assert_true(there >= told && there <= told + 5);
	assert_trail(f->store, there);
	assert_int_equal(store_check(f->store), OK);
}

/* ---- in two steps ---- */

static enum error refuses_apply(struct tx *tx, void *unused)
{
	(void)unused;
	TRY(add_line(tx));
	return fail(ERR_INVALID, "on purpose");
}

static void begun_and_waited_for(void **state)
{
	struct fixture *f = *state;
	struct change *change[EACH], *wrong;
	struct trail_end end;
	for (int i = 0; i < EACH; i++)
		assert_int_equal(store_change_begin(f->store, line_apply, NULL, &change[i]), OK);
	assert_int_equal(store_change_begin(f->store, refuses_apply, NULL, &wrong), OK);
	for (int i = 0; i < EACH; i++)
		assert_int_equal(store_change_wait(change[i]), OK);
	assert_int_equal(store_change_wait(wrong), ERR_INVALID);
	assert_says("on purpose");
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	assert_int_equal(end.seq, EACH);
}

struct gate {
	sem_t there, open;
};

/* Holds the store's thread while others gather behind it. */
static enum error gate_apply(struct tx *tx, void *context)
{
	struct gate *gate = context;
	(void)tx;
	sem_post(&gate->there);
	sem_wait(&gate->open);
	return OK;
}

static enum error counted_apply(struct tx *tx, void *runs)
{
	++*(int *)runs;
	return add_line(tx);
}

/* What gathered runs in one go; where one fails, those that had run run once more, each apart. */
static void run_gathered(struct fixture *f, bool one_fails)
{
	struct change *first, *change[EACH], *wrong = NULL;
	struct trail_end end;
	struct gate gate;
	int runs[EACH] = {0};
	sem_init(&gate.there, 0, 0);
	sem_init(&gate.open, 0, 0);
	assert_int_equal(store_change_begin(f->store, gate_apply, &gate, &first), OK);
	sem_wait(&gate.there);
	for (int i = 0; i < EACH; i++) {
		if (one_fails && i == EACH / 2)
			assert_int_equal(store_change_begin(f->store, refuses_apply, NULL, &wrong),
					 OK);
		assert_int_equal(store_change_begin(f->store, counted_apply, &runs[i], &change[i]),
				 OK);
	}
	sem_post(&gate.open);
	assert_int_equal(store_change_wait(first), OK);
	if (wrong)
		assert_int_equal(store_change_wait(wrong), ERR_INVALID);
	for (int i = 0; i < EACH; i++) {
		assert_int_equal(store_change_wait(change[i]), OK);
		assert_int_equal(runs[i], one_fails && i < EACH / 2 ? 2 : 1);
	}
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	assert_int_equal(end.seq, EACH);
	sem_destroy(&gate.there);
	sem_destroy(&gate.open);
}

static void gathered_in_one_go(void **state)
{
	run_gathered(*state, false);
}

static void gathered_and_one_fails(void **state)
{
	run_gathered(*state, true);
}

/* ---- by the caller itself ---- */

struct caller {
	struct store *store;
	store_apply *apply;
	void *context;
	enum error result;
	char why[64];
};

static void *changes_once(void *context)
{
	struct caller *caller = context;
	caller->result = store_change(caller->store, caller->apply, caller->context);
	snprintf(caller->why, sizeof caller->why, "%s", fail_why());
	return NULL;
}

static void remember_thread(void *context)
{
	*(pthread_t *)context = pthread_self();
}

static enum error thread_apply(struct tx *tx, void *context)
{
	remember_thread(context);
	return add_line(tx);
}

/* Who is alone commits; who comes meanwhile waits for the committer. Each is asked to step aside. */
static void alone_and_behind(void **state)
{
	struct fixture *f = *state;
	pthread_t ran = 0, aside = 0, first, second, third;
	struct gate gate;
	struct caller alone = {.store = f->store, .apply = gate_apply, .context = &gate};
	struct caller behind = {.store = f->store, .apply = thread_apply, .context = &ran};
	struct caller wrong = {.store = f->store, .apply = fails_by_itself};
	sem_init(&gate.there, 0, 0);
	sem_init(&gate.open, 0, 0);
	store_on_wait(f->store, remember_thread, &aside);
	assert_int_equal(store_change(f->store, thread_apply, &ran), OK);
	assert_true(pthread_equal(ran, pthread_self()));
	assert_true(pthread_equal(aside, pthread_self()));

	assert_int_equal(pthread_create(&first, NULL, changes_once, &alone), 0);
	sem_wait(&gate.there);
	store_on_wait(f->store, NULL, NULL);
	assert_int_equal(pthread_create(&second, NULL, changes_once, &behind), 0);
	assert_int_equal(pthread_create(&third, NULL, changes_once, &wrong), 0);
	usleep(50000);
	assert_int_equal(trail_lines(f->store), 1);
	sem_post(&gate.open);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	pthread_join(third, NULL);
	assert_int_equal(alone.result, OK);
	assert_int_equal(behind.result, OK);
	assert_int_equal(wrong.result, ERR_NOT_EMPTY);
	assert_string_equal(wrong.why, "a sentence of the change's own");
	assert_int_equal(trail_lines(f->store), 2);
	sem_destroy(&gate.there);
	sem_destroy(&gate.open);
}

static int64_t lines_beside(struct store *store)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct trail_end end = {.seq = -1};
	assert_int_equal(store_view_beside(store, &tx), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	return end.seq;
}

/* Who asks beside what is committed isn't kept waiting, and doesn't see it before it is on disk. */
static void beside_a_commit(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct gate gate;
	struct caller changing = {.store = f->store, .apply = gate_apply, .context = &gate};
	sem_init(&gate.there, 0, 0);
	sem_init(&gate.open, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, changes_once, &changing), 0);
	sem_wait(&gate.there);
	struct change *line;
	assert_int_equal(store_change_begin(f->store, line_apply, NULL, &line), OK);
	assert_int_equal(lines_beside(f->store), 0);
	sem_post(&gate.open);
	pthread_join(thread, NULL);
	assert_int_equal(store_change_wait(line), OK);
	assert_int_equal(lines_beside(f->store), 1);
	sem_destroy(&gate.there);
	sem_destroy(&gate.open);
}

/* The connection that commits, right after a change. (This thread may have been kept from the processor.) */
static struct tx *borrowed(struct store *store)
{
	struct tx *tx = NULL;
	for (int tries = 0; tries < 100 && tx != store->writer.tx; tries++) {
		store_view_scoped(&tx);
		usleep(1000); /* the committer may not be through with what it has answered */
		assert_int_equal(store_change(store, line_apply, NULL), OK);
		assert_int_equal(store_view_beside(store, &tx), OK);
	}
	assert_ptr_equal(tx, store->writer.tx);
	return tx;
}

/* What is to be committed meanwhile waits, and comes when it is over, whoever commits it. */
static void commit_beside_a_view(void **state)
{
	struct fixture *f = *state;
	pthread_t thread, ran = 0;
	struct caller changing = {.store = f->store, .apply = thread_apply, .context = &ran};
	struct trail_end end;
	{
		SCOPED(store_view_scoped) struct tx *tx = borrowed(f->store);
		assert_int_equal(store_trail_end(tx, &end), OK);
		assert_int_equal(pthread_create(&thread, NULL, changes_once, &changing), 0);
		usleep(50000);
		assert_int_equal(trail_lines(f->store), end.seq);
		assert_int_equal(lines_beside(f->store), end.seq);
	}
	pthread_join(thread, NULL);
	assert_int_equal(changing.result, OK);
	assert_int_equal(lines_beside(f->store), end.seq + 1);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_int_equal(lines_beside(f->store), end.seq + 2);
}

static bool is_borrowed(struct store *store)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_look_beside(store, &tx), OK);
	return tx == store->writer.tx;
}

/* Only right after a change that was alone: not where they come together, nor where there are none. */
static void borrowed_between_single_changes(void **state)
{
	struct fixture *f = *state;
	struct change *one, *two;
	usleep(50000);
	assert_false(is_borrowed(f->store));
	for (int tries = 0; tries < 10; tries++) {
		SCOPED(store_view_scoped) struct tx *tx = borrowed(f->store);
		assert_int_equal(store_change_begin(f->store, line_apply, NULL, &one), OK);
		assert_int_equal(store_change_begin(f->store, line_apply, NULL, &two), OK);
		store_view_scoped(&tx);
		tx = NULL;
		assert_int_equal(store_change_wait(one), OK);
		assert_int_equal(store_change_wait(two), OK);
		assert_false(is_borrowed(f->store));
	}
}

/* Another process commits: it is seen, though the connection keeps its pages. */
static void beside_another_process(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	assert_int_equal(store_open(f->path, STORE_SHARE, NULL, &other), OK);
	assert_int_equal(store_start(other), OK);
	for (int64_t i = 1; i <= 20; i += 2) {
		assert_int_equal(store_change(f->store, line_apply, NULL), OK);
		assert_int_equal(lines_beside(f->store), i);
		assert_int_equal(store_change(other, line_apply, NULL), OK);
		assert_int_equal(lines_beside(f->store), i + 1);
	}
	store_close(other);
}

/* It is one picture too, from its first question on. */
static void beside_stays_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	struct trail_end end;
	assert_int_equal(store_open(f->path, STORE_SHARE, NULL, &other), OK);
	assert_int_equal(store_start(other), OK);
	int64_t lines;
	{
		SCOPED(store_view_scoped) struct tx *tx = borrowed(f->store);
		assert_int_equal(store_trail_end(tx, &end), OK);
		lines = end.seq;
		assert_int_equal(store_change(other, line_apply, NULL), OK);
		assert_int_equal(store_trail_end(tx, &end), OK);
		assert_int_equal(end.seq, lines);
	}
	assert_int_equal(lines_beside(f->store), lines + 1);
	store_close(other);
}

static enum error add_and_fail(struct tx *tx, void *context)
{
	struct device device = {.udid = "B"};
	(void)context;
	TRY(store_device_add(tx, &device));
	return fail(ERR_INVALID, "on purpose");
}

static enum error add_anew(struct tx *tx, void *device)
{
	((struct device *)device)->id = 0;
	return store_device_add(tx, device);
}

/* Its number is that of what is on disk, whatever was numbered and undone. */
static void knows_what_it_changed(void **state)
{
	struct fixture *f = *state;
	struct device other = {.udid = "C"};
	struct gate gate;
	struct change *first, *good, *bad;
	sem_init(&gate.there, 0, 0);
	sem_init(&gate.open, 0, 0);
	assert_int_equal(store_changed(f->store), 0);
	add_device(f->store, "A");
	assert_int_equal(store_changed(f->store), 1);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK);
	assert_int_equal(store_change(f->store, add_and_fail, NULL), ERR_INVALID);
	assert_int_equal(store_changed(f->store), 1);

	assert_int_equal(store_change_begin(f->store, gate_apply, &gate, &first), OK);
	sem_wait(&gate.there);
	assert_int_equal(store_change_begin(f->store, add_anew, &other, &good), OK);
	assert_int_equal(store_change_begin(f->store, add_and_fail, NULL, &bad), OK);
	sem_post(&gate.open);
	assert_int_equal(store_change_wait(first), OK);
	assert_int_equal(store_change_wait(good), OK);
	assert_int_equal(store_change_wait(bad), ERR_INVALID);
	assert_int_equal(store_changed(f->store), 2);
	sem_destroy(&gate.there);
	sem_destroy(&gate.open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(many_threads_without_gaps),
		WITH_STORE(begun_and_waited_for),
		WITH_STORE(gathered_in_one_go),
		WITH_STORE(gathered_and_one_fails),
		WITH_STORE(alone_and_behind),
		WITH_STORE(beside_a_commit),
		WITH_STORE(commit_beside_a_view),
		WITH_STORE(borrowed_between_single_changes),
		WITH_STORE(beside_another_process),
		WITH_STORE(beside_stays_as_it_was),
		WITH_STORE(knows_what_it_changed),
		WITH_STORE(failing_apply_undoes_itself_only),
		WITH_STORE(sentence_crosses_threads),
		WITH_STORE(change_is_seen_by_next_view),
		WITH_STORE(more_views_than_connections),
		WITH_STORE(view_stays_as_it_was),
		WITH_STORE(view_writes_nothing),
		WITH_STORE(committer_takes_no_signals),
		WITH_STORE(snapshot_stands_still),
		WITH_STORE(snapshot_without_a_writer),
		WITH_STORE(snapshot_by_a_reader),
		WITH_STORE(limited_files),
		WITH_STORE(full_disk),
		WITH_STORE(read_only_disk),
		WITH_STORE(log_starts_anew_under_load),
		WITH_STORE(log_grows_under_a_snapshot),
		WITH_STORE(unsynced_database_keeps_log),
		WITH_STORE(unsynced_for_want_of_room),
		WITH_STORE(two_processes),
		WITH_STORE(waits_for_another_writer),
		WITH_STORE(waits_as_long_as_a_rekey_takes),
		WITH_STORE(waits_not_for_ever),
		WITH_STORE(killed_in_the_middle),
	};
	return cmocka_run_group_tests_name("store: views and changes", tests, NULL, NULL);
}
