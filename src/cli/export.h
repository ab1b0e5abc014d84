#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "cli.h"
#include "progress.h"
#include "target.h"

/* What the two kinds of export share: tokens in the clear (export.c), a sealed tree
 * (export_tree.c). */
struct export
{
	const char *store, *key_uri, *passphrase_file, *directory;
	char **udids; /* none: all devices */
	int udid_count;
	struct escrow *escrow;
	struct target target;
	int64_t tokens, files, failed; /* failed: named on standard error */
	struct progress progress;
	enum export_form form;
	int csv; /* the descriptor of tokens.csv, while it is written */
};

/* Says fail_why() of a device that isn't exported. */
void export_say_failed(struct export *);

/* Copies the sealed tree. */
enum error export_tree(struct export *);

#endif
