#ifndef ESCROWFS_MDM_TOKEN_H
#define ESCROWFS_MDM_TOKEN_H

#include "mdm/property.h"

/* As much as the base64 of 64 KiB holds. */
/* Its line of base64, with the newline, is a message that the file takes again: 64 KiB at most. */
#define TOKEN_BYTES_MAX ((64 * 1024 - 1) / 4 * 3)

/*
 * The BootstrapToken of a property list: len 0 when it is absent or empty. ERR_INVALID: it is no
 * data, there twice, no base64, or a FileVault recovery key; ERR_TOO_BIG. The caller frees.
 */
enum error token_read(const struct property_list *, struct secret *out);

#endif
