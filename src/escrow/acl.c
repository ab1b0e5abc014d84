#include "acl.h"

#include <endian.h>
#include <string.h>

#define ACL_VERSION 2
#define HEADER 4
#define ENTRY 8

enum { USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20 };

static uint16_t half(const uint8_t *at)
{
	uint16_t value;
	memcpy(&value, at, sizeof value);
	return le16toh(value);
}

static size_t entries(size_t len)
{
	return (len - HEADER) / ENTRY;
}

static const uint8_t *entry(const uint8_t *acl, size_t i)
{
	return acl + HEADER + i * ENTRY;
}

/* The entry with a tag that stands at most once, or NULL. */
static const uint8_t *find(const uint8_t *acl, size_t len, uint16_t tag)
{
	for (size_t i = 0; i < entries(len); i++)
		if (half(entry(acl, i)) == tag)
			return entry(acl, i);
	return NULL;
}

enum error acl_check(const uint8_t *acl, size_t len)
{
	uint32_t version;
	if (len < HEADER || (len - HEADER) % ENTRY != 0)
		return fail(ERR_INVALID, "an ACL of %zu bytes is not whole", len);
	memcpy(&version, acl, sizeof version);
	if (le32toh(version) != ACL_VERSION)
		return fail(ERR_INVALID, "an ACL of another version than %d", ACL_VERSION);
	unsigned seen = 0, named = 0;
	for (size_t i = 0; i < entries(len); i++) {
		unsigned tag = half(entry(acl, i));
		bool once = tag == USER_OBJ || tag == GROUP_OBJ || tag == MASK || tag == OTHER;
		if (!once && tag != USER && tag != GROUP)
			return fail(ERR_INVALID, "an ACL with an entry of unknown kind");
		if (once && seen & tag)
			return fail(ERR_INVALID,
				    "an ACL with two entries of a kind that stands once");
		if (half(entry(acl, i) + 2) > 7)
			return fail(ERR_INVALID, "an ACL with unknown permissions");
		seen |= tag;
		named += !once;
	}
	if (!(seen & USER_OBJ) || !(seen & GROUP_OBJ) || !(seen & OTHER) ||
	    (named && !(seen & MASK)))
		return fail(ERR_INVALID, "an ACL that lacks a base entry or its mask");
	return OK;
}

bool acl_is_mode(const uint8_t *acl, size_t len)
{
	return entries(len) == 3 && !find(acl, len, MASK);
}

static uint32_t bits(const uint8_t *acl, size_t len, uint16_t tag)
{
	const uint8_t *found = find(acl, len, tag);
	return found ? half(found + 2) : 0;
}

uint32_t acl_mode(const uint8_t *acl, size_t len)
{
	uint16_t group = find(acl, len, MASK) ? MASK : GROUP_OBJ;
	return bits(acl, len, USER_OBJ) << 6 | bits(acl, len, group) << 3 | bits(acl, len, OTHER);
}

static void set_bits(uint8_t *acl, size_t len, uint16_t tag, uint32_t permissions)
{
	const uint8_t *found = find(acl, len, tag);
	uint16_t value = htole16((uint16_t)(permissions & 7));
	if (found)
		memcpy(acl + (found - acl) + 2, &value, sizeof value);
}

void acl_chmod(uint8_t *acl, size_t len, uint32_t mode)
{
	set_bits(acl, len, USER_OBJ, mode >> 6);
	set_bits(acl, len, find(acl, len, MASK) ? MASK : GROUP_OBJ, mode >> 3);
	set_bits(acl, len, OTHER, mode);
}
