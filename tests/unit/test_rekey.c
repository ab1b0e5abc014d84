/* Rekey below the command line: what is sealed anew, what is left, what is refused. */
#include "escrow/inside.h"

#include <openssl/crypto.h>

#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#undef fail /* cmocka's; ours is meant here */

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"

struct fixture {
	char dir[64], store[96], old_key[128], new_key[128];
	char old[65], new[65]; /* fingerprints */
	struct escrow *serving;
	int asked, stop_at;
	int64_t left;
	char why[512];
	char pins[128]; /* the file of recipients */
	const char *pinned_next;
};

static const struct actor me = {.uid = 7, .gid = 7, .pid = 77, .loginuid = -1, .command = "test"};

static struct escrow *open_escrow(const struct fixture *f, enum escrow_mode mode, const char *key)
{
	struct escrow_options options = {.store = f->store,
					 .mode = mode,
					 .holder = mode == ESCROW_SERVE ? "a unit test" : NULL,
					 .key_uri = key,
					 .any_key = key != NULL};
	struct escrow *escrow = NULL;
	assert_int_equal(escrow_open(&options, &escrow), OK);
	return escrow;
}

static void make_key(const char *path, char fingerprint[static 65])
{
	SCOPED(bytes_free) struct bytes certificate = {0};
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, "a new key", path, NULL, &certificate), OK);
	uint8_t digest[SEAL_DIGEST];
	seal_digest(certificate.data, certificate.len, digest);
	hex_write(digest, sizeof digest, fingerprint);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/rekey-test-XXXXXX");
	if (!f || !mkdtemp(f->dir))
		return -1;
	snprintf(f->store, sizeof f->store, "%s/store", f->dir);
	snprintf(f->old_key, sizeof f->old_key, "%s.key.pem", f->store);
	snprintf(f->new_key, sizeof f->new_key, "%s/new.pem", f->dir);
	struct escrow_born born;
	struct escrow_birth birth = {.store = f->store, .no_recovery = true};
	assert_int_equal(escrow_init(&birth, &me, &born), OK);
	make_key(f->new_key, f->new);
	f->serving = open_escrow(f, ESCROW_SERVE, NULL);
	struct recipient recipient;
	int64_t expires;
	assert_int_equal(escrow_recipient(f->serving, 0, &recipient, f->old, &expires), OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	escrow_close(f->serving);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	int removed = system(command);
	free(f);
	return removed;
}

/* ---- helpers ---- */

static int64_t device(struct fixture *f, const char *udid)
{
	struct device device;
	assert_int_equal(escrow_device_make(f->serving, &me, udid, &device), OK);
	return device.id;
}

/* Escrows one token more for a device; the n-th of the test. */
static void escrow_token(struct fixture *f, int64_t id, int n)
{
	struct secret token;
	struct effect effect;
	struct device device;
	char text[64];
	int len = snprintf(text, sizeof text, "bootstrap token number %d", n);
	assert_int_equal(escrow_device(f->serving, id, &device), OK);
	assert_int_equal(secret_new(sizeof text, &token), OK);
	assert_int_equal(secret_add(&token, text, (size_t)len), OK);
	assert_int_equal(token_escrow_by_hand(f->serving, &me, &device, &token, "by hand", &effect),
			 OK);
	secret_free(&token);
}

static bool on_step(void *context, enum rekey_step step, int64_t done, int64_t total)
{
	struct fixture *f = context;
	assert_true(done <= total);
	return step != REKEY_SEALING || ++f->asked != f->stop_at;
}

static void on_left(void *context, const char *sentence)
{
	struct fixture *f = context;
	f->left++;
	snprintf(f->why, sizeof f->why, "%s", sentence);
}

static enum error rekey_with(struct fixture *f, const char *key, const struct escrow_rekey *how,
			     struct escrow_rekeyed *out)
{
	struct rekey_watch watch = {on_step, on_left, f};
	struct escrow *escrow = open_escrow(f, ESCROW_SHARE, key);
	f->asked = 0;
	enum error result = escrow_rekey(escrow, &me, how, &watch, out);
	escrow_close(escrow);
	return result;
}

/* The new key in the old one's place. */
static enum error turn_over(struct fixture *f, struct escrow_rekeyed *out)
{
	const char *add[] = {f->new_key}, *retire[] = {f->old};
	struct escrow_rekey how = {.add = add, .retire = retire, .add_count = 1, .retire_count = 1};
	return rekey_with(f, f->old_key, &how, out);
}

static void ignore(void *context, const char *sentence)
{
	(void)sentence;
	++*(int *)context;
}

/* How many of the store's seals a key opens. */
static int64_t opened_by(struct fixture *f, const char *key)
{
	struct escrow_verified verified;
	int findings = 0;
	struct escrow *escrow = open_escrow(f, ESCROW_SHARE, key);
	assert_int_equal(
		escrow_verify(escrow,
			      &(struct escrow_verifying){.finding = ignore, .context = &findings},
			      &verified),
		OK);
	escrow_close(escrow);
	assert_int_equal(findings, 0);
	return verified.opened;
}

static struct escrow_seals seals_of(struct fixture *f)
{
	struct escrow_seals seals;
	assert_int_equal(escrow_seals(f->serving, &seals), OK);
	return seals;
}

#define assert_says(part) assert_non_null(strstr(fail_why(), part))

/* ---- what is done ---- */

static void rekey_seals_everything(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	struct device before, after;
	int64_t id = device(f, UDID), gone = device(f, "GONE");
	escrow_token(f, id, 1);
	escrow_token(f, id, 2);
	escrow_token(f, gone, 3);
	assert_int_equal(escrow_remove(f->serving, &me, gone), OK);
	assert_int_equal(escrow_device_remove(f->serving, &me, "GONE", &before), OK);
	assert_int_equal(escrow_device(f->serving, id, &before), OK);

	assert_int_equal(turn_over(f, &out), OK);
	assert_int_equal(out.total, 3);
	assert_int_equal(out.sealed, 3);
	assert_int_equal(out.recipients, 1);
	assert_true(out.changed && out.key_retired && out.clean && !out.stopped);
	assert_int_equal(opened_by(f, f->old_key), 0);
	assert_int_equal(opened_by(f, f->new_key), 3);
	struct escrow_seals seals = seals_of(f);
	assert_int_equal(seals.current, 3);
	assert_int_equal(seals.older, 0);
	assert_false(seals.unclean);
	/* A backup sees that the token has another seal; nothing else changed. */
	assert_int_equal(escrow_device(f->serving, id, &after), OK);
	assert_true(after.token_at > before.token_at);
	assert_int_equal(after.security_at, before.security_at);
	assert_int_equal(after.escrowed_at, before.escrowed_at);
	/* A second one has nothing to do, and needs no key that opens. */
	assert_int_equal(rekey_with(f, f->old_key, &(struct escrow_rekey){0}, &out), OK);
	assert_int_equal(out.total, 0);
	assert_true(out.clean);
}

static void rekey_goes_on(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	int64_t id = device(f, UDID);
	for (int i = 0; i < 600; i++)
		escrow_token(f, id, i);
	f->stop_at = 1;
	assert_int_equal(turn_over(f, &out), OK);
	assert_true(out.stopped && !out.clean);
	int64_t sealed = out.sealed;
	assert_true(sealed >= 256 && sealed < 600);
	assert_true(seals_of(f).unclean);
	assert_int_equal(seals_of(f).older, 600 - sealed);
	f->stop_at = 0;
	assert_int_equal(rekey_with(f, f->old_key, &(struct escrow_rekey){0}, &out), OK);
	assert_int_equal(out.sealed, 600 - sealed);
	assert_true(out.clean && !out.stopped);
	assert_int_equal(opened_by(f, f->old_key), 0);
	assert_int_equal(opened_by(f, f->new_key), 600);
}

/* Stopped between the last seal and the end: the next one still compacts. */
static void rekey_compacts_later(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	escrow_token(f, device(f, UDID), 1);
	f->stop_at = 1;
	assert_int_equal(turn_over(f, &out), OK);
	assert_true(out.stopped && out.sealed == 1 && !out.clean);
	assert_true(seals_of(f).unclean);
	f->stop_at = 0;
	assert_int_equal(rekey_with(f, f->new_key, &(struct escrow_rekey){0}, &out), OK);
	assert_int_equal(out.total, 0);
	assert_true(out.clean);
	assert_false(seals_of(f).unclean);
}

static void rekey_leaves_no_secret(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	size_t used = CRYPTO_secure_used();
	int64_t id = device(f, UDID);
	for (int i = 0; i < 20; i++)
		escrow_token(f, id, i);
	assert_int_equal(turn_over(f, &out), OK);
	assert_int_equal(out.sealed, 20);
	assert_int_equal(CRYPTO_secure_used(), used);
}

/* ---- what is left ---- */

struct break_job {
	int64_t version;
	struct bytes blob;
};

static enum error break_apply(struct tx *tx, void *context)
{
	struct break_job *job = context;
	struct version version;
	TRY(store_version(tx, job->version, &version));
	TRY(store_blob(tx, job->version, &job->blob));
	job->blob.data[job->blob.len - 20] ^= 1;
	return store_version_reseal(tx, &version, job->blob.data, job->blob.len);
}

static void rekey_leaves_what_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	struct device there;
	struct version version;
	SCOPED(bytes_free) struct bytes before = {0}, after = {0};
	int64_t id = device(f, UDID), other = device(f, "OTHER");
	escrow_token(f, id, 1);
	escrow_token(f, other, 2);
	assert_int_equal(token_look(f->serving, id, &there, &version, &before), OK);
	struct break_job job = {.version = version.id};
	assert_int_equal(store_change(f->serving->store, break_apply, &job), OK);

	assert_int_equal(turn_over(f, &out), OK);
	assert_int_equal(out.sealed, 1);
	assert_int_equal(out.damaged, 1);
	assert_int_equal(f->left, 1);
	assert_non_null(strstr(f->why, UDID));
	assert_int_equal(token_look(f->serving, id, &there, &version, &after), OK);
	assert_int_equal(after.len, job.blob.len);
	assert_memory_equal(after.data, job.blob.data, after.len);
	assert_int_equal(seals_of(f).older, 1);
	bytes_free(&job.blob);
}

/* Stopped while it added a key, and then that key alone: what only the old one opens waits for it. */
static void rekey_leaves_what_it_cannot_open(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	const char *add[] = {f->new_key}, *retire[] = {f->old};
	struct escrow_rekey adding = {.add = add, .add_count = 1};
	struct escrow_rekey retiring = {.retire = retire, .retire_count = 1};
	int64_t id = device(f, UDID);
	for (int i = 0; i < 300; i++)
		escrow_token(f, id, i);
	f->stop_at = 1;
	assert_int_equal(rekey_with(f, f->old_key, &adding, &out), OK);
	assert_int_equal(out.sealed, 256);
	f->stop_at = 0;

	assert_int_equal(rekey_with(f, f->new_key, &retiring, &out), OK);
	assert_int_equal(out.sealed, 256);
	assert_int_equal(out.unopened, 44);
	assert_int_equal(f->left, 44);
	assert_false(out.key_retired);
	assert_int_equal(seals_of(f).older, 44);
	assert_int_equal(opened_by(f, f->old_key), 44);

	assert_int_equal(rekey_with(f, f->old_key, &(struct escrow_rekey){0}, &out), OK);
	assert_int_equal(out.sealed, 44);
	assert_int_equal(opened_by(f, f->new_key), 300);
}

/* Who has a key that opens nothing can't lock the others out with it. */
static void strangers_key_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	const char *add[] = {f->new_key}, *retire[] = {f->old};
	struct escrow_rekey how = {.add = add, .retire = retire, .add_count = 1, .retire_count = 1};
	escrow_token(f, device(f, UDID), 1);
	assert_int_equal(rekey_with(f, f->new_key, &how, &out), ERR_NO_KEY);
	assert_says("new.pem");
	assert_int_equal(seals_of(f).older, 0);
	assert_int_equal(opened_by(f, f->old_key), 1);
}

/* ---- others ---- */

static void rekey_of_others_is_followed(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	int64_t id = device(f, UDID);
	escrow_token(f, id, 1);
	assert_int_equal(turn_over(f, &out), OK);
	escrow_token(f, id, 2);
	assert_int_equal(seals_of(f).older, 0);
	assert_int_equal(opened_by(f, f->new_key), 2);
	assert_int_equal(opened_by(f, f->old_key), 0);
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->serving, &me, id, &text), ERR_NO_KEY);
}

struct put_job {
	struct escrow *escrow;
	struct sealed sealed;
};

static enum error put_apply(struct tx *tx, void *context)
{
	struct put_job *job = context;
	struct effect effect;
	SCOPED(dossier_free) struct dossier dossier;
	TRY(dossier_find(tx, UDID, &dossier));
	TRY(token_put(tx, job->escrow, &dossier, &me, &job->sealed, "by hand", 1, &effect));
	return dossier_settle(tx, &dossier, 1);
}

/* Sealed before the rekey, and on its way into the store after it. */
static void stale_seal_is_refused(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	struct put_job job = {.escrow = f->serving};
	SCOPED(secret_free) struct secret token = {0};
	device(f, UDID);
	assert_int_equal(secret_new(8, &token), OK);
	assert_int_equal(secret_add(&token, "a token", 7), OK);
	assert_int_equal(token_seal(f->serving, UDID, &token, SEAL_UNLESS_CURRENT, &job.sealed),
			 OK);
	assert_int_equal(turn_over(f, &out), OK);
	assert_int_equal(store_change(f->serving->store, put_apply, &job), ERR_CHANGED);
	sealed_free(&job.sealed);
	assert_int_equal(token_seal(f->serving, UDID, &token, SEAL_ALWAYS, &job.sealed), OK);
	assert_int_equal(store_change(f->serving->store, put_apply, &job), OK);
	sealed_free(&job.sealed);
	assert_int_equal(opened_by(f, f->new_key), 1);
}

static void rekey_is_alone(void **state)
{
	struct fixture *f = *state;
	struct escrow_rekeyed out;
	struct escrow *other = open_escrow(f, ESCROW_SHARE, NULL);
	assert_int_equal(store_claim(other->store), OK);
	assert_int_equal(rekey_with(f, f->old_key, &(struct escrow_rekey){0}, &out), ERR_BUSY);
	escrow_close(other);
	assert_int_equal(rekey_with(f, f->old_key, &(struct escrow_rekey){0}, &out), OK);
}

/* ---- what is refused ---- */

static enum error retire(struct fixture *f, const char *fingerprint)
{
	struct escrow_rekeyed out;
	const char *retire[] = {fingerprint};
	return rekey_with(f, f->old_key,
			  &(struct escrow_rekey){.retire = retire, .retire_count = 1}, &out);
}

static enum error add(struct fixture *f, const char *path)
{
	struct escrow_rekeyed out;
	const char *add[] = {path};
	return rekey_with(f, f->old_key, &(struct escrow_rekey){.add = add, .add_count = 1}, &out);
}

static void refusals_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct trail_end before, after;
	char missing[160], colons[100], *c = colons;
	assert_int_equal(escrow_trail_end(f->serving, &before), OK);
	assert_int_equal(retire(f, f->old), ERR_FORBIDDEN);
	assert_says("last recipient");
	assert_int_equal(retire(f, f->new), ERR_NOT_FOUND);
	assert_says("--list");
	assert_int_equal(retire(f, "abc"), ERR_INVALID);
	assert_int_equal(retire(f, "not hex"), ERR_INVALID);
	assert_int_equal(add(f, f->old_key), ERR_EXISTS);
	assert_says("store.key.pem");
	assert_says("\"daily\"");
	snprintf(missing, sizeof missing, "%s/missing.pem", f->dir);
	assert_int_equal(add(f, missing), ERR_NOT_FOUND);
	assert_says("missing.pem");
	struct escrow_rekeyed out;
	assert_int_equal(rekey_with(f, f->new_key, &(struct escrow_rekey){.remember = true}, &out),
			 ERR_INVALID);
	assert_int_equal(escrow_trail_end(f->serving, &after), OK);
	assert_int_equal(after.seq, before.seq);
	assert_int_equal(seals_of(f).unclean, false);

	/* As OpenSSL prints it, and less than all of it. */
	assert_int_equal(add(f, f->new_key), OK);
	for (int i = 0; i < 16; i += 2)
		c += snprintf(c, 4, "%s%c%c", i ? ":" : "", toupper(f->new[i]),
			      toupper(f->new[i + 1]));
	assert_int_equal(retire(f, colons), OK);
	assert_int_equal(retire(f, f->new), ERR_NOT_FOUND);
}

/* ---- the file that the recipients must be those of ---- */

static struct fixture *reloaded;

/* The file names another recipient from now on: the one whose key this is. */
static void write_pins(struct fixture *f, const char *key)
{
	SCOPED(bytes_free) struct bytes certificate = {0};
	assert_int_equal(bytes_read_file(key, 1 << 16, &certificate), OK);
	FILE *file = fopen(f->pins, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(certificate.data, 1, certificate.len, file), certificate.len);
	assert_int_equal(fclose(file), 0);
}

static enum error hang_up(struct fixture *f)
{
	int fd = open(f->pins, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return sealing_pin(f->serving, fd);
}

/* When somebody who follows a rekey has read the file and judges by it, it changes, and SIGHUP comes. */
int __real_recipients_beyond(const struct recipients *, const struct recipients *);
int __wrap_recipients_beyond(const struct recipients *, const struct recipients *);
int __wrap_recipients_beyond(const struct recipients *these, const struct recipients *those)
{
	struct fixture *f = reloaded;
	reloaded = NULL;
	if (f) {
		write_pins(f, f->pinned_next);
		assert_int_equal(hang_up(f), f->pinned_next == f->old_key ? OK : ERR_UNPINNED);
	}
	return __real_recipients_beyond(these, those);
}

/* Recipients that are other ones, and the same again: who follows has to look. */
static void turn_twice(struct fixture *f)
{
	assert_int_equal(add(f, f->new_key), OK);
	assert_int_equal(retire(f, f->new), OK);
}

static void follow_beside_a_reload(struct fixture *f, const char *next)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->serving->store, &tx), OK);
	f->pinned_next = next;
	reloaded = f;
	assert_int_equal(sealing_follow(f->serving, tx), OK);
	assert_null(reloaded);
}

static enum error seal_something(struct fixture *f)
{
	SCOPED(bytes_free) struct bytes blob = {0};
	int64_t generation;
	return sealing_close(f->serving, "x", 1, &blob, &generation);
}

/* What the file said before says nothing of the one that is pinned now, neither for it nor against it. */
static void pins_of_before_judge_nothing(void **state)
{
	struct fixture *f = *state;
	snprintf(f->pins, sizeof f->pins, "%s/pins.pem", f->dir);
	write_pins(f, f->old_key);
	escrow_close(f->serving);
	struct escrow_options options = {.store = f->store,
					 .mode = ESCROW_SERVE,
					 .holder = "a unit test",
					 .recipients = f->pins};
	assert_int_equal(escrow_open(&options, &f->serving), OK);
	turn_twice(f);
	follow_beside_a_reload(f, f->new_key);
	assert_int_equal(seal_something(f), ERR_UNPINNED);
	turn_twice(f);
	follow_beside_a_reload(f, f->old_key);
	assert_int_equal(seal_something(f), OK);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(rekey_seals_everything),
		WITH_STORE(rekey_goes_on),
		WITH_STORE(rekey_compacts_later),
		WITH_STORE(rekey_leaves_no_secret),
		WITH_STORE(rekey_leaves_what_is_damaged),
		WITH_STORE(rekey_leaves_what_it_cannot_open),
		WITH_STORE(strangers_key_changes_nothing),
		WITH_STORE(rekey_of_others_is_followed),
		WITH_STORE(stale_seal_is_refused),
		WITH_STORE(rekey_is_alone),
		WITH_STORE(pins_of_before_judge_nothing),
		WITH_STORE(refusals_change_nothing),
	};
	if (secret_prepare(1 << 20))
		return 1;
	return cmocka_run_group_tests_name("rekey", tests, NULL, NULL);
}
