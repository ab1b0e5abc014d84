/* Secure memory, and the MUST clauses of secret.h and wipe.c. */
#include "secret.h"

#include "seal/wipe.h"
#include "seal_fixture.h"

#include <openssl/crypto.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define HEAP ((size_t)1 << 20)
#define MARK 0xa5

/* Keeps the compiler from knowing what a pointer points to. */
#define HIDE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

static int marks(const uint8_t *at, size_t n)
{
	int found = 0;
	for (size_t i = 0; i < n; i++)
		found += at[i] == MARK;
	return found;
}

static void secret_wiped_on_free(void **state)
{
	(void)state;
	assert_true(CRYPTO_secure_malloc_initialized());
	struct secret secret;
	assert_int_equal(secret_new(4096, &secret), OK);
	assert_true(CRYPTO_secure_allocated(secret.data));
	memset(secret.data, MARK, 4096);
	secret.len = 100;
	const uint8_t *place = secret.data;
	secret_free(&secret);
	HIDE(place);
	assert_int_equal(marks(place, 4096), 0);
	assert_null(secret.data);
	assert_int_equal(secret.len, 0);
	assert_int_equal(secret.cap, 0);
	secret_free(&secret); /* twice is safe */
}

static void secret_wiped_on_growth(void **state)
{
	(void)state;
	assert_true(CRYPTO_secure_malloc_initialized());
	SCOPED(secret_free) struct secret secret;
	uint8_t piece[1000];
	memset(piece, MARK, sizeof piece);
	assert_int_equal(secret_new(sizeof piece, &secret), OK);
	const uint8_t *place = secret.data;
	assert_int_equal(secret_add(&secret, piece, sizeof piece), OK);
	assert_ptr_equal(secret.data, place);
	assert_int_equal(secret_add(&secret, piece, sizeof piece), OK);
	assert_ptr_not_equal(secret.data, place);
	HIDE(place);
	assert_int_equal(marks(place, sizeof piece), 0);
	assert_int_equal(secret.len, 2 * sizeof piece);
	assert_int_equal(marks(secret.data, secret.len), 2 * sizeof piece);
}

/* What is counted as a descriptor's is what the heap gave for it. */
static void secret_counts_what_it_takes(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 33, 512, 513, 1025, 100000};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		SCOPED(secret_free) struct secret secret = {0};
		size_t used = CRYPTO_secure_used();
		assert_int_equal(secret_new(sizes[i], &secret), OK);
		if (CRYPTO_secure_malloc_initialized())
			assert_int_equal(CRYPTO_secure_used() - used, secret.cap);
	}
}

static void secret_of_nothing(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret secret;
	assert_int_equal(secret_new(0, &secret), OK);
	assert_non_null(secret.data);
	assert_int_equal(secret_add(&secret, NULL, 0), OK);
	assert_int_equal(secret_add(&secret, "x", 1), OK);
	assert_int_equal(secret.len, 1);
	struct secret zeroed = {0};
	assert_int_equal(secret_add(&zeroed, "abc", 3), OK);
	assert_memory_equal(zeroed.data, "abc", 3);
	secret_free(&zeroed);
}

static void secret_moves(void **state)
{
	(void)state;
	SCOPED(secret_free) struct secret a = {0}, b = {0};
	assert_int_equal(secret_add(&a, "one", 3), OK);
	assert_int_equal(secret_add(&b, "another", 7), OK);
	secret_move(&a, &b);
	assert_int_equal(a.len, 7);
	assert_memory_equal(a.data, "another", 7);
	assert_null(b.data);
	secret_move(&a, &a);
	assert_int_equal(a.len, 7);
	secret_move(&a, &b);
	assert_null(a.data);
}

static void secret_heap_runs_out(void **state)
{
	(void)state;
	assert_true(CRYPTO_secure_malloc_initialized());
	struct secret secret;
	assert_int_equal(secret_new(2 * HEAP, &secret), ERR_MEMORY);
	assert_null(secret.data);
	assert_non_null(strstr(fail_why(), "secure heap"));
}

static bool equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	SCOPED(secret_free) struct secret one = {0}, other = {0};
	assert_int_equal(secret_add(&one, a, a_len), OK);
	assert_int_equal(secret_add(&other, b, b_len), OK);
	return secret_equal(&one, &other);
}

static void secret_equal_compares_all(void **state)
{
	(void)state;
	assert_true(equal("same", 4, "same", 4));
	assert_true(equal("", 0, "", 0));
	assert_true(equal("a\0b", 3, "a\0b", 3));
	assert_false(equal("a\0b", 3, "a\0c", 3));
	assert_false(equal("same", 4, "samE", 4));
	assert_false(equal("Same", 4, "same", 4));
	assert_false(equal("same", 4, "same!", 5));
	assert_false(equal("same", 4, "", 0));
}

static void process_is_undumpable(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	struct rlimit core;
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(core.rlim_cur, 0);
	assert_int_equal(core.rlim_max, 0);
}

/* What must be left when memory is locked: malloc and threads, whatever the limit. */
static void *nothing(void *argument)
{
	return argument;
}

static void process_still_gets_memory(void **state)
{
	(void)state;
	char *large = malloc(64 << 20);
	HIDE(large);
	assert_non_null(large);
	free(large);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
}

/* Four in a row: one by itself may be of a pointer that malloc(3) keeps in a free block. */
static bool any_left(const uint8_t *at, size_t n)
{
	static const uint8_t row[4] = {MARK, MARK, MARK, MARK};
	return memmem(at, n, row, sizeof row) != NULL;
}

/* A block of `n` bytes that is full of marks, freed, and the same place again. */
static void freed_and_found(size_t n)
{
	uint8_t *block = malloc(n);
	HIDE(block);
	memset(block, MARK, n);
	HIDE(block); /* else gcc leaves out what is written just before free() */
	uintptr_t place = (uintptr_t)block;
	free(block);
	uint8_t *again = malloc(n);
	HIDE(again);
	assert_int_equal((uintptr_t)again, place);
	assert_false(any_left(again, n));
	free(again);
}

static void free_wipes(void **state)
{
	(void)state;
	freed_and_found(24);
	freed_and_found(500);
	freed_and_found(5000);
	freed_and_found(60000);
	free(NULL);
}

/* The C library frees a stream's buffer itself, in fclose(). */
static void free_wipes_for_libraries(void **state)
{
	(void)state;
	FILE *stream = fopen("/dev/null", "we");
	assert_non_null(stream);
	/* malloc's own notes would be written over the block's first bytes. */
	uint8_t secret[NEEDLE], before[64] = {0};
	assert_int_equal(fwrite(before, 1, sizeof before, stream), sizeof before);
	needle_put(secret);
	assert_int_equal(fwrite(secret, 1, sizeof secret, stream), sizeof secret);
	secret_wipe(secret, sizeof secret);
	assert_int_equal(needles(), 1);
	fclose(stream);
	assert_int_equal(needles(), 0);
}

static void realloc_wipes(void **state)
{
	(void)state;
	/* A neighbour, so that the block can't grow where it is. */
	uint8_t *block = malloc(2000), *neighbour = malloc(2000);
	HIDE(block);
	HIDE(neighbour);
	needle_put(block);
	needle_put(block + 1900);
	assert_int_equal(needles(), 2);
	block = realloc(block, 50000);
	HIDE(block);
	assert_true(needle_at(block));
	assert_true(needle_at(block + 1900));
	assert_int_equal(needles(), 2);
	block = realloc(block, 1000);
	HIDE(block);
	assert_true(needle_at(block));
	assert_int_equal(needles(), 1);
	free(block);
	free(neighbour);
	assert_int_equal(needles(), 0);
}

static void realloc_is_realloc(void **state)
{
	(void)state;
	char *text = realloc(NULL, 4);
	HIDE(text);
	assert_non_null(text);
	memcpy(text, "abc", 4);
	for (size_t n = 5; n < 300000; n += n / 7 + 1) {
		text = realloc(text, n);
		HIDE(text);
		assert_string_equal(text, "abc");
		memset(text + 4, MARK, n - 4);
	}
	for (size_t n = 260000; n > 4; n -= n / 5 + 1) {
		text = realloc(text, n);
		HIDE(text);
		assert_string_equal(text, "abc");
		assert_int_equal(marks((uint8_t *)text + 4, n - 4), n - 4);
	}
	size_t too_much = SIZE_MAX / 2;
	HIDE(too_much);
	char *same = text;
	HIDE(same); /* gcc takes it for freed, though this realloc() fails */
	assert_null(realloc(same, too_much));
	assert_string_equal(text, "abc");
	free(text);
}

/* Runs a function on a stack that can be looked at afterwards. */
#define STACK ((size_t)512 * 1024)

__attribute__((noinline)) static void *leave_on_stack(void *argument)
{
	uint8_t left[8000];
	for (size_t at = 0; at + NEEDLE <= sizeof left; at += NEEDLE)
		needle_put(left + at);
	uint8_t *seen = left;
	HIDE(seen);
	return argument;
}

static void *leave_and_wipe(void *argument)
{
	void *result = leave_on_stack(argument);
	secret_wipe_stack();
	return result;
}

static bool stack_has_needle(void *(*work)(void *))
{
	uint8_t *stack =
		mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stack != MAP_FAILED);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, &attributes, work, NULL), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	bool found = false;
	for (size_t at = 0; at + NEEDLE <= STACK && !found; at++)
		found = needle_at(stack + at);
	munmap(stack, STACK);
	return found;
}

static void stack_is_wiped(void **state)
{
	(void)state;
	assert_true(stack_has_needle(leave_on_stack));
	assert_false(stack_has_needle(leave_and_wipe));
}

/* The last tests of the table, which are of wiping. */
#define OF_WIPING 5

int main(void)
{
	if (secret_prepare(HEAP) != OK)
		fprintf(stderr, "without a secure heap: %s\n", fail_why());
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secret_wiped_on_free),
		cmocka_unit_test(secret_wiped_on_growth),
		cmocka_unit_test(secret_of_nothing),
		cmocka_unit_test(secret_counts_what_it_takes),
		cmocka_unit_test(secret_moves),
		cmocka_unit_test(secret_heap_runs_out),
		cmocka_unit_test(secret_equal_compares_all),
		cmocka_unit_test(process_is_undumpable),
		cmocka_unit_test(process_still_gets_memory),
		/* Sanitizers keep what is freed, and valgrind minds the look: not in their builds. */
		cmocka_unit_test(free_wipes),
		cmocka_unit_test(free_wipes_for_libraries),
		cmocka_unit_test(realloc_wipes),
		cmocka_unit_test(realloc_is_realloc),
		cmocka_unit_test(stack_is_wiped),
	};
	size_t count = sizeof tests / sizeof *tests - (wipe_frees() ? 0 : OF_WIPING);
	return _cmocka_run_group_tests("secret", tests, count, help_setup, help_teardown);
}
