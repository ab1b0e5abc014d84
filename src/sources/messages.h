#ifndef SOURCES_MESSAGES_H
#define SOURCES_MESSAGES_H

#include "error.h"
#include "secret.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages, one after the other, out of a file or a pipe: property lists behind each other, a
 * line of JSON each, or a single message. One at a time is in memory, in secure memory,
 * whatever the length of the whole.
 */
struct messages {
	int fd;
	const volatile sig_atomic_t *stop; /* set by a signal: no more messages */
	struct secret gathered;
	size_t at; /* where in `gathered` the next one starts */
	bool ended;
	int cuts; /* broken messages one behind the other */
};

/* ERR_MEMORY. Freed with messages_free(), which leaves fd open. */
enum error messages_new(int fd, const volatile sig_atomic_t *stop, struct messages *out);
void messages_free(struct messages *);

/*
 * The next message, valid until the next call; *len is 0 behind the last. Text that never
 * becomes a whole message is given as it is, up to a line that looks like the start of another
 * one. ERR_TOO_BIG: no message ends within a message's limit, and where the next one starts
 * can't be told. ERR_IO.
 */
enum error messages_next(struct messages *, const uint8_t **text, size_t *len);

/*
 * Is there nothing but white space behind the message that came last? True only once the end
 * was seen.
 */
bool messages_over(const struct messages *);

#endif
