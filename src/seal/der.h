#ifndef ESCROWFS_SEAL_DER_H
#define ESCROWFS_SEAL_DER_H

#include <openssl/objects.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reading of DER, element by element, in the caller's memory. Every function but der_seen() takes the
 * next element of `in` if it is the one that was asked for, and moves `in` behind it; else it returns
 * false, and `in` is of no more use.
 */
struct der {
	const uint8_t *at;
	size_t left;
};

/* The next element's content, if it has this class and tag. */
bool der_next(struct der *in, int class, int tag, bool constructed, struct der *content);

bool der_sequence(struct der *in, struct der *content);
bool der_set(struct der *in, struct der *content);
/* [tag]: around other elements (constructed), or itself a value. */
bool der_tagged(struct der *in, int tag, bool constructed, struct der *content);
bool der_octets(struct der *in, struct der *content);
/* An object identifier, which must be this one. */
bool der_object(struct der *in, int nid);
/* A non-negative integer below 128, which must be this one. */
bool der_integer(struct der *in, uint8_t value);

/* What `in` was moved over since it was `before`: whole elements. */
struct der der_seen(const struct der *before, const struct der *in);

#endif
