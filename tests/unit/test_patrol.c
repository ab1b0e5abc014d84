/* The walk along the trail's chain, tick by tick: what it finds, and that it cries no wolf. */
#include "escrow/patrol.h"

#include "escrow/inside.h"

#include "store_fixture.h"

#define TICKS 8 /* enough for all lines here */

static enum error chained_apply(struct tx *tx, void *unused)
{
	(void)unused;
	struct trail_end end;
	uint8_t chain[STORE_DIGEST];
	char line[512], hex[2 * STORE_DIGEST + 1];
	TRY(store_trail_end(tx, &end));
	int n = snprintf(line, sizeof line, "{\"seq\":%lld,\"action\":\"escrow\",\"udid\":\"A\"",
			 (long long)end.seq + 1);
	TRY(trail_chain(end.chain, line, (size_t)n, chain));
	hex_write(chain, sizeof chain, hex);
	n += snprintf(line + n, sizeof line - (size_t)n, ",\"chain\":\"%s\"}\n", hex);
	return store_trail_add(tx, end.seq + 1, 1, line, (size_t)n, chain);
}

static enum error many_apply(struct tx *tx, void *count)
{
	for (int i = 0; i < *(int *)count; i++)
		TRY(chained_apply(tx, NULL));
	return OK;
}

static void add_lines(struct fixture *f, int count)
{
	assert_int_equal(store_change(f->store, many_apply, &count), OK);
}

static void change_behind_its_back(struct fixture *f, const char *sql)
{
	char command[1200];
	snprintf(command, sizeof command, "sqlite3 '%s/escrow.db' \"%s\"", f->path, sql);
	assert_int_equal(system(command), 0);
}

/* What one that is new says after some ticks. */
static struct patrol_report walk(struct fixture *f, int ticks)
{
	struct patrol *patrol;
	struct patrol_report report;
	assert_int_equal(patrol_new(&patrol), OK);
	for (int i = 0; i < ticks; i++)
		patrol_step(patrol, f->store, f->path);
	patrol_look(patrol, &report);
	patrol_free(patrol);
	return report;
}

static void whole(void **state)
{
	struct fixture *f = *state;
	assert_false(walk(f, 1).broken);
	assert_true(walk(f, 1).walked_at > 0);
	add_lines(f, 1700);
	/* It takes some ticks, and says so. */
	assert_int_equal(walk(f, 1).walked_at, 0);
	struct patrol_report report = walk(f, TICKS);
	assert_true(report.walked_at > 0);
	assert_false(report.broken);
}

static void lines_come_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct patrol *patrol;
	struct patrol_report report;
	add_lines(f, 700);
	assert_int_equal(patrol_new(&patrol), OK);
	for (int i = 0; i < TICKS; i++) {
		patrol_step(patrol, f->store, f->path);
		add_lines(f, 300);
	}
	patrol_look(patrol, &report);
	patrol_free(patrol);
	assert_true(report.walked_at > 0);
	assert_false(report.broken);
}

static void finds(struct fixture *f, const char *sql)
{
	add_lines(f, 1200);
	change_behind_its_back(f, sql);
	assert_true(walk(f, TICKS).broken);
}

static void a_changed_line(void **state)
{
	finds(*state, "UPDATE trail SET line = replace(line, 'escrow', 'remove') WHERE seq = 700");
}

static void a_changed_first_line(void **state)
{
	finds(*state,
	      "UPDATE trail SET line = replace(line, '\\\"A\\\"', '\\\"B\\\"') WHERE seq = 1");
}

static void a_line_that_is_none(void **state)
{
	finds(*state, "UPDATE trail SET line = 'x' WHERE seq = 3");
}

static void a_missing_line(void **state)
{
	finds(*state, "DELETE FROM trail WHERE seq = 500");
}

static void a_missing_end(void **state)
{
	finds(*state, "DELETE FROM trail WHERE seq > 1190");
}

static void another_end(void **state)
{
	finds(*state, "UPDATE head SET trail_chain = zeroblob(32)");
}

/* The last lines go, and the store's word for its end with them: nobody else could tell. */
static void cut_short_while_it_is_there(void **state)
{
	struct fixture *f = *state;
	struct patrol *patrol;
	struct patrol_report report;
	add_lines(f, 10);
	assert_int_equal(patrol_new(&patrol), OK);
	patrol_step(patrol, f->store, f->path);
	change_behind_its_back(
		f, "UPDATE head SET trail_seq = 8, trail_size = (SELECT start FROM trail WHERE seq "
		   "= 9); DELETE FROM trail WHERE seq > 8");
	patrol_step(patrol, f->store, f->path);
	patrol_look(patrol, &report);
	assert_true(report.broken);
	/* And stays so, whatever is added. */
	add_lines(f, 10);
	patrol_step(patrol, f->store, f->path);
	patrol_look(patrol, &report);
	assert_true(report.broken);
	patrol_free(patrol);
}

static enum error devices_apply(struct tx *tx, void *unused)
{
	(void)unused;
	for (int i = 0; i < 1300; i++) {
		struct device device = {.status = STATUS_NOT_ESCROWED, .created_at = 1};
		snprintf(device.udid, sizeof device.udid, "D-%d", i);
		if (i % 3 == 0)
			device.enrolled_at = time_now();
		if (i % 5 == 0)
			device.status = STATUS_ESCROWED;
		TRY(store_device_add(tx, &device));
	}
	return OK;
}

static void overdue_devices_are_counted(void **state)
{
	struct fixture *f = *state;
	int64_t expected = 0;
	for (int i = 0; i < 1300; i++)
		expected += i % 3 != 0 && i % 5 != 0;
	assert_int_equal(walk(f, 0).overdue, -1);
	assert_int_equal(walk(f, 1).overdue, 0);
	assert_int_equal(store_change(f->store, devices_apply, NULL), OK);
	/* Not before it has come to the end. */
	assert_int_equal(walk(f, 1).overdue, -1);
	assert_int_equal(walk(f, TICKS).overdue, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(whole),
		WITH_STORE(lines_come_meanwhile),
		WITH_STORE(a_changed_line),
		WITH_STORE(a_changed_first_line),
		WITH_STORE(a_line_that_is_none),
		WITH_STORE(a_missing_line),
		WITH_STORE(a_missing_end),
		WITH_STORE(another_end),
		WITH_STORE(cut_short_while_it_is_there),
		WITH_STORE(overdue_devices_are_counted),
	};
	return cmocka_run_group_tests_name("patrol", tests, NULL, NULL);
}
