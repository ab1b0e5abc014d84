#ifndef ESCROWFS_MDM_TOKEN_H
#define ESCROWFS_MDM_TOKEN_H

#include "mdm/property.h"

/* 64 KiB of base64: the longest message that the file takes. */
#define TOKEN_BYTES_MAX (48 * 1024)

/*
 * The BootstrapToken of a property list: len 0 when it is absent or empty. ERR_INVALID: it is no
 * data, there twice, no base64, or a FileVault recovery key; ERR_TOO_BIG. The caller frees.
 */
enum error token_read(const struct property_list *, struct secret *out);

#endif
