#ifndef ESCROWFS_PATH_H
#define ESCROWFS_PATH_H

#include "error.h"

/*
 * Paths that somebody else may have a hand in.
 *
 * MUST: no symbolic link is followed that another user could have put there.
 *       (test: links_of_others_are_refused)
 */

/*
 * ERR_INVALID: the way to `path` leads over a symbolic link in a directory that other users than root
 * and this one may write, or that is theirs; where it is sticky, as /tmp is, a link of root's or this
 * user's own is fine. The sentence names the link. What isn't there is for whoever opens it.
 */
enum error path_check_links(const char *path);

/*
 * The same, and it is a regular file that not everybody may write: ERR_NOT_FOUND, ERR_ACCESS,
 * ERR_INVALID. It waits for no writer of a FIFO.
 */
enum error path_check_file(const char *path);
/* The second half of that, of one that is open. */
enum error path_check_opened(int fd, const char *path);

/*
 * Opens a regular file for reading, over no link that path_check_links() refuses, whatever is put in
 * its place meanwhile. ERR_NOT_FOUND, ERR_ACCESS, ERR_INVALID. It waits for no writer of a FIFO. The
 * caller closes `fd`, which is -1 after an error.
 */
enum error path_open(const char *path, int *fd);

/*
 * A file that another process opened for this one, which can't any more: its descriptor, or -1 and why
 * there is none. It belongs to whoever received it.
 */
struct opened {
	const char *path; /* "": there is no such file to be read */
	int fd;
	enum error error;
	const char *why;
};

#endif
