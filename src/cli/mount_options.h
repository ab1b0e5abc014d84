#ifndef CLI_MOUNT_OPTIONS_H
#define CLI_MOUNT_OPTIONS_H

#include "error.h"

#include <stdbool.h>

/* What -o says, from the command line and from fstab. Texts point into the argument. */
struct mount_options {
	const char *key_uri, *passphrase_file, *recipients;
	const char *user; /* setuid=: whose rights are enough to serve */
	bool sealed, read_only;
	bool allow_other, default_permissions, strict_identity;
	int threads;	    /* 0: not said */
	int max_retrievals; /* an hour; 0: not said */
};

/*
 * Takes one -o argument apart, in place: options and commas between them; a backslash or double
 * quotes keep a comma in a value. Those that mount(8), fstab and systemd put there for others,
 * and those that always hold (nodev ...), are read over. With `sloppy` unknown ones too.
 * ERR_INVALID names the option.
 */
enum error mount_options_read(char *text, bool sloppy, struct mount_options *);

#endif
