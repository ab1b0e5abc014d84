/* security.json as it is written, webhook envelopes, lines of the trail. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct facts facts = {0};
	if (json_security_read(data, size, "9353BC9A", 1, &facts) == OK) {
		/* Law 1: what is shown can be written back. */
		struct device device = {.udid = "9353BC9A"};
		struct json_security security = {
			.device = &device, .facts = &facts, .token_keys = true};
		struct bytes text = {0};
		struct facts again = {0};
		if (json_security_write(&security, &text) ||
		    json_security_read(text.data, text.len, "9353BC9A", 2, &again))
			abort();
		for (int i = 0; i < FACT_COUNT; i++)
			if (facts_table[i].block != BLOCK_HIDDEN &&
			    facts.of[i].state == FACT_KNOWN &&
			    (again.of[i].flag != facts.of[i].flag ||
			     strcmp(again.of[i].text, facts.of[i].text) != 0))
				abort();
		bytes_free(&text);
	}
	struct json_webhook webhook = {0};
	(void)json_webhook(data, size, &webhook);
	secret_free(&webhook.payload);
	struct json_line line;
	(void)json_event_read((const char *)data, size, &line);
	return 0;
}
