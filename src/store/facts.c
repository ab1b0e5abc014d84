/* What is known of a device: a row for each fact that was ever reported. */
#include "inside.h"

static void read_fact(struct rows *rows, struct facts *out)
{
	int name = sql_enum(rows, 0, FACT_COUNT);
	struct fact fact = {
		.at = sql_int(rows, 2),
		.source = (enum fact_source)sql_enum(rows, 3, SOURCE_COUNT),
		.state = (enum fact_state)sql_enum(rows, 4, FACT_OUT_OF_DATE + 1),
	};
	if (rows->error)
		return;
	if (facts_table[name].kind == FACT_FLAG)
		fact.flag = sql_bool(rows, 1);
	else
		sql_text(rows, 1, fact.text, sizeof fact.text);
	out->of[name] = fact;
}

enum error store_facts(struct tx *tx, int64_t device, struct facts *out)
{
	memset(out, 0, sizeof *out);
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_FACTS, VALUES(INT(device)));
	while (sql_next(&rows))
		read_fact(&rows, out);
	return rows.error;
}

static enum error save(struct tx *tx, int64_t device, int name, const struct fact *fact)
{
	if (!fact->at)
		return sql_run(tx, SQL_FACT_DELETE, VALUES(INT(device), INT(name)));
	struct value value =
		facts_table[name].kind == FACT_FLAG ? INT(fact->flag) : TEXT(fact->text);
	return sql_run(tx, SQL_FACT_SAVE,
		       VALUES(INT(device), INT(name), value, INT(fact->at), INT(fact->source),
			      INT(fact->state)));
}

enum error store_facts_save(struct tx *tx, int64_t device, const struct facts *stored,
			    const struct facts *facts)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (!fact_equal(&facts->of[i], &stored->of[i]))
			TRY(save(tx, device, i, &facts->of[i]));
	return OK;
}

enum error facts_delete(struct tx *tx, int64_t device)
{
	return sql_run(tx, SQL_FACTS_DELETE, VALUES(INT(device)));
}
