/*
 * The client certificate that a device comes with, as the web server verified it and says in the
 * header line `Identity:`.
 *
 * The first that is seen is the device's own: it is bound to it. Another one later is a change, which
 * is on the trail. Unless the mount is strict, that one is the device's own from then on. A strict
 * one keeps it as a stranger, the last one of each device, and whoever doesn't come with the device's
 * own certificate gets no token:
 *
 *	comes with	its own		a stranger	none
 *	gets a token	yes		no		no, once one is bound
 *
 * "No" is an error: a reply without a token would tell a Mac that there is none.
 *
 * The device's own becomes the stranger when it comes with a token of its own to escrow (what it is
 * given back then is that token), or when an administrator accepts it. Until then the certificate
 * that was bound before goes on being good. (So who escrows in a device's name is that device from then
 * on: the trail says so, and the token before is kept.)
 *
 * MUST: on a strict mount a token goes out to the device's own certificate alone.
 *       (test: attack.bats, "a changed client certificate")
 */
#include "checkin.h"

#include "told.h"

#include <stdio.h>
#include <string.h>

static enum error record(struct tx *tx, struct escrow *escrow, const struct actor *actor,
			 const struct dossier *dossier, const char *reason, int64_t now)
{
	return trail_add(tx, escrow,
			 &(struct event){.at = now,
					 .action = ACTION_IDENTITY,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .actor = actor,
					 .reason = reason});
}

/* From now on this is the device's own. */
static enum error bind(struct tx *tx, struct dossier *dossier, const char *identity)
{
	struct device *device = &dossier->device;
	dossier->rebound = true;
	snprintf(device->identity, sizeof device->identity, "%s", identity);
	return store_stranger_forget(tx, device->id);
}

static bool is_own(const struct checkin *in, const struct dossier *dossier)
{
	return strcmp(dossier->device.identity, in->message->identity) == 0;
}

/* Only what is new is told: a stranger may come every minute. */
static enum error note_stranger(struct tx *tx, struct checkin *in, const struct dossier *dossier)
{
	const struct device *device = &dossier->device;
	struct stranger known, stranger = {.at = in->now};
	enum error found = store_stranger(tx, device->id, &known);
	if (found && found != ERR_NOT_FOUND)
		return found;
	if (!found && strcmp(known.identity, in->message->identity) == 0)
		return OK;
	snprintf(stranger.identity, sizeof stranger.identity, "%s", in->message->identity);
	TRY(store_stranger_save(tx, device->id, &stranger));
	char reason[320];
	snprintf(reason, sizeof reason,
		 "the device came with another client certificate: %s" SAYS_STRANGER
		 "%s; it gets no "
		 "token with that one until it escrows or `escrowfs accept` accepts it",
		 stranger.identity, device->identity);
	in->had_effect = in->stranger = true;
	return record(tx, in->escrow, in->actor, dossier, reason, in->now);
}

enum error identity_note(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	const char *own = dossier->device.identity, *seen = in->message->identity;
	if (!*seen || is_own(in, dossier))
		return OK;
	if (*own && in->escrow->strict_identity)
		return note_stranger(tx, in, dossier);
	char reason[256];
	in->stranger = *own;
	if (*own)
		snprintf(reason, sizeof reason,
			 "the device came with another client certificate: %s, before %s", seen,
			 own);
	else
		snprintf(reason, sizeof reason, "bound to client certificate %s", seen);
	TRY(bind(tx, dossier, seen));
	in->had_effect = true;
	return record(tx, in->escrow, in->actor, dossier, reason, in->now);
}

const char *identity_forbids(const struct checkin *in, const struct dossier *dossier)
{
	if (!in->escrow->strict_identity || !*dossier->device.identity || is_own(in, dossier))
		return NULL;
	return *in->message->identity
		       ? "GetBootstrapToken: the device came with another client certificate than "
			 "its own, and gets no token until it escrows or `escrowfs accept` accepts "
			 "the change"
		       : "GetBootstrapToken: it came without the Identity of the device's client "
			 "certificate";
}

enum error identity_escrowed(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	const char *seen = in->message->identity;
	if (!in->escrow->strict_identity || !*seen || is_own(in, dossier))
		return OK;
	char reason[256];
	snprintf(reason, sizeof reason,
		 "it escrowed, and is bound to the client certificate that it came with: %s, "
		 "before %s",
		 seen, dossier->device.identity);
	TRY(bind(tx, dossier, seen));
	return record(tx, in->escrow, in->actor, dossier, reason, in->now);
}

/* ---- by hand ---- */

struct accepting {
	struct escrow *escrow;
	const struct actor *actor;
	const char *udid, *fingerprint;
	struct escrow_accepted *out;
};

static enum error accept_apply(struct tx *tx, void *context)
{
	struct accepting *job = context;
	SCOPED(dossier_free) struct dossier dossier;
	struct stranger stranger;
	const int64_t now = time_now();
	enum error found = dossier_find(tx, job->udid, &dossier);
	if (found == ERR_NOT_FOUND)
		return fail(found, "%s: the store has no such device", job->udid);
	TRY(found);
	const struct device *device = &dossier.device;
	found = store_stranger(tx, device->id, &stranger);
	if (found == ERR_NOT_FOUND)
		return fail(found,
			    "device %s: it came with no other client certificate than its own to a "
			    "mount with identity=strict: there is nothing to accept",
			    device->udid);
	TRY(found);
	if (job->fingerprint && (!*job->fingerprint || strncmp(stranger.identity, job->fingerprint,
							       strlen(job->fingerprint)) != 0))
		return fail(ERR_INVALID,
			    "device %s: it came with client certificate %s, and not with one that "
			    "starts with %s: nothing was accepted",
			    device->udid, stranger.identity, job->fingerprint);
	*job->out = (struct escrow_accepted){0};
	snprintf(job->out->before, sizeof job->out->before, "%s", device->identity);
	snprintf(job->out->identity, sizeof job->out->identity, "%s", stranger.identity);
	char reason[256];
	snprintf(reason, sizeof reason, "accepted by hand: client certificate %s, before %s",
		 job->out->identity, job->out->before);
	TRY(bind(tx, &dossier, stranger.identity));
	TRY(record(tx, job->escrow, job->actor, &dossier, reason, now));
	return dossier_settle(tx, &dossier, now);
}

enum error escrow_accept(struct escrow *escrow, const struct actor *actor, const char *udid,
			 const char *fingerprint, struct escrow_accepted *out)
{
	struct accepting job = {.escrow = escrow,
				.actor = actor,
				.udid = udid,
				.fingerprint = fingerprint,
				.out = out};
	return store_change(escrow->store, accept_apply, &job);
}

enum error escrow_strangers(struct escrow *escrow, store_each_stranger *each, void *context)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return store_strangers(tx, each, context);
}
