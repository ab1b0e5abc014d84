/* Repeats of one caller within a minute become one counted line, in memory that doesn't grow. */
#include "escrow/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static struct refusal refusal_of(uint32_t uid, const char *reason, int64_t at)
{
	struct refusal refusal = {.actor = {.uid = uid}, .code = ERR_INVALID, .first_at = at};
	snprintf(refusal.reason, sizeof refusal.reason, "%s", reason);
	return refusal;
}

static void repeats_are_counted(void **state)
{
	(void)state;
	struct refusals *refusals;
	struct refusal flush, due;
	assert_int_equal(refusals_new(&refusals), OK);
	struct refusal one = refusal_of(7, "no", 100 * SECOND);
	assert_true(refusals_first(refusals, &one, &flush));
	for (int i = 0; i < 5; i++)
		assert_false(refusals_first(refusals, &one, &flush));
	struct refusal other = refusal_of(8, "no", 100 * SECOND);
	assert_true(refusals_first(refusals, &other, &flush));

	assert_false(refusals_due(refusals, 130 * SECOND, false, &due));
	assert_true(refusals_due(refusals, 161 * SECOND, false, &due));
	assert_int_equal(due.repeats, 5);
	assert_int_equal(due.actor.uid, 7);
	assert_false(refusals_due(refusals, 161 * SECOND, false, &due));

	/* After the minute it is a first one again. */
	one.first_at = 170 * SECOND;
	assert_true(refusals_first(refusals, &one, &flush));
	refusals_free(refusals);
}

static void all_at_the_end(void **state)
{
	(void)state;
	struct refusals *refusals;
	struct refusal flush, due;
	assert_int_equal(refusals_new(&refusals), OK);
	struct refusal one = refusal_of(7, "no", 100 * SECOND);
	assert_true(refusals_first(refusals, &one, &flush));
	assert_false(refusals_first(refusals, &one, &flush));
	assert_true(refusals_due(refusals, 100 * SECOND, true, &due));
	assert_false(refusals_due(refusals, 100 * SECOND, true, &due));
	refusals_free(refusals);
}

/*
 * However many callers there are: what is pushed out of the table with a count is handed over to
 * be recorded.
 */
static void nothing_counted_is_lost(void **state)
{
	(void)state;
	struct refusals *refusals;
	struct refusal flush;
	unsigned firsts = 0, repeats = 0;
	assert_int_equal(refusals_new(&refusals), OK);
	for (uint32_t caller = 0; caller < 500; caller++)
		for (int i = 0; i < 3; i++) {
			struct refusal one =
				refusal_of(caller, "no", (100 + caller) * SECOND / 100);
			firsts += refusals_first(refusals, &one, &flush);
			repeats += flush.repeats;
		}
	while (refusals_due(refusals, 0, true, &flush))
		repeats += flush.repeats;
	assert_int_equal(firsts, 500);
	assert_int_equal(repeats, 1000);
	refusals_free(refusals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeats_are_counted),
		cmocka_unit_test(all_at_the_end),
		cmocka_unit_test(nothing_counted_is_lost),
	};
	return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
