#ifndef ESCROWFS_TESTS_MDM_FIXTURE_H
#define ESCROWFS_TESTS_MDM_FIXTURE_H

/* Messages for the tests of mdm: XML from pieces, binary property lists object by object. */
#include "bytes.h"
#include "mdm.h"

#include <openssl/crypto.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef fail /* cmocka's; ours is meant here */

/* Says which row of a table it was. */
#define ROW_FAILED(...)                                                                            \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		_fail(__FILE__, __LINE__);                                                         \
	} while (0)

#define NOW INT64_C(1760000000000000000)
#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"

#define PLIST(body) "<?xml version=\"1.0\"?><plist version=\"1.0\">" body "</plist>\n"
#define DICT(body) PLIST("<dict>" body "</dict>")
#define KEY(name) "<key>" name "</key>"
#define TEXT(name, value) KEY(name) "<string>" value "</string>"
/* A message of a type; a SetBootstrapToken with this in its <data>; a result. */
#define TYPE(type, body) DICT(TEXT("MessageType", type) TEXT("UDID", UDID) body)
#define TOKEN(data) TYPE("SetBootstrapToken", KEY("BootstrapToken") "<data>" data "</data>")
#define RESULT(name, body) DICT(TEXT("UDID", UDID) KEY(name) "<dict>" body "</dict>")

static inline enum error read_text(const char *text, struct message *out)
{
	return mdm_read((const uint8_t *)text, strlen(text), NOW, out);
}

/* Reads and forgets: the verdict alone. */
static inline enum error verdict(const char *text)
{
	struct message message;
	enum error result = read_text(text, &message);
	message_free(&message);
	return result;
}

static inline enum error verdict_of(const struct bytes *text)
{
	struct message message;
	enum error result = mdm_read(text->data, text->len, NOW, &message);
	message_free(&message);
	return result;
}

static inline bool why_has(const char *word)
{
	return strstr(fail_why(), word) != NULL;
}

/* ---- binary property lists ---- */

#define OBJECTS_MAX 70000

/* Objects are added one by one, numbered from 0; references take two bytes, offsets four. */
struct binary {
	struct bytes text;
	uint32_t offsets[OBJECTS_MAX];
	unsigned count;
};

static inline struct binary *binary_new(void)
{
	struct binary *binary = calloc(1, sizeof *binary);
	assert_non_null(binary);
	assert_int_equal(bytes_add(&binary->text, "bplist00", 8), OK);
	return binary;
}

static inline void binary_free(struct binary *binary)
{
	bytes_free(&binary->text);
	free(binary);
}

static inline void put(struct bytes *text, uint64_t value, int bytes)
{
	for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
		uint8_t byte = (uint8_t)(value >> shift);
		assert_int_equal(bytes_add(text, &byte, 1), OK);
	}
}

static inline unsigned begin_object(struct binary *binary, unsigned type, size_t count)
{
	assert_true(binary->count < OBJECTS_MAX);
	binary->offsets[binary->count] = (uint32_t)binary->text.len;
	if (count < 15) {
		put(&binary->text, type << 4 | count, 1);
	} else {
		put(&binary->text, type << 4 | 15, 1);
		put(&binary->text, 0x12, 1);
		put(&binary->text, count, 4);
	}
	return binary->count++;
}

static inline unsigned object(struct binary *binary, unsigned type, const void *contents,
			      size_t len)
{
	unsigned number = begin_object(binary, type, len);
	assert_int_equal(bytes_add(&binary->text, contents, len), OK);
	return number;
}

static inline unsigned string(struct binary *binary, const char *text)
{
	return object(binary, 0x5, text, strlen(text));
}

/* An array of n times the same object. */
static inline unsigned array(struct binary *binary, unsigned item, size_t n)
{
	unsigned number = begin_object(binary, 0xa, n);
	for (size_t i = 0; i < n; i++)
		put(&binary->text, item, 2);
	return number;
}

/* A dictionary of n pairs: keys, then values. */
static inline unsigned dict(struct binary *binary, const unsigned *items, size_t n)
{
	unsigned number = begin_object(binary, 0xd, n);
	for (size_t i = 0; i < 2 * n; i++)
		put(&binary->text, items[i], 2);
	return number;
}

static inline void trailer(struct bytes *text, int offset_size, int ref_size, uint64_t objects,
			   uint64_t top, uint64_t table)
{
	put(text, 0, 6);
	put(text, (uint64_t)offset_size, 1);
	put(text, (uint64_t)ref_size, 1);
	put(text, objects, 8);
	put(text, top, 8);
	put(text, table, 8);
}

static inline const struct bytes *finish(struct binary *binary, unsigned top)
{
	size_t table = binary->text.len;
	for (unsigned i = 0; i < binary->count; i++)
		put(&binary->text, binary->offsets[i], 4);
	trailer(&binary->text, 4, 2, binary->count, top, table);
	return &binary->text;
}

#endif
