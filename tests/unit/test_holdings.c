/* What open descriptors hold: the MUST clause of holdings.h. */
#include "../../src/escrow/holdings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALL ((size_t)64 * 1024)
#define EACH (ALL / 2)

static const struct actor one = {.pid = 1}, two = {.pid = 2}, three = {.pid = 3};

static int setup(void **state)
{
	struct holdings *holdings;
	assert_int_equal(holdings_new(ALL, &holdings), OK);
	*state = holdings;
	return 0;
}

static int teardown(void **state)
{
	holdings_free(*state);
	return 0;
}

static void one_holds_half(void **state)
{
	struct holding first = {0}, second = {0}, other = {0};
	assert_int_equal(holdings_set(*state, &first, &one, EACH - 1024), OK);
	assert_int_equal(holdings_set(*state, &second, &one, 1025), ERR_MEMORY);
	assert_int_equal(second.bytes, 0);
	assert_int_equal(holdings_set(*state, &second, &one, 1024), OK);
	/* Another process has a half of its own. */
	assert_int_equal(holdings_set(*state, &other, &two, EACH - 1), OK);
	assert_int_equal(holdings_set(*state, &other, &two, EACH + 1), ERR_MEMORY);
	assert_int_equal(other.bytes, EACH - 1);
	/* What was closed can be had again. */
	assert_int_equal(holdings_set(*state, &first, NULL, 0), OK);
	assert_int_equal(holdings_set(*state, &second, &one, EACH), OK);
}

static void all_hold_no_more(void **state)
{
	struct holding held[3] = {0};
	assert_int_equal(holdings_set(*state, &held[0], &one, EACH), OK);
	assert_int_equal(holdings_set(*state, &held[1], &two, EACH), OK);
	assert_int_equal(holdings_set(*state, &held[2], &three, 1), ERR_MEMORY);
	assert_int_equal(holdings_set(*state, &held[1], NULL, 0), OK);
	assert_int_equal(holdings_set(*state, &held[2], &three, EACH), OK);
}

static void the_smallest_counts(void **state)
{
	struct holding held[EACH / 512 + 1] = {0};
	size_t n = sizeof held / sizeof *held - 1;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(holdings_set(*state, &held[i], &one, 1), OK);
	assert_int_equal(holdings_set(*state, &held[n], &one, 1), ERR_MEMORY);
}

/* One that grows may be written to by another process: all of it is that one's then. */
static void it_moves(void **state)
{
	struct holding held = {0}, more = {0};
	assert_int_equal(holdings_set(*state, &held, &one, EACH / 2), OK);
	assert_int_equal(holdings_set(*state, &held, &two, EACH), OK);
	assert_int_equal(holdings_set(*state, &more, &two, 512), ERR_MEMORY);
	assert_int_equal(holdings_set(*state, &more, &one, EACH), OK);
}

/* Those that the table has no place for share one. */
static void more_processes_than_places(void **state)
{
	struct holding held[80] = {0};
	int held_by = 0;
	for (int i = 0; i < 80; i++) {
		struct actor actor = {.pid = 100 + i};
		held_by += holdings_set(*state, &held[i], &actor, 600) == OK;
	}
	assert_int_equal(held_by, 80);
	for (int i = 0; i < 80; i++)
		assert_int_equal(holdings_set(*state, &held[i], NULL, 0), OK);
	assert_int_equal(holdings_set(*state, &held[0], &one, EACH), OK);
	assert_int_equal(holdings_set(*state, &held[1], &two, EACH), OK);
}

static void without_a_heap_no_limit(void **state)
{
	(void)state;
	struct holdings *holdings;
	struct holding held = {0};
	assert_int_equal(holdings_new(0, &holdings), OK);
	assert_int_equal(holdings_set(holdings, &held, &one, ALL), OK);
	holdings_free(holdings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define OWN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		OWN(one_holds_half),
		OWN(all_hold_no_more),
		OWN(the_smallest_counts),
		OWN(it_moves),
		OWN(more_processes_than_places),
		cmocka_unit_test(without_a_heap_no_limit),
	};
	return cmocka_run_group_tests_name("holdings", tests, NULL, NULL);
}
