#ifndef ESCROW_ACL_H
#define ESCROW_ACL_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * POSIX ACLs in the form of the extended attributes system.posix_acl_access and _default (acl(5);
 * the layout is linux/posix_acl_xattr.h's: a version, then tag, permissions and id of each entry,
 * little-endian). Pure functions; what they do to mode bits is what the kernel does for its own
 * filesystems.
 */

/*
 * ERR_INVALID unless it is a whole ACL: each base entry once, a mask where users or groups are
 * named.
 */
enum error acl_check(const uint8_t *acl, size_t len);

/* Does it say no more than mode bits do (three entries)? */
bool acl_is_mode(const uint8_t *acl, size_t len);

/* The nine permission bits that it shows as: the group's are the mask's where there is one. */
uint32_t acl_mode(const uint8_t *acl, size_t len);

/* What chmod(2) to `mode` makes of it. */
void acl_chmod(uint8_t *acl, size_t len, uint32_t mode);

#endif
