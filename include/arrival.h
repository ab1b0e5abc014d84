#ifndef ESCROWFS_ARRIVAL_H
#define ESCROWFS_ARRIVAL_H

#include "escrow.h"

/*
 * One thing that an import brings: a message, a device out of another MDM's store, one of a backup.
 * It goes in by three steps, so that hundreds go in at the same time: prepared (read and sealed: the
 * costly part; by any thread, many at once), begun (its change waits for the store's writer), and
 * finished. Arrivals that one thread begins are made in that order.
 *
 * What one looks at when it is prepared may change before it is begun: then finishing it says
 * ERR_CHANGED, nothing has happened, and it is prepared anew, with `again`.
 */
struct arrival;

#define ARRIVED_WHY 480

/* What came of it. */
struct arrived {
	bool had_effect; /* false: what it says was known already, nothing was written */
	bool device_new;
	int tokens_new;	    /* versions that were added */
	int tokens_same;    /* those that the store had already */
	int tokens_past;    /* of the new ones: those that had ended, or were overtaken */
	int unverified;	    /* of the new ones: no key here opens them */
	int tokens_ended;   /* that were current here, until something newer came */
	uint64_t token_tag; /* tells equal tokens of a device, for this store alone; 0: none came */
	/* What of it was refused, while the rest went in; valid until the arrival is freed. */
	const struct arrived_refusal *refusals;
	int refusal_count;
};

struct arrived_refusal {
	char *path; /* the file */
	enum error code;
	char why[ARRIVED_WHY];
};

/* The device that it is about; "" when it names none. */
const char *arrival_udid(const struct arrival *);
/*
 * Does it rely on what was looked at when it was prepared? Then it isn't begun while another of the
 * same device is under way.
 */
bool arrival_assumes(const struct arrival *);
enum error arrival_begin(struct arrival *);
/* Waits for what was begun; OK too when that was nothing. `out` is set when it returns OK. */
enum error arrival_finish(struct arrival *, struct arrived *out);
/* After finishing it, or when it wasn't begun. Takes NULL. */
void arrival_free(struct arrival *);

/*
 * One message (header lines or webhook JSON around it are fine), as /checkin would take it, without
 * a reply; but a token that the device has already changes nothing. `*out` is set after an error
 * too, as soon as the message names a device. The caller records refusals (escrow_refuse()), and
 * keeps `actor` until the arrival is freed. The text may go when this returns. `came`: when it was
 * read, which orders messages that don't say when they were sent.
 */
enum error escrow_message_prepare(struct escrow *, const struct actor *, const uint8_t *text,
				  size_t len, int64_t came, bool again, struct arrival **out);

/*
 * A device out of another MDM's store. Any of it may be missing (len 0) but the UDID. Times are in
 * nanoseconds, 0 when the source doesn't say; `seen_at` stands in for them: when the source was
 * written, so that nothing of it is newer.
 *
 * Facts and tokens that the store has newer ones of stay behind those: an older token becomes a
 * version that has ended. Facts of an Authenticate without a time give way to all that are known. A
 * token that the device ever had here changes nothing. No device becomes stale. One that was taken
 * away here after all that is told of it isn't brought back: its token joins the past. Nothing is
 * kept of the messages but facts.
 */
struct migrant {
	char udid[UDID_MAX + 1];
	char serial[FACT_TEXT];
	struct secret authenticate, token_update; /* property lists, XML or binary */
	struct secret token;			  /* the token's own bytes */
	int64_t authenticate_at, token_update_at, token_at, disabled_at;
	int64_t seen_at;
	bool disabled;	  /* it has checked out there */
	const char *from; /* for the trail: "NanoMDM's store /var/nanomdm/..." */
};
/* As escrow_message_prepare(). ERR_INVALID: a message is another device's, or none. */
enum error escrow_migrant_prepare(struct escrow *, const struct actor *, const struct migrant *,
				  bool again, struct arrival **out);

/* ---- a device of a backup ---- */

/* A seal, as a sealed mount shows it. */
struct kept_token {
	int number;	  /* of the version; 0: not known */
	bool current;	  /* there */
	struct bytes pem; /* may be empty: nothing was escrowed */
	char *path;	  /* for sentences */
};

/* Owner, mode and ACLs of the device's directory or one of its files. */
struct kept_access {
	bool there;
	bool owned;		  /* somebody gave it to others than the mount's owner */
	struct access_node start; /* what it would have if nobody had set any */
	uint32_t uid, gid, mode;
	struct bytes acl, default_acl; /* len 0: none */
};

/*
 * A device as a backup of this escrow, or of another one, has it. All that it points to is its own;
 * kept_free() frees it.
 *
 * It is merged with what the store has:
 *
 *	- a version that the store has is the same, whatever seal it comes in: what was taken in
 *	  once can be taken in again, and nothing is written;
 *	- a token becomes current only when it is newer than all that the store knows of the
 *	  device's tokens; an older one becomes a version that has ended;
 *	- a fact replaces an older one only; of a device's times the earlier one counts when it is
 *	  that of the first (enrolment), else the later one;
 *	- a device that the store knows never becomes stale; and one that was taken away after all
 *	  that arrives isn't brought back: its versions join the past;
 *	- owners, modes and ACLs are for devices that weren't there.
 *
 * A seal that no key here opens is kept as it is when it is made to one of the store's recipients:
 * its version is unverified until somebody with the key opens it.
 */
struct kept_device {
	char udid[UDID_MAX + 1];
	bool removed;	       /* it lies under the backup's /removed */
	char *path;	       /* of its directory */
	struct bytes security; /* security.json; len 0: there is none */
	struct kept_token *tokens;
	int count;
	struct kept_access access[STORE_NODES];
	struct arrived_refusal *refusals; /* what couldn't be read */
	int refusal_count;
};
void kept_free(struct kept_device *);
/* One more token, of zeros; valid until the next call. NULL: out of memory. */
struct kept_token *kept_token(struct kept_device *);
/*
 * One more refusal, of the sentence that fail() keeps; behind the hundredth they aren't told one by
 * one. ERR_MEMORY.
 */
enum error kept_refuse(struct kept_device *, const char *path, enum error code);

/*
 * As escrow_message_prepare(). Takes `kept` over, and leaves it empty. What is refused of it is in
 * `arrived`; an error is one that the next device would have, too.
 */
enum error escrow_kept_prepare(struct escrow *, const struct actor *, struct kept_device *kept,
			       bool again, struct arrival **out);

#endif
