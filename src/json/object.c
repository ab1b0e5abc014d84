#include "json.h"
size_t json_object_end(const uint8_t *text, size_t len)
{
	struct json_scan scan = {0};
	return json_scan(&scan, text, len);
}
