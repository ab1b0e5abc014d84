#ifndef ESCROWFS_MDM_PROPERTY_H
#define ESCROWFS_MDM_PROPERTY_H

#include "mdm/guard.h"

#include <plist/plist.h>

/*
 * A property list that went through the guard, and its keys with their types checked. What is of
 * another type, or there twice, is ERR_INVALID; the sentence names the key, never the value.
 */
struct property_list {
	plist_t root; /* a dictionary */
	bool binary;
	struct guarded xml; /* when it isn't binary */
};

/* FORM_XML or FORM_BINARY. ERR_INVALID, ERR_TOO_BIG, ERR_MEMORY. Closed also after an error. */
enum error property_open(enum mdm_form, const uint8_t *, size_t, struct property_list *);
void property_close(struct property_list *); /* for SCOPED */

/* The value of a key, NULL when it isn't there. */
enum error property_get(plist_t dict, const char *key, plist_type, plist_t *out);

/*
 * A string of less than `size` bytes, UTF-8 without control characters; "" when the key isn't there
 * (an empty string is what some encoders write for that).
 */
enum error property_text(plist_t dict, const char *key, char *out, size_t size);

enum property_flag { FLAG_ABSENT = -1, FLAG_FALSE, FLAG_TRUE };
enum error property_flag(plist_t dict, const char *key, enum property_flag *out);

#endif
