#ifndef ESCROW_CHECKIN_H
#define ESCROW_CHECKIN_H

#include "inside.h"

/* A message on its way into the store. */
struct checkin {
	struct escrow *escrow;
	const struct actor *actor;
	const struct message *message;
	int64_t now;
	bool import; /* what is known already changes nothing, and is told in `arrived` */
	bool readable;
	const struct sealed *sealed; /* SetBootstrapToken */
	struct version opened;	     /* GetBootstrapToken: what was unsealed; id 0: nothing */
	bool had_effect;
	struct arrived arrived;
};

/* Does the message do anything? */
bool checkin_matters(const struct message *);

/* What it does: the change, with a struct checkin as its context. */
enum error checkin_apply(struct tx *, void *context);

#endif
