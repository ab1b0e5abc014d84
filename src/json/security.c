#include "json.h"

#include "text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct writing {
	json_t *to;
	bool failed;
};

static void put(struct writing *w, const char *key, json_t *value)
{
	if (json_object_set_new(w->to, key, value) != 0)
		w->failed = true;
}

static void put_fact(struct writing *w, const struct facts *facts, enum fact_name name)
{
	const struct fact *fact = &facts->of[name];
	if (fact->state != FACT_KNOWN)
		return;
	put(w, facts_table[name].name,
	    facts_table[name].kind == FACT_FLAG ? json_boolean(fact->flag)
						: json_string(fact->text));
}

static void put_time(struct writing *w, const char *key, int64_t at)
{
	char text[TEXT_TIME];
	if (!at)
		return;
	time_text(at, text);
	put(w, key, json_string(text));
}

static void put_secure_boot(struct writing *w, const struct facts *facts)
{
	struct writing boot = {.to = json_object()};
	put_fact(&boot, facts, FACT_SECURE_BOOT);
	put_fact(&boot, facts, FACT_EXTERNAL_BOOT);
	if (json_object_size(boot.to))
		put(w, "SecureBoot", boot.to);
	else
		json_decref(boot.to);
	w->failed |= boot.failed;
}

static bool is_token_key(enum fact_name name)
{
	return name == FACT_BT_ALLOWED || name == FACT_BT_REQUIRED_FOR_KEXT ||
	       name == FACT_BT_REQUIRED_FOR_UPDATE;
}

static json_t *versions(const struct json_security *s)
{
	static const char *const why[END_COUNT] = {"", "replaced", "removed", "undone"};
	json_t *list = json_array();
	for (int i = 0; i < s->version_count; i++) {
		const struct version *v = &s->versions[i];
		struct writing w = {.to = json_object()};
		put(&w, "Number", json_integer(v->number));
		put_time(&w, "EscrowedAt", v->escrowed_at);
		put_time(&w, "ConfirmedAt", v->confirmed_at);
		put_time(&w, "EndedAt", v->ended_at);
		if (v->end != END_NONE)
			put(&w, "Ended", json_string(why[v->end]));
		json_array_append_new(list, w.to);
	}
	return list;
}

static json_t *escrow(const struct json_security *s)
{
	const struct device *d = s->device;
	struct writing w = {.to = json_object()};
	put(&w, "Udid", json_string(d->udid));
	put_fact(&w, s->facts, FACT_SERIAL_NUMBER);
	put_fact(&w, s->facts, FACT_IMEI);
	put_fact(&w, s->facts, FACT_MAC_ADDRESS);
	put(&w, "DeviceId", json_integer(d->id));
	for (int i = FACT_MODEL; i <= FACT_USER_ENROLLMENT; i++)
		put_fact(&w, s->facts, (enum fact_name)i);
	put(&w, "Status", json_string(status_word(d->status)));
	json_t *reasons = json_array();
	for (int i = 0; i < s->reason_count; i++)
		json_array_append_new(reasons, json_string(s->reasons[i]));
	put(&w, "Reasons", reasons);
	put_time(&w, "EscrowedAt", d->escrowed_at);
	put_time(&w, "RetrievedAt", d->retrieved_at);
	put_time(&w, "ProvenAt", d->proven_at);
	if (s->version_count)
		put(&w, "Versions", versions(s));
	put_time(&w, "EnrolledAt", d->enrolled_at);
	put_time(&w, "ReenrolledAt", d->reenrolled_at);
	put_time(&w, "CheckedOutAt", d->checked_out_at);
	put_time(&w, "FactsAt", s->facts_at);
	return w.to;
}

enum error json_security_write(const struct json_security *s, struct bytes *out)
{
	struct writing w = {.to = json_object()};
	for (int i = 0; i < FACT_COUNT && facts_table[i].block != BLOCK_ESCROW; i++) {
		if (i == FACT_SECURE_BOOT)
			put_secure_boot(&w, s->facts);
		if (i == FACT_AUTHENTICATED_ROOT)
			put(&w, "BootstrapTokenEscrowStatus", json_boolean(s->given));
		if (facts_table[i].block == BLOCK_SECURITY &&
		    (s->token_keys || !is_token_key((enum fact_name)i)))
			put_fact(&w, s->facts, (enum fact_name)i);
	}
	put(&w, "Escrow", escrow(s));
	char *text = w.failed ? NULL : json_dumps(w.to, JSON_INDENT(2));
	json_decref(w.to);
	if (!text)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = bytes_print(out, "%s\n", text);
	free(text);
	return result;
}
