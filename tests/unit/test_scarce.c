/*
 * No memory: malloc(3) fails once, or from then on, at each of its calls in turn, and whatever is done
 * meanwhile ends in an error or is done whole. Nothing crashes, and the store is as before or as asked.
 *
 * Where this program's free() is (wipe.c), malloc(3) is this file's, for the libraries too. Sanitizers and
 * valgrind have their own; there the calls of the program's own files fail (the Makefile wraps them).
 */
#include "escrow.h"
#include "seal.h"

#include <openssl/kdf.h>

#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define OTHER "00000000-0000-4000-8000-000000000001"
#define TOKEN_1 "Ym9vdHN0cmFwLXRva2VuLW9uZQ=="
#define TOKEN_2 "Ym9vdHN0cmFwLXRva2VuLXR3bw=="
#define MESSAGE(type, more)                                                                        \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>"                \
	"<key>MessageType</key><string>" type "</string><key>UDID</key><string>" UDID              \
	"</string>" more "</dict></plist>\n"

/* ---- a malloc(3) that fails ---- */

static _Thread_local struct {
	bool armed, for_good, failed;
	long left; /* calls that still succeed */
} scarce;

/* libplist uses what it got without a look at it, and can't be made to fail: where its code lies. */
static uintptr_t plist_from, plist_to;

static int find_plist(struct dl_phdr_info *library, size_t size, void *context)
{
	(void)size, (void)context;
	if (!strstr(library->dlpi_name, "libplist"))
		return 0;
	for (int i = 0; i < library->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &library->dlpi_phdr[i];
		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
			continue;
		plist_from = library->dlpi_addr + part->p_vaddr;
		plist_to = plist_from + part->p_memsz;
	}
	return 1;
}

/* Neither has OpenSSL 3.0's X963KDF a look at its context: how large that is. Blocks of that size are there. */
static bool kdf_learns;
static size_t kdf_size;

static void find_kdf(void)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "X963KDF", NULL);
	kdf_learns = true;
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	kdf_learns = false;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static bool of_plist(const void *caller)
{
	return (uintptr_t)caller >= plist_from && (uintptr_t)caller < plist_to;
}

static bool denied(const void *caller, size_t size)
{
	if (kdf_learns && size > kdf_size)
		kdf_size = size;
	if (!scarce.armed || size == kdf_size || of_plist(caller))
		return false;
	if (scarce.left-- > 0)
		return false;
	if (!scarce.for_good && scarce.failed)
		return false;
	scarce.failed = true;
	errno = ENOMEM;
	return true;
}

#define DENIED(size) denied(__builtin_return_address(0), size)

#ifdef THEIR_FREE
extern void *__real_malloc(size_t);
extern void *__real_calloc(size_t, size_t);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);

void *__wrap_malloc(size_t size)
{
	return DENIED(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return DENIED(count * size) ? NULL : __real_calloc(count, size);
}

#else
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);

void *malloc(size_t size)
{
	return DENIED(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return DENIED(count * size) ? NULL : __libc_calloc(count, size);
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = DENIED(size) ? NULL : __libc_malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}
#endif

extern void *__real_realloc(void *, size_t);
void *__wrap_realloc(void *, size_t);

void *__wrap_realloc(void *block, size_t size)
{
	return DENIED(size) ? NULL : __real_realloc(block, size);
}

/* ---- the store ---- */

struct fixture {
	char dir[64], store[96], key[128];
	struct escrow *escrow;
	struct device device;
};

static const struct actor me = {.uid = 7, .gid = 7, .pid = 77, .loginuid = -1, .command = "test"};

static enum error open_escrow(const struct fixture *f, struct escrow **out)
{
	struct escrow_options options = {
		.store = f->store, .mode = ESCROW_SERVE, .holder = "a unit test"};
	return escrow_open(&options, out);
}

static enum error put(struct fixture *f, enum writer_target target, const char *text, bool get)
{
	struct writer *writer = NULL;
	const void *reply;
	size_t n;
	enum error result = writer_new(f->escrow, target,
				       target == WRITER_CHECKIN ? 0 : f->device.id, get, &writer);
	if (result)
		return result;
	result = writer_write(writer, &me, text, strlen(text), 0);
	if (!result)
		result = writer_flush(writer, &me);
	if (!result && get)
		result = writer_read(writer, &me, 4096, &reply, &n);
	writer_free(writer);
	return result;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	if (!f)
		return -1;
	snprintf(f->dir, sizeof f->dir, "/tmp/escrow-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->store, sizeof f->store, "%s/store", f->dir);
	struct escrow_born born;
	struct escrow_birth birth = {.store = f->store, .no_recovery = true};
	assert_int_equal(escrow_init(&birth, &me, &born), OK);
	assert_int_equal(open_escrow(f, &f->escrow), OK);
	assert_int_equal(escrow_device_make(f->escrow, &me, UDID, &f->device), OK);
	assert_int_equal(put(f, WRITER_TOKEN, TOKEN_1 "\n", false), OK);
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

/* ---- what is done meanwhile ---- */

static enum error escrow_1(struct fixture *f)
{
	return put(f, WRITER_TOKEN, TOKEN_1 "\n", false);
}

static enum error escrow_2(struct fixture *f)
{
	return put(f, WRITER_TOKEN, TOKEN_2 "\n", false);
}

static enum error retrieve(struct fixture *f)
{
	SCOPED(secret_free) struct secret text = {0};
	enum error result = escrow_retrieve(f->escrow, &me, f->device.id, &text);
	assert_true(result ? !text.len : text.len == strlen(TOKEN_1) + 1);
	return result;
}

static enum error set(struct fixture *f)
{
	return put(
		f, WRITER_CHECKIN,
		MESSAGE("SetBootstrapToken", "<key>BootstrapToken</key><data>" TOKEN_2 "</data>"),
		false);
}

static enum error get(struct fixture *f)
{
	return put(f, WRITER_CHECKIN, MESSAGE("GetBootstrapToken", ""), true);
}

static enum error authenticate(struct fixture *f)
{
	return put(f, WRITER_CHECKIN,
		   MESSAGE("Authenticate", "<key>SerialNumber</key><string>C02X</string>"
					   "<key>OSVersion</key><string>14.1</string>"),
		   false);
}

static enum error facts(struct fixture *f)
{
	return put(f, WRITER_SECURITY,
		   "{\"EnrolledViaDEP\": true, \"Escrow\": {\"Model\": \"Mac\"}}\n", false);
}

static enum error show(struct fixture *f)
{
	SCOPED(bytes_free) struct bytes text = {0};
	struct device device;
	return escrow_security(f->escrow, f->device.id, &text, &device);
}

static enum error come_and_go(struct fixture *f)
{
	struct device device;
	enum error made = escrow_device_make(f->escrow, &me, OTHER, &device);
	if (made && made != ERR_EXISTS)
		return made;
	return escrow_device_remove(f->escrow, &me, OTHER, &device);
}

static enum error count(struct fixture *f)
{
	SCOPED(bytes_free) struct bytes text = {0};
	return escrow_metrics(f->escrow, &text);
}

static enum error open_again(struct fixture *f)
{
	struct escrow *other = NULL;
	struct escrow_options options = {.store = f->store, .mode = ESCROW_SEALED};
	enum error result = escrow_open(&options, &other);
	if (!result)
		escrow_close(other);
	return result;
}

/* ---- the tests ---- */

static enum error without(struct fixture *f, enum error (*what)(struct fixture *), long calls,
			  bool for_good)
{
	scarce.left = calls;
	scarce.for_good = for_good;
	scarce.failed = false;
	scarce.armed = true;
	enum error result = what(f);
	scarce.armed = false;
	/* A seal that can't be opened for want of memory is none that was damaged. */
	if (result == ERR_BAD_SEAL && strstr(fail_why(), "holds no token"))
		fail_msg("%s", fail_why());
	return result;
}

static void is_whole(struct fixture *f)
{
	SCOPED(secret_free) struct secret text = {0};
	assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
	assert_int_equal(text.len, strlen(TOKEN_1) + 1);
	assert_true(memcmp(text.data, TOKEN_1, strlen(TOKEN_1)) == 0 ||
		    memcmp(text.data, TOKEN_2, strlen(TOKEN_2)) == 0);
}

/* Until it needs no more calls than are granted, it fails, or did without the one that failed. */
static void starve(struct fixture *f, enum error (*what)(struct fixture *), bool for_good)
{
	long calls = 0, failures = 0;
	for (;; calls++) {
		enum error result = without(f, what, calls, for_good);
		failures += result != OK;
		if (!scarce.failed) {
			assert_int_equal(result, OK);
			break;
		}
	}
	assert_true(failures > 0);
	is_whole(f);
}

static void starves(struct fixture *f, enum error (*what)(struct fixture *))
{
	starve(f, what, false);
	starve(f, what, true);
}

#define STARVES(name)                                                                              \
	static void scarce_##name(void **state)                                                    \
	{                                                                                          \
		starves(*state, name);                                                             \
	}
STARVES(retrieve)
STARVES(set)
STARVES(get)
STARVES(authenticate)
STARVES(facts)
STARVES(show)
STARVES(come_and_go)
STARVES(count)
STARVES(open_again)

/* The size that stat(2) shows is the text's. */
static void size_is_right(struct fixture *f)
{
	SCOPED(bytes_free) struct bytes text = {0};
	struct device device;
	assert_int_equal(escrow_security(f->escrow, f->device.id, &text, &device), OK);
	assert_int_equal(text.len, device.security_size);
}

/*
 * The token that is acknowledged is the one that is there; else it is the one before. A device of its
 * own each time, so that there is no more to do each time than before.
 */
static void scarce_escrow(void **state)
{
	struct fixture *f = *state;
	for (int for_good = 0; for_good < 2; for_good++) {
		bool enough = false;
		for (long calls = 0; !enough; calls++) {
			char udid[32];
			snprintf(udid, sizeof udid, "D-%d-%ld", for_good, calls);
			assert_int_equal(escrow_device_make(f->escrow, &me, udid, &f->device), OK);
			assert_int_equal(escrow_1(f), OK);
			enum error result = without(f, escrow_2, calls, for_good);
			enough = !scarce.failed;
			SCOPED(secret_free) struct secret text = {0};
			assert_int_equal(escrow_retrieve(f->escrow, &me, f->device.id, &text), OK);
			assert_memory_equal(text.data, result ? TOKEN_1 : TOKEN_2, strlen(TOKEN_1));
			size_is_right(f);
		}
	}
}

/* ERR_MEMORY, or the right one. */
static bool digests(enum error *result)
{
	static const uint8_t expected[SEAL_DIGEST] = {
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
		0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
		0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	uint8_t digest[SEAL_DIGEST];
	*result = seal_digest("abc", 3, digest);
	return *result ? *result == ERR_MEMORY : memcmp(digest, expected, SEAL_DIGEST) == 0;
}

enum first_look { LOOK_WRONG, LOOK_WHOLE, LOOK_RECOVERED, LOOK_LOST };

/* In a process that looks OpenSSL's algorithms up for the first time. */
static enum first_look first_look(long calls, bool for_good)
{
	int status;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		enum error first, second;
		scarce.left = calls;
		scarce.for_good = for_good;
		scarce.armed = true;
		bool right = digests(&first);
		scarce.armed = false;
		right = digests(&second) && right;
		_exit(!right	       ? LOOK_WRONG
		      : !scarce.failed ? LOOK_WHOLE
		      : second == OK   ? LOOK_RECOVERED
				       : LOOK_LOST);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum first_look)WEXITSTATUS(status);
}

/*
 * It fails, or is right. With memory again all is looked up that couldn't be, as far as OpenSSL 3.0 can:
 * what it failed to make in the midst of its own first look at a provider it doesn't find later either.
 */
static void scarce_first_look(void **state)
{
	(void)state;
	for (int for_good = 0; for_good < 2; for_good++) {
		int times[] = {0, 0, 0, 0};
		for (long calls = 0; !times[LOOK_WHOLE]; calls++)
			times[first_look(calls, for_good)]++;
		assert_int_equal(times[LOOK_WRONG], 0);
#ifndef THEIR_FREE
		assert_true(times[LOOK_RECOVERED] > 0);
#endif
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		cmocka_unit_test(scarce_first_look),
		ON_A_STORE(scarce_escrow),
		ON_A_STORE(scarce_retrieve),
		ON_A_STORE(scarce_set),
		ON_A_STORE(scarce_get),
		ON_A_STORE(scarce_authenticate),
		ON_A_STORE(scarce_facts),
		ON_A_STORE(scarce_show),
		ON_A_STORE(scarce_come_and_go),
		ON_A_STORE(scarce_count),
		ON_A_STORE(scarce_open_again),
	};
	dl_iterate_phdr(find_plist, NULL);
	find_kdf();
	if (secret_prepare(1 << 20))
		return 1;
	return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
