#ifndef ESCROWFS_SECRET_H
#define ESCROWFS_SECRET_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Memory for plaintext tokens and whatever holds one (messages, property lists, base64 of it).
 * It lies in OpenSSL's secure heap (OPENSSL_secure_malloc(3)): locked, left out of core dumps,
 * wiped when freed. A secret has one owner and one way out, secret_free().
 *
 * MUST: never be swapped, dumped, logged or left behind. (test: secret_wiped_on_free)
 * MUST: the process that holds one can't be dumped or traced by others.
 *       (test: process_is_undumpable)
 * MUST: compare in constant time. (test: secret_equal_...)
 * MUST: what the C library frees is wiped first: libraries make copies. (test: free_wipes)
 */
struct secret {
	uint8_t *data;
	size_t len, cap;
};

/*
 * Makes the process fit to hold secrets: secure heap of `heap` bytes (a power of two),
 * PR_SET_DUMPABLE 0, core limit 0, mlockall (MCL_ONFAULT). Once, before the first secret and before
 * threads. Where locking is not allowed it warns, naming the limit, and goes on. ERR_MEMORY when
 * there is no secure heap.
 */
enum error secret_prepare(size_t heap);
/*
 * The same without mlockall, and so without that warning, for a process that opens no seal: no
 * library is ever given a secret that it could copy.
 */
enum error secret_prepare_sealed(size_t heap);

/* The secure heap's bytes; 0 before it was prepared. */
size_t secret_heap(void);

/*
 * For a process that is about to give up the right to lock memory without limit (CAP_IPC_LOCK), before
 * it does: what is locked stays so; where the limit doesn't allow any more, what is mapped from now on
 * isn't locked, which is said in the log.
 */
void secret_settle(void);

/* Does free(3) wipe? Not in builds for the sanitizers and for valgrind, which bring their own. */
bool secret_wipes_frees(void);

/* An empty secret with room for `cap` bytes. ERR_MEMORY when the secure heap is full. */
enum error secret_new(size_t cap, struct secret *out);

/* Adds n bytes, growing as needed (the old place is wiped). ERR_MEMORY. */
enum error secret_add(struct secret *, const void *, size_t n);

/* Wipes, frees and empties; for SCOPED. Safe on a zeroed struct and twice. */
void secret_free(struct secret *);

/* Hands the bytes of `from` to `to`, which is freed before; `from` is empty then. */
void secret_move(struct secret *to, struct secret *from);

/* Constant time for equal lengths (CRYPTO_memcmp(3)). */
bool secret_equal(const struct secret *, const struct secret *);

/* Overwrites memory that somebody else frees: a request's buffer, a library's string. */
void secret_wipe(void *, size_t n);

/* Overwrites the part of this thread's stack that finished calls have used: libraries leave bytes
 * there. */
void secret_wipe_stack(void);

#endif
