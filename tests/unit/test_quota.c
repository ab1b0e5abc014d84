/* How many tokens leave within an hour: minutes are given, and many threads at once. */
#include "escrow/quota.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START 1000000 /* minutes */
#define LIMIT 5

static struct quota *new_quota(uint32_t limit)
{
	struct quota *quota;
	assert_int_equal(quota_new(limit, &quota), OK);
	return quota;
}

/* How many are got at a minute. */
static int take(struct quota *quota, int64_t minute, int wanted)
{
	int got = 0;
	for (int i = 0; i < wanted; i++) {
		struct quota_pass pass;
		got += quota_take_at(quota, "D", minute, &pass) == OK;
	}
	return got;
}

/* Whoever takes as much as there is, at random minutes. */
static void never_more_within_an_hour(void **state)
{
	(void)state;
	enum { SPAN = 5000 };
	static int got[SPAN];
	struct quota *quota = new_quota(LIMIT);
	srandom(1);
	for (int i = 0; i < SPAN; i++)
		got[i] = random() % 4 ? 0 : take(quota, START + i, (int)(random() % (LIMIT + 2)));
	int all = 0;
	for (int i = 0; i < SPAN; i++) {
		int within = 0;
		for (int j = i; j < SPAN && j <= i + 60; j++)
			within += got[j];
		assert_true(within <= LIMIT);
		all += got[i];
	}
	/* And it isn't much less. */
	assert_true(all > SPAN / 61 * LIMIT * 8 / 10);
	quota_free(quota);
}

static void says_what_and_the_remedy(void **state)
{
	(void)state;
	struct quota *quota = new_quota(1);
	struct quota_pass pass;
	assert_int_equal(take(quota, START, 1), 1);
	assert_int_equal(quota_take_at(quota, "DEVICE-1", START + 60, &pass), ERR_QUOTA);
	assert_non_null(strstr(fail_why(), "DEVICE-1"));
	assert_non_null(strstr(fail_why(), "no more than 1 tokens an hour"));
	assert_non_null(strstr(fail_why(), "higher number"));
	assert_string_equal(error_name(ERR_QUOTA), "EDQUOT");
	/* A minute that the clock of a thread was late with opens nothing. */
	assert_int_equal(take(quota, START - 500, 1), 0);
	assert_int_equal(take(quota, START + 61, 1), 1);
	/* After a long time as well. */
	assert_int_equal(take(quota, START + 1000000, 3), 1);
	quota_free(quota);
}

static void what_is_given_back_may_be_taken(void **state)
{
	(void)state;
	struct quota *quota = new_quota(1);
	struct quota_pass pass, other;
	assert_int_equal(quota_take_at(quota, "D", START, &pass), OK);
	assert_int_equal(quota_take_at(quota, "D", START + 1, &other), ERR_QUOTA);
	quota_give_back(&pass);
	quota_give_back(&pass); /* once only */
	assert_int_equal(take(quota, START + 1, 2), 1);

	/* Given back after more than an hour it is nobody's; one that was used isn't given back. */
	struct quota *old = new_quota(1);
	assert_int_equal(quota_take_at(old, "D", START, &pass), OK);
	assert_int_equal(quota_take_at(old, "D", START + 61, &other), OK);
	quota_give_back(&pass);
	assert_int_equal(take(old, START + 61, 1), 0);
	quota_use(&other);
	quota_give_back(&other);
	assert_int_equal(take(old, START + 61, 1), 0);
	quota_free(old);
	quota_free(quota);
}

static void without_a_limit_all_is_counted(void **state)
{
	(void)state;
	struct quota *quota = new_quota(0);
	struct quota_pass pass;
	struct quota_counts counts;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(quota_take(quota, "D", &pass), OK);
	quota_give_back(&pass);
	quota_count(quota, &counts);
	assert_int_equal(counts.limit, 0);
	assert_int_equal(counts.last_hour, 999);
	assert_int_equal(counts.refused, 0);
	quota_free(quota);
}

static void *taker(void *quota)
{
	return (void *)(intptr_t)take(quota, START, 100);
}

static void many_at_once_get_no_more(void **state)
{
	(void)state;
	enum { THREADS = 8, ROOM = 137 };
	struct quota *quota = new_quota(ROOM);
	pthread_t threads[THREADS];
	int got = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, taker, quota), 0);
	for (int i = 0; i < THREADS; i++) {
		void *count;
		pthread_join(threads[i], &count);
		got += (int)(intptr_t)count;
	}
	assert_int_equal(got, ROOM);
	quota_free(quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_within_an_hour),
		cmocka_unit_test(says_what_and_the_remedy),
		cmocka_unit_test(what_is_given_back_may_be_taken),
		cmocka_unit_test(without_a_limit_all_is_counted),
		cmocka_unit_test(many_at_once_get_no_more),
	};
	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
