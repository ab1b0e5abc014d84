/*
 * The whole fleet in one pass: devices in the order of their numbers, and with each the facts that its
 * system follows from, which lie side by side in `fact`. One device is in memory at a time.
 */
#include "inside.h"

/* What is between these two and isn't text is read over. */
#define FIRST FACT_MODEL
#define LAST FACT_OS_NAME

/* In the order of SQL_CENSUS. */
static void read_device(struct rows *rows, struct device *out)
{
	*out = (struct device){
		.id = sql_int(rows, 0),
		.status = (enum status)sql_enum(rows, 1, STATUS_COUNT),
		.token_size = sql_u32(rows, 2),
		.escrowed_at = sql_int(rows, 3),
		.enrolled_at = sql_int(rows, 4),
		.reenrolled_at = sql_int(rows, 5),
		.created_at = sql_int(rows, 6),
	};
}

/* A device without any has one row, of no fact. */
static void read_fact(struct rows *rows, struct facts *out)
{
	int64_t name = sql_int(rows, 7);
	if (name < FIRST || name > LAST || facts_table[name].kind != FACT_WORDS)
		return;
	out->of[name].state = FACT_KNOWN;
	sql_text(rows, 8, out->of[name].text, sizeof out->of[name].text);
}

static void forget(struct facts *facts)
{
	for (int i = FIRST; i <= LAST; i++)
		facts->of[i].state = FACT_UNKNOWN;
}

enum error store_census(struct tx *tx, store_each_counted *each, void *context)
{
	struct device device = {0};
	struct facts facts = {0};
	SCOPED(sql_end)
	struct rows rows =
		sql_query(tx, SQL_CENSUS, VALUES(INT(FIRST), INT(LAST), INT(FACT_KNOWN)));
	while (sql_next(&rows)) {
		int64_t id = sql_int(&rows, 0);
		if (id < device.id)
			return sql_damaged(tx, "rows are out of order");
		if (id != device.id) {
			if (device.id)
				each(context, &device, &facts);
			read_device(&rows, &device);
			TRY(rows.error);
			forget(&facts);
		}
		read_fact(&rows, &facts);
	}
	TRY(rows.error);
	if (device.id)
		each(context, &device, &facts);
	return OK;
}
