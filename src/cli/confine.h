#ifndef CLI_CONFINE_H
#define CLI_CONFINE_H

#include "error.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * A process that gives up what it doesn't need. Whoever takes the serving process over, by a hole in a
 * library that parses what devices send, has what it has: the tokens of this store. These see to it
 * that there is no more: not another user's files, no other program, no network, no way back to root.
 */
struct confinement {
	const char *store;	/* its directory */
	const char *recipients; /* a file that is read again when they change; NULL: none is */
	bool reads;		/* it is only read */
	bool to_syslog;		/* what is to be said goes there */
	/* The key is behind a provider that has files, devices and sockets of its own. */
	bool has_provider;
	/* Who to become: root only. */
	bool becomes;
	uid_t uid;
	gid_t gid[2]; /* the first is the process's own */
};

/*
 * Whose rights are enough to serve the store: its owner's, or the named user's, who must be its owner
 * (ERR_INVALID otherwise: says how to make that so). Sets `becomes`, `uid` and `gid`.
 */
enum error confine_user(struct confinement *, const char *user);

/*
 * For the process that serves, before it has any thread: all of the above. What this kernel doesn't
 * have is said in the log; ERR_ACCESS: what it has can't be done, or that user can't use the store.
 *
 * MUST: no capabilities, and none to be had again. (test: confine.bats, "no capabilities")
 * MUST: opens no file but the store's, /proc's and that of the recipients. (test: confine.bats, "took the daemon over")
 * MUST: starts no program, and opens no connection. (test: confine.bats, "took the daemon over")
 * MUST: holds for each thread. (test: confine.bats, "on each thread")
 */
enum error confine_serving(const struct confinement *);

/*
 * For the process that unmounts when serving has ended: root's keeps that right alone. Another user's
 * needs fusermount3(1) for it, a set-user-ID program, and is left as it is.
 */
enum error confine_keeper(bool unmounts);

/* ---- the parts ---- */

/* confine_files.c: Landlock. */
enum error confine_files(const struct confinement *);
/* confine_calls.c: seccomp. */
enum error confine_calls_serving(const struct confinement *);
enum error confine_calls_keeper(void);

/*
 * Builds for the sanitizers and for valgrind (-DCONFINE_LOOSELY) do more: at their end LeakSanitizer
 * forks, traces all threads and writes a report, valgrind makes calls of its own at any time. There the
 * lists are longer, and files aren't kept from them: what is tested with them is everything else.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
	__has_feature(memory_sanitizer) || defined(CONFINE_LOOSELY)
#define CONFINE_FOR_TOOLS 1
#else
#define CONFINE_FOR_TOOLS 0
#endif

#endif
