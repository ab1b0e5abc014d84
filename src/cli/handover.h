#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include "error.h"
#include "escrow.h"

#include <stdbool.h>

/*
 * What the two processes of a mount say to each other (keeper.h), over a pair of sockets.
 *
 *	child to keeper	which files there are to be read again: once, before it gives up its rights and
 *			has seen a request; that it serves; that it was told to read them again; how
 *			that went
 *	keeper to child	those files, open
 *
 * The child can open no file any more, nor should it. The keeper can, and may be root: so it opens what
 * it was told of at first, and nothing else, whatever the child says later. It reads none of them.
 *
 * MUST: the keeper opens no file that was named after the child could have been taken over.
 *       (test: reload.bats, "no other file")
 * MUST: no link is followed that another user could have put there, also in the moment of opening.
 *       (test: reload.bats, "replaced by a link", path_open_follows_none)
 */

enum word {
	WORD_PLACES = 1,
	WORD_SERVES,
	WORD_AGAIN, /* somebody sent the child a SIGHUP: so would the keeper have got it */
	WORD_READ,  /* what was handed over is read */
};

/* How things stand with the child. */
enum note { NOTE_PLAIN, NOTE_NO_KEY, NOTE_NOT_ALL /* something couldn't be read again */ };

struct said {
	enum word word;
	enum note note;
	struct escrow_places places; /* of WORD_PLACES */
};

/* Two sockets, close-on-exec, which keep messages apart. False: errno says why. */
bool handover_sockets(int ends[static 2]);

/* The child's: says a word. That nobody listens is told by the end of the life pipe. */
void handover_say(int socket, enum word, enum note);
enum error handover_say_places(int socket, const struct escrow_places *);
/* The keeper's: false when nothing more comes. A message that is none is WORD_READ's, of nothing. */
bool handover_hear(int socket, struct said *);

/* The keeper's: opens all of them and passes them on, errors and all. */
void handover_give(int socket, const struct escrow_places *);

/* Files that came. */
struct handed {
	struct opened file[ESCROW_FILES];
	struct handed_text *text; /* what their paths and reasons are kept in */
};
/* The child's: false when nothing came. Freed with handed_free(), which closes them. */
bool handover_take(int socket, struct handed *);
void handed_free(struct handed *);

#endif
