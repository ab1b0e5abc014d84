/* When the size of the store's log is worth a word: at the limit, and at each doubling, once. */
#include "escrow/growth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void once_at_the_limit(void **state)
{
	(void)state;
	uint64_t warned = 0;
	assert_false(growth_warns(0, &warned));
	assert_false(growth_warns(GROWTH_LIMIT - 1, &warned));
	assert_true(growth_warns(GROWTH_LIMIT, &warned));
	assert_false(growth_warns(GROWTH_LIMIT, &warned));
	assert_false(growth_warns(2 * GROWTH_LIMIT - 1, &warned));
}

static void again_at_each_doubling(void **state)
{
	(void)state;
	uint64_t warned = 0;
	assert_true(growth_warns(GROWTH_LIMIT + 1, &warned));
	assert_true(growth_warns(2 * GROWTH_LIMIT, &warned));
	assert_false(growth_warns(3 * GROWTH_LIMIT, &warned));
	assert_true(growth_warns(4 * GROWTH_LIMIT, &warned));
	/* Two doublings in one look are one warning. */
	assert_true(growth_warns(17 * GROWTH_LIMIT, &warned));
	assert_false(growth_warns(31 * GROWTH_LIMIT, &warned));
	assert_true(growth_warns(32 * GROWTH_LIMIT, &warned));
	assert_true(growth_warns(UINT64_MAX, &warned));
	assert_false(growth_warns(UINT64_MAX, &warned));
}

static void anew_after_it_was_emptied(void **state)
{
	(void)state;
	uint64_t warned = 0;
	assert_true(growth_warns(9 * GROWTH_LIMIT, &warned));
	assert_false(growth_warns(GROWTH_LIMIT, &warned));
	assert_false(growth_warns(GROWTH_LIMIT / 4, &warned));
	assert_true(growth_warns(GROWTH_LIMIT, &warned));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_at_the_limit),
		cmocka_unit_test(again_at_each_doubling),
		cmocka_unit_test(anew_after_it_was_emptied),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
