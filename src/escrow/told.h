#ifndef ESCROW_TOLD_H
#define ESCROW_TOLD_H

#include "inside.h"

#include "json.h"

/*
 * What the trail tells of a device, so that what the store keeps of it can be held against it: told.c
 * reads lines, and goes through those of one device in their order. verify*.c compare.
 *
 * Most of it is a line's action. The rest is in its reason, in these words, which whoever writes such a
 * line takes from here: a sentence that is changed here reads differently in older trails.
 */

/* Of what came into the store as a version that had ended. */
#define SAYS_KEPT_PAST "kept as a version that has ended"
#define SAYS_OLD ": an old version, escrowed "
/* ... and as one that is current. */
#define SAYS_TOKEN ": the token, escrowed "
/* Of one that nobody has opened here. */
#define SAYS_UNOPENED ", kept unopened until a key opens it"
/* Of what was learned from a backup of a version that was here. */
#define SAYS_ENDED_THERE ": it had ended there: "
#define SAYS_CONFIRMED_THERE ": it was confirmed there "
/* Its time is that of the message, not of the line. */
#define SAYS_SENT ", sent "
/* What a device did since its token was escrowed (enum version_renewal). */
#define SAYS_AUTHENTICATED "Authenticate"
#define SAYS_RENEWED "Authenticate: its token is from before"
#define SAYS_SET_UP                                                                                \
	"TokenUpdate with AwaitingConfiguration: set up anew, the token may not work any more"
#define SAYS_PROVEN ": EACSPreflight: the token works"
/* A device that was taken away. */
#define SAYS_TAKEN_AWAY "taken away by hand; its history stays in the store"
/* A certificate that isn't its own; what is, follows. */
#define SAYS_STRANGER ", its own is "
/* Of owner, mode and ACLs: "...; inode 1039 is now 0640 0:0". */
#define SAYS_INODE "; inode "
#define SAYS_IS_NOW " is now "

/* Of recipients: which a new store has, and who came and went. A hash follows, or several. */
#define SAYS_BORN_TO "a new store, sealed to SHA-256 "
#define SAYS_ADDED " added, SHA-256 "
#define SAYS_RETIRED " retired, SHA-256 "

/* ---- a line ---- */

/* What a line says: the kind of a mention (store.h), with the flags below. */
enum told_kind {
	/* of a version of a device; a seal's hash is the text, where there is one */
	TOLD_CAME,	/* it is the current one from then on */
	TOLD_CAME_PAST, /* it had ended when it came, or has ended since, elsewhere */
	TOLD_CONFIRMED,
	TOLD_CONFIRMED_THERE,
	TOLD_LEFT, /* it was retrieved or exported: so it was current, and opened */
	TOLD_REMOVED,
	TOLD_UNDONE,
	TOLD_SEALED, /* anew, by a rekey */
	TOLD_PURGED,
	/* of a device */
	TOLD_AUTHENTICATED, /* maybe after its token was escrowed */
	TOLD_RENEWED,	    /* after it was escrowed */
	TOLD_SET_UP,
	TOLD_PROVEN,
	TOLD_BOUND,    /* to the certificate in the text */
	TOLD_STRANGER, /* came with the one in the text */
	TOLD_TAKEN_AWAY,
	/* of an inode, whose number it is: its setting is the text (told_setting()), "" when it isn't said */
	TOLD_SETTING,
	/* of a recipient (told_recipient()); its text is its hash */
	TOLD_ADDED,
	TOLD_RETIRED,
};
#define TOLD_KIND 0xff
#define TOLD_ELSEWHERE 0x100 /* its times are of elsewhere, and not the line's */
#define TOLD_UNOPENED 0x200

/* Whose the mentions of inodes are; no device has such a name. */
#define TOLD_INODES "inodes of"

/* False: the line says nothing that anything could be held against. */
bool told_read(const struct json_line *, int64_t at, struct mention *out);

/*
 * Recipients that a line adds or retires, one after the other: `at` is where the next one is looked for, at
 * first the line's reason. False: no more.
 */
bool told_recipient(const struct json_line *, const char **at, struct mention *out);
/* What a mention of it calls it; no device has such a name. */
void told_recipient_name(const char *hash, char out[static 80]);

/* Owner, mode and ACLs as lines have them. ERR_MEMORY. */
enum error told_setting(const struct access *, char out[static MENTION_TEXT]);

/* ---- all lines of a device ---- */

struct told_version {
	int number, before; /* before: the version that was current when it came; 0: none */
	bool gone, opened;
	/* Times: 0 where the trail has none. */
	int64_t escrowed_at, confirmed_at, ended_at;
	bool never_confirmed; /* and nobody elsewhere told of it */
	enum version_end end; /* END_NONE: current, or nobody told why */
	enum version_renewal renewal;
	bool renewal_known, maybe_authenticated;
};

struct told {
	const char *udid;
	struct told_version *list; /* by number */
	int count, cap;
	int current;	      /* the number of the one that is; 0: none */
	int highest;	      /* of the numbers */
	int64_t retrieved_at; /* the last time; 0 */
	char identity[65], stranger[65];
	int64_t stranger_at;
	void (*found)(void *, const char *);
	void *context;
};

/*
 * Goes through the lines of a name; `found` gets a sentence for each that can't have been. Freed by the
 * caller, always.
 */
enum error told_of(struct mentions *, const char *udid, void (*found)(void *, const char *),
		   void *context, struct told *out);
void told_free(struct told *);
/* NULL: the trail knows of none. */
struct told_version *told_version(const struct told *, int number);

#endif
