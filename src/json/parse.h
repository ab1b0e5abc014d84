#ifndef JSON_PARSE_H
#define JSON_PARSE_H

#include "error.h"
#include "facts.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define PARSE_MAX (1024 * 1024) /* bytes: as large as a message may be */
#define PARSE_DEPTH_MAX 32
#define PARSE_VALUES_MAX 16384 /* jansson takes a hundred times the two bytes of a {} */

/*
 * Text to a JSON object: bounded in size, depth and number of values before jansson sees it,
 * duplicate keys and NULs refused, a BOM in front skipped. `what` is named in the sentence, which
 * never quotes the text. ERR_INVALID, ERR_TOO_BIG. Freed with parse_free().
 */
enum error parse(const uint8_t *text, size_t len, const char *what, json_t **out);
void parse_free(json_t **);

#define PARSE_NAME 65

/* A key's name as a sentence may have it: cut at 64 bytes, printable ASCII. Returns out. */
const char *parse_name(const char *key, char out[static PARSE_NAME]);

/* json_security_read() of what has been parsed. */
enum error parse_security(json_t *root, const char *udid, int64_t at, struct facts *out);

#endif
