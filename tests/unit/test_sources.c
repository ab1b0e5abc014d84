/*
 * Devices out of another MDM's store: the MUST clauses of src/escrow/migrant.c, and of the sources
 * that bring them.
 */
#include "sources.h"

#include "arrival.h"
#include "escrow.h"
#include "needle.h"
#include "text.h"

#include <stdlib.h>
#include <sys/stat.h>

#undef fail /* cmocka's; ours is meant here */

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define HEAP ((size_t)16 << 20)
#define SECOND INT64_C(1000000000)
#define MARCH (INT64_C(1709294400) * SECOND) /* 2024-03-01T12:00:00Z */
#define HOUR (INT64_C(3600) * SECOND)

#define PLIST(body)                                                                                \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>" body           \
	"</dict></plist>\n"
#define PAIR(key, value) "<key>" key "</key><string>" value "</string>"
#define AUTHENTICATE                                                                               \
	PLIST(PAIR("MessageType", "Authenticate") PAIR("UDID", UDID) PAIR("OSVersion", "14.1"))
#define SET_UP                                                                                     \
	PLIST(PAIR("MessageType", "TokenUpdate")                                                   \
		      PAIR("UDID", UDID) "<key>AwaitingConfiguration</key><true/>")

struct fixture {
	char dir[64], store[96], source[96];
	struct escrow *escrow;
};

static const struct actor me = {.uid = 7, .gid = 7, .pid = 77, .loginuid = -1, .command = "test"};
static volatile sig_atomic_t stop;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	if (!f)
		return -1;
	snprintf(f->dir, sizeof f->dir, "/tmp/sources-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->store, sizeof f->store, "%s/store", f->dir);
	snprintf(f->source, sizeof f->source, "%s/source", f->dir);
	struct escrow_born born;
	struct escrow_birth birth = {.store = f->store, .no_recovery = true};
	assert_int_equal(escrow_init(&birth, &me, &born), OK);
	struct escrow_options options = {
		.store = f->store, .mode = ESCROW_SERVE, .holder = "a unit test"};
	assert_int_equal(escrow_open(&options, &f->escrow), OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	escrow_close(f->escrow);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	int removed = system(command);
	free(f);
	return removed;
}

/* ---- a migrant ---- */

static void put(struct secret *out, const char *text)
{
	assert_int_equal(secret_new(strlen(text) + 1, out), OK);
	assert_int_equal(secret_add(out, text, strlen(text)), OK);
}

static void arrive(struct fixture *f, const struct migrant *migrant, struct arrived *arrived)
{
	struct arrival *arrival = NULL;
	assert_int_equal(escrow_migrant_prepare(f->escrow, &me, migrant, false, &arrival), OK);
	assert_int_equal(arrival_begin(arrival), OK);
	assert_int_equal(arrival_finish(arrival, arrived), OK);
	arrival_free(arrival);
}

/* Moves a device in whose messages came at these times (0: nobody says), and its token. */
static struct arrived move_in(struct fixture *f, int64_t authenticate_at, int64_t set_up_at,
			      const char *token, int64_t token_at)
{
	struct migrant migrant = {.udid = UDID,
				  .authenticate_at = authenticate_at,
				  .token_update_at = set_up_at,
				  .token_at = token_at,
				  .seen_at = MARCH,
				  .from = "a test"};
	struct arrived arrived;
	put(&migrant.authenticate, AUTHENTICATE);
	put(&migrant.token_update, SET_UP);
	if (token)
		put(&migrant.token, token);
	arrive(f, &migrant, &arrived);
	secret_free(&migrant.authenticate);
	secret_free(&migrant.token_update);
	secret_free(&migrant.token);
	return arrived;
}

static void send(struct fixture *f, const char *text)
{
	struct writer *writer;
	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, text, strlen(text), 0), OK);
	writer_free(writer);
}

static const char *word(struct fixture *f, struct device *device)
{
	assert_int_equal(escrow_search_udid(f->escrow, UDID, device), OK);
	return status_word(device->status);
}

static int64_t lines(struct fixture *f)
{
	struct trail_end end;
	assert_int_equal(escrow_trail_end(f->escrow, &end), OK);
	return end.seq;
}

/* Whatever came after what, there or here. */
static void migrant_never_stale(void **state)
{
	struct fixture *f = *state;
	struct device device;
	/* There it was set up anew after it had escrowed; then enrolled and set up once more. */
	assert_int_equal(move_in(f, MARCH + HOUR, MARCH + 2 * HOUR, "one", MARCH).tokens_new, 1);
	assert_string_equal(word(f, &device), "escrowed");
	(void)move_in(f, MARCH + 3 * HOUR, MARCH + 4 * HOUR, "one", MARCH);
	assert_string_equal(word(f, &device), "escrowed");
	(void)move_in(f, 0, 0, NULL, 0);
	assert_string_equal(word(f, &device), "escrowed");
	/* Here it enrolled again, which doesn't say that it was set up anew; nor does the source. */
	send(f, AUTHENTICATE);
	assert_string_equal(word(f, &device), "escrowed");
	(void)move_in(f, time_now(), time_now(), "one", MARCH);
	assert_string_equal(word(f, &device), "escrowed");
	/* The device's own message does. */
	send(f, SET_UP);
	assert_string_equal(word(f, &device), "stale");
	(void)move_in(f, time_now(), time_now(), "one", MARCH);
	assert_string_equal(word(f, &device), "stale");
}

static void migrant_twice(void **state)
{
	struct fixture *f = *state;
	static const int64_t times[][3] = {
		{MARCH, MARCH + HOUR, MARCH + 2 * HOUR}, /* as NanoMDM's files say */
		{0, 0, 0},				 /* as a table without times */
		{0, 0, MARCH - HOUR},
		{MARCH + 5 * HOUR, 0, 0},
	};
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		char token[16];
		struct device before, after;
		snprintf(token, sizeof token, "token %zu", i);
		struct arrived first = move_in(f, times[i][0], times[i][1], token, times[i][2]);
		assert_true(first.had_effect && first.tokens_new == 1);
		assert_int_equal(first.device_new, i == 0);
		int64_t trail = lines(f);
		(void)word(f, &before);
		struct arrived second = move_in(f, times[i][0], times[i][1], token, times[i][2]);
		assert_false(second.had_effect || second.device_new || second.tokens_new);
		assert_int_equal(second.tokens_same, 1);
		assert_true(second.token_tag == first.token_tag);
		(void)word(f, &after);
		assert_int_equal(lines(f), trail);
		assert_true(after.security_at == before.security_at &&
			    after.token_at == before.token_at);
	}
}

/* ---- what sources leave in memory ---- */

struct watched {
	int refused, visible, kept;
};

static void on_refused(void *context, const struct refused *refused)
{
	struct watched *watched = context;
	watched->refused++;
	watched->visible += needles(true);
	watched->kept += needles(false);
	assert_null(memmem(refused->why, strlen(refused->why), "ABCDEFGH", 8));
}

static void on_progress(void *context, const struct intake_counts *counts)
{
	(void)context;
	(void)counts;
}

/* (A sanitizer keeps what is freed, to find who uses it.) */
static void assert_none_visible(const struct watched *watched)
{
	if (secret_wipes_frees())
		assert_int_equal(watched->visible, 0);
}

static struct intake_counts take_in(struct fixture *f, struct watched *watched)
{
	struct intake_watch watch = {
		.refused = on_refused, .progress = on_progress, .context = watched};
	struct intake_counts counts;
	struct intake *intake;
	size_t used = CRYPTO_secure_used();
	*watched = (struct watched){0};
	assert_int_equal(intake_new(f->escrow, &me, &watch, &stop, &intake), OK);
	assert_int_equal(intake_source(intake, f->source), OK);
	assert_int_equal(intake_end(intake, &counts), OK);
	intake_free(intake);
	assert_int_equal(CRYPTO_secure_used(), used);
	if (secret_wipes_frees())
		assert_int_equal(needles(false), 0);
	return counts;
}

/* Writes a file, in which '$' stands for the needle, past every buffer of this process. */
static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	setvbuf(out, NULL, _IONBF, 0);
	for (const char *c = text; *c; c++)
		for (int i = 0; i < (*c == '$' ? NEEDLE : 1); i++)
			fputc(*c == '$' ? needle(i) : *c, out);
	fclose(out);
}

static void row_in_secret(void **state)
{
	struct fixture *f = *state;
	struct watched watched;
	/* While the third line is refused the ones before it wait for their batch. */
	write_file(f->source, "udid,authenticate,token\nU-1,,$\nU-2,$,$\nU-3,\n");
	struct intake_counts counts = take_in(f, &watched);
	assert_int_equal(counts.tokens_new, 1);
	assert_int_equal(counts.refused, 2);
	assert_none_visible(&watched);
	assert_true(watched.kept > 3);
}

static void enrolment_in_secret(void **state)
{
	struct fixture *f = *state;
	struct watched watched;
	static const char *const names[] = {"U-1", "U-2", "U-3"};
	assert_int_equal(mkdir(f->source, 0700), 0);
	for (int i = 0; i < 3; i++) {
		char path[200];
		snprintf(path, sizeof path, "%s/%s", f->source, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof path, "%s/%s/BootstrapToken.dat", f->source, names[i]);
		write_file(path, "a token $");
		snprintf(path, sizeof path, "%s/%s/Authenticate.plist", f->source, names[i]);
		if (i == 1) /* it is another's, and so is its token */
			write_file(path, AUTHENTICATE);
		if (i == 2)
			write_file(path, "$");
	}
	struct intake_counts counts = take_in(f, &watched);
	assert_int_equal(counts.tokens_new, 1);
	assert_int_equal(counts.refused, 2);
	assert_none_visible(&watched);
}

#define SET(udid, token)                                                                           \
	"<plist version=\"1.0\"><dict><key>MessageType</key><string>SetBootstrapToken</string>"    \
	"<key>UDID</key><string>" udid "</string><key>BootstrapToken</key><data>" token            \
	"</data></dict></plist>\n"

static void stream_in_secret(void **state)
{
	struct fixture *f = *state;
	struct watched watched;
	/* One that is taken, one of a device that is none, one that is cut off by the next. */
	write_file(f->source, SET("U-1", "$") SET("no udid", "$") "<plist version=\"1.0\"><dict>"
								  "<data>$</data>" SET("U-2", "$"));
	struct intake_counts counts = take_in(f, &watched);
	assert_true(counts.tokens_new >= 1);
	assert_true(watched.refused >= 1);
	assert_none_visible(&watched);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(migrant_never_stale), WITH_STORE(migrant_twice),
		WITH_STORE(row_in_secret),	 WITH_STORE(enrolment_in_secret),
		WITH_STORE(stream_in_secret),
	};
	if (secret_prepare(HEAP) != OK)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
