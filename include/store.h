#ifndef ESCROWFS_STORE_H
#define ESCROWFS_STORE_H

#include "bytes.h"
#include "error.h"
#include "facts.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The store: devices, facts, versions, access, names, recipients and the audit trail, on disk, in
 * transactions. It knows no rules: what may be done and what an event is, the escrow decides. It
 * never sees plaintext.
 *
 * Reading happens in a view: a consistent state, short-lived, from any thread. Changing happens in
 * a change, a function that the store runs for its caller in one transaction, together with those
 * of other callers that wait at the same time, and that is on disk when store_change() returns OK.
 * Both are a struct tx.
 *
 * The functions that listings call for each thing don't call the store themselves. Not for use
 * across fork(2): a store is opened by the process that uses it.
 *
 * Texts and blobs that a call gives are copied. Errors: ERR_IO, ERR_NO_SPACE, ERR_READ_ONLY,
 * ERR_MEMORY from the disk in any call; others are named. ERR_NOT_FOUND leaves `out` untouched.
 */
struct store;
struct tx;

enum store_mode {
	STORE_SERVE,	/* the one writing mount: refused while another holds it (ERR_BUSY) */
	STORE_SHARE,	/* reads and writes beside a mount: import, verify, status */
	STORE_SNAPSHOT, /* reads one point in time, opened now, for as long as it is open; writes
			   nothing */
};

/* Sizes of what the store keeps and doesn't understand. */
#define STORE_KEY 32	/* the key under which tokens are compared */
#define STORE_DIGEST 32 /* SHA-256 */
#define STORE_ACL_MAX 4096
#define STORE_URI_MAX 1024

/* ---- the store itself ---- */

/* What a new store is born with. */
struct store_birth {
	uint8_t key[STORE_KEY];
	char key_uri[STORE_URI_MAX]; /* where the daily key is; "" for the default beside the store
				      */
	int64_t at;
};

/*
 * Makes directory `path` (mode 0700) and a store in it. ERR_EXISTS when there is anything at `path`
 * but an empty directory; what was made is removed again when it fails.
 */
enum error store_create(const char *path, const struct store_birth *);

/*
 * Takes a store away that store_create() has just made: only its own files, and the directory if
 * it is empty then.
 */
void store_destroy(const char *path);

/*
 * Opens a store, bringing an older schema up to date first (never in STORE_SNAPSHOT).
 * ERR_NOT_FOUND: there is none at `path`. ERR_INVALID: it isn't one, or it is from a newer version,
 * or anybody may write to its directory or its files, or the way there leads over a link that others
 * could have made (path.h). ERR_BUSY: STORE_SERVE, and another process serves it; the
 * sentence says which and where. `holder` is what such a sentence says of us
 * ("mounted on /mnt/escrow"); NULL in other modes. ERR_ACCESS, ERR_READ_ONLY: its files can't be
 * opened as the mode needs. A store on a read-only disk can be read, in STORE_SHARE too. Closed with
 * store_close(), when all views have ended.
 */
enum error store_open(const char *path, enum store_mode, const char *holder, struct store **);
/*
 * Ends the threads of a store that was just opened: this process is about to give up rights, each
 * thread of which has its own. Nothing can be changed until store_start().
 */
void store_rest(struct store *);
/*
 * Starts the threads again, and one that copies the log of a store that is served into the database.
 * ERR_MEMORY, and those of a connection.
 */
enum error store_start(struct store *);
void store_close(struct store *);

/* Is there a store at `path`, by the look of it? */
bool store_is_at(const char *path);

/*
 * Who serves the store now ("process 812, mounted on /mnt/escrow"), with names as they are: it may hold
 * control characters. False: nobody.
 */
#define STORE_HOLDER_MAX 4352 /* a path of any length, and what stands before it */
bool store_served_by(const char *path, char *out, size_t size);

/*
 * For long work that doesn't get on with another of its kind: holds the store's claim until it is
 * closed. ERR_BUSY: another process has it.
 */
enum error store_claim(struct store *);

/* As at its birth. */
enum error store_birth(struct store *, struct store_birth *out);

/* What else a store says of itself. */
struct store_state {
	bool served; /* a mount has served it: its owner was uid, gid */
	uint32_t uid, gid;
	int64_t devices_at; /* when a device last came or went; 0: never */
	int64_t generation; /* how many times its recipients were changed */
	int64_t unclean; /* times that seals were taken out which its files may hold: store_compact() */
	int rendering; /* which program's security.json its devices' sizes are of */
};
enum error store_state(struct tx *, struct store_state *out);
enum error store_set_owner(struct tx *, uint32_t uid, uint32_t gid);
enum error store_set_key_uri(struct tx *, const char *uri);
/* One more time; or none, which is for store_compact() to say. */
enum error store_set_unclean(struct tx *, bool);
enum error store_set_rendering(struct tx *, int);

/*
 * Writes the database anew, so that nothing of what was deleted or overwritten is left in its
 * files, and sets `unclean` back. Slow: as long as the disk takes for twice the store's size, during
 * which other writers wait. Then it waits until no reader needs the log any more, which a sealed
 * mount does for as long as it is mounted; every second or so of that `waiting` is called, which
 * returns false to give up (ERR_BUSY); `reader`: it must be one of those, as nothing else is in the
 * way for so long. What is taken out meanwhile makes it begin again, a few times
 * (ERR_CHANGED). To be called again until it returned OK.
 */
typedef bool store_waiting(void *context, bool reader);
enum error store_compact(struct store *, store_waiting *waiting, void *context);

/* The disk under it, in bytes; `used`: the store's own files; `log`: of these the one that changes go
 * through. */
struct store_space {
	uint64_t total, free, available, used, log; /* available: to others than root */
	uint64_t kept, to_keep; /* back for retrievals, now and with room; 0: nothing is */
	uint64_t files_free;
};
enum error store_space(struct store *, struct store_space *out);

/* How long it will do: LOW is the time to make room; FULL: all changes but retrievals are refused. */
enum store_room { ROOM_ENOUGH, ROOM_LOW, ROOM_FULL };
enum store_room store_room(const struct store_space *);

/*
 * Checks the engine's own structures (slow). ERR_INVALID says what is broken. From then on no sentence
 * about damage says that `verify` has more to say.
 */
enum error store_check(struct store *);

/* ---- views and changes ---- */

/* A view of the store as it is now. Ended with store_view_end(), by the same thread. */
enum error store_view(struct store *, struct tx **);
void store_view_end(struct tx *);
/*
 * The same for one question: each that is asked is answered out of the state at that moment. It spares
 * what it costs to hold on to one.
 */
enum error store_look(struct store *, struct tx **);
/*
 * The same two, for what is asked around changes. While one caller after the other makes them, alone each
 * time, who asks between gets the connection that commits: it keeps its pages from one change to the next,
 * and all others read theirs anew. Who comes to commit meanwhile waits; so its holder makes no change, waits
 * for nothing but the disk, and ends it soon. The state of the view is that of its first question.
 */
enum error store_view_beside(struct store *, struct tx **);
enum error store_look_beside(struct store *, struct tx **);
void store_view_scoped(struct tx **); /* for SCOPED */

/*
 * Runs `apply` in one transaction and returns when it is on disk. An error of apply undoes what it
 * did and is returned with its sentence; an error of the disk undoes it too, and nothing has
 * changed. `apply` runs on this thread or on the store's own, one at a time: short, no waiting. Views
 * begun after the return see the change.
 */
typedef enum error store_apply(struct tx *, void *context);
enum error store_change(struct store *, store_apply *apply, void *context);

/*
 * The same for what must go on when the disk is full: it may use the room that is kept back for it,
 * about 10,000 changes of a line of the trail each. While any of that is gone, all other changes
 * are refused (ERR_NO_SPACE) before they write.
 */
enum error store_change_vital(struct store *store, store_apply *apply, void *context);
/* Keeps room back again, if there is some. To be called now and then by who serves. */
void store_keep_room(struct store *);

/*
 * From now on a thread that changes something calls `waits` when it has no more to do until the change
 * is on disk. NULL: nothing is called. To be set while no other thread uses the store.
 */
typedef void store_waits(void *context);
void store_on_wait(struct store *, store_waits *, void *context);

/*
 * The same in two steps, so that the caller does something else meanwhile. `context` stays as it
 * is until store_change_wait() returned, which says what became of it and frees it. Changes that
 * one thread begins are made in that order. `apply` may run more than once: what it did before has
 * been undone then.
 */
struct change;
enum error store_change_begin(struct store *, store_apply *apply, void *context, struct change **);
enum error store_change_wait(struct change *);

/* From now on every change is made and taken back: its verdict is true, and nothing is written. */
void store_rehearse(struct store *);

/*
 * A number that grows with every committed change that touches a device (by this process or
 * another). Cheap.
 */
enum error store_change_number(struct tx *, int64_t *);
/* That of the newest change that was made through this store; 0: none was. No transaction is needed. */
int64_t store_changed(const struct store *);

/* ---- devices ---- */

struct device {
	int64_t id; /* from 256 up; never used again. Also the DeviceId in security.json */
	char udid[UDID_MAX + 1];
	bool user_enrolled; /* known by its EnrollmentID, without a UDID */
	bool unenrolled;    /* CheckOut, and nothing since */
	enum status status;
	char identity[65]; /* hex SHA-256 of its client certificate; "" */
	int64_t created_at, enrolled_at, reenrolled_at, checked_out_at;
	int64_t retrieved_at, proven_at, escrowed_at;
	/* what the tree shows, settled with every change of the device */
	uint32_t security_size; /* bytes of security.json */
	uint32_t sealed_size;	/* the same in a sealed mount */
	uint32_t token_size;	/* bytes of the current token; 0: none */
	int64_t security_at, status_at,
		token_at;   /* each strictly later than before when its file changes */
	uint32_t pinned;    /* 1 << n: its node n has a setting of its own (store_access_save()) */
	int last_version;   /* the highest number of its UDID's versions; set by the store */
	int64_t change;	    /* the change number that touched it last; set by the store */
	int64_t removed_at; /* when it was taken away; 0: it is there; set by the store */
};

/* By its exact name; by its name in any case; by number (ERR_GONE when it isn't there any more). */
enum error store_device_named(struct tx *, const char *udid, struct device *out);
enum error store_device_folded(struct tx *, const char *udid, struct device *out);
enum error store_device(struct tx *, int64_t id, struct device *out);

/*
 * Adds a device; id and change are set in it. An id that isn't 0 is kept: one that no device ever
 * had (store_device_known()). With removed_at it is one that was taken away. ERR_EXISTS: there is one whose name is
 * the same in any case. The change fails by it, as by any error of what writes: some of it is done.
 */
enum error store_device_add(struct tx *, struct device *);
/* Had any device this number, there or taken away? */
enum error store_device_known(struct tx *, int64_t id, bool *out);
/* Writes all of it back, by id, and gives it a new change number (set in it). */
enum error store_device_save(struct tx *, struct device *);
/*
 * The same, for a device that this very change has added: it keeps its change number, and its status. Of
 * what is written for a new device this spares a good part.
 */
enum error store_device_finish(struct tx *, const struct device *);
/* Takes it out of sight at time `at`: its versions stay, its facts, names and access rows go. */
enum error store_device_remove(struct tx *, int64_t id, int64_t at);

/*
 * The names and numbers of devices, by number, after cursor `after` (0: from the first), `limit` at
 * the most. Stops early when `each` returns false. `status`: only those with it, or STATUS_COUNT
 * for all.
 */
typedef bool store_each_device(void *context, int64_t id, const char *udid);
enum error store_devices(struct tx *, enum status, int64_t after, int limit, store_each_device *,
			 void *);

/*
 * The same with what a listing shows of each: id, udid, pinned and created_at are set in what `each`
 * is given, and nothing else.
 */
typedef bool store_each_glance(void *context, const struct device *);
enum error store_glances(struct tx *, int64_t after, int limit, store_each_glance *, void *);
/*
 * All of each device whose number is over `after`, and `last` at the most. `each` may ask for one's current
 * version.
 */
enum error store_devices_between(struct tx *, int64_t after, int64_t last, store_each_glance *,
				 void *);

/* Those whose change number is over `after`, in the order of change; `change` says which. Removed
 * ones too. */
typedef bool store_each_change(void *context, int64_t change, int64_t id, const char *udid,
			       bool removed);
enum error store_devices_changed(struct tx *, int64_t after, int limit, store_each_change *,
				 void *);

/*
 * Devices that were taken away. Several may have had one name (in any case of letters): the first
 * of them stands for all, for ever. By number (ERR_GONE); the first of a name (ERR_NOT_FOUND); and
 * a page of the first ones of all names that have versions.
 */
enum error store_removed(struct tx *, int64_t id, struct device *out);
enum error store_removed_named(struct tx *, const char *udid, struct device *out);
/* When a device of this name (in any case of letters) was last taken away; 0: never. */
enum error store_removed_last(struct tx *, const char *udid, int64_t *at);
enum error store_removed_devices(struct tx *, int64_t after, int limit, store_each_device *,
				 void *);

/* Its versions changed, at `at`: so do the times of what a sealed mount shows of it. ERR_GONE. */
enum error store_removed_touch(struct tx *, int64_t id, int64_t at);

/* How many devices in each status. */
enum error store_device_counts(struct tx *, uint64_t out[static STATUS_COUNT]);

/* ---- facts ---- */

/* All facts of a device; those never reported are zero. */
enum error store_facts(struct tx *, int64_t device, struct facts *out);
/*
 * Every device that is there, in one pass. Set are: id, status, token_size, escrowed_at, enrolled_at,
 * reenrolled_at and created_at; and of the facts those that the system and its version follow from, each
 * FACT_KNOWN or not, and nothing else of it but its text. Valid during the call.
 */
typedef void store_each_counted(void *context, const struct device *, const struct facts *);
enum error store_census(struct tx *, store_each_counted *, void *);
/* Writes those that differ from what is `stored`: from what store_facts() said in this transaction. */
enum error store_facts_save(struct tx *, int64_t device, const struct facts *stored,
			    const struct facts *);

/* ---- names in /search ---- */

enum name_kind { NAME_SERIAL, NAME_MAC, NAME_IMEI };

/* Replaces the device's names of one kind; folded by the caller (text.h). n may be 0. */
enum error store_names_save(struct tx *, int64_t device, enum name_kind, const char *const names[],
			    int n);
/*
 * The device with the latest enrolled_at or reenrolled_at (then the highest id) that has the name.
 * ERR_NOT_FOUND.
 */
enum error store_name(struct tx *, enum name_kind, const char *folded, struct device *out);
/* The names that one device bears, in no order. */
typedef bool store_each_borne(void *context, enum name_kind, const char *folded);
enum error store_names_borne(struct tx *, int64_t device, store_each_borne *, void *);
/* Each name once, with the device that store_name() would give; `cursor` goes into `after` of the
 * next call. */
typedef bool store_each_name(void *context, int64_t cursor, const char *name, int64_t device);
enum error store_names(struct tx *, enum name_kind, int64_t after, int limit, store_each_name *,
		       void *);

/* ---- versions ---- */

enum version_end { END_NONE, END_REPLACED, END_REMOVED, END_UNDONE, END_COUNT };
/* "replaced" and the rest; NULL for END_NONE. */
const char *version_end_word(enum version_end);

enum version_renewal {
	RENEWAL_NONE,
	RENEWAL_AUTHENTICATED, /* since it was escrowed the device sent Authenticate */
	RENEWAL_SET_UP,	       /* and then a TokenUpdate with AwaitingConfiguration: stale */
};

/*
 * When a version was escrowed of which nobody knows it: before all others, so that it never takes the
 * place of one that has a time, and takes on the time of one that turns out to be it.
 */
#define TIME_UNKNOWN INT64_C(1000000000)
/* And when it ended, if it did. */
#define TIME_UNKNOWN_END (TIME_UNKNOWN + 1000000)

/*
 * Of what comes from elsewhere, higher numbers aren't kept, so that a device never runs out of them.
 */
#define VERSION_NUMBER_KEPT 1000000
#define VERSION_NUMBER_MAX (INT32_MAX - 1)

struct version {
	int64_t id; /* never used again */
	int64_t device;
	int number; /* 1, 2 ... within the device's UDID */
	int64_t escrowed_at, confirmed_at, sealed_at, ended_at; /* ended_at 0: the current one */
	enum version_end end;
	enum version_renewal renewal;
	uint32_t token_size;	      /* bytes of plaintext; a guess while it isn't verified */
	uint32_t blob_size;	      /* bytes of the blob; set by the store */
	uint8_t mac[STORE_DIGEST];    /* of the plaintext, under the store's key */
	uint8_t digest[STORE_DIGEST]; /* SHA-256 of the blob */
	bool verified;		      /* false: never opened here yet (imported without a key) */
	int64_t generation;	      /* of the recipients that it is sealed to: store_state */
};

/* The device's current version. ERR_NOT_FOUND: none is escrowed. */
enum error store_version_current(struct tx *, int64_t device, struct version *out);
/* How many versions nobody has opened yet. */
enum error store_versions_unverified(struct tx *, uint64_t *out);
/* By number; by row. */
enum error store_version_numbered(struct tx *, int64_t device, int number, struct version *out);
enum error store_version(struct tx *, int64_t id, struct version *out);
/* The newest version, current or not, that has this mac. ERR_NOT_FOUND. */
enum error store_version_with_mac(struct tx *, int64_t device,
				  const uint8_t mac[static STORE_DIGEST], struct version *out);
/* Every version of a device in the order of numbers, with "" for its UDID; device 0: of all, removed
 * devices too, by row after `after`. */
typedef bool store_each_version(void *context, const struct version *, const char *udid);
enum error store_versions(struct tx *, int64_t device, int64_t after, store_each_version *, void *);

/*
 * The versions of all devices, removed ones too, that ended before a time: by device and number,
 * after those of the cursor (0, 0: from the first).
 */
enum error store_versions_ended(struct tx *, int64_t before, int64_t after_device, int after_number,
				store_each_version *, void *);

/*
 * Every version that a name (in any case of letters) ever had, in the order of numbers: those of
 * devices that were taken away (`removed`) too.
 */
typedef bool store_each_past(void *context, const struct version *, const char *udid, bool removed);
enum error store_versions_named(struct tx *, const char *udid, store_each_past *, void *);

/* The sealed blob of a version. The caller frees `out`. */
enum error store_blob(struct tx *, int64_t version, struct bytes *out);

/*
 * Adds a version: its id is set, and its number when that is 0: the next one of its UDID. One that
 * is given must be free (ERR_EXISTS). Of a current version the one before must have ended
 * (ERR_EXISTS).
 */
enum error store_version_add(struct tx *, struct version *, const void *blob, size_t len);
/* Numbers up to this one are never given to a version of the device's UDID. */
enum error store_version_reserve(struct tx *, int64_t device, int number);
/* Writes back all but the blob and what goes with it, by id. */
enum error store_version_save(struct tx *, const struct version *);
/*
 * Writes another seal of the same token in its place, and what goes with it: sealed_at, sizes, mac,
 * digest, verified, generation.
 */
enum error store_version_reseal(struct tx *, struct version *, const void *blob, size_t len);
/* Takes a version and its seal out for good. Its number is never given again. */
enum error store_version_destroy(struct tx *, int64_t id);

/* ---- access ---- */

/* A device's nodes, its directory and its files, are id * STORE_NODES and those after it. */
#define STORE_NODES 4

/*
 * Owner, mode and ACLs that somebody set on a node of the tree, by the node's inode number. A node
 * without a row has what its policy, or the table of the tree, says.
 */
struct owner {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits; the mask's bits in the group's when there is an ACL */
	int64_t changed_at;
	bool lists; /* there are ACLs besides */
};

struct access {
	struct owner owner;
	uint16_t acl_len, default_len; /* 0: none */
	uint8_t acl[STORE_ACL_MAX];    /* system.posix_acl_access, as the kernel writes it */
	uint8_t default_acl[STORE_ACL_MAX];
};

enum error store_access(struct tx *, uint64_t node,
			struct access *out); /* ERR_NOT_FOUND: none set */
/* The same without the ACLs. */
enum error store_owner(struct tx *, uint64_t node, struct owner *out);
/* Those of all nodes below `before`. */
typedef bool store_each_owner(void *context, uint64_t node, const struct owner *);
enum error store_owners(struct tx *, uint64_t before, store_each_owner *, void *);
enum error store_access_save(struct tx *, uint64_t node, const struct access *);
/* All there are, by node. `each` returns an error to stop. */
typedef enum error store_each_access(void *context, uint64_t node, const struct access *);
enum error store_accesses(struct tx *, store_each_access *, void *);

/* ---- recipients ---- */

struct recipient {
	char name[64]; /* "daily", "recovery", or what the operator called it */
	int64_t added_at;
};
/* The certificates (DER) to which everything is sealed. To change them moves the generation on. */
typedef enum error store_each_recipient(void *context, const struct recipient *, const uint8_t *der,
					size_t len);
enum error store_recipients(struct tx *, store_each_recipient *, void *);
/* ERR_EXISTS: the certificate is one of them already. */
enum error store_recipient_add(struct tx *, const struct recipient *, const uint8_t *der,
			       size_t len);
/* From now on nothing is sealed to it. ERR_NOT_FOUND: it is none. */
enum error store_recipient_retire(struct tx *, const uint8_t *der, size_t len, int64_t at);

/* ---- strangers ---- */

/* A client certificate that a device came with, and that isn't its own: the last one. */
struct stranger {
	char identity[65]; /* hex SHA-256 */
	int64_t at;
};
enum error store_stranger(struct tx *, int64_t device, struct stranger *out); /* ERR_NOT_FOUND */
enum error store_stranger_save(struct tx *, int64_t device, const struct stranger *);
/* OK when there is none. */
enum error store_stranger_forget(struct tx *, int64_t device);
/* Those of all devices; `own` is what the device is bound to. `each` returns false to stop. */
typedef bool store_each_stranger(void *context, const char *udid, const char *own,
				 const struct stranger *);
enum error store_strangers(struct tx *, store_each_stranger *, void *);

/* ---- the audit trail ---- */

/* Where the trail stands: the last line's number and chain (0 and zeros at first), and its length
 * in bytes. */
struct trail_end {
	int64_t seq;
	uint8_t chain[STORE_DIGEST];
	uint64_t size;
	int64_t at; /* when the last line was added; 0 */
};
enum error store_trail_end(struct tx *, struct trail_end *out);

/*
 * Adds the next line: its exact bytes with the newline, and the chain that it ends in. seq must be
 * the last + 1.
 */
enum error store_trail_add(struct tx *, int64_t seq, int64_t at, const void *line, size_t len,
			   const uint8_t chain[static STORE_DIGEST]);

/* Reads bytes of the trail from an offset, as of a file; *n is less than size only at its end. */
enum error store_trail_read(struct tx *, uint64_t offset, void *buffer, size_t size, size_t *n);

/* Every line from number `from` on, with its newline, and when it was added. `each` returns false to
 * stop. */
typedef bool store_each_line(void *context, int64_t seq, int64_t at, const char *line, size_t len);
enum error store_trail(struct tx *, int64_t from, store_each_line *, void *);

/*
 * What lines of the trail say, gathered line by line and then asked thing by thing. It lies in a file
 * that has no name, beside the store's own, and not in memory, however much it is. A thing is a name and
 * a number: a device's UDID and the number of a version, say. What is said of it, only who adds it knows:
 * a kind, a time, and a text, which may be empty.
 * For one thread; ERR_NO_SPACE, too, when there is no room for it.
 */
#define MENTION_TEXT 224
struct mention {
	char whose[80]; /* ASCII; the same in any case of letters */
	int64_t number;
	int64_t line, at; /* which line says it, and when */
	int kind;
	char text[MENTION_TEXT];
};
struct mentions;
enum error store_mentions_new(struct store *, struct mentions **out);
void store_mentions_free(struct mentions *); /* takes NULL */
void store_mentions_scoped(struct mentions **);
enum error store_mention_add(struct mentions *, const struct mention *);
/*
 * From here on nothing is added. The last mention of a thing that has a text: the thing counts as
 * found. ERR_NOT_FOUND: there is none.
 */
enum error store_mention_find(struct mentions *, const char *whose, int64_t number,
			      struct mention *out);
typedef void store_each_mention(void *context, const struct mention *);
/* All that is said of one name's things, in the order in which it was added. */
typedef enum error store_each_told(void *context, const struct mention *);
enum error store_mentions_of(struct mentions *, const char *whose, store_each_told *,
			     void *context);
/*
 * Of each thing that wasn't found the last mention that has a text, in the order in which they were
 * added.
 */
enum error store_mentions_left(struct mentions *, store_each_mention *, void *context);

#endif
