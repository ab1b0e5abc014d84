#ifndef SOURCES_NANOMDM_H
#define SOURCES_NANOMDM_H

#include "sources/intake.h"

#include <limits.h>
#include <stdbool.h>

/*
 * What NanoMDM keeps of an enrolment, whichever way it keeps files: the last messages of the device, its
 * Bootstrap Token as raw bytes, and whether it is disabled. When something was said is when its file was
 * written.
 */

enum nanomdm_part { NANOMDM_AUTHENTICATE, NANOMDM_TOKEN_UPDATE, NANOMDM_TOKEN, NANOMDM_PARTS };

struct nanomdm_layout {
	const char *part[NANOMDM_PARTS]; /* a file's name, or what follows the id in it */
	bool begins_with_id;
	bool empty_is_none; /* an empty file of a token: it was removed */
};

/* A part's file in the directory `path`, which may not be there; false: its path is too long. */
bool nanomdm_file(char out[static PATH_MAX], const struct nanomdm_layout *, const char *path,
		  const char *id, enum nanomdm_part);

/*
 * Takes an enrolment over: `path` has its files, and the file `disabled` is there if it is disabled.
 * An id of a user's channel is passed over: it has no Bootstrap Token, and its device is an enrolment
 * of its own. `name`: what is said when the id is no UDID. As intake_add().
 */
enum error nanomdm_enrolment(struct intake *, const struct nanomdm_layout *, const char *path,
			     const char *id, const char *disabled, const char *name);

#endif
