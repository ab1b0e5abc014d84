#ifndef ESCROWFS_MDM_GUARD_H
#define ESCROWFS_MDM_GUARD_H

#include "bytes.h"
#include "error.h"
#include "mdm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is looked at before libplist sees a property list. Its parser and its free() recurse without
 * a limit, it expands shared references, it takes half of what XML allows for the other half, and
 * its base64 accepts anything. So it gets nothing that wasn't walked here first.
 */

/* How many elements (XML) or nodes with all references followed (binary) a message may have. */
#define GUARD_NODES_MAX 65536
/* libplist looks a dictionary's keys up one by one as it adds them. */
#define GUARD_KEYS_MAX 1024
/* What a binary list's strings and data may take with all references followed. */
#define GUARD_BYTES_MAX (4 * MDM_MESSAGE_MAX)

/* What the XML guard found. */
struct guarded {
	/*
	 * The same property list for libplist: tags, keys, strings and integers only, each of them
	 * checked. Comments, declarations, attributes and white space are left out, and so is what
	 * data, dates and reals hold: nothing here needs it of libplist.
	 */
	struct bytes clean;
	size_t keys;	/* of the top dictionary, each counted */
	bool has_token; /* one of them is BootstrapToken */
	/* What stands between its <data> and </data>; NULL: it is no <data>. */
	const uint8_t *token;
	size_t token_len;
};

/* ERR_INVALID says what is wrong and where; ERR_MEMORY. The caller frees, also after an error. */
enum error guard_xml(const uint8_t *, size_t, struct guarded *out);
void guarded_free(struct guarded *);

/* ERR_INVALID says what is wrong; ERR_MEMORY. */
enum error guard_binary(const uint8_t *, size_t);

/* The last 32 bytes of a binary property list. */
struct trailer {
	unsigned offset_size, ref_size; /* 1 to 8 */
	uint64_t objects, top;
	uint64_t table; /* where the offsets start */
};
/* False: what ends here is no binary property list whose offset table reaches up to its trailer. */
bool trailer_read(const uint8_t *, size_t, struct trailer *out);
/* The length without white space behind it, or 0: it isn't whole. */
size_t binary_end(const uint8_t *, size_t);

uint64_t big_endian(const uint8_t *, unsigned n);

/* The length of a BOM and the white space before a message. */
size_t lead(const uint8_t *, size_t);
bool is_blank(uint8_t);

/*
 * Reads what mdm_headers_end() found: the Identity header as lower-case hex, "" when there is none.
 * ERR_INVALID: it isn't 64 hex digits, or there are two.
 */
enum error headers_read(const uint8_t *, size_t, char identity[static 65]);

#endif
