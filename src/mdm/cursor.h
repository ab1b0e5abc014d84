#ifndef ESCROWFS_MDM_CURSOR_H
#define ESCROWFS_MDM_CURSOR_H

#include "mdm/guard.h"

/* A place in an XML text. */
struct cursor {
	const uint8_t *text, *at, *end;
};

/* ERR_INVALID with a sentence that says where the cursor stands. */
enum error cursor_bad(const struct cursor *, const char *what);

/* Does `word` stand here? cursor_take() also goes behind it. */
bool cursor_sees(const struct cursor *, const char *word);
bool cursor_take(struct cursor *, const char *word);

/* Behind white space; behind the first `ending`; behind white space, comments and instructions. */
void cursor_blank(struct cursor *);
enum error cursor_past(struct cursor *, const char *ending);
enum error cursor_misc(struct cursor *);

/* What stands before the root, <plist> included; what stands behind it, up to the text's end. */
enum error cursor_prolog(struct cursor *);
enum error cursor_epilog(struct cursor *);

/*
 * Checks the references in a run of text and adds their number to *count. False: one is neither one
 * of XML's five entities nor a character's number; *at is where it stands.
 */
bool xml_references(const uint8_t *run, size_t len, size_t *count, const uint8_t **at);

/* An integer as strtoull(3) takes it, white space around it; nothing at all is one too. */
bool xml_integer(const uint8_t *, size_t);

#endif
