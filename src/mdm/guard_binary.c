/*
 * The binary guard. A binary property list ("bplist00") is objects one after another, a table of
 * where each starts, and a trailer of 32 bytes that says where the table is:
 *
 *	"bplist00"  object object ...  offset offset ...  trailer
 *
 * Arrays and dictionaries hold numbers of objects, and any object may be held by many. libplist
 * makes a copy for each time, so that 131 bytes can become a gigabyte: what counts is the expanded
 * size. Each object is walked once and its expanded size kept; since an object counts at least once
 * for each reference to it, the walk takes no more steps than the bound on nodes allows.
 *
 * MUST: every offset, length and reference lies inside the file. (test: guard_binary_bounds)
 * MUST: no cycles, and no more depth, nodes and bytes than the bounds. (test: guard_binary_expands)
 */
#include "guard.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "bplist00"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define TRAILER_LEN 32

enum type {
	TYPE_SIMPLE = 0x0, /* false, true */
	TYPE_INTEGER = 0x1,
	TYPE_REAL = 0x2,
	TYPE_DATE = 0x3,
	TYPE_DATA = 0x4,
	TYPE_ASCII = 0x5,
	TYPE_UTF16 = 0x6,
	TYPE_ARRAY = 0xa,
	TYPE_DICT = 0xd,
};

/* An object with everything that it holds, each reference followed. */
struct weight {
	uint32_t nodes; /* 0: not walked yet */
	uint32_t bytes;
	uint8_t height; /* 1: holds nothing */
	bool open;	/* it is being walked: a reference to it is a cycle */
};

struct walk {
	const uint8_t *file;
	struct trailer trailer;
	struct weight *weights;
};

struct object {
	enum type type;
	unsigned info;	     /* the low half of its first byte */
	uint64_t at;	     /* where its contents start */
	uint64_t count, len; /* of items (characters, pairs); of its contents in bytes */
};

uint64_t big_endian(const uint8_t *bytes, unsigned n)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return value;
}

bool trailer_read(const uint8_t *text, size_t len, struct trailer *out)
{
	if (len < MAGIC_LEN + 2 + TRAILER_LEN)
		return false;
	const uint8_t *bytes = text + len - TRAILER_LEN;
	*out = (struct trailer){.offset_size = bytes[6], .ref_size = bytes[7]};
	if (out->offset_size < 1 || out->offset_size > 8 || out->ref_size < 1 || out->ref_size > 8)
		return false;
	out->objects = big_endian(bytes + 8, 8);
	out->top = big_endian(bytes + 16, 8);
	out->table = big_endian(bytes + 24, 8);
	uint64_t room = len - TRAILER_LEN;
	return out->objects && out->top < out->objects && out->table > MAGIC_LEN &&
	       out->table < room && out->objects <= room &&
	       out->table + out->objects * out->offset_size == room;
}

static enum error bad(const char *what)
{
	return fail(ERR_INVALID, "the binary property list is not valid: %s", what);
}

/* How many bytes an object of this type and count has behind its head; UINT64_MAX: none has. */
static uint64_t contents(const struct walk *walk, const struct object *object)
{
	switch (object->type) {
	case TYPE_SIMPLE:
		return object->info == 8 || object->info == 9 ? 0 : UINT64_MAX;
	case TYPE_INTEGER:
		return object->info <= 4 ? UINT64_C(1) << object->info : UINT64_MAX;
	case TYPE_REAL:
		return object->info == 2 || object->info == 3 ? UINT64_C(1) << object->info
							      : UINT64_MAX;
	case TYPE_DATE:
		return object->info == 3 ? 8 : UINT64_MAX;
	case TYPE_DATA:
	case TYPE_ASCII:
		return object->count;
	case TYPE_UTF16:
		/* An empty one is what libplist can't read. */
		return object->count ? 2 * object->count : UINT64_MAX;
	case TYPE_ARRAY:
		return object->count * walk->trailer.ref_size;
	case TYPE_DICT:
		return 2 * object->count * walk->trailer.ref_size;
	default:
		return UINT64_MAX;
	}
}

static bool has_count(enum type type)
{
	return type == TYPE_DATA || type == TYPE_ASCII || type == TYPE_UTF16 ||
	       type == TYPE_ARRAY || type == TYPE_DICT;
}

/* Reads the head of object `number` and checks that all of it lies before the offset table. */
static enum error read_object(const struct walk *walk, uint64_t number, struct object *out)
{
	const struct trailer *trailer = &walk->trailer;
	*out = (struct object){0};
	uint64_t at = big_endian(walk->file + trailer->table + number * trailer->offset_size,
				 trailer->offset_size);
	if (at < MAGIC_LEN || at >= trailer->table)
		return bad("an offset lies outside of it");
	*out = (struct object){.type = walk->file[at] >> 4, .info = walk->file[at] & 15};
	at++;
	out->count = out->info;
	if (out->info == 15 && has_count(out->type)) {
		/* The count is an integer object of its own. */
		if (at >= trailer->table)
			return bad("an object is cut");
		unsigned head = walk->file[at++];
		if (head >> 4 != TYPE_INTEGER || (head & 15) > 3 ||
		    1u << (head & 15) > trailer->table - at)
			return bad("an object's length is none");
		out->count = big_endian(walk->file + at, 1u << (head & 15));
		at += 1u << (head & 15);
	}
	/* Nothing counts more than the bytes there are, so that no product overflows. */
	if (out->count > trailer->table)
		return bad("an object is longer than it");
	out->len = contents(walk, out);
	if (out->len == UINT64_MAX)
		return bad("it has an object of a kind that property lists don't have");
	if (out->len > trailer->table - at)
		return bad("an object is longer than it");
	out->at = at;
	return OK;
}

/* libplist ends strings at a NUL: what stands behind it would be hidden. */
static bool has_nul(const struct walk *walk, const struct object *object)
{
	const uint8_t *text = walk->file + object->at;
	if (object->type == TYPE_ASCII)
		return memchr(text, 0, object->len) != NULL;
	for (uint64_t i = 0; i < object->len; i += 2)
		if (!text[i] && !text[i + 1])
			return true;
	return false;
}

/* Bytes that libplist takes for a leaf's contents: for a unit of UTF-16 four, while it reads. */
static uint64_t expanded(const struct object *object)
{
	return object->type == TYPE_UTF16 ? 2 * object->len : object->len;
}

static enum error weigh(struct walk *walk, uint64_t number, unsigned depth);

/* Adds what the i-th reference of a container leads to. */
static enum error weigh_item(struct walk *walk, const struct object *object, uint64_t i,
			     unsigned depth, struct weight *sum)
{
	const struct trailer *trailer = &walk->trailer;
	uint64_t number =
		big_endian(walk->file + object->at + i * trailer->ref_size, trailer->ref_size);
	if (number >= trailer->objects)
		return bad("a reference leads outside of it");
	if (object->type == TYPE_DICT && i < object->count) {
		struct object key;
		TRY(read_object(walk, number, &key));
		if (key.type != TYPE_ASCII && key.type != TYPE_UTF16)
			return bad("a dictionary's key is no string");
	}
	TRY(weigh(walk, number, depth));
	const struct weight *item = &walk->weights[number];
	if (item->nodes > GUARD_NODES_MAX - sum->nodes)
		return bad("with all its references it has too many elements");
	if (item->bytes > GUARD_BYTES_MAX - sum->bytes)
		return bad("with all its references it is too large");
	sum->nodes += item->nodes;
	sum->bytes += item->bytes;
	if (item->height >= sum->height)
		sum->height = (uint8_t)(item->height + 1);
	return OK;
}

/* `depth` containers are around this object. */
static enum error weigh(struct walk *walk, uint64_t number, unsigned depth)
{
	struct weight *weight = &walk->weights[number];
	if (weight->open)
		return bad("it contains itself");
	if (!weight->nodes) {
		struct object object;
		struct weight sum = {.nodes = 1, .height = 1};
		TRY(read_object(walk, number, &object));
		bool container = object.type == TYPE_ARRAY || object.type == TYPE_DICT;
		if (container && depth == MDM_DEPTH_MAX)
			return bad("it is nested too deeply");
		if (object.type == TYPE_DICT && object.count > GUARD_KEYS_MAX)
			return bad("a dictionary has too many keys");
		if ((object.type == TYPE_ASCII || object.type == TYPE_UTF16) &&
		    has_nul(walk, &object))
			return bad("a string has a NUL in it");
		if (container) {
			uint64_t items = object.type == TYPE_DICT ? 2 * object.count : object.count;
			weight->open = true;
			for (uint64_t i = 0; i < items; i++)
				TRY(weigh_item(walk, &object, i, depth + 1, &sum));
			weight->open = false;
		} else {
			sum.bytes = (uint32_t)expanded(&object);
		}
		*weight = sum;
	}
	/* A leaf may stand in a container of the last level. */
	if (depth + weight->height > MDM_DEPTH_MAX + 1)
		return bad("it is nested too deeply");
	return OK;
}

enum error guard_binary(const uint8_t *file, size_t len)
{
	struct walk walk = {.file = file};
	if (len > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "the message is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (len < MAGIC_LEN || memcmp(file, MAGIC, MAGIC_LEN) != 0)
		return bad("only version 00 is taken (bplist00)");
	if (!trailer_read(file, len, &walk.trailer))
		return bad("its trailer doesn't fit: it is cut, or not whole yet");
	if (walk.trailer.objects > GUARD_NODES_MAX)
		return bad("it has too many elements");
	struct object object;
	for (uint64_t i = 0; i < walk.trailer.objects; i++)
		TRY(read_object(&walk, i, &object));
	TRY(read_object(&walk, walk.trailer.top, &object));
	if (object.type != TYPE_DICT)
		return fail(ERR_INVALID, "a message is a dictionary, and this is something else");
	walk.weights = calloc(walk.trailer.objects, sizeof *walk.weights);
	if (!walk.weights)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = weigh(&walk, walk.trailer.top, 0);
	free(walk.weights);
	return result;
}
