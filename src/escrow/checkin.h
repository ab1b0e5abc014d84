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
	bool leaves; /* as far as can be told before the change: its token goes out */
	/* GetBootstrapToken: why whoever came with it gets no token; NULL: nothing is withheld. */
	const char *withheld;
	bool had_effect;
	bool replay, stranger; /* for /metrics: what came of it */
	struct arrived arrived;
};

/* Does the message do anything? */
bool checkin_matters(const struct message *);

/* What it does: the change, with a struct checkin as its context. */
enum error checkin_apply(struct tx *, void *context);

/* ---- identity.c ---- */

/* Binds the certificate that the message came with, or notes that it is a stranger. */
enum error identity_note(struct tx *, struct checkin *, struct dossier *);
/* Why whoever comes with this one gets no token; NULL: it gets it. After identity_note(). */
const char *identity_forbids(const struct checkin *, const struct dossier *);
/* The device's token was escrowed by this message: its certificate is the device's own. */
enum error identity_escrowed(struct tx *, struct checkin *, struct dossier *);

#endif
