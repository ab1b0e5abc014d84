#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

/* A store of its own for each test, and each change of store.h as one call. */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#undef fail /* cmocka's; ours is meant here */

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct fixture {
	char dir[512], path[600];
	struct store *store; /* STORE_SERVE; a test may close it and set it to NULL */
};

static const struct store_birth fixture_birth = {
	.key = "0123456789abcdef0123456789abcde", .key_uri = "file:/somewhere/key.pem", .at = 7};

static inline void fixture_open(struct fixture *f, enum store_mode mode)
{
	assert_int_equal(store_open(f->path, mode, "mounted on /mnt/test", &f->store), OK);
	assert_int_equal(store_start(f->store), OK);
}

static inline void fixture_close(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static inline void fixture_run(const char *format, const char *path)
{
	char command[1024];
	int n = 0;
	for (const char *c = format; *c && n < 900; c++)
		if (*c == '@')
			n += snprintf(command + n, 600, "%s", path);
		else
			command[n++] = *c;
	command[n] = 0;
	assert_int_equal(system(command), 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const char *tmp = getenv("TMPDIR");
	if (!f)
		return -1;
	snprintf(f->dir, sizeof f->dir, "%s/store-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof f->path, "%s/store", f->dir);
	if (store_create(f->path, &fixture_birth) ||
	    store_open(f->path, STORE_SERVE, "mounted on /mnt/test", &f->store) ||
	    store_start(f->store))
		return -1;
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	store_close(f->store);
	fixture_run("rm -rf '@'", f->dir);
	free(f);
	return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#define assert_says(part) assert_non_null(strstr(fail_why(), part))

/* ---- changes ---- */

static inline enum error add_apply(struct tx *tx, void *device)
{
	return store_device_add(tx, device);
}

static inline struct device add_device(struct store *store, const char *udid)
{
	struct device device = {.status = STATUS_NOT_ESCROWED, .created_at = 100};
	snprintf(device.udid, sizeof device.udid, "%s", udid);
	assert_int_equal(store_change(store, add_apply, &device), OK);
	return device;
}

static inline enum error save_apply(struct tx *tx, void *device)
{
	return store_device_save(tx, device);
}

static inline void save_device(struct store *store, struct device *device)
{
	assert_int_equal(store_change(store, save_apply, device), OK);
}

static inline enum error remove_apply(struct tx *tx, void *id)
{
	return store_device_remove(tx, *(int64_t *)id, 500);
}

static inline void remove_device(struct store *store, int64_t id)
{
	assert_int_equal(store_change(store, remove_apply, &id), OK);
}

/* The next line of the trail: "line N of the trail\n", in a transaction that goes on. */
static inline enum error add_line(struct tx *tx)
{
	struct trail_end end;
	TRY(store_trail_end(tx, &end));
	char line[64];
	uint8_t chain[STORE_DIGEST];
	int len = snprintf(line, sizeof line, "line %lld of the trail\n", (long long)end.seq + 1);
	memset(chain, (int)(end.seq + 1), sizeof chain);
	return store_trail_add(tx, end.seq + 1, 1000 + end.seq, line, (size_t)len, chain);
}

static inline enum error line_apply(struct tx *tx, void *unused)
{
	(void)unused;
	return add_line(tx);
}

/* ---- looking ---- */

/* The device's row now. */
static inline enum error look(struct store *store, int64_t id, struct device *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	return store_device(tx, id, out);
}

static inline int64_t trail_lines(struct store *store)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct trail_end end = {.seq = -1};
	if (store_view(store, &tx) || store_trail_end(tx, &end))
		return -1;
	return end.seq;
}

#endif
