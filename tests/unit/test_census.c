/* A count of the fleet: ages, who is overdue, which systems there are, in one pass through the store. */
#include "escrow/count.h"

#include "store_fixture.h"

#include "text.h"

#define DAY (INT64_C(86400) * 1000000000)
#define NOW (20000 * DAY)

static void ages(void **state)
{
	(void)state;
	static const struct {
		int64_t old;
		enum token_age age;
	} rows[] = {
		{0, AGE_DAY},
		{DAY - 1, AGE_DAY},
		{DAY, AGE_WEEK},
		{7 * DAY - 1, AGE_WEEK},
		{7 * DAY, AGE_MONTH},
		{30 * DAY - 1, AGE_MONTH},
		{30 * DAY, AGE_QUARTER},
		{90 * DAY - 1, AGE_QUARTER},
		{90 * DAY, AGE_YEAR},
		{365 * DAY - 1, AGE_YEAR},
		{365 * DAY, AGE_OLDER},
		{9999 * DAY, AGE_OLDER},
		{-DAY, AGE_DAY},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(census_age(NOW - rows[i].old, NOW), rows[i].age);
	assert_int_equal(census_age(TIME_UNKNOWN, NOW), AGE_UNKNOWN);
	assert_int_equal(census_age(0, NOW), AGE_UNKNOWN);
}

static void overdue_after_14_days(void **state)
{
	(void)state;
	struct device device = {.status = STATUS_NOT_ESCROWED, .enrolled_at = NOW - 14 * DAY};
	assert_false(census_is_overdue(&device, NOW));
	assert_true(census_is_overdue(&device, NOW + 1));
	/* Enrolled anew: the days begin again. */
	device.reenrolled_at = NOW - DAY;
	assert_false(census_is_overdue(&device, NOW + 1));
	assert_true(census_is_overdue(&device, NOW + 14 * DAY));
	/* Nobody knows when. */
	device = (struct device){.status = STATUS_NOT_ESCROWED, .created_at = NOW - 15 * DAY};
	assert_true(census_is_overdue(&device, NOW));
	device.enrolled_at = TIME_UNKNOWN;
	device.created_at = NOW - 13 * DAY;
	assert_false(census_is_overdue(&device, NOW));
	/* Only who could have one. */
	for (int status = 0; status < STATUS_COUNT; status++) {
		device = (struct device){.status = (enum status)status, .enrolled_at = DAY};
		assert_int_equal(census_is_overdue(&device, NOW), status == STATUS_NOT_ESCROWED);
	}
}

/* ---- systems ---- */

static void count_one(struct count *count, const char *product, const char *version)
{
	struct facts facts = {0};
	struct device device = {.status = STATUS_ESCROWED};
	if (product)
		fact_set_text(&facts, FACT_PRODUCT_NAME, product, 1, SOURCE_BY_HAND);
	if (version)
		fact_set_text(&facts, FACT_OS_VERSION, version, 1, SOURCE_BY_HAND);
	count_add(count, &device, &facts);
}

static void newest_first_each_major_version(void **state)
{
	(void)state;
	static struct census census;
	struct count *count;
	char all[512] = "";
	assert_int_equal(count_new(NOW, &count), OK);
	count_one(count, "Mac14,2", "15.1.1");
	count_one(count, "Mac14,2", "10.15.7");
	count_one(count, "Mac14,2", "15.7");
	count_one(count, "iPad13,4", "26.0.1");
	count_one(count, "Mac14,2", "10.14.6");
	count_one(count, "Mac14,2", "10.16");
	count_one(count, "Mac14,2", "26.1");
	count_one(count, "iPhone14,2", "10.3");
	count_one(count, "Mac14,2", NULL);
	count_one(count, NULL, "as if");
	count_finish(count, &census);
	count_free(count);
	for (int i = 0; i < census.systems; i++)
		sprintf(all + strlen(all), "%s: %d; ", census.system[i].name,
			(int)census.system[i].devices[STATUS_ESCROWED]);
	assert_string_equal(all, "macOS 26: 1; macOS 15: 2; macOS 11: 1; macOS 10.15: 1; "
				 "macOS 10.14: 1; macOS ?: 2; iOS 10: 1; iPadOS 26: 1; ");
}

/* Whatever devices say that they have, the table is no longer, and nobody is left out. */
static void any_version_finds_a_place(void **state)
{
	(void)state;
	static const char *const products[] = {"Mac14,2",	   "iPhone1,1",	 "iPad1,1",
					       "RealityDevice1,1", "AppleTV1,1", "Watch1,1"};
	static struct census census;
	struct count *count;
	uint64_t all = 0, expected = 0;
	assert_int_equal(count_new(NOW, &count), OK);
	for (size_t p = 0; p < sizeof products / sizeof *products; p++)
		for (int major = 0; major < 9999; major += 3)
			for (int minor = 0; minor < 99; minor += 14) {
				char version[24];
				snprintf(version, sizeof version, "%d.%d", major, minor);
				count_one(count, products[p], version);
				expected++;
			}
	count_one(count, products[0], "10.99");
	count_one(count, products[0], "99999999999999999999");
	count_finish(count, &census);
	count_free(count);
	assert_true(census.systems <= CENSUS_SYSTEMS);
	for (int i = 0; i < census.systems; i++)
		all += census.system[i].devices[STATUS_ESCROWED];
	assert_int_equal(all, expected + 2);
}

/* ---- from the store ---- */

struct row {
	const char *udid, *product, *version;
	enum status status;
	int64_t escrowed_at;
};

static enum error row_apply(struct tx *tx, void *context)
{
	const struct row *row = context;
	struct device device = {.status = row->status,
				.escrowed_at = row->escrowed_at,
				.token_size = row->escrowed_at ? 9 : 0,
				.enrolled_at = NOW - 20 * DAY};
	struct facts facts = {0};
	snprintf(device.udid, sizeof device.udid, "%s", row->udid);
	if (row->product)
		fact_set_text(&facts, FACT_PRODUCT_NAME, row->product, 1, SOURCE_BY_HAND);
	if (row->version)
		fact_set_text(&facts, FACT_OS_VERSION, row->version, 1, SOURCE_BY_HAND);
	fact_set_text(&facts, FACT_SERIAL_NUMBER, "C02", 1, SOURCE_BY_HAND);
	fact_set_flag(&facts, FACT_SUPERVISED, true, 1, SOURCE_BY_HAND);
	TRY(store_device_add(tx, &device));
	return store_facts_save(tx, device.id, &(struct facts){0}, &facts);
}

static void one_pass_counts_all(void **state)
{
	struct fixture *f = *state;
	static struct row rows[] = {
		{"A", "Mac14,2", "15.1", STATUS_ESCROWED, NOW - 3 * DAY},
		{"B", "Mac14,2", "15.2", STATUS_NOT_ESCROWED, 0},
		{"C", NULL, NULL, STATUS_NOT_ESCROWED, 0},
		{"D", "iPad13,4", "26.1", STATUS_STALE, NOW - 100 * DAY},
		{"E", "Mac14,2", "15.1", STATUS_ESCROWED, TIME_UNKNOWN},
		{"GONE", "Mac14,2", "15.1", STATUS_ESCROWED, NOW},
	};
	static struct census census;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(store_change(f->store, row_apply, &rows[i]), OK);
	struct tx *tx;
	struct device gone;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_named(tx, "GONE", &gone), OK);
	store_view_end(tx);
	remove_device(f->store, gone.id);
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(census_take(tx, NOW, &census), OK);
	store_view_end(tx);
	assert_int_equal(census.systems, 3);
	assert_string_equal(census.system[0].name, "macOS 15");
	assert_int_equal(census.system[0].devices[STATUS_ESCROWED], 2);
	assert_int_equal(census.system[0].devices[STATUS_NOT_ESCROWED], 1);
	assert_string_equal(census.system[1].name, "macOS ?");
	assert_int_equal(census.system[1].devices[STATUS_NOT_ESCROWED], 1);
	assert_string_equal(census.system[2].name, "iPadOS 26");
	assert_int_equal(census.system[2].devices[STATUS_STALE], 1);
	assert_int_equal(census.tokens[AGE_WEEK][STATUS_ESCROWED], 1);
	assert_int_equal(census.tokens[AGE_UNKNOWN][STATUS_ESCROWED], 1);
	assert_int_equal(census.tokens[AGE_YEAR][STATUS_STALE], 1);
	assert_int_equal(census.overdue, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ages),
		cmocka_unit_test(overdue_after_14_days),
		cmocka_unit_test(newest_first_each_major_version),
		cmocka_unit_test(any_version_finds_a_place),
		cmocka_unit_test_setup_teardown(one_pass_counts_all, fixture_setup,
						fixture_teardown),
	};
	return cmocka_run_group_tests_name("census", tests, NULL, NULL);
}
