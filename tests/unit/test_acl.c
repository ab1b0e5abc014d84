/* ACLs as extended attributes: what they do to mode bits, and what isn't one. */
#include "escrow/acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define V 2, 0, 0, 0
#define E(tag, perm, id) tag, 0, perm, 0, id, 0, 0, 0

static const uint8_t base[] = {V, E(0x01, 6, 0), E(0x04, 4, 0), E(0x20, 0, 0)};
static const uint8_t named[] = {
	V, E(0x01, 6, 0), E(0x02, 7, 9), E(0x04, 4, 0), E(0x10, 5, 0), E(0x20, 1, 0)};

static void mode_bits_of_an_acl(void **state)
{
	(void)state;
	assert_int_equal(acl_check(base, sizeof base), OK);
	assert_true(acl_is_mode(base, sizeof base));
	assert_int_equal(acl_mode(base, sizeof base), 0640);
	assert_int_equal(acl_check(named, sizeof named), OK);
	assert_false(acl_is_mode(named, sizeof named));
	/* The group's bits show the mask. */
	assert_int_equal(acl_mode(named, sizeof named), 0651);
}

static void chmod_sets_the_mask(void **state)
{
	(void)state;
	uint8_t acl[sizeof named];
	memcpy(acl, named, sizeof acl);
	acl_chmod(acl, sizeof acl, 0720);
	assert_int_equal(acl_mode(acl, sizeof acl), 0720);
	static const uint8_t after[] = {
		V, E(0x01, 7, 0), E(0x02, 7, 9), E(0x04, 4, 0), E(0x10, 2, 0), E(0x20, 0, 0)};
	assert_memory_equal(acl, after, sizeof after);
	uint8_t small[sizeof base];
	memcpy(small, base, sizeof small);
	acl_chmod(small, sizeof small, 0751);
	assert_int_equal(acl_mode(small, sizeof small), 0751);
}

static void what_is_no_acl(void **state)
{
	(void)state;
	static const uint8_t no_mask[] = {V, E(0x01, 6, 0), E(0x02, 7, 9), E(0x04, 4, 0),
					  E(0x20, 0, 0)};
	static const uint8_t twice[] = {V, E(0x01, 6, 0), E(0x01, 6, 0), E(0x04, 4, 0),
					E(0x20, 0, 0)};
	static const uint8_t no_other[] = {V, E(0x01, 6, 0), E(0x04, 4, 0)};
	static const uint8_t version[] = {3, 0, 0, 0, E(0x01, 6, 0), E(0x04, 4, 0), E(0x20, 0, 0)};
	static const uint8_t tag[] = {V, E(0x01, 6, 0), E(0x04, 4, 0), E(0x20, 0, 0),
				      E(0x40, 0, 0)};
	static const uint8_t perm[] = {V, E(0x01, 8, 0), E(0x04, 4, 0), E(0x20, 0, 0)};
	assert_int_equal(acl_check(no_mask, sizeof no_mask), ERR_INVALID);
	assert_int_equal(acl_check(twice, sizeof twice), ERR_INVALID);
	assert_int_equal(acl_check(no_other, sizeof no_other), ERR_INVALID);
	assert_int_equal(acl_check(version, sizeof version), ERR_INVALID);
	assert_int_equal(acl_check(tag, sizeof tag), ERR_INVALID);
	assert_int_equal(acl_check(perm, sizeof perm), ERR_INVALID);
	for (size_t len = 0; len < sizeof base; len++)
		assert_int_equal(acl_check(base, len), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_bits_of_an_acl),
		cmocka_unit_test(chmod_sets_the_mask),
		cmocka_unit_test(what_is_no_acl),
	};
	return cmocka_run_group_tests_name("acl", tests, NULL, NULL);
}
