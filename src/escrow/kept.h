#ifndef ESCROW_KEPT_H
#define ESCROW_KEPT_H

#include "inside.h"

/*
 * Devices of backups on their way in. kept_told.c reads the description, kept.c opens seals and
 * seals anew; merge.c has the transaction, merge_versions.c the part of it that is about tokens.
 *
 * Times that went through a backup have milliseconds: they are compared as such, or what comes
 * back would be newer or older than itself.
 */

/* A token between the steps. */
struct kept_version {
	const struct kept_token *token;
	enum { KEPT_NOTHING, KEPT_OPENED, KEPT_UNOPENED } state;
	uint8_t came_as[STORE_DIGEST]; /* SHA-256 of the seal that the backup has */
	struct sealed sealed;	       /* blob len 0: the store has this token */
	struct version version;	       /* numbers and times, as the backup tells them */
	/*
	 * A version here that nobody had opened: it was, and holds this token. id 0: none. The digest is
	 * that of the seal that was opened.
	 */
	struct version proves;
};

struct kept_arrival {
	struct arrival base; /* first */
	struct kept_device kept;
	struct device about;  /* as security.json tells it; zeros without one */
	struct facts facts;   /* with their times */
	struct version *told; /* versions that it tells of */
	int told_count;
	struct kept_version *versions; /* as many as kept.count */
};

/* What the store has of a version. */
struct known {
	struct version version;
	bool removed; /* a device's that was taken away */
	bool arrived; /* it is one of those that came now */
};

/* An arrival's transaction. */
struct merge {
	struct tx *tx;
	struct kept_arrival *arrival;
	struct arrived *arrived;
	int64_t now;
	struct dossier dossier; /* of the device that is there */
	bool there;
	struct device past; /* the first of the name that was taken away; id 0: none */
	int64_t removed_at; /* when one of the name was taken away last; 0 */
	bool to_past;	    /* what is added joins the past */
	struct known *known;
	int count, cap;
	bool touched, renamed, failed;
};

/* ---- kept_told.c ---- */

/*
 * Reads the description, and refuses what it tells of and isn't there. ERR_INVALID: it is from the
 * future, and nothing of the device is to be taken in.
 */
enum error kept_describe(struct kept_arrival *);
/* What it tells of a token; NULL: nothing. */
const struct version *kept_told_of(const struct kept_arrival *, const struct kept_token *);

bool kept_later(int64_t a, int64_t b);
bool kept_same_time(int64_t a, int64_t b);
/* Are number and time of escrow those of a version that the store has? */
bool kept_same_place(const struct version *told, const struct version *known);
int64_t kept_newest(int64_t a, int64_t b);
/* When a version was last known to be the one. */
int64_t kept_last_seen(const struct version *);
/* The newest moment that the backup tells of. */
int64_t kept_newest_told(const struct kept_arrival *);

/* ---- merge.c, merge_versions.c ---- */

/* A store_apply: the transaction. ERR_CHANGED: prepare it again, sealing all of it. */
enum error kept_apply(struct tx *, void *kept_arrival);

/* For store_versions_named(): remembers what the store has. */
bool merge_know(void *merge, const struct version *, const char *udid, bool removed);
/* A line on the trail; `blob` NULL: none. */
enum error merge_record(struct merge *, int version, const char *blob, const char *reason);
/* A device that was taken away there, and never was here. */
enum error merge_make_past(struct merge *);
/* Takes in the tokens, and reserves the numbers of those that didn't come along. */
enum error merge_versions(struct merge *);

#endif
