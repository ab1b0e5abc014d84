#ifndef SOURCES_SEEN_H
#define SOURCES_SEEN_H

#include "arrival.h"

/*
 * What a rehearsal has seen: since nothing is written, the second message of a new device finds it
 * as new as the first did. Sixteen bytes a device and token.
 */
struct seen;

enum error seen_new(struct seen **);
void seen_free(struct seen *); /* takes NULL */

/* Takes out of `arrived` what came before, and remembers the rest. */
enum error seen_before(struct seen *, const char *udid, struct arrived *arrived);

#endif
