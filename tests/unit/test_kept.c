/* Devices of backups, from one escrow into another: the MUST clauses of kept.c, and what a merge keeps. */
#include "arrival.h"

#include <openssl/crypto.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define OTHER "AAAAAAAA-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define TOKEN_1 "Ym9vdHN0cmFwLXRva2VuLW9uZQ=="
#define PLAIN_1 "bootstrap-token-one"
#define TOKEN_2 "Ym9vdHN0cmFwLXRva2VuLXR3bw=="

/* Two escrows that one key opens. */
struct fixture {
	char dir[64], store[2][96];
	struct escrow *from, *to;
};

static const struct actor me = {.uid = 7, .gid = 7, .pid = 77, .loginuid = -1, .command = "test"};

static struct escrow *open_escrow(const char *store, enum escrow_mode mode)
{
	struct escrow_options options = {.store = store, .mode = mode, .holder = "a unit test"};
	struct escrow *escrow = NULL;
	assert_int_equal(escrow_open(&options, &escrow), OK);
	return escrow;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char key[128];
	snprintf(f->dir, sizeof f->dir, "/tmp/kept-test-XXXXXX");
	if (!f || !mkdtemp(f->dir))
		return -1;
	for (int i = 0; i < 2; i++) {
		struct escrow_born born;
		snprintf(f->store[i], sizeof f->store[i], "%s/store%d", f->dir, i);
		snprintf(key, sizeof key, "file:%s.key.pem", f->store[0]);
		struct escrow_birth birth = {
			.store = f->store[i], .key_uri = i ? key : NULL, .no_recovery = true};
		assert_int_equal(escrow_init(&birth, &me, &born), OK);
	}
	f->from = open_escrow(f->store[0], ESCROW_SERVE);
	f->to = open_escrow(f->store[1], ESCROW_SERVE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	escrow_close(f->from);
	escrow_close(f->to);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	int removed = system(command);
	free(f);
	return removed;
}

static void escrow_by_hand(struct escrow *escrow, const char *base64)
{
	struct device device;
	struct writer *writer;
	char line[128];
	if (escrow_device_named(escrow, UDID, &device))
		assert_int_equal(escrow_device_make(escrow, &me, UDID, &device), OK);
	snprintf(line, sizeof line, "%s\n", base64);
	assert_int_equal(writer_new(escrow, WRITER_TOKEN, device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, line, strlen(line), 0), OK);
	writer_free(writer);
}

static void assert_token(struct escrow *escrow, const char *base64)
{
	struct device device;
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_device_named(escrow, UDID, &device), OK);
	assert_int_equal(escrow_retrieve(escrow, &me, device.id, &text), OK);
	assert_int_equal(text.len, strlen(base64) + 1);
	assert_memory_equal(text.data, base64, strlen(base64));
}

/* The device as a sealed mount of the first escrow shows it. */
static void keep(struct fixture *f, const char *udid, struct kept_device *out)
{
	struct escrow *sealed = open_escrow(f->store[0], ESCROW_SEALED);
	struct device device;
	SCOPED(bytes_free) struct bytes pem = {0};
	*out = (struct kept_device){.path = strdup("/backup/devices/x")};
	snprintf(out->udid, sizeof out->udid, "%s", udid);
	assert_int_equal(escrow_device_named(sealed, UDID, &device), OK);
	if (strcmp(udid, UDID) == 0)
		assert_int_equal(escrow_security(sealed, device.id, &out->security, &device), OK);
	assert_int_equal(escrow_token_text(sealed, &device, &pem), OK);
	escrow_close(sealed);
	struct kept_token *token = kept_token(out);
	assert_non_null(token);
	token->current = true;
	token->path = strdup("/backup/devices/x/token");
	assert_int_equal(bytes_add(&token->pem, pem.data, pem.len), OK);
}

/* A store that was new when it was opened isn't searched for what it has. */
static void open_again(struct fixture *f)
{
	escrow_close(f->to);
	f->to = open_escrow(f->store[1], ESCROW_SERVE);
}

static enum error take_in(struct escrow *escrow, struct kept_device *kept, struct arrival **arrival,
			  struct arrived *arrived)
{
	enum error result = escrow_kept_prepare(escrow, &me, kept, false, arrival);
	if (!result)
		result = arrival_begin(*arrival);
	return result ? result : arrival_finish(*arrival, arrived);
}

static int64_t lines(struct escrow *escrow)
{
	struct trail_end end;
	assert_int_equal(escrow_trail_end(escrow, &end), OK);
	return end.seq;
}

/* ---- MUST clauses ---- */

static void kept_of_another(void **state)
{
	struct fixture *f = *state;
	struct kept_device kept;
	struct arrival *arrival;
	struct arrived arrived;
	struct device device;
	escrow_by_hand(f->from, TOKEN_1);
	keep(f, OTHER, &kept);
	assert_int_equal(take_in(f->to, &kept, &arrival, &arrived), OK);
	assert_int_equal(arrived.refusal_count, 1);
	assert_int_equal(arrived.refusals[0].code, ERR_BAD_SEAL);
	assert_string_equal(arrived.refusals[0].path, "/backup/devices/x/token");
	assert_non_null(strstr(arrived.refusals[0].why, UDID));
	assert_false(arrived.had_effect);
	arrival_free(arrival);
	assert_int_equal(escrow_device_named(f->to, OTHER, &device), ERR_NOT_FOUND);
	assert_int_equal(escrow_device_named(f->to, UDID, &device), ERR_NOT_FOUND);
}

static bool version_of(void *context, const struct version *version, const char *udid, bool removed)
{
	(void)udid;
	(void)removed;
	*(struct version *)context = *version;
	return true;
}

/* grep's exit status for the bytes in a store's files: 1 says that they are nowhere. */
static int find(const struct fixture *f, const char *text)
{
	char command[256];
	snprintf(command, sizeof command, "grep -rqaF '%s' %s", text, f->dir);
	return WEXITSTATUS(system(command));
}

static void kept_sealed_anew(void **state)
{
	struct fixture *f = *state;
	struct kept_device kept;
	struct arrival *arrival;
	struct arrived arrived;
	struct version version;
	SCOPED(bytes_free) struct bytes was = {0}, is = {0};
	escrow_by_hand(f->from, TOKEN_1);
	size_t used = CRYPTO_secure_used();
	keep(f, UDID, &kept);
	assert_int_equal(bytes_add(&was, kept.tokens[0].pem.data, kept.tokens[0].pem.len), OK);
	assert_int_equal(take_in(f->to, &kept, &arrival, &arrived), OK);
	assert_int_equal(arrived.tokens_new, 1);
	assert_int_equal(arrived.unverified, 0);
	assert_true(arrived.device_new);
	/* Nothing is left in memory, even while the arrival is there ... */
	assert_int_equal(CRYPTO_secure_used(), used);
	arrival_free(arrival);
	/* ... nor on the disk, but in a seal of this store's own. */
	assert_int_equal(find(f, PLAIN_1), 1);
	assert_int_equal(find(f, TOKEN_1), 1);
	assert_int_equal(find(f, UDID), 0);
	assert_int_equal(escrow_history(f->to, UDID, version_of, &version), OK);
	assert_int_equal(escrow_seal_text(f->to, version.id, &is), OK);
	assert_true(is.len != was.len || memcmp(is.data, was.data, is.len) != 0);
	assert_token(f->to, TOKEN_1);
}

/* ---- what a merge keeps ---- */

static void twice_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct arrived arrived;
	escrow_by_hand(f->from, TOKEN_1);
	for (int i = 0; i < 2; i++) {
		struct kept_device kept;
		struct arrival *arrival;
		int64_t before = lines(f->to);
		keep(f, UDID, &kept);
		assert_int_equal(take_in(f->to, &kept, &arrival, &arrived), OK);
		assert_int_equal(arrival_assumes(arrival), i == 1);
		assert_int_equal(arrived.had_effect, i == 0);
		assert_int_equal(arrived.tokens_same, i);
		assert_int_equal(lines(f->to) - before, i == 0 ? 2 : 0);
		arrival_free(arrival);
		open_again(f);
	}
}

static void twice_into_a_new_store(void **state)
{
	struct fixture *f = *state;
	struct arrived arrived;
	escrow_by_hand(f->from, TOKEN_1);
	for (int i = 0; i < 2; i++) {
		struct kept_device kept;
		struct arrival *arrival;
		int64_t before = lines(f->to);
		keep(f, UDID, &kept);
		assert_int_equal(take_in(f->to, &kept, &arrival, &arrived), OK);
		assert_int_equal(arrived.had_effect, i == 0);
		assert_int_equal(arrived.tokens_same, i);
		assert_int_equal(lines(f->to) - before, i == 0 ? 2 : 0);
		arrival_free(arrival);
	}
}

static void newer_replaces_older_stays_behind(void **state)
{
	struct fixture *f = *state;
	struct kept_device first, second;
	struct arrival *arrival;
	struct arrived arrived;
	escrow_by_hand(f->from, TOKEN_1);
	keep(f, UDID, &first);
	usleep(2000); /* a backup tells milliseconds */
	escrow_by_hand(f->from, TOKEN_2);
	keep(f, UDID, &second);
	assert_int_equal(take_in(f->to, &second, &arrival, &arrived), OK);
	arrival_free(arrival);
	assert_int_equal(take_in(f->to, &first, &arrival, &arrived), OK);
	assert_int_equal(arrived.tokens_new, 1);
	arrival_free(arrival);
	assert_token(f->to, TOKEN_2);
	struct device device;
	assert_int_equal(escrow_device_named(f->to, UDID, &device), OK);
	assert_int_equal(device.status, STATUS_ESCROWED);
}

static bool go_on(void *context, int64_t destroyed)
{
	(void)context;
	(void)destroyed;
	return true;
}

/* It went between the first step and the second: it is sealed after all, and taken in. */
static void known_goes_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct kept_device kept;
	struct arrival *arrival;
	struct arrived arrived;
	escrow_by_hand(f->from, TOKEN_1);
	escrow_by_hand(f->to, TOKEN_1);
	open_again(f);
	keep(f, UDID, &kept);
	assert_int_equal(escrow_kept_prepare(f->to, &me, &kept, false, &arrival), OK);
	assert_true(arrival_assumes(arrival));
	struct device device;
	assert_int_equal(escrow_device_named(f->to, UDID, &device), OK);
	assert_int_equal(escrow_remove(f->to, &me, device.id), OK);
	int64_t destroyed;
	struct escrow_purging purging = {.going_on = go_on};
	assert_int_equal(escrow_purge(f->to, &me, INT64_MAX, &purging, &destroyed), OK);
	assert_int_equal(destroyed, 1);
	assert_int_equal(arrival_begin(arrival), OK);
	assert_int_equal(arrival_finish(arrival, &arrived), ERR_CHANGED);
	arrival_free(arrival);
	keep(f, UDID, &kept);
	assert_int_equal(escrow_kept_prepare(f->to, &me, &kept, true, &arrival), OK);
	assert_int_equal(arrival_begin(arrival), OK);
	assert_int_equal(arrival_finish(arrival, &arrived), OK);
	assert_int_equal(arrived.tokens_new, 1);
	arrival_free(arrival);
}

#define ESCROWS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ESCROWS(kept_of_another),
		ESCROWS(kept_sealed_anew),
		ESCROWS(twice_changes_nothing),
		ESCROWS(twice_into_a_new_store),
		ESCROWS(newer_replaces_older_stays_behind),
		ESCROWS(known_goes_meanwhile),
	};
	if (secret_prepare(1 << 20))
		return 1;
	return cmocka_run_group_tests_name("devices of backups", tests, NULL, NULL);
}
