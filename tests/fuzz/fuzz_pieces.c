/*
 * Where a message ends must not depend on the pieces it comes in: the end found in growing prefixes is
 * the end found in the whole.
 */
#include "json.h"
#include "mdm.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum mdm_form form, const uint8_t *text, size_t len, size_t step)
{
	size_t end = 0, looked = 0;
	for (size_t have = step; !end && have <= len; have += step) {
		end = mdm_message_end(form, text, have, looked);
		looked = have;
	}
	size_t whole = mdm_message_end(form, text, len - len % step, 0);
	if (end != whole)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t step = 1 + data[0] % 16;
	data++;
	size--;
	enum mdm_form form = mdm_form(data, size);
	if (form == FORM_XML || form == FORM_PEM)
		check(form, data, size, step);

	struct json_scan pieces = {0}, whole = {0};
	size_t end = 0;
	for (size_t have = 0; !end && have <= size; have++)
		end = json_scan(&pieces, data, have);
	if (end != json_scan(&whole, data, size))
		abort();
	return 0;
}
