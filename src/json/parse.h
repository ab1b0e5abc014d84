#ifndef JSON_PARSE_H
#define JSON_PARSE_H

#include "error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Text to a JSON object: bounded in depth before jansson sees it, duplicates and NULs refused.
 * `what` is named in the sentence. Freed with parse_free().
 */
enum error parse(const uint8_t *text, size_t len, const char *what, json_t **out);
void parse_free(json_t **);

#endif
