/*
 * PEM around a seal (RFC 7468): what a sealed mount shows, and `openssl cms -inform PEM` reads.
 * Strict where it is read: the two lines, base64 between them, white space around, nothing else.
 */
#include "base64.h"
#include "seal.h"

#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

#define BEGIN "-----BEGIN CMS-----"
#define END "-----END CMS-----"
#define COLUMNS 64
#define LINE (COLUMNS / 4 * 3) /* bytes in a line */

size_t seal_armor_size(size_t len)
{
	size_t lines = (len + LINE - 1) / LINE;
	return sizeof BEGIN "\n" - 1 + BASE64_ENCODED(len) + lines + sizeof END "\n" - 1;
}

enum error seal_armor(const void *blob, size_t len, struct bytes *pem)
{
	*pem = (struct bytes){0};
	TRY(bytes_reserve(pem, seal_armor_size(len)));
	TRY(bytes_add(pem, BEGIN "\n", sizeof BEGIN "\n" - 1));
	const uint8_t *bytes = blob;
	for (size_t at = 0; at < len; at += LINE) {
		size_t n = len - at < LINE ? len - at : LINE;
		/* A seal is no secret: OpenSSL's encoder looks up what ours works out. */
		uint8_t line[COLUMNS + 1];
		int written = EVP_EncodeBlock(line, bytes + at, (int)n);
		line[written] = '\n';
		TRY(bytes_add(pem, line, (size_t)written + 1));
	}
	return bytes_add(pem, END "\n", sizeof END "\n" - 1);
}

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum error seal_dearmor(const void *pem, size_t len, struct bytes *blob)
{
	*blob = (struct bytes){0};
	const uint8_t *text = pem;
	for (; len && blank(*text); len--)
		text++;
	while (len && blank(text[len - 1]))
		len--;
	const size_t begin = sizeof BEGIN - 1, end = sizeof END - 1;
	if (len < begin + 1 + end || memcmp(text, BEGIN, begin) != 0 || !blank(text[begin]) ||
	    memcmp(text + len - end, END, end) != 0)
		return fail(ERR_INVALID,
			    "this is no sealed token: it starts with " BEGIN " and ends with " END);
	text += begin;
	len -= begin + end;

	blob->data = malloc(BASE64_DECODED_MAX(len) + 1);
	if (!blob->data)
		return fail(ERR_MEMORY, "out of memory");
	blob->cap = BASE64_DECODED_MAX(len) + 1;
	if (base64_decode(text, len, blob->data, &blob->len) != OK)
		return fail(ERR_INVALID, "a sealed token's PEM: %s", fail_why());
	blob->data[blob->len] = 0;
	if (!blob->len)
		return fail(ERR_INVALID, "a sealed token's PEM has nothing in it");
	return OK;
}
