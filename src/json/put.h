#ifndef JSON_PUT_H
#define JSON_PUT_H

#include "bytes.h"
#include "error.h"

#include <jansson.h>
#include <stdint.h>

/*
 * Building objects. Each call adds one key at the end and says when memory is out, so that what is
 * written is all there or not at all.
 */

/* Takes `value` over, also after an error. ERR_MEMORY; NULL counts as that. */
enum error put(json_t *to, const char *key, json_t *value);

/* Text of any bytes: those that are no UTF-8 stand as question marks. NULL: nothing is added. */
enum error put_words(json_t *to, const char *key, const char *text);

/* The same without a key, at the end of an array. */
enum error put_item(json_t *to, const char *text);

/* A time as time_text() has it; 0: nothing is added. */
enum error put_time(json_t *to, const char *key, int64_t at);

/* Adds an object's text to `out`; `flags` as in json_dumps(3). ERR_MEMORY: nothing was added. */
enum error put_text(const json_t *object, size_t flags, struct bytes *out);

/* How long that text is. ERR_MEMORY. */
enum error put_length(const json_t *object, size_t flags, uint32_t *out);

#endif
