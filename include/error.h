#ifndef ESCROWFS_ERROR_H
#define ESCROWFS_ERROR_H

#include <stdbool.h>

/*
 * How a thing can go wrong, said once for all layers.
 *
 * A function that can fail returns an enum error. Whoever finds the fault says in one sentence what
 * is wrong, with what (file, device), and what to do about it: `return fail(ERR_INVALID, "...")`.
 * The sentence is kept for the thread, as errno is, until the next fail(). It never holds a secret:
 * it goes to logs, to the audit trail and to the caller.
 *
 * Resources are released by scope (SCOPED below), so that an early return is always safe.
 */

enum error {
	OK = 0,
	ERR_INVALID,   /* not whole, not valid, or not for this device   EINVAL  */
	ERR_FORBIDDEN, /* the prerequisites forbid it                    EPERM   */
	ERR_TOO_BIG,   /* over a limit                                   EFBIG   */
	ERR_NO_KEY,    /* no private key here opens it                   ENOKEY  */
	ERR_BAD_SEAL,  /* the stored blob fails its check                EBADMSG */
	ERR_NO_SPACE,  /* the store's disk is full                       ENOSPC  */
	ERR_READ_ONLY, /* the store can't be written                     EROFS   */
	ERR_IO,	       /* the store can't be read or written             EIO     */
	ERR_MEMORY,    /*                                                ENOMEM  */
	ERR_NOT_FOUND, /*                                                ENOENT  */
	ERR_EXISTS,    /*                                                EEXIST  */
	ERR_NOT_EMPTY, /*                                                ENOTEMPTY */
	ERR_GONE,      /* the device of this inode was taken away        ESTALE  */
	ERR_BUSY,      /* somebody else holds it                         EBUSY   */
	ERR_ACCESS,    /* a file outside the mount can't be opened       EACCES  */
	ERR_QUOTA,     /* as many tokens as may went within the hour     EDQUOT  */
	ERR_UNPINNED,  /* the store's recipients aren't those pinned     EKEYREJECTED */
	ERR_CHANGED,   /* what was looked at changed: look again         EAGAIN  */
	ERR_COUNT
};

/* Keeps the sentence for this thread and returns `code`. At most 511 bytes are kept. */
enum error fail(enum error code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of this thread's last fail(); "" before the first. Valid until the next fail(). */
const char *fail_why(void);

/*
 * For a sentence about a file, or whatever it is, that an option named: which one it was. `option` ("key=", "--key ")
 * is put before `value` where the thread's sentence has that. Where it hasn't, for the value has a secret in it perhaps,
 * the option alone is put before the sentence. Returns `code`; OK: does nothing.
 */
enum error fail_named(enum error code, const char *option, const char *value);
/* Has the sentence `value`, as a word of its own? */
bool fail_has(const char *value);

/* The errno's name, as the trail shows an outcome: "EINVAL"; "ok" for OK. */
const char *error_name(enum error);

/* Leaves the function with the error of `expression`, if it has one. */
#define TRY(expression)                                                                            \
	do {                                                                                       \
		enum error try_error_ = (expression);                                              \
		if (try_error_)                                                                    \
			return try_error_;                                                         \
	} while (0)

/* SCOPED(f) T x = ...; calls f(&x) when x goes out of scope. */
#define SCOPED(release) __attribute__((cleanup(release)))

#endif
