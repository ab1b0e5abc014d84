/*
 * Facts as somebody writes them to security.json, one text after another (a 0 byte ends each): merged, judged by
 * the rules, shown, measured, and read back. What is read over changes nothing.
 */
#include "escrow/rules.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UDID "9353BC9A"

static void check_shown(const struct facts *facts)
{
	struct device device = {.udid = UDID, .id = 256};
	struct json_security security = {.device = &device, .facts = facts, .token_keys = true};
	SCOPED(bytes_free) struct bytes text = {0};
	struct facts again;
	for (int sealed = 0; sealed < 2; sealed++) {
		uint32_t plain, kept;
		text.len = 0;
		security.sealed = sealed;
		if (json_security_write(&security, &text) ||
		    json_security_sizes(&security, &plain, &kept) ||
		    text.len != (sealed ? kept : plain))
			abort();
		/* Law 1: what you read you can write back, and it says what it said. */
		if (json_security_read(text.data, text.len, UDID, INT64_MAX, &again))
			abort();
		for (int i = 0; i < FACT_COUNT; i++) {
			const struct fact *now = &facts->of[i], *then = &again.of[i];
			bool shown =
				now->state == FACT_KNOWN && facts_table[i].block != BLOCK_HIDDEN;
			if (shown != (then->state == FACT_KNOWN) ||
			    (shown &&
			     (now->flag != then->flag || strcmp(now->text, then->text) != 0)))
				abort();
		}
	}
}

/* The verdict rests on facts that are known, and on nothing else. */
static void check_rules(const struct facts *facts)
{
	struct prerequisites before = rules_prerequisites(facts, false);
	struct facts less = *facts;
	if ((before.needs == PREREQUISITES_MET) != (before.decided_by == 0))
		abort();
	for (int i = 0; i < FACT_COUNT; i++)
		if (!(before.decided_by >> i & 1) && i != FACT_OS_VERSION && i != FACT_SUPERVISED &&
		    !(i >= FACT_MODEL && i <= FACT_OS_VERSION) && i < FACT_PRODUCT_NAME)
			less.of[i].state = FACT_UNKNOWN;
	if (rules_prerequisites(&less, false).needs != before.needs)
		abort();
	struct os_version version = rules_version(fact_text(facts, FACT_OS_VERSION));
	if (version.known && (version.major < 0 || version.major > 9999 || version.minor < 0 ||
			      version.minor > 9999 || version.patch < 0 || version.patch > 9999))
		abort();
	struct facts nothing = {0};
	if (rules_prerequisites(&nothing, false).needs != PREREQUISITES_MET ||
	    rules_prerequisites(facts, true).needs == PREREQUISITES_MET)
		abort();
}

/* The newer report of a fact stays, whatever order they come in; of the same time the one that comes later. */
static void check_merged(const struct facts *first, const struct facts *second, int64_t at)
{
	struct facts forth = *first, back = *second, now = *first;
	facts_merge(&forth, second);
	facts_merge(&back, first);
	if (!facts_equal(&forth, &back) || facts_merge(&forth, second) != 0)
		abort();
	for (int i = 0; i < FACT_COUNT; i++)
		if (now.of[i].at)
			now.of[i].at = at;
	facts_merge(&now, second);
	for (int i = 0; i < FACT_COUNT; i++)
		if (second->of[i].at && !fact_equal(&now.of[i], &second->of[i]))
			abort();
}

/* Hardware addresses are twelve digits in upper case, IMEIs digits, whatever was written. */
static void check_kept(const struct facts *facts)
{
	const char *mac = fact_text(facts, FACT_MAC_ADDRESS), *imei = fact_text(facts, FACT_IMEI);
	if ((mac && (strlen(mac) != 12 || strspn(mac, "0123456789ABCDEF") != 12)) ||
	    (imei && imei[strspn(imei, "0123456789")]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct facts known = {0}, written;
	for (int64_t at = 1; size; at++) {
		const uint8_t *end = memchr(data, 0, size);
		size_t len = end ? (size_t)(end - data) : size;
		if (json_security_read(data, len, UDID, at, &written) == OK) {
			check_merged(&known, &written, at);
			check_kept(&written);
			facts_merge(&known, &written);
			check_rules(&known);
			check_shown(&known);
		}
		len += end != NULL;
		data += len;
		size -= len;
	}
	return 0;
}
