/*
 * The escrow on a real store: tokens, writers, check-ins, and the MUST clauses of escrow.h,
 * token.c and writer.c.
 */
#include "escrow.h"
#include "base64.h"
#include "text.h"

#include <openssl/crypto.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define TOKEN_1 "Ym9vdHN0cmFwLXRva2VuLW9uZQ=="
#define TOKEN_2 "Ym9vdHN0cmFwLXRva2VuLXR3bw=="
#define PLIST(body)                                                                                \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>" body           \
	"</dict></plist>\n"
#define PAIR(key, value) "<key>" key "</key><string>" value "</string>"
#define FROM(udid, type, more) PLIST(PAIR("MessageType", type) PAIR("UDID", udid) more)

struct fixture {
	char dir[64], store[96];
	struct escrow *escrow;
	struct device device;
};

static const struct actor me = {.uid = 7, .gid = 7, .pid = 77, .loginuid = -1, .command = "test"};

static struct escrow *open_escrow(const struct fixture *f)
{
	struct escrow_options options = {
		.store = f->store, .mode = ESCROW_SERVE, .holder = "a unit test"};
	struct escrow *escrow = NULL;
	assert_int_equal(escrow_open(&options, &escrow), OK);
	return escrow;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/escrow-test-XXXXXX");
	if (!f || !mkdtemp(f->dir))
		return -1;
	snprintf(f->store, sizeof f->store, "%s/store", f->dir);
	struct escrow_born born;
	/* A recovery key takes its time to make, under valgrind above all: tests of init have one. */
	struct escrow_birth birth = {.store = f->store, .no_recovery = true};
	assert_int_equal(escrow_init(&birth, &me, &born), OK);
	assert_int_equal(born.recipients, 1);
	f->escrow = open_escrow(f);
	assert_int_equal(escrow_device_make(f->escrow, &me, UDID, &f->device), OK);
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

/* ---- helpers ---- */

static enum error write_to(struct fixture *f, enum writer_target target, const char *text)
{
	struct writer *writer;
	int64_t id = target == WRITER_CHECKIN ? 0 : f->device.id;
	assert_int_equal(writer_new(f->escrow, target, id, false, &writer), OK);
	enum error result = writer_write(writer, &me, text, strlen(text), 0);
	if (!result)
		result = writer_flush(writer, &me);
	writer_free(writer);
	return result;
}

/* The last `n` bytes of the trail, as text. */
static const char *trail(struct fixture *f)
{
	static char text[65536];
	struct trail_end end;
	size_t n, want = sizeof text - 1;
	assert_int_equal(escrow_trail_end(f->escrow, &end), OK);
	uint64_t from = end.size > want ? end.size - want : 0;
	assert_int_equal(escrow_trail_read(f->escrow, from, text, want, &n), OK);
	text[n] = 0;
	return text;
}

/* The trail's last line. */
static const char *last_line(struct fixture *f)
{
	const char *text = trail(f);
	const char *line = text;
	for (const char *c = text; *c; c++)
		if (*c == '\n' && c[1])
			line = c + 1;
	return line;
}

static int64_t lines(struct fixture *f)
{
	struct trail_end end;
	assert_int_equal(escrow_trail_end(f->escrow, &end), OK);
	return end.seq;
}

#define assert_says(text, part) assert_non_null(strstr(text, part))

static void assert_token(struct fixture *f, const char *base64)
{
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
	if (!base64) {
		assert_int_equal(text.len, 0);
		return;
	}
	assert_int_equal(text.len, strlen(base64) + 1);
	assert_memory_equal(text.data, base64, strlen(base64));
	assert_int_equal(text.data[text.len - 1], '\n');
}

static const char *word(struct fixture *f)
{
	assert_int_equal(escrow_device(f->escrow, f->device.id, &f->device), OK);
	return status_word(f->device.status);
}

/* ---- MUST clauses ---- */

static void retrieve_records_first(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	SCOPED(secret_free) struct secret text = {0};
	int64_t before = lines(f);
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
	/* What another process sees on the disk by the time that bytes are here. */
	struct escrow_options options = {.store = f->store, .mode = ESCROW_SEALED};
	struct escrow *other;
	assert_int_equal(escrow_open(&options, &other), OK);
	struct trail_end end;
	assert_int_equal(escrow_trail_end(other, &end), OK);
	escrow_close(other);
	assert_int_equal(end.seq, before + 1);
	assert_says(last_line(f), "\"action\":\"retrieve\",\"outcome\":\"ok\",\"udid\":\"" UDID
				  "\",\"version\":1,\"uid\":7");
}

/* A GetBootstrapToken, with header lines before it, that is read: what it gives is there or not. */
static bool get_with(struct fixture *f, const char *headers)
{
	char message[1024];
	struct writer *writer;
	const void *data;
	size_t n;
	snprintf(message, sizeof message, "%s%s", headers, FROM(UDID, "GetBootstrapToken", ""));
	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, true, &writer), OK);
	assert_int_equal(writer_write(writer, &me, message, strlen(message), 0), OK);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	bool given = memmem(data, n, "<key>BootstrapToken</key>", 25) != NULL;
	writer_free(writer);
	return given;
}

/* The file as a sealed mount shows it, which is as long as stat(2) says there. */
static void sealed_text(struct fixture *f, struct bytes *text)
{
	struct device device;
	struct escrow_options options = {.store = f->store, .mode = ESCROW_SEALED};
	struct escrow *sealed;
	assert_int_equal(escrow_open(&options, &sealed), OK);
	assert_int_equal(escrow_security(sealed, f->device.id, text, &device), OK);
	assert_int_equal(text->len, device.security_size);
	escrow_close(sealed);
}

/* The file is as long as stat(2) says, and has when the token was retrieved last. */
static void assert_shows_retrieval(struct fixture *f, const struct device *before)
{
	SCOPED(bytes_free) struct bytes text = {0};
	char at[TEXT_TIME];
	assert_int_equal(escrow_security(f->escrow, f->device.id, &text, &f->device), OK);
	assert_int_equal(text.len, f->device.security_size);
	assert_true(f->device.retrieved_at > before->retrieved_at);
	assert_true(f->device.security_at > before->security_at);
	assert_true(f->device.change > before->change);
	assert_int_equal(f->device.token_at, before->token_at);
	time_text(f->device.retrieved_at, at);
	assert_non_null(memmem(text.data, text.len, at, strlen(at)));
	SCOPED(bytes_free) struct bytes sealed = {0};
	sealed_text(f, &sealed);
	assert_non_null(memmem(sealed.data, sealed.len, at, strlen(at)));
}

/* The first retrieval, and each after it, of a device with versions and facts; by hand and by itself. */
static void each_retrieval_shows(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write_to(f, WRITER_SECURITY, "{\"OSVersion\": \"14.5\"}"), OK);
	for (int i = 0; i < 20; i++)
		assert_int_equal(write_to(f, WRITER_TOKEN, i % 2 ? TOKEN_1 "\n" : TOKEN_2 "\n"),
				 OK);
	assert_string_equal(word(f), "escrowed");
	for (int i = 0; i < 8; i++) {
		struct device before = f->device;
		if (i % 4 < 2)
			assert_token(f, TOKEN_1);
		else /* with each other certificate there is more in a sealed mount's */
			assert_true(get_with(f, i % 4 == 2 ? "Identity: "
							     "0011223344556677889900112233445566778"
							     "899001122334455667788990011\n\n"
							   : ""));
		assert_shows_retrieval(f, &before);
	}
	SCOPED(bytes_free) struct bytes sealed = {0};
	sealed_text(f, &sealed);
	assert_non_null(memmem(sealed.data, sealed.len, "0011223344", 10));
	assert_int_equal(write_to(f, WRITER_SECURITY, "{\"OSVersion\": \"15.1.1\"}"), OK);
	struct device before = f->device;
	assert_token(f, TOKEN_1);
	assert_shows_retrieval(f, &before);
}

static void say(void *context, const char *sentence)
{
	(void)context;
	puts(sentence);
}

#define SET(token)                                                                                 \
	FROM(UDID, "SetBootstrapToken", "<key>BootstrapToken</key><data>" token "</data>")
#define ONE_CERTIFICATE                                                                            \
	"Identity: 0011223344556677889900112233445566778899001122334455667788990011\n\n"
#define OTHER_CERTIFICATE                                                                          \
	"Identity: 1111223344556677889900112233445566778899001122334455667788990011\n\n"

/*
 * Whatever comes, in whatever state the device is: both files are as long as stat(2) says, and list all
 * versions. The sizes are worked out from what changed alone.
 */
static void each_escrow_shows(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum writer_target target;
		const char *text, *word;
		int versions;
	} steps[] = {
		{WRITER_TOKEN, TOKEN_1 "\n", "escrowed", 1},
		{WRITER_TOKEN, TOKEN_2 "\n", "escrowed", 2},
		{WRITER_TOKEN, TOKEN_2 "\n", "escrowed", 2},
		{WRITER_CHECKIN, SET(TOKEN_1), "escrowed", 3},
		{WRITER_CHECKIN, FROM(UDID, "SetBootstrapToken", ""), "not_escrowed", 3},
		{WRITER_TOKEN, TOKEN_1 "\n", "escrowed", 4},
		{WRITER_TOKEN, TOKEN_2 "\n", "escrowed", 5},
		{WRITER_CHECKIN, FROM(UDID, "GetBootstrapToken", ""), "escrowed", 5},
		{WRITER_CHECKIN, FROM(UDID, "CheckOut", ""), "unenrolled", 5},
		{WRITER_CHECKIN, SET(TOKEN_1), "escrowed", 6},
		{WRITER_CHECKIN, FROM(UDID, "CheckOut", ""), "unenrolled", 6},
		{WRITER_CHECKIN, SET(TOKEN_1), "escrowed", 6},
		{WRITER_CHECKIN, ONE_CERTIFICATE SET(TOKEN_2), "escrowed", 7},
		{WRITER_CHECKIN, OTHER_CERTIFICATE SET(TOKEN_2), "escrowed", 7},
		{WRITER_CHECKIN, ONE_CERTIFICATE SET(TOKEN_1), "escrowed", 8},
		{WRITER_SECURITY, "{\"OSVersion\": \"14.1\", \"UserApprovedEnrollment\": false}",
		 "escrowed", 8},
		{WRITER_CHECKIN, SET(TOKEN_2), "escrowed", 9},
		{WRITER_CHECKIN, FROM(UDID, "Authenticate", PAIR("OSVersion", "15.2.1")),
		 "escrowed", 9},
		{WRITER_CHECKIN,
		 FROM(UDID, "TokenUpdate", "<key>AwaitingConfiguration</key><true/>"), "stale", 9},
		{WRITER_CHECKIN, SET(TOKEN_2), "escrowed", 9},
		{WRITER_CHECKIN, SET(TOKEN_1), "escrowed", 10},
		{WRITER_TOKEN, TOKEN_2 "\n", "escrowed", 11},
	};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		SCOPED(bytes_free) struct bytes text = {0}, sealed = {0};
		assert_int_equal(write_to(f, steps[i].target, steps[i].text), OK);
		assert_string_equal(word(f), steps[i].word);
		assert_int_equal(escrow_security(f->escrow, f->device.id, &text, &f->device), OK);
		assert_int_equal(text.len, f->device.security_size);
		sealed_text(f, &sealed);
		int versions = 0;
		const char *at = (const char *)text.data;
		while ((at = strstr(at, "\"Number\": ")) != NULL) {
			at++;
			versions++;
		}
		assert_int_equal(versions, steps[i].versions);
	}
	struct escrow_verified verified;
	assert_int_equal(
		escrow_verify(f->escrow, &(struct escrow_verifying){.finding = say}, &verified),
		OK);
	assert_int_equal(verified.findings, 0);
}

static void unrecorded_not_done(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	int64_t before = lines(f);
	struct rlimit limit, full;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	full = (struct rlimit){.rlim_cur = 1, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);

	SCOPED(secret_free) struct secret text = {0};
	enum error retrieved = escrow_retrieve(f->escrow, &me, f->device.id, &text);
	enum error written = write_to(f, WRITER_TOKEN, TOKEN_2 "\n");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

	assert_true(retrieved == ERR_NO_SPACE || retrieved == ERR_IO);
	assert_true(written == ERR_NO_SPACE || written == ERR_IO);
	assert_int_equal(text.len, 0);
	assert_int_equal(lines(f), before);
	assert_token(f, TOKEN_1);
}

static void retrieve_in_secret(void **state)
{
	struct fixture *f = *state;
	size_t used = CRYPTO_secure_used();
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
	if (CRYPTO_secure_malloc_initialized())
		assert_true(CRYPTO_secure_allocated(text.data));
	secret_free(&text);
	assert_int_equal(CRYPTO_secure_used(), used);
}

/* ---- export ---- */

struct taken {
	struct fixture *f;
	int tokens, recorded, secret, refused;
	char last[1024];
};

static enum error take_exported(void *context, const struct exported *token)
{
	struct taken *taken = context;
	taken->refused += token->error != OK;
	if (token->error) {
		snprintf(taken->last, sizeof taken->last, "%s", token->why);
		return OK;
	}
	taken->tokens++;
	taken->recorded += strstr(last_line(taken->f), "\"action\":\"export\"") != NULL;
	taken->secret +=
		!CRYPTO_secure_malloc_initialized() || CRYPTO_secure_allocated(token->text.data);
	snprintf(taken->last, sizeof taken->last, "%.*s", (int)token->text.len,
		 (const char *)token->text.data);
	return OK;
}

static bool always(void *context)
{
	(void)context;
	return true;
}

static enum error export_as(struct fixture *f, enum export_form form, const char *udid,
			    struct taken *taken, int64_t *without)
{
	*taken = (struct taken){.f = f};
	return escrow_export(f->escrow, &me,
			     &(struct exporting){.form = form,
						 .where = "to a test",
						 .udids = &udid,
						 .udid_count = udid ? 1 : 0,
						 .each = take_exported,
						 .going_on = always,
						 .context = taken},
			     without);
}

static void export_in_secret(void **state)
{
	struct fixture *f = *state;
	struct taken taken;
	int64_t without;
	size_t used = CRYPTO_secure_used();
	assert_int_equal(export_as(f, EXPORT_BASE64, NULL, &taken, &without), OK);
	assert_true(taken.tokens == 0 && without == 1);
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(export_as(f, EXPORT_BASE64, NULL, &taken, &without), OK);
	assert_true(taken.tokens == 1 && taken.recorded == 1 && taken.secret == 1 && !without);
	assert_string_equal(taken.last, TOKEN_1);
	assert_int_equal(export_as(f, EXPORT_MESSAGE, "9353bc9a-5cf9-4c9e-9ad4-8d1e41d5fe3e",
				   &taken, &without),
			 OK);
	assert_non_null(strstr(taken.last, TOKEN_1));
	assert_non_null(strstr(taken.last, UDID));
	assert_int_equal(export_as(f, EXPORT_BASE64, "NOBODY", &taken, &without), OK);
	assert_true(taken.refused == 1 && strstr(taken.last, "NOBODY"));
	assert_int_equal(CRYPTO_secure_used(), used);
}

/* ---- replies ---- */

static void get_needs_reading(void **state)
{
	struct fixture *f = *state;
	const char *get = FROM(UDID, "GetBootstrapToken", "");
	const void *data;
	size_t n;
	struct writer *writer;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, get, strlen(get), 0), OK);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	assert_int_equal(n, 0);
	writer_free(writer);
	assert_says(last_line(f), "\"action\":\"retrieve\",\"outcome\":\"none\"");

	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, true, &writer), OK);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), ERR_INVALID);
	assert_int_equal(writer_write(writer, &me, get, strlen(get), 0), OK);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	assert_true(n > 0 && memmem(data, n, TOKEN_1, strlen(TOKEN_1)) != NULL);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	assert_int_equal(n, 0);
	writer_free(writer);
	assert_says(last_line(f), "\"action\":\"retrieve\",\"outcome\":\"ok\"");
}

/* A reply that was read, and then a refusal, whose sentence is shorter: it is all there is to read. */
static void reply_and_no_more(void **state)
{
	struct fixture *f = *state;
	const char *get = FROM(UDID, "GetBootstrapToken", "");
	static const char said[] = "more bytes came after the message";
	const void *data;
	size_t n, first;
	struct writer *writer;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, true, &writer), OK);
	assert_int_equal(writer_write(writer, &me, get, strlen(get), 0), OK);
	assert_int_equal(writer_read(writer, &me, 65536, &data, &first), OK);
	assert_int_equal(writer_write(writer, &me, "more", 4, strlen(get)), ERR_INVALID);
	assert_int_equal(writer_read(writer, &me, 65536, &data, &n), OK);
	assert_true(n < first && n > strlen(said));
	assert_memory_equal(data, said, strlen(said));
	assert_int_equal(((const char *)data)[n - 1], '\n');
	assert_int_equal(writer_read(writer, &me, 65536, &data, &n), OK);
	assert_int_equal(n, 0);
	writer_free(writer);
}

static void writer_wipes(void **state)
{
	struct fixture *f = *state;
	size_t used = CRYPTO_secure_used();
	assert_int_equal(write_to(f, WRITER_TOKEN, "not base64\n"), ERR_INVALID);
	assert_int_equal(write_to(f, WRITER_TOKEN, "<plist>never ended"), ERR_INVALID);
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1), OK);
	assert_int_equal(write_to(f, WRITER_CHECKIN, FROM(UDID, "GetBootstrapToken", "")), OK);
	assert_int_equal(CRYPTO_secure_used(), used);
	assert_null(strstr(trail(f), "never ended"));
}

static void unfinished_nothing(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *half = "<?xml version=\"1.0\"?><plist><dict>";
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_flush(writer, &me), OK);
	assert_int_equal(writer_write(writer, &me, half, strlen(half), 0), OK);
	assert_int_equal(writer_flush(writer, &me), ERR_INVALID);
	writer_free(writer);
	assert_token(f, TOKEN_1);
	assert_says(trail(f), "closed on an unfinished message");
}

/* Anybody who may write /checkin could fill the secure heap with them. */
static void refusal_takes_no_secure_memory(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const void *data;
	size_t n, used = CRYPTO_secure_used();
	const char *refused = FROM(UDID, "SetBootstrapToken", "<key>BootstrapToken</key><true/>");
	assert_int_equal(writer_new(f->escrow, WRITER_CHECKIN, 0, true, &writer), OK);
	assert_int_equal(writer_write(writer, &me, refused, strlen(refused), 0), ERR_INVALID);
	assert_int_equal(CRYPTO_secure_used(), used);
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	assert_true(n > 10 && ((const char *)data)[n - 1] == '\n');
	assert_int_equal(writer_read(writer, &me, 4096, &data, &n), OK);
	assert_int_equal(n, 0);
	writer_free(writer);
}

/* A descriptor outlives its device: the trail says all the same whose token was refused. */
static void refusal_outlives_device(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	struct device removed;
	const char *half = "<plist>";
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, half, strlen(half), 0), OK);
	assert_int_equal(escrow_device_remove(f->escrow, &me, f->device.udid, &removed), OK);
	writer_free(writer);
	assert_says(last_line(f), "closed on an unfinished message");
	assert_says(last_line(f), f->device.udid);
}

static void same_token_confirms(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_says(last_line(f), "\"action\":\"escrow\"");
	assert_says(last_line(f), "\"version\":1");
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_says(last_line(f), "\"action\":\"confirm\"");
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_2 "\n"), OK);
	assert_says(last_line(f), "\"version\":2");
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_says(last_line(f), "\"version\":3");
	assert_says(last_line(f), "a replay: the token equals version 1");
	assert_token(f, TOKEN_1);
}

/* ---- writers ---- */

static void more_bytes_undo(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *first = TOKEN_2 "\n", *more = TOKEN_1 "\n";
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, first, strlen(first), 0), OK);
	assert_token(f, TOKEN_2);
	assert_int_equal(writer_write(writer, &me, "\n\n ", 3, strlen(first)), OK);
	assert_int_equal(writer_write(writer, &me, more, strlen(more), strlen(first) + 3),
			 ERR_INVALID);
	assert_int_equal(writer_write(writer, &me, more, strlen(more), 0), ERR_INVALID);
	assert_int_equal(writer_flush(writer, &me), ERR_INVALID);
	writer_free(writer);
	assert_token(f, TOKEN_1);
	assert_says(trail(f), "\"action\":\"undo\"");
	assert_string_equal(word(f), "escrowed");
}

static void undo_only_if_current(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *first = TOKEN_1 "\n";
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, first, strlen(first), 0), OK);
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_2 "\n"), OK);
	assert_int_equal(writer_write(writer, &me, "x", 1, strlen(first)), ERR_INVALID);
	writer_free(writer);
	assert_token(f, TOKEN_2);
}

/* A device that confirmed it meanwhile counts on it. */
static void undo_not_what_was_confirmed(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *first = TOKEN_2 "\n";
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, first, strlen(first), 0), OK);
	assert_int_equal(write_to(f, WRITER_CHECKIN,
				  FROM(UDID, "SetBootstrapToken",
				       "<key>BootstrapToken</key><data>" TOKEN_2 "</data>")),
			 OK);
	assert_int_equal(writer_write(writer, &me, "x", 1, strlen(first)), ERR_INVALID);
	writer_free(writer);
	assert_token(f, TOKEN_2);
}

/* A removal is taken back only if nothing happened since. */
static void undo_of_a_removal(void **state)
{
	struct fixture *f = *state;
	const char *remove = PLIST(PAIR("MessageType", "SetBootstrapToken"));
	for (int since = 0; since < 2; since++) {
		struct writer *writer;
		assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
		assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer),
				 OK);
		assert_int_equal(writer_write(writer, &me, remove, strlen(remove), 0), OK);
		assert_token(f, NULL);
		if (since) {
			assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_2 "\n"), OK);
			assert_int_equal(escrow_remove(f->escrow, &me, f->device.id), OK);
		}
		assert_int_equal(writer_write(writer, &me, "x", 1, strlen(remove)), ERR_INVALID);
		writer_free(writer);
		assert_token(f, since ? NULL : TOKEN_1);
	}
}

static void base64_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *text = TOKEN_1;
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	for (size_t i = 0; i < strlen(text); i++)
		assert_int_equal(writer_write(writer, &me, text + i, 1, i), OK);
	assert_token(f, NULL);
	assert_int_equal(writer_flush(writer, &me), OK);
	assert_token(f, TOKEN_1);
	assert_int_equal(writer_flush(writer, &me), OK);
	writer_free(writer);
}

static void empty_text_is_no_removal(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(write_to(f, WRITER_TOKEN, "\n"), ERR_INVALID);
	assert_int_equal(write_to(f, WRITER_TOKEN, ""), OK);
	assert_token(f, TOKEN_1);
	assert_int_equal(write_to(f, WRITER_TOKEN, PLIST(PAIR("MessageType", "SetBootstrapToken"))),
			 OK);
	assert_token(f, NULL);
	assert_string_equal(word(f), "not_escrowed");
}

static void truncate_by_descriptor(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	const char *first = TOKEN_1 "\n";
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, first, strlen(first), 0), OK);
	assert_int_equal(writer_truncate(writer, &me, strlen(first)), OK);
	assert_int_equal(writer_truncate(writer, &me, 3), ERR_INVALID);
	writer_free(writer);
	assert_token(f, TOKEN_1);
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_truncate(writer, &me, 0), OK);
	writer_free(writer);
	assert_token(f, NULL);
}

static void wrong_offsets(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, "YQ==\n", 5, 7), ERR_INVALID);
	assert_int_equal(writer_write(writer, &me, "YQ==\n", 5, 0), ERR_INVALID);
	writer_free(writer);
	assert_token(f, NULL);
}

static void limits(void **state)
{
	struct fixture *f = *state;
	struct writer *writer;
	SCOPED(bytes_free) struct bytes big = {0};
	for (int i = 0; i < 64 * 1024 / 4; i++)
		assert_int_equal(bytes_add(&big, "YWFh", 4), OK);
	assert_int_equal(writer_new(f->escrow, WRITER_TOKEN, f->device.id, false, &writer), OK);
	assert_int_equal(writer_write(writer, &me, big.data, big.len, 0), OK);
	assert_int_equal(writer_write(writer, &me, "Y", 1, big.len), ERR_TOO_BIG);
	assert_int_equal(writer_flush(writer, &me), ERR_TOO_BIG);
	writer_free(writer);
	assert_token(f, NULL);
	/* The newline that the file shows behind the longest token is taken too, and no more. */
	assert_int_equal(bytes_add(&big, "\n", 1), OK);
	assert_int_equal(write_to(f, WRITER_TOKEN, (char *)big.data), OK);
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
	assert_int_equal(text.len, big.len);
	assert_int_equal(bytes_add(&big, "\n", 1), OK);
	assert_int_equal(write_to(f, WRITER_TOKEN, (char *)big.data), ERR_TOO_BIG);
}

/* ---- check-ins ---- */

static void checkin_life(void **state)
{
	struct fixture *f = *state;
	const char *set = FROM(UDID, "SetBootstrapToken",
			       "<key>BootstrapToken</key><data>" TOKEN_1 "</data>");
	const char *awaiting = FROM(UDID, "TokenUpdate", "<key>AwaitingConfiguration</key><true/>");
	assert_int_equal(
		write_to(f, WRITER_CHECKIN, FROM(UDID, "Authenticate", PAIR("OSVersion", "14.1"))),
		OK);
	assert_int_equal(write_to(f, WRITER_CHECKIN, awaiting), OK);
	assert_string_equal(word(f), "not_escrowed");
	assert_int_equal(write_to(f, WRITER_CHECKIN, set), OK);
	assert_string_equal(word(f), "escrowed");
	assert_token(f, TOKEN_1);
	/* A renewed certificate: the word stays. */
	assert_int_equal(write_to(f, WRITER_CHECKIN, FROM(UDID, "Authenticate", "")), OK);
	assert_string_equal(word(f), "escrowed");
	assert_int_equal(write_to(f, WRITER_CHECKIN, awaiting), OK);
	assert_string_equal(word(f), "stale");
	assert_token(f, TOKEN_1);
	assert_int_equal(write_to(f, WRITER_CHECKIN, set), OK);
	assert_string_equal(word(f), "escrowed");
	assert_int_equal(write_to(f, WRITER_CHECKIN, FROM(UDID, "CheckOut", "")), OK);
	assert_string_equal(word(f), "unenrolled");
	assert_token(f, TOKEN_1);
	assert_int_equal(write_to(f, WRITER_CHECKIN, FROM(UDID, "TokenUpdate", "")), OK);
	assert_string_equal(word(f), "escrowed");
}

/* With no token it takes none away, but the device is enrolled again, and the trail says so. */
static void set_without_a_token_enrols(void **state)
{
	struct fixture *f = *state;
	const char *none = FROM(UDID, "SetBootstrapToken", "");
	assert_int_equal(write_to(f, WRITER_CHECKIN, FROM(UDID, "CheckOut", "")), OK);
	assert_string_equal(word(f), "unenrolled");
	assert_int_equal(write_to(f, WRITER_CHECKIN, none), OK);
	assert_string_equal(word(f), "not_escrowed");
	assert_says(last_line(f), "\"action\":\"enrol\"");
	assert_says(last_line(f), "SetBootstrapToken without a token: enrolled again");
}

#define HOOK(time, payload)                                                                        \
	"{\"created_at\": \"" time "\", \"checkin_event\": {\"raw_payload\": \"" payload "\"}}"

/* A message that is late changes nothing that happened after it; its token is kept all the same. */
static void late_token(void **state)
{
	struct fixture *f = *state;
	const char *set = FROM(UDID, "SetBootstrapToken",
			       "<key>BootstrapToken</key><data>" TOKEN_2 "</data>");
	const char *none = FROM(UDID, "SetBootstrapToken", "");
	char payload[1024], hook[2048];
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	for (int i = 0; i < 3; i++) {
		const char *text = i < 2 ? set : none;
		base64_encode((const uint8_t *)text, strlen(text), (uint8_t *)payload);
		payload[BASE64_ENCODED(strlen(text))] = 0;
		snprintf(hook, sizeof hook, HOOK("2020-01-01T00:00:00Z", "%s"), payload);
		assert_int_equal(write_to(f, WRITER_CHECKIN, hook), OK);
		assert_token(f, TOKEN_1);
	}
	SCOPED(bytes_free) struct bytes text = {0};
	struct device device;
	assert_int_equal(escrow_security(f->escrow, f->device.id, &text, &device), OK);
	assert_says((char *)text.data, "\"Number\": 2");
	assert_says((char *)text.data, "\"EscrowedAt\": \"2020-01-01T00:00:00.000Z\"");
	assert_null(strstr((char *)text.data, "\"Number\": 3"));
	/* In time it is taken. */
	base64_encode((const uint8_t *)set, strlen(set), (uint8_t *)payload);
	payload[BASE64_ENCODED(strlen(set))] = 0;
	snprintf(hook, sizeof hook, HOOK("", "%s"), payload);
	assert_int_equal(write_to(f, WRITER_CHECKIN, hook), OK);
	assert_token(f, TOKEN_2);
}

/* ---- a token that goes while it is being retrieved ---- */

#define RACERS 4
#define ROUNDS 60

struct racer {
	struct fixture *fixture;
	bool leaves; /* or asks for the token */
	int got;
};

static enum error say_to(struct racer *racer, const char *text, bool *token)
{
	struct writer *writer;
	const void *data;
	size_t n = 0;
	TRY(writer_new(racer->fixture->escrow, WRITER_CHECKIN, 0, true, &writer));
	enum error result = writer_write(writer, &me, text, strlen(text), 0);
	if (!result)
		result = writer_read(writer, &me, 4096, &data, &n);
	*token = n && memmem(data, n, TOKEN_1, strlen(TOKEN_1)) != NULL;
	writer_free(writer);
	return result;
}

static void *race(void *context)
{
	struct racer *racer = context;
	bool token;
	for (int i = 0; i < ROUNDS; i++) {
		if (racer->leaves) {
			(void)say_to(racer, FROM(UDID, "CheckOut", ""), &token);
			(void)say_to(racer, FROM(UDID, "TokenUpdate", ""), &token);
		} else if (say_to(racer, FROM(UDID, "GetBootstrapToken", ""), &token) == OK) {
			racer->got += token;
		}
	}
	return NULL;
}

/* Every reply with a token has its line, however the device comes and goes. */
static void get_race_recorded(void **state)
{
	struct fixture *f = *state;
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	int got = 0, recorded = 0;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){.fixture = f, .leaves = i % 2};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		got += racers[i].got;
	}
	static char text[1 << 20];
	size_t n;
	assert_int_equal(escrow_trail_read(f->escrow, 0, text, sizeof text - 1, &n), OK);
	for (const char *at = text; (at = strstr(at, "\"retrieve\",\"outcome\":\"ok\"")); at++)
		recorded++;
	assert_true(got > 0);
	assert_int_equal(recorded, got);
}

/* ---- an export and escrows at once ---- */

static void *alternate(void *context)
{
	struct fixture *f = context;
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(write_to(f, WRITER_TOKEN, i % 2 ? TOKEN_1 "\n" : TOKEN_2 "\n"),
				 OK);
	return NULL;
}

/* Versions of odd numbers have the first token: each line names the version that left. */
static void export_race_recorded(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	char odd[ROUNDS];
	int count = 0, recorded = 0;
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(pthread_create(&thread, NULL, alternate, f), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct taken taken;
		int64_t without;
		enum error result = export_as(f, EXPORT_BASE64, NULL, &taken, &without);
		assert_true(result == OK || result == ERR_CHANGED);
		if (result == OK)
			odd[count++] = strcmp(taken.last, TOKEN_1) == 0;
	}
	pthread_join(thread, NULL);
	static char text[1 << 20];
	size_t n;
	assert_int_equal(escrow_trail_read(f->escrow, 0, text, sizeof text - 1, &n), OK);
	for (const char *at = text; (at = strstr(at, "\"export\",\"outcome\":\"ok\"")); at++) {
		int version = atoi(strstr(at, "\"version\":") + strlen("\"version\":"));
		assert_true(recorded < count);
		assert_int_equal(version % 2, odd[recorded++]);
	}
	assert_true(count > 0);
	assert_int_equal(recorded, count);
}

static void first_hand_evidence(void **state)
{
	struct fixture *f = *state;
	const char *set = FROM(UDID, "SetBootstrapToken",
			       "<key>BootstrapToken</key><data>" TOKEN_1 "</data>");
	assert_int_equal(write_to(f, WRITER_SECURITY, "{\"OSVersion\": \"10.14.6\"}"), OK);
	assert_string_equal(word(f), "not_supported");
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), ERR_FORBIDDEN);
	assert_says(last_line(f), "\"outcome\":\"EPERM\"");
	assert_int_equal(write_to(f, WRITER_CHECKIN, set), OK);
	assert_string_equal(word(f), "escrowed");
	SCOPED(bytes_free) struct bytes text = {0};
	struct device device;
	assert_int_equal(escrow_security(f->escrow, f->device.id, &text, &device), OK);
	assert_int_equal(text.len, f->device.security_size);
	assert_says((char *)text.data, "out of date (OSVersion)");
	/* By hand it is allowed now as well: nothing known forbids it. */
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_2 "\n"), OK);
}

static void user_enrollment_refused(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(
		write_to(f, WRITER_CHECKIN,
			 PLIST(PAIR("MessageType", "SetBootstrapToken") PAIR(
				 "EnrollmentID", "E-1") "<key>BootstrapToken</key><data>" TOKEN_1
							"</data>")),
		ERR_FORBIDDEN);
	struct device device;
	assert_int_equal(escrow_device_named(f->escrow, "E-1", &device), ERR_NOT_FOUND);
}

static void verify_is_clean(void **state)
{
	struct fixture *f = *state;
	checkin_life(state);
	more_bytes_undo(state);
	struct escrow_verified verified;
	assert_int_equal(
		escrow_verify(f->escrow, &(struct escrow_verifying){.finding = say}, &verified),
		OK);
	assert_int_equal(verified.findings, 0);
	assert_true(verified.lines > 10 && verified.opened == verified.versions &&
		    verified.versions > 1);
}

/* Whole tokens, and one whose seal holds another's. */
static void verify_leaves_no_secret(void **state)
{
	struct fixture *f = *state;
	char command[256];
	struct escrow_verified verified;
	for (int i = 0; i < 20; i++)
		assert_int_equal(write_to(f, WRITER_TOKEN, i % 2 ? TOKEN_1 "\n" : TOKEN_2 "\n"),
				 OK);
	escrow_close(f->escrow);
	snprintf(command, sizeof command,
		 "sqlite3 '%s/escrow.db' 'UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE "
		 "version = 1) WHERE version = 2'",
		 f->store);
	assert_int_equal(system(command), 0);
	f->escrow = open_escrow(f);
	size_t used = CRYPTO_secure_used();
	assert_int_equal(
		escrow_verify(f->escrow, &(struct escrow_verifying){.finding = say}, &verified),
		OK);
	assert_int_equal(verified.opened, 19);
	assert_true(verified.findings > 0);
	assert_int_equal(CRYPTO_secure_used(), used);
}

static void keyless_escrows(void **state)
{
	struct fixture *f = *state;
	char key[128], away[128];
	snprintf(key, sizeof key, "%s.key.pem", f->store);
	snprintf(away, sizeof away, "%s/away", f->dir);
	escrow_close(f->escrow);
	assert_int_equal(rename(key, away), 0);
	f->escrow = open_escrow(f);
	assert_false(escrow_has_key(f->escrow));
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_int_equal(write_to(f, WRITER_TOKEN, TOKEN_1 "\n"), OK);
	assert_says(last_line(f), "\"action\":\"confirm\"");
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), ERR_NO_KEY);
	assert_says(last_line(f), "\"outcome\":\"ENOKEY\"");
	assert_int_equal(text.len, 0);
}

static void init_overwrites_nothing(void **state)
{
	struct fixture *f = *state;
	struct escrow_born born;
	struct escrow_birth birth = {.store = f->store};
	assert_int_equal(escrow_init(&birth, &me, &born), ERR_EXISTS);
	char other[128], key[160];
	snprintf(other, sizeof other, "%s/other", f->dir);
	snprintf(key, sizeof key, "%s.recovery.pem", other);
	FILE *file = fopen(key, "w");
	assert_non_null(file);
	fclose(file);
	birth.store = other;
	assert_int_equal(escrow_init(&birth, &me, &born), ERR_EXISTS);
	struct stat st;
	assert_int_not_equal(stat(other, &st), 0);
	assert_int_equal(stat(key, &st), 0);
}

#define MOUNTED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(retrieve_records_first),
		MOUNTED(each_retrieval_shows),
		MOUNTED(each_escrow_shows),
		MOUNTED(unrecorded_not_done),
		MOUNTED(retrieve_in_secret),
		MOUNTED(export_in_secret),
		MOUNTED(get_needs_reading),
		MOUNTED(reply_and_no_more),
		MOUNTED(writer_wipes),
		MOUNTED(unfinished_nothing),
		MOUNTED(refusal_takes_no_secure_memory),
		MOUNTED(refusal_outlives_device),
		MOUNTED(same_token_confirms),
		MOUNTED(more_bytes_undo),
		MOUNTED(undo_only_if_current),
		MOUNTED(undo_not_what_was_confirmed),
		MOUNTED(undo_of_a_removal),
		MOUNTED(set_without_a_token_enrols),
		MOUNTED(late_token),
		MOUNTED(get_race_recorded),
		MOUNTED(export_race_recorded),
		MOUNTED(base64_in_pieces),
		MOUNTED(empty_text_is_no_removal),
		MOUNTED(truncate_by_descriptor),
		MOUNTED(wrong_offsets),
		MOUNTED(limits),
		MOUNTED(checkin_life),
		MOUNTED(first_hand_evidence),
		MOUNTED(user_enrollment_refused),
		MOUNTED(verify_is_clean),
		MOUNTED(verify_leaves_no_secret),
		MOUNTED(keyless_escrows),
		MOUNTED(init_overwrites_nothing),
	};
	if (secret_prepare(1 << 20))
		return 1;
	return cmocka_run_group_tests_name("escrow", tests, NULL, NULL);
}
