/* Histograms: which bucket, what is printed, many threads at once. */
#include "escrow/latency.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct latency latency;

static int clear(void **state)
{
	(void)state;
	memset(&latency, 0, sizeof latency);
	return 0;
}

static void print(struct bytes *out)
{
	bytes_free(out);
	assert_int_equal(latency_print(&latency, "x_seconds", "What.", out), OK);
}

static void assert_has(const struct bytes *text, const char *line)
{
	if (!strstr((const char *)text->data, line))
		fail_msg("no %s in\n%s", line, (const char *)text->data);
}

static void buckets_hold_what_is_below(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	latency_add(&latency, 500000); /* its bound is in it */
	latency_add(&latency, 500001);
	latency_add(&latency, 40000000);
	latency_add(&latency, INT64_C(11000000000));
	latency_add(&latency, -5); /* a clock that isn't one */
	print(&text);
	assert_has(&text, "# HELP x_seconds What.\n# TYPE x_seconds histogram\n");
	assert_has(&text, "x_seconds_bucket{le=\"0.0005\"} 2\n");
	assert_has(&text, "x_seconds_bucket{le=\"0.001\"} 3\n");
	assert_has(&text, "x_seconds_bucket{le=\"0.025\"} 3\n");
	assert_has(&text, "x_seconds_bucket{le=\"0.05\"} 4\n");
	assert_has(&text, "x_seconds_bucket{le=\"10\"} 4\n");
	assert_has(&text, "x_seconds_bucket{le=\"+Inf\"} 5\n");
	assert_has(&text, "x_seconds_sum 11.041000001\n");
	assert_has(&text, "x_seconds_count 5\n");
}

static void nothing_yet(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	print(&text);
	assert_has(&text, "x_seconds_bucket{le=\"+Inf\"} 0\n");
	assert_has(&text, "x_seconds_sum 0.000000000\n");
	assert_has(&text, "x_seconds_count 0\n");
}

static void the_clock_goes_on(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	int64_t began = latency_clock();
	latency_note(&latency, began);
	assert_true(latency_clock() >= began);
	print(&text);
	assert_has(&text, "x_seconds_count 1\n");
}

#define THREADS 8
#define TIMES 20000

static void *adds(void *unused)
{
	(void)unused;
	for (int i = 0; i < TIMES; i++)
		latency_add(&latency, i % 2 ? 1 : 1000000001);
	return NULL;
}

static void many_at_once_lose_none(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes text = {0};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, adds, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	print(&text);
	assert_has(&text, "x_seconds_bucket{le=\"0.0005\"} 80000\n");
	assert_has(&text, "x_seconds_bucket{le=\"2.5\"} 160000\n");
	assert_has(&text, "x_seconds_sum 80000.000160000\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(buckets_hold_what_is_below, clear),
		cmocka_unit_test_setup(nothing_yet, clear),
		cmocka_unit_test_setup(the_clock_goes_on, clear),
		cmocka_unit_test_setup(many_at_once_lose_none, clear),
	};
	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
