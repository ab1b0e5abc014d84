#ifndef ESCROWFS_BASE64_H
#define ESCROWFS_BASE64_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Base64 (RFC 4648, section 4), strict: alphabet, padding, length and unused bits are checked.
 * White space (space, tab, CR, LF) may stand before, after and between groups of four, never inside
 * a group. Works in the caller's memory only, so that secrets stay where the caller put them, and
 * looks nothing up in a table with a secret as the index.
 */

/* Bytes that `len` characters decode to at the most. */
#define BASE64_DECODED_MAX(len) ((len) / 4 * 3)
/* Characters that n bytes encode to, without a NUL. */
#define BASE64_ENCODED(n) (((n) + 2) / 3 * 4)

/*
 * Decodes `len` characters to `out`, which has room for BASE64_DECODED_MAX(len), and sets *n.
 * ERR_INVALID says what is wrong and at which character, never which character it is.
 */
enum error base64_decode(const uint8_t *text, size_t len, uint8_t *out, size_t *n);

/* Encodes n bytes to BASE64_ENCODED(n) characters; no NUL. */
void base64_encode(const uint8_t *bytes, size_t n, uint8_t *out);

#endif
