#ifndef ESCROW_INSIDE_H
#define ESCROW_INSIDE_H

#include "arrival.h"
#include "mdm.h"
#include "holdings.h"
#include "latency.h"
#include "patrol.h"
#include "quota.h"
#include "refusals.h"
#include "rules.h"
#include "seal.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * What the escrow's files share. A call of escrow.h does its work in three steps: it looks (a
 * view), it seals or opens (no lock, no transaction), and it changes (store_change(): a function
 * named ..._apply, one at a time). In the third step everything is looked at once more;
 * what another caller did between counts.
 */

/*
 * What was set on nodes of the tree that aren't of a device, policies before all: every stat(2) asks
 * for one. Only the mount that serves changes them.
 */
#define OWNERS 64 /* the numbers of such nodes are below it */

struct owners {
	bool set[OWNERS];
	struct owner of[OWNERS];
};

/* Why a token that was asked for isn't given, as /metrics counts it. */
enum withheld {
	WITHHELD_NO_KEY,
	WITHHELD_BAD_SEAL,
	WITHHELD_LIMIT,
	WITHHELD_IDENTITY, /* a stranger's certificate, on a strict mount */
	WITHHELD_OTHER,
	WITHHELD_COUNT
};

/* What happened since the start, for /metrics: of each, when it is done. */
struct counters {
	atomic_uint_fast64_t events[ACTION_COUNT];
	atomic_uint_fast64_t withheld[WITHHELD_COUNT];
	atomic_uint_fast64_t replays, identities; /* tokens that came again, other certificates */
	struct latency escrow, retrieval, checkin;
};

struct escrow {
	char path[STORE_URI_MAX]; /* the store's */
	struct store *store;
	enum escrow_mode mode;
	bool rehearse; /* every change is taken back */
	bool strict_identity;
	bool was_new; /* no device had ever been in it when it was opened */
	int64_t born_at;
	uint8_t mac_key[STORE_KEY];
	pthread_rwlock_t sealing; /* held for reading by who seals: guards recipients to unpinned */
	struct recipients *recipients;
	int64_t generation;  /* of these recipients: store_state */
	char pins[PATH_MAX]; /* the file that the recipients must be those of; "" */
	int pins_fd;	     /* that file, since it was read again; -1: it is opened each time */
	uint64_t pinnings;   /* how often that became another one */
	bool unpinned;	     /* the store has others now: nothing is sealed */
	pthread_mutex_t key_mutex;	/* over `key`, in a mount: see daily_take() */
	struct seal_key *key;		/* NULL: a mount without a key */
	char key_uri[STORE_URI_MAX];	/* where it is, or should be */
	bool key_named;			/* by the caller, and not by the store */
	char passphrase_file[PATH_MAX]; /* of the key; "": none was named */
	uint32_t uid, gid;		/* the owner of the mount */
	struct owners owners;		/* access.c; owners_mutex is over it */
	pthread_mutex_t owners_mutex;
	struct refusals *refusals;
	struct quota *retrievals;
	struct holdings *unfinished; /* messages that aren't whole */
	struct holdings *given;	     /* tokens that are open, and replies */
	struct counters counters;
	struct patrol *patrol;
	uint64_t log_warned;  /* growth.h; escrow_tick()'s alone */
	enum store_room room; /* as it was said last; escrow_tick()'s */
};

/*
 * How often a call looks again when its device's token was changed between its look and its
 * change, before it says that the store is busy.
 */
#define TRIES 8

/* ---- versions.c ---- */

/* Versions, as a question to the store gives them. From zeros; freed with versions_free(). */
struct versions {
	struct version *list;
	int count, cap;
	bool failed; /* there was no memory for all of them: see versions_whole() */
};

/* For store_versions() and its like: one more. `versions` is the context. */
bool versions_gather(void *versions, const struct version *, const char *udid);
/* ERR_MEMORY: some are missing. */
enum error versions_whole(const struct versions *);
void versions_free(struct versions *);

/*
 * Did a device of this name ever have the token, also one that was taken away? Versions that nobody
 * has opened don't count.
 */
enum error versions_have(struct tx *, const char *udid, const uint8_t mac[static STORE_DIGEST],
			 bool *have);

/* ---- dossier.c: a device with all that is known of it, in a transaction ---- */

/*
 * How much of it is here. Who changes a version of a DOSSIER_TOKEN changes it here, too, and who adds one
 * calls dossier_add(): what its files grow by is worked out from that, and the store's are not read again.
 */
enum extent {
	DOSSIER_WHOLE,
	DOSSIER_TOKEN, /* of its versions the current one, if there is any, and those that were added */
	DOSSIER_RETRIEVAL, /* of its versions the current one, of its facts none */
};

struct dossier {
	struct device device;
	struct facts facts;
	struct version *versions; /* in the order of their numbers */
	int count, current;	  /* current: an index, -1 when nothing is escrowed */
	bool renamed;		  /* facts that /search shows may have changed */
	bool anew;		  /* added to the store by this change: it has no names yet */
	bool rebound;		  /* it has another client certificate */
	bool read_only;		  /* its token left, and its versions are as they were */
	enum extent extent;
	int64_t retrieved_before; /* DOSSIER_RETRIEVAL: device.retrieved_at, as it was loaded */
	uint32_t story;		  /* DOSSIER_TOKEN: json_security_story(), as it was loaded */
	struct facts stored;	  /* its facts, as they were loaded */
};

/* The newest version's record, or NULL. */
struct version *dossier_current(struct dossier *);

void dossier_free(struct dossier *);

/*
 * Errors of store_device(): ERR_GONE; of store_device_folded(): ERR_NOT_FOUND. Freed by the
 * caller, always.
 */
enum error dossier_load(struct tx *, int64_t id, struct dossier *);
enum error dossier_find(struct tx *, const char *udid, struct dossier *);

/*
 * What a retrieval needs of it, and what an escrow does: so that they cost the same however many versions
 * there are, and a retrieval whatever else is known of the device. dossier_settle() reads the rest where
 * something else changed.
 */
enum error dossier_load_for(struct tx *, enum extent, int64_t id, struct dossier *);
enum error dossier_find_for(struct tx *, enum extent, const char *udid, struct dossier *);
/* This version was added to the store. ERR_MEMORY. */
enum error dossier_add(struct dossier *, const struct version *);

/* A new device, not yet known to the store. `likely`: the status that it will most likely have. */
enum error dossier_create(struct tx *, const char *udid, bool user_enrolled, enum status likely,
			  int64_t now, struct dossier *);

/*
 * Writes the device back as it stands now: its word, the size of its security.json, its times and
 * names follow from the rest. Last thing of every change. `now` is the time of the change.
 */
enum error dossier_settle(struct tx *, struct dossier *, int64_t now);

/*
 * Sets what follows from the rest, all of which is here: the word, the sizes of its files, and when its
 * token was escrowed. dossier_settle() does that, or as much of it as can have changed, and sees to their
 * times as well.
 */
enum error dossier_follow(struct dossier *);

/* Its names of a kind in /search, as they are looked up: returns how many, two at the most. */
int dossier_names(const struct dossier *, enum name_kind, char folded[static 2][FACT_TEXT]);

/* The text of security.json; `sealed`: as a sealed mount shows it. The caller frees. */
enum error dossier_security(const struct dossier *, bool sealed, struct bytes *text);
/* Sets the sizes of both, by writing all of it. */
enum error dossier_measure(struct dossier *);

/* ---- rendering.c ---- */

/* Works out the sizes of all devices anew, if an older program did it last. ERR_INVALID: sealed. */
enum error rendering_bring_up(struct escrow *);
/* A new store has nothing to be brought up. */
enum error rendering_mark(struct tx *);

/* ---- reasons.c ---- */

#define REASONS_MAX 8
#define REASON_SIZE 448

struct reasons {
	char text[REASONS_MAX][REASON_SIZE];
	const char *line[REASONS_MAX];
	int count;
};

/* Why the device has the status that it has, and what to do about it. */
void reasons_of(const struct dossier *, const struct prerequisites *, struct reasons *out);
/* Why a token can't be escrowed by hand: the first sentence of it. */
void reason_needed(const struct dossier *, const struct prerequisites *, char *out, size_t size);

/* ---- access.c ---- */

/* Reads `owners` as they are now. */
enum error owners_load(struct escrow *);

/*
 * Adds to a sentence for the trail what holds for a node from now on, so that verify can hold its row
 * against it. ERR_MEMORY.
 */
enum error access_say_now(uint64_t node, const struct access *, char *out, size_t size);

/* What holds for a node: see escrow_access(). */
enum error access_effective(struct tx *, const struct escrow *, const struct access_node *,
			    struct access *out);

/* ---- daily.c: the key ---- */

/*
 * The key that was named, or the one that the store remembers: that one may be missing. Errors of
 * escrow_open().
 */
enum error daily_load(struct escrow *, const struct escrow_options *, const struct store_birth *);

/*
 * The key as it is now, for the caller, who opens a seal with it and frees it; NULL: there is none. What
 * a mount never does may use escrow->key as it is.
 */
struct seal_key *daily_take(struct escrow *);

/* ---- sealing.c: to whom ---- */

/* Reads the recipients that the store has now. */
enum error sealing_load(struct escrow *);

/*
 * Reads them again if a rekey changed them since, and warns when this mount's key is none of theirs
 * any more. In a view, from any thread.
 */
enum error sealing_follow(struct escrow *, struct tx *);
/* The same in a view of its own. */
enum error sealing_follow_now(struct escrow *);
/* Whether there is no need of that; it only asks. */
enum error sealing_is_known(struct escrow *, struct tx *, bool *out);

/*
 * From now on the recipients must be those in this open file, which is the escrow's then, also after an
 * error: ERR_UNPINNED: they aren't, and nothing is sealed.
 */
enum error sealing_pin(struct escrow *, int fd);

/* Seals to the recipients that are known here, of which `generation` tells. The caller frees `blob`. */
enum error sealing_close(struct escrow *, const void *content, size_t len, struct bytes *blob,
			 int64_t *generation);

/* What shows of a seal from outside; `ours`: it is to one of them. As seal_outline(). */
enum error sealing_outline(struct escrow *, const void *blob, size_t len, struct seal_outline *out);

/*
 * In a change: does the store now have the recipients that are in the file, and no others?
 * ERR_UNPINNED. `pins` NULL or "": whichever it has.
 */
enum error sealing_pinned(struct tx *, const struct escrow *, const char *pins);

/* In a change: are they the store's recipients still? ERR_CHANGED: follow, and seal again. */
enum error sealing_still(struct tx *, int64_t generation);

/* ---- recipients.c: who they are ---- */

/*
 * Adds and retires as escrow_rekey() is asked to, and puts it on the trail; all or nothing. In
 * `out`: changed, recipients, recovery_retired. Followed already.
 */
enum error recipients_change(struct escrow *, const struct actor *, const struct escrow_rekey *,
			     struct escrow_rekeyed *out);

/* ---- trail.c ---- */

/* Adds an event to the trail, in the transaction that does what it records. */
enum error trail_add(struct tx *, struct escrow *, const struct event *);

/*
 * The chain of a line: of the hex chain before it and the line's bytes up to its own `,"chain"`.
 * ERR_MEMORY.
 */
enum error trail_chain(const uint8_t before[static STORE_DIGEST], const char *line, size_t len,
		       uint8_t out[static STORE_DIGEST]);

/* A refusal of `code` about a device, by its number. */
enum error refuse_device(struct escrow *, const struct actor *, int64_t id, enum error code);

/* ---- token.c: what a transaction does with tokens ---- */

/* A token on its way in: sealed outside of any transaction. */
struct sealed {
	struct bytes blob; /* len 0: not sealed, since it equals the current version */
	uint8_t mac[STORE_DIGEST], digest[STORE_DIGEST];
	uint32_t size;	    /* of the plaintext */
	int64_t generation; /* of the recipients that the blob is sealed to */
	int64_t at;	    /* when the device gave it away; 0: it does so now */
	bool imported;	    /* from another MDM's store: the trail says so */
};

void sealed_free(struct sealed *);

/* What a descriptor did, so that it can be undone. */
struct effect {
	int64_t device;
	int64_t added, ended; /* rows of versions; 0: none */
	bool replay;	      /* the token equals an older version */
};

/* The mac under which tokens of this device are compared. */
enum error token_mac(const struct escrow *, const char *udid, const struct secret *token,
		     uint8_t mac[static STORE_DIGEST]);

/*
 * Seals a token for a device, unless the device has it: as its current version, or as any. The
 * blob's content names `udid` as it stands there.
 */
enum seal_when { SEAL_ALWAYS, SEAL_UNLESS_CURRENT, SEAL_UNLESS_KNOWN };
enum error token_seal(struct escrow *, const char *udid, const struct secret *token, enum seal_when,
		      struct sealed *out);

/* What a token for a user enrolment is answered: ERR_FORBIDDEN. */
enum error token_of_user_enrolment(const char *udid);

/* The seal of it alone: blob, digest and generation are set in `out`. */
enum error token_close(struct escrow *escrow, const char *udid, const struct secret *token,
		       struct sealed *out);

/* Is this row, or 0 for none, still the current version? ERR_CHANGED. */
enum error token_still(struct dossier *, int64_t version);

/*
 * Escrows in a transaction: a confirmation when it equals the current version. ERR_CHANGED: it
 * doesn't any more, and there is no blob: seal and come again. The dossier must be settled
 * afterwards.
 */
enum error token_put(struct tx *, struct escrow *, struct dossier *, const struct actor *,
		     const struct sealed *, const char *how, int64_t now, struct effect *);

/*
 * Keeps a token that was given away (sealed.at) before the last change: as a version that has ended,
 * unless it is one of the device's versions already. Of a DOSSIER_WHOLE: it ended when the next of them
 * came. ERR_CHANGED as token_put().
 */
enum error token_keep_past(struct tx *, struct escrow *, struct dossier *, const struct actor *,
			   const struct sealed *, const char *how, int64_t now, struct effect *);

/*
 * The device escrowed at `at`: facts no newer than that which say that it can't are out of date.
 */
enum error token_proves(struct tx *, struct escrow *, struct dossier *, const struct actor *,
			const char *how, int64_t at, int64_t now);

/* Ends the current version; nothing when there is none. Settle afterwards. */
enum error token_end(struct tx *, struct escrow *, struct dossier *, const struct actor *,
		     const char *how, int64_t now, struct effect *);

/*
 * The message that an opened seal holds, for `udid` if all is well, which the caller has to see. ERR_BAD_SEAL:
 * none, or one without a token. The caller frees.
 */
enum error token_held(const char *udid, const struct secret *content, struct message *out);

/*
 * Unseals a version and checks that it is this device's and this version's. One that came from a
 * backup and was never opened is verified by that: its mac and size are set in it.
 */
enum error token_open(struct escrow *, const struct device *, struct version *,
		      const struct bytes *blob, struct secret *token);

/*
 * Puts a retrieval on the trail, of the version that was opened (id 0: none was there). ERR_CHANGED: it isn't
 * the current one any more. Settle afterwards.
 */
enum error token_retrieved(struct tx *, struct escrow *, struct dossier *, const struct actor *,
			   const struct version *opened, const char *how, int64_t now);
/* The same of one that is exported. */
enum error token_exported(struct tx *, struct escrow *, struct dossier *, const struct actor *,
			  const struct version *opened, const char *how, int64_t now);

/*
 * By hand (`how` is what the trail says of it): EPERM while known facts make the device
 * not_supported or not_eligible; recorded by the caller.
 */
enum error token_escrow_by_hand(struct escrow *, const struct actor *, const struct device *,
				const struct secret *token, const char *how, struct effect *);
enum error token_remove_by_hand(struct escrow *, const struct actor *, int64_t id, struct effect *);
/* Takes back what a descriptor did, if that is still how things stand. */
enum error token_undo(struct escrow *, const struct actor *, const struct effect *);

/* The device, its current version and that one's blob, in one view. version.id 0: nothing is escrowed. */
enum error token_look(struct escrow *, int64_t id, struct device *, struct version *,
		      struct bytes *blob);
/* The same of a device that is at hand. */
enum error token_look_of(struct escrow *, const struct device *, struct version *,
			 struct bytes *blob);
/* The same by its name in any case. ERR_NOT_FOUND. */
enum error token_look_named(struct escrow *, const char *udid, struct device *, struct version *,
			    struct bytes *blob);
/* ERR_BAD_SEAL: that version's blob isn't there. */
enum error token_lost(const struct device *, const struct version *);

/* ---- checkin.c ---- */

/*
 * Acts on a message. `readable`: a reply with a token has somewhere to go. ERR_FORBIDDEN, too, when a
 * token is withheld from who comes with another client certificate: that is on the trail already, and
 * `recorded` set. The caller frees `reply`.
 */
enum error checkin_act(struct escrow *, const struct actor *, const struct message *, bool readable,
		       struct secret *reply, bool *recorded);

/* ---- arrival.c ---- */

/*
 * What all arrivals have. Each kind has a struct of its own, of which this is the first member, and a
 * function that prepares it; it is one allocation of malloc(3).
 */
struct arrival {
	struct escrow *escrow;
	const struct actor *actor;
	char udid[UDID_MAX + 1];
	bool assumes;	    /* see arrival_assumes() */
	store_apply *apply; /* its change, with the arrival as its context; NULL: there is none */
	struct arrived arrived;		   /* set by apply, from zeros */
	void (*release)(struct arrival *); /* frees what the kind holds; NULL: nothing */
	struct change *change;
};

/* An arrival of `size` bytes, zeros but for these. ERR_MEMORY. */
enum error arrival_new(size_t size, struct escrow *, const struct actor *, const char *udid,
		       struct arrival **out);

/* ---- devices.c ---- */

/* Facts by hand: merges what was written to security.json. */
enum error security_write(struct escrow *, const struct actor *, int64_t id, const uint8_t *text,
			  size_t len);

/* Numbers of devices, a page of them, for who goes through all: a store_each_device() fills it. */
#define DEVICE_PAGE 256
struct device_page {
	int64_t id[DEVICE_PAGE];
	int count;
};
bool device_page_fill(void *page, int64_t id, const char *udid);

/* ---- metrics.c ---- */

/* A token that was asked for isn't given, because of `code`: what only says that it is gone, or that the disk
 * failed, is nobody's try. */
void count_withheld(struct escrow *, enum error code);

/* ---- status.c ---- */

/* All but `unverified`: that is counted, which after a restore without a key takes as long as it is large. */
enum error status_look(struct escrow *, struct tx *, struct escrow_status *out);

/* ---- growth.c ---- */

/* Warns when the store's log is large, and when its disk is nearly full. */
void growth_look(struct escrow *);

/* ---- escrow.c, init.c ---- */

/*
 * An error with what an option named, which says the option as its caller wrote it: "recipients=FILE" of a
 * mount, "--recipients FILE" of a command.
 */
enum error escrow_named(const struct escrow *, enum error, const char *option, const char *value);

/* STORE.key.pem, STORE.recovery.pem: `which` is "key" or "recovery". */
void escrow_default_key(const char *store, const char *which, char *out, size_t size);

/* A key's place, as the store remembers it: of a file the whole path. */
void escrow_key_place(const char *uri, char *out, size_t size);

/* A file's name without its directory: what its certificate is called as a recipient. */
const char *recipient_name_of(const char *path);

/* Writes all counted repeats of refusals to the trail, however young. */
void escrow_tick_all(struct escrow *);

#endif
