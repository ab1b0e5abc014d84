#ifndef ESCROWFS_SEAL_KEYFILE_H
#define ESCROWFS_SEAL_KEYFILE_H

#include "error.h"
#include "path.h"
#include "secret.h"

#include <limits.h>
#include <stdbool.h>

/* Files that only their owner and group may read: private keys and passphrases. */

/*
 * Reads a key file into secure memory. ERR_NOT_FOUND, ERR_ACCESS; ERR_INVALID: no regular file,
 * larger than 1 MiB, others have permissions on it, or it lies inside directory `outside_of` (NULL:
 * anywhere). The caller frees `out`, also after an error.
 */
enum error keyfile_read(const char *path, const char *outside_of, struct secret *out);
/* The same of a file that was opened elsewhere: also the error with which that went wrong. */
enum error keyfile_read_opened(const struct opened *, const char *outside_of, struct secret *out);

/* Lies the open file inside directory `dir`, whatever its path is by now? */
bool keyfile_opened_inside(int fd, const char *dir);

#define PASSPHRASE_MAX 1023

/*
 * Reads the first line of `path`, without its newline: a passphrase. With NULL: of the systemd
 * credential escrowfs.passphrase, or nothing (len 0) when there is none, or an empty one. ERR_NO_KEY:
 * it isn't there, is empty, longer than PASSPHRASE_MAX, or others may read it. The caller frees `out`,
 * also after an error.
 */
enum error keyfile_passphrase(const char *path, struct secret *out);
/* The same of a file that was opened elsewhere; not `given`: it is the credential. */
enum error keyfile_passphrase_opened(const struct opened *, bool given, struct secret *out);

/* Where the credential is; NULL: there is none. */
const char *keyfile_credential(char out[static PATH_MAX]);

#endif
