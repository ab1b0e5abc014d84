#ifndef ESCROWFS_ESCROW_H
#define ESCROWFS_ESCROW_H

#include "bytes.h"
#include "census.h"
#include "error.h"
#include "event.h"
#include "facts.h"
#include "path.h"
#include "secret.h"
#include "store.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The escrow: what may be done with tokens and what it leaves behind. It calls mdm for messages,
 * seal for keys, store for the disk. Above it, fs turns requests into these calls and cli does the
 * same for the command line. All calls are safe from any thread.
 *
 * What is refused here is recorded on the trail, with the sentence that fail() kept, before the
 * call returns (as far as it can be; repeats are counted). What is done is recorded in the same
 * transaction that does it.
 *
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 * MUST: what can't be recorded does not happen. (test: unrecorded_not_done)
 * MUST: plaintext is given out in secure memory, to one owner. (test: retrieve_in_secret)
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 */
struct escrow;

enum escrow_mode {
	ESCROW_SERVE,  /* the writing mount */
	ESCROW_SHARE,  /* the command line, beside a mount or without one */
	ESCROW_SEALED, /* one point in time, without a key, nothing written */
};

struct escrow_options {
	const char *store; /* its directory */
	enum escrow_mode mode;
	const char
		*holder; /* ESCROW_SERVE: where, for others' messages: "mounted on /mnt/escrow" */
	const char *key_uri; /* NULL: the one that the store remembers; missing is then a warning */
	const char *passphrase_file; /* NULL: none */
	bool no_key;		     /* opens no seal, and looks for no key */
	bool any_key;		/* the key need not be a recipient's: it opens what a backup has */
	bool rehearse;		/* every change is made and taken back: nothing is written */
	uint32_t uid, gid;	/* the owner of the mount */
	const char *recipients; /* certificates in PEM: nothing is sealed to others; NULL: any */
	bool strict_identity;	/* a device is given its token with its own certificate alone */
	uint32_t retrievals_an_hour; /* no more than that leave; 0: any number */
};

/*
 * Opens the escrow. Errors of store_open() and of seal_key_load(); ERR_INVALID: the key that was named is none
 * of the store's recipients', or lies inside the store. ERR_UNPINNED: the store's recipients are others
 * than those in `recipients`. Closed with escrow_close().
 */
enum error escrow_open(const struct escrow_options *, struct escrow **);
void escrow_close(struct escrow *);

/* As store_rest() and store_start(): around the moment when a mount gives up what it doesn't need. */
void escrow_rest(struct escrow *);
enum error escrow_start(struct escrow *);

/*
 * From now on a thread whose call waits for the disk calls `waits` before: what else could be done
 * meanwhile? NULL: nothing is called. To be set while no other thread uses the escrow.
 */
void escrow_on_wait(struct escrow *, void (*waits)(void *context), void *context);

bool escrow_sealed(const struct escrow *);
bool escrow_rehearses(const struct escrow *);
/* When the store was made. */
int64_t escrow_born_at(const struct escrow *);
bool escrow_has_key(struct escrow *);
/* It has, and as seal_key_is_foreign(). */
bool escrow_key_is_foreign(struct escrow *);

/*
 * What a mount reads again when it is told to, each a file or nothing (""): the private key, its
 * passphrase, and the recipients that the store must have.
 */
enum escrow_file { ESCROW_FILE_KEY, ESCROW_FILE_PASSPHRASE, ESCROW_FILE_RECIPIENTS, ESCROW_FILES };
struct escrow_places {
	char path[ESCROW_FILES][PATH_MAX];
};
/* Where they are, as it was said when the escrow was opened. */
void escrow_places(const struct escrow *, struct escrow_places *out);
/*
 * Reads them again, from files that somebody else opened, who closes them; a key that isn't in a file is
 * asked for by its URI. What can't be read, or isn't a recipient's key, stays as it was, and the log says
 * so: the error is the first of these. Calls under way end with the key with which they began.
 */
enum error escrow_reload(struct escrow *, const struct opened files[static ESCROW_FILES]);

/* The mount's first and last words on the trail. */
enum error escrow_mounted(struct escrow *, const struct actor *, const char *where);
enum error escrow_unmounted(struct escrow *, const struct actor *, const char *where);

/*
 * Once a second or so, by one thread: writes counted repeats of refusals to the trail once they are a
 * minute old; sees to it that what a rekey changed is known here; says in the log when a sealed mount
 * has let the store's own log grow large.
 */
void escrow_tick(struct escrow *);

/*
 * Puts a refusal on the trail that a layer above made. Returns `code`. The sentence is
 * fail_why()'s.
 */
enum error escrow_refuse(struct escrow *, const struct actor *, const char *udid, enum error code);

/* ---- devices ---- */

/* The device of this number (ERR_GONE); of this exact name (ERR_NOT_FOUND). */
enum error escrow_device(struct escrow *, int64_t id, struct device *out);
enum error escrow_device_named(struct escrow *, const char *udid, struct device *out);

/* mkdir: ERR_INVALID (not a UDID), ERR_EXISTS (in any case of letters). */
enum error escrow_device_make(struct escrow *, const struct actor *, const char *udid,
			      struct device *out);
/* rmdir: ERR_NOT_EMPTY while a token is escrowed; its history stays. */
enum error escrow_device_remove(struct escrow *, const struct actor *, const char *udid,
				struct device *out);

/* As store_devices(): a page of the listing after a cursor. */
enum error escrow_devices(struct escrow *, enum status, int64_t after, int limit,
			  store_each_device *, void *);
/* As store_glances(). */
enum error escrow_glances(struct escrow *, int64_t after, int limit, store_each_glance *, void *);
/* As escrow_device(), of the numbers over `after`, `last` at the most. */
enum error escrow_devices_between(struct escrow *, int64_t after, int64_t last, store_each_glance *,
				  void *);
/*
 * The devices that changed after `after`, a page, and when a device last came or went: what other
 * processes changed too. The number of the newest change now; and, at no cost, that of the newest that
 * this escrow made itself.
 */
enum error escrow_changes(struct escrow *, int64_t after, int limit, store_each_change *, void *,
			  int64_t *devices_at);
enum error escrow_change_number(struct escrow *, int64_t *out);
int64_t escrow_changed(const struct escrow *);
/* When a device last came or went; when the store was made if none ever did. */
enum error escrow_devices_at(struct escrow *, int64_t *out);

/* /search: "serialnumber", "macaddress", "imeinumber"; by names in any case. ERR_NOT_FOUND. */
enum error escrow_search(struct escrow *, enum name_kind, const char *name, struct device *out);
/* By UDID in any case. ERR_NOT_FOUND. */
enum error escrow_search_udid(struct escrow *, const char *udid, struct device *out);
enum error escrow_names(struct escrow *, enum name_kind, int64_t after, int limit,
			store_each_name *, void *);

/* The text of security.json as it is now, and the device that it is of. The caller frees. */
enum error escrow_security(struct escrow *, int64_t id, struct bytes *text, struct device *out);

/* ---- tokens ---- */

/*
 * The retrieval: records, unseals, checks. `text` is what the file shows: one line of base64; empty when
 * nothing is escrowed. ERR_NO_KEY, ERR_BAD_SEAL, ERR_QUOTA, ERR_GONE. The caller frees `text`.
 */
enum error escrow_retrieve(struct escrow *, const struct actor *, int64_t id, struct secret *text);

/*
 * What an open descriptor holds of the secure heap, and on whose account. Starts as {0}; the members are
 * the escrow's. All open tokens and unread replies may have a quarter of the heap, those of one process
 * half of that.
 */
struct holding {
	int place;
	size_t bytes;
};
/*
 * From now on the descriptor holds so many bytes, 0 for none. ERR_MEMORY: the process of `actor` has as
 * much as one may; the holding is as it was.
 */
enum error escrow_hold(struct escrow *, const struct actor *, size_t bytes, struct holding *);
void escrow_let_go(struct escrow *, struct holding *);

/* truncate -s 0: the token is removed, its version kept. OK when there is none. */
enum error escrow_remove(struct escrow *, const struct actor *, int64_t id);

/* ---- writing: one message a descriptor ---- */

/*
 * A writer gathers what is written to one open descriptor, sees when the message is whole, acts on
 * it then, and keeps its verdict: what is refused stays refused. The states are drawn in escrow's
 * writer.c. Safe from several threads.
 */
struct writer;

enum writer_target {
	WRITER_TOKEN,	 /* base64, SetBootstrapToken, PEM; 64 KiB */
	WRITER_SECURITY, /* security.json; 64 KiB */
	WRITER_CHECKIN,	 /* any message; 1 MiB */
};

/*
 * `readable`: the descriptor may be read, so that a check-in's reply has somewhere to go. `id`: the
 * device, 0 for a check-in. Freed with writer_free(), which wipes.
 */
enum error writer_new(struct escrow *, enum writer_target, int64_t id, bool readable,
		      struct writer **);
void writer_free(struct writer *);

/*
 * Takes bytes that were written at `offset`, which must be what was written before (ERR_INVALID).
 * When they make the message whole it is acted on, and the error is that verdict. The caller wipes
 * its own buffer.
 */
enum error writer_write(struct writer *, const struct actor *, const void *, size_t,
			uint64_t offset);

/* Is there a message that isn't whole yet? Only then does it matter who flushes or reads. */
bool writer_gathers(struct writer *);

/*
 * close(2) of one of the descriptor's copies: see the contract for which forms it ends. `actor` NULL: the
 * one who wrote last.
 */
enum error writer_flush(struct writer *, const struct actor *);

/* ftruncate(2): to the length just written is fine, 0 with nothing written removes the token, else
 * ERR_INVALID. */
enum error writer_truncate(struct writer *, const struct actor *, uint64_t length);

/*
 * The next bytes of a check-in's reply, at most `size`; *n is 0 at its end. They lie in the
 * writer's secure memory, valid until the next call. ERR_INVALID: the message isn't whole. After a
 * refusal the reply is one line that says why. `actor` as above.
 */
enum error writer_read(struct writer *, const struct actor *, size_t size, const void **data,
		       size_t *n);

/* ---- who may: owners, modes, ACLs ---- */

/*
 * A node as far as access goes: its inode number; the inode number of its policy (0: none); whether
 * something was set on it itself, which of a device's node device.pinned says; the permission bits
 * that it has when nobody set any; the device that it belongs to, for the trail (NULL: none), and its
 * path.
 */
struct access_node {
	uint64_t node, policy;
	bool pinned;
	uint32_t mode;
	bool directory;
	const char *udid, *path;
};

/* What holds: its own setting, else its policy's, else the table's mode and the owner of the mount.
 */
enum error escrow_access(struct escrow *, const struct access_node *, struct access *out);
/* The same without the ACLs. Of a node that isn't pinned it costs next to nothing. */
enum error escrow_owner(struct escrow *, const struct access_node *, struct owner *out);

/* chmod(2): ERR_FORBIDDEN for setuid, setgid and sticky bits. With an ACL the group's bits are its
 * mask's. */
enum error escrow_chmod(struct escrow *, const struct actor *, const struct access_node *,
			uint32_t mode);
/* chown(2): UINT32_MAX leaves one as it is. */
enum error escrow_chown(struct escrow *, const struct actor *, const struct access_node *,
			uint32_t uid, uint32_t gid);
/* setxattr(2) of system.posix_acl_access or _default, and removexattr(2) with len 0. ERR_INVALID:
 * not an ACL. */
enum error escrow_set_acl(struct escrow *, const struct actor *, const struct access_node *,
			  bool is_default, const void *acl, size_t len);

/* ---- the trail, counters, the disk ---- */

enum error escrow_trail_end(struct escrow *, struct trail_end *out);
enum error escrow_trail_read(struct escrow *, uint64_t offset, void *, size_t size, size_t *n);

/* Prometheus text format. The caller frees. */
enum error escrow_metrics(struct escrow *, struct bytes *out);

enum error escrow_space(struct escrow *, struct store_space *, uint64_t *devices);

/* ---- for the command line ---- */

struct escrow_birth {
	const char *store;
	const char *key_uri;	       /* NULL: make STORE.key.pem */
	const char *const *recipients; /* certificate files, besides */
	int recipient_count;
	bool no_recovery;
	const char *passphrase_file;
};
/* What init made, for telling: paths ("" when not made). */
struct escrow_born {
	char key_path[STORE_URI_MAX], recovery_path[STORE_URI_MAX];
	int recipients;
};
/* Makes a store and its keys. Refuses to overwrite anything; what it made is taken back when it
 * fails. */
enum error escrow_init(const struct escrow_birth *, const struct actor *, struct escrow_born *out);

/* ---- the past ---- */

/*
 * Every version that a UDID (in any case of letters) ever had, in the order of numbers: those of
 * devices of that name that were taken away (`removed`) too. ERR_NOT_FOUND: the store never had
 * such a device. `each` returns false to stop; it may not call the escrow.
 */
enum error escrow_history(struct escrow *, const char *udid, store_each_past *, void *);

/*
 * For sealed mounts. Devices that were taken away, as store.h has them: by number (ERR_GONE), by
 * exact name (ERR_NOT_FOUND), and a page of those that have versions.
 */
enum error escrow_removed(struct escrow *, int64_t id, struct device *out);
enum error escrow_removed_named(struct escrow *, const char *udid, struct device *out);
enum error escrow_removed_devices(struct escrow *, int64_t after, int limit, store_each_device *,
				  void *);
/*
 * The versions of a device that are not current, in the order of numbers; of one that was taken
 * away those of every device that had its name and was. Of each, token_size is the length of the
 * PEM of its seal. By row: ERR_GONE.
 */
enum error escrow_past(struct escrow *, const struct device *, store_each_version *, void *);
enum error escrow_past_version(struct escrow *, int64_t version, struct version *out);
/* The security.json of one that was taken away: its name, number and versions. The caller frees. */
enum error escrow_removed_security(struct escrow *, const struct device *, struct bytes *text);
/*
 * The PEM of a version's seal; of a device's current one, empty when nothing is escrowed. ERR_BAD_SEAL: the
 * store has lost it. The caller frees.
 */
enum error escrow_seal_text(struct escrow *, int64_t version, struct bytes *pem);
enum error escrow_token_text(struct escrow *, const struct device *, struct bytes *pem);

/*
 * Makes an old version's token the current one again, by hand, as a new version sealed to today's
 * recipients: `made` is its number, 0 when the current version has that token already and was
 * confirmed. A device that was taken away is made again first. ERR_NOT_FOUND: no such version;
 * ERR_EXISTS: it is the current one; ERR_NO_KEY, ERR_BAD_SEAL; ERR_FORBIDDEN and ERR_UNPINNED
 * as for any escrow by hand.
 */
enum error escrow_restore(struct escrow *, const struct actor *, const char *udid, int number,
			  int *made);

/* ---- client certificates ---- */

/* The devices that came to a strict mount with a certificate that isn't their own: as store_strangers(). */
enum error escrow_strangers(struct escrow *, store_each_stranger *, void *);

struct escrow_accepted {
	char identity[65], before[65]; /* hex SHA-256 */
};
/*
 * From now on the certificate with which the device last came is its own. `fingerprint`: only if it
 * starts so; NULL: whichever. ERR_NOT_FOUND: no such device, or it came with none; ERR_INVALID: it is
 * another one.
 */
enum error escrow_accept(struct escrow *, const struct actor *, const char *udid,
			 const char *fingerprint, struct escrow_accepted *out);

/* ---- rekey ---- */

struct escrow_rekey {
	const char *const *add; /* certificate files */
	const char *const
		*retire; /* fingerprints, or how they start; colons and any case are fine */
	int add_count, retire_count;
	bool remember; /* from now on the daily key is looked for where this escrow's key is */
	const char *recipients; /* the certificates that there must be then, in PEM; NULL: any */
};

enum rekey_step {
	REKEY_SEALING,	  /* after each batch; `total` is how many versions there were to do */
	REKEY_COMPACTING, /* before it, and every second or so while something passing is in its way */
	REKEY_WAITING,	  /* the same while a sealed mount reads what was there before */
};

/* How it goes. `step` returns false to stop; `left` says why a version stays sealed as it is. */
struct rekey_watch {
	bool (*step)(void *context, enum rekey_step, int64_t done, int64_t total);
	void (*left)(void *context, const char *sentence);
	void *context;
};

struct escrow_rekeyed {
	int64_t total;		   /* versions that were to be sealed anew */
	int64_t sealed;		   /* and were */
	int64_t unopened, damaged; /* left as they are: sealed to other keys; broken */
	int recipients;		   /* from now on */
	bool changed;		   /* recipients were added or retired */
	bool key_retired;	   /* this escrow's key is none of theirs */
	bool recovery_retired;	   /* "recovery" was retired, and none of this name is left */
	bool stopped;		   /* by `step` */
	bool clean;		   /* the store's files hold no seal that was replaced */
};

/*
 * Adds and retires recipients, in one transaction; seals every version anew that isn't sealed to
 * them yet, in batches on all processors; compacts the store. What was stopped or failed goes on
 * with the next call. `out` is filled in as far as it came, whatever is returned.
 *
 * ERR_NO_KEY: no private key, or one that opens none of what is to be sealed anew: nothing was
 * changed. ERR_BUSY: another rekey is at work. ERR_NOT_FOUND, ERR_INVALID (ambiguous; not a
 * certificate, or not fit), ERR_EXISTS, ERR_FORBIDDEN (nobody would be left),
 * ERR_UNPINNED (others than there must be): of the recipients; nothing was changed. Else the disk's.
 */
enum error escrow_rekey(struct escrow *, const struct actor *, const struct escrow_rekey *,
			const struct rekey_watch *, struct escrow_rekeyed *out);

/* How far the store is: versions sealed to its recipients, and to those of before. */
struct escrow_seals {
	int64_t current, older;
	bool unclean; /* its files may hold seals that were replaced */
};
enum error escrow_seals(struct escrow *, struct escrow_seals *out);

/* ---- moving out ---- */

enum export_form {
	EXPORT_MESSAGE, /* a SetBootstrapToken property list */
	EXPORT_BASE64,	/* one line, without a newline */
};

/* A token on its way out, or why it stays. Valid during the call that gets it. */
struct exported {
	const char *udid, *serial; /* serial: "" when it isn't known */
	int64_t escrowed_at;
	enum error error;
	const char *why;    /* the sentence of `error` */
	struct secret text; /* the token, as asked for; the escrow's */
};

struct exporting {
	enum export_form form;
	const char *where;	  /* for the trail: "as CSV, to /srv/out" */
	const char *const *udids; /* in any case of letters; none: all devices */
	int udid_count;
	/* Takes a token; an error ends it all. */
	enum error (*each)(void *context, const struct exported *);
	/* Asked before each batch; false: no more. */
	bool (*going_on)(void *context);
	void *context;
};

/*
 * Gives out the current tokens of devices, in the clear: a batch at a time is opened, put on the
 * trail, a line a token, and when that is on disk given to `each`. Of all devices, those without a
 * token are left out; one that was named comes with ERR_NOT_FOUND then. A token that doesn't open
 * comes with its error, and the rest goes on. ERR_NO_KEY: the escrow has no private key.
 * `without`: how many devices were left out.
 */
enum error escrow_export(struct escrow *, const struct actor *, const struct exporting *,
			 int64_t *without);

/*
 * Does a path lie inside the store's directory, or would it if it were made? Symbolic links are
 * followed.
 */
bool escrow_holds_path(const struct escrow *, const char *path);

/* ---- destroying the past ---- */

/* What a purge would destroy. */
struct escrow_purgeable {
	int64_t versions, devices; /* devices: that those versions are of */
	int64_t oldest, newest;	   /* when the first and the last of them ended; 0 */
	int64_t vanishing; /* names of devices that were taken away, of which nothing is left then */
	bool unfinished;   /* an earlier purge, or a rekey, didn't get as far as the files */
};
/* The versions that ended before a time. Current ones never did. */
enum error escrow_purgeable(struct escrow *, int64_t before, struct escrow_purgeable *out);

/* `going_on` is asked between two batches, `waiting` as in store_compact(); false stops it. */
struct escrow_purging {
	bool (*going_on)(void *context, int64_t destroyed);
	store_waiting *waiting;
	void *context;
};
/*
 * Destroys them, in batches, each version with its line on the trail; then nothing of them is left
 * in the store's files. `destroyed` is how many. ERR_BUSY: stopped; to be called again, it goes on
 * where it was.
 */
enum error escrow_purge(struct escrow *, const struct actor *, int64_t before,
			const struct escrow_purging *, int64_t *destroyed);

/* A line's number and chain, as escrow_status() had them once; of an empty trail 0 and zeros. */
struct escrow_checkpoint {
	int64_t seq;
	uint8_t chain[STORE_DIGEST];
};

struct escrow_verifying {
	const struct escrow_checkpoint
		*since; /* the trail must lead through it; NULL: none is known */
	void (*finding)(void *context, const char *sentence); /* what is wrong, one by one */
	void (*progress)(void *context, int64_t done);	      /* lines and versions; NULL */
	void *context;
};
struct escrow_verified {
	int64_t lines, versions, opened, unopened; /* unopened: no key here */
	int64_t findings;
};
/*
 * Walks the chain, compares blobs with the trail, opens every seal that it has a key for, checks
 * the database. A trail that ends before `since`, or has another line there, is a finding: nothing
 * else tells one that was cut short, or written anew, from a whole one.
 */
enum error escrow_verify(struct escrow *, const struct escrow_verifying *,
			 struct escrow_verified *out);

struct escrow_status {
	uint64_t devices[STATUS_COUNT];
	bool unclean;	     /* the files hold seals still that were replaced or destroyed */
	uint64_t unverified; /* versions that came from a backup, and no key has opened here */
	struct trail_end trail;
	struct store_space space;
	char served_by[STORE_HOLDER_MAX]; /* "" when nobody serves it; its path as it is */
	char key_uri[STORE_URI_MAX];	  /* where the private key is, or should be */
	int recipients;
};
enum error escrow_status(struct escrow *, struct escrow_status *out);
/*
 * The same, and a count of all devices, as of one moment: they are gone through once, which takes some seconds
 * for a million.
 */
enum error escrow_census(struct escrow *, struct escrow_status *out, struct census *);
/* All of it as one JSON object, for programs; `store` is its path as it is to be shown. The caller frees. */
enum error escrow_status_json(struct escrow *, const char *store, struct bytes *out);
/* The i-th recipient: its name, certificate's fingerprint and expiry. */
enum error escrow_recipient(struct escrow *, int i, struct recipient *, char fingerprint[static 65],
			    int64_t *expires_at);

#endif
