#ifndef ESCROW_VERIFY_H
#define ESCROW_VERIFY_H

#include "told.h"

/*
 * Parts of verify: each holds some rows against others, and against what the trail tells, and calls
 * `found` with a sentence for each that is wrong.
 */

struct verify {
	struct tx *tx;
	struct mentions *mentions; /* NULL: the trail can't be read */
	/*
	 * The trail is of a store that was made by this program or a later one. An older one's lines don't
	 * say when what came from elsewhere was sent, nor which certificates did.
	 */
	bool born;
	bool settings_said; /* each line of the trail that is about owners and modes says what holds */
	void (*found)(void *, const char *);
	/* Given what came of a part: OK when that is a finding, too, and the next part is to follow. */
	enum error (*go_on)(void *, enum error);
	void *context;
};

/* All devices, what came with them, and those that were taken away. */
enum error verify_devices(const struct verify *);
/* What was set of owners, modes and ACLs. */
enum error verify_settings(const struct verify *);
/* Who the recipients are. */
enum error verify_recipients(const struct verify *);
/* The same of what was set, and is found nowhere. */
void verify_setting_left(const struct verify *, const struct mention *);

/* A sentence, as printf(3) has it. */
void verify_found(const struct verify *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
