#ifndef ESCROWFS_SEAL_SHAPE_H
#define ESCROWFS_SEAL_SHAPE_H

#include "error.h"

#include <stddef.h>

/*
 * Has a blob the one shape that seals have? ERR_BAD_SEAL says where it differs. *content is set to
 * the length of what is sealed.
 */
enum error seal_shape(const void *blob, size_t len, size_t *content);

#endif
