#ifndef ESCROWFS_EVENT_H
#define ESCROWFS_EVENT_H

#include "bytes.h"
#include "error.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * The audit trail's words: who did what, and how it ended. An event becomes one line of JSON
 * (json.h); the line's exact bytes are chained and stored (escrow's trail.c, store.h).
 */

/* Who asks. Taken from the request and /proc while the caller waits for its system call. */
struct actor {
	uint32_t uid, gid;
	int32_t pid;	  /* the process (Tgid); 0 when it lies in another PID namespace */
	int64_t loginuid; /* who logged in, whatever su and sudo did since; -1: not set */
	char command[64]; /* /proc/PID/comm, which any process may set to anything; "": not known */
};

enum action {
	ACTION_ESCROW,
	ACTION_CONFIRM,
	ACTION_RETRIEVE,
	ACTION_REMOVE,
	ACTION_UNDO,
	ACTION_REFUSE,
	ACTION_FACTS,
	ACTION_ENROL,
	ACTION_CHECK_OUT,
	ACTION_IDENTITY,
	ACTION_POLICY,
	ACTION_MODE,
	ACTION_DEVICE, /* mkdir and rmdir */
	ACTION_REKEY,
	ACTION_IMPORT,
	ACTION_EXPORT,
	ACTION_PURGE,
	ACTION_MOUNT,
	ACTION_UNMOUNT,
	ACTION_INIT,
	ACTION_COUNT
};

/* "escrow", "check out" ...; as in the trail. */
const char *action_word(enum action);

struct event {
	int64_t at;
	enum action action;
	const char *outcome; /* "ok", "none", or the errno's name of what was refused */
	const char *udid;    /* NULL: not about a device */
	int version;	     /* 0: not about a version */
	const struct actor *actor;
	const char *reason; /* a sentence, or NULL */
	const char *blob;   /* hex SHA-256 of the sealed blob, or NULL */
};

#endif
