/*
 * What a device's own messages do. One function for each kind, all run in the message's one
 * transaction: the table at the end says which, and whether it makes a device that isn't known
 * yet.
 *
 * A message that came in an envelope with a time (a webhook) may be late: what happened after it
 * stands.
 *
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 */
#include "checkin.h"

#include "told.h"

#include <stdio.h>
#include <string.h>

/* Was the message sent before something that is known to have happened at `at`? */
static bool late(const struct checkin *in, int64_t at)
{
	return in->message->at && in->message->at < at;
}

/* Has this very message, which says when it was sent, been taken in before? */
static bool known_from(const struct checkin *in, int64_t at)
{
	return in->import && in->message->at && in->message->at == at;
}

static int64_t sent_at(const struct checkin *in)
{
	return in->message->at ? in->message->at : in->now;
}

static enum error record(struct tx *tx, struct checkin *in, const struct dossier *dossier,
			 enum action action, const char *reason)
{
	in->had_effect = true;
	return trail_add(tx, in->escrow,
			 &(struct event){.at = in->now,
					 .action = action,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .actor = in->actor,
					 .reason = reason});
}

/* ---- facts ---- */

static enum error merge_facts(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct facts before = dossier->facts;
	if (!facts_merge(&dossier->facts, &in->message->reported)) {
		/* Nobody knows when it was said: no later than what is known. */
		if (in->import && !in->message->at)
			dossier->facts = before;
		else if (!facts_equal(&before, &dossier->facts))
			in->had_effect = true;
		return OK;
	}
	dossier->renamed = true;
	char reason[1024];
	facts_changed(&before, &dossier->facts, message_word(in->message->kind), reason,
		      sizeof reason);
	return record(tx, in, dossier, ACTION_FACTS, reason);
}

static enum error on_facts(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	TRY(merge_facts(tx, in, dossier));
	struct version *current = dossier_current(dossier);
	if (!in->message->preflight_success || !current || late(in, dossier->device.escrowed_at) ||
	    late(in, dossier->device.reenrolled_at) || known_from(in, dossier->device.proven_at))
		return OK;
	dossier->device.proven_at = sent_at(in);
	in->had_effect = true;
	if (current->renewal == RENEWAL_NONE)
		return OK;
	current->renewal = RENEWAL_NONE;
	TRY(store_version_save(tx, current));
	char reason[96];
	snprintf(reason, sizeof reason, "%s" SAYS_PROVEN, message_word(in->message->kind));
	return record(tx, in, dossier, ACTION_FACTS, reason);
}

/* ---- enrolment ---- */

static enum error on_authenticate(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct device *device = &dossier->device;
	TRY(merge_facts(tx, in, dossier));
	if (late(in, device->enrolled_at) || late(in, device->reenrolled_at) ||
	    known_from(in, device->enrolled_at) || known_from(in, device->reenrolled_at))
		return OK;
	if (device->enrolled_at)
		device->reenrolled_at = sent_at(in);
	else
		device->enrolled_at = sent_at(in);
	struct version *current = dossier_current(dossier);
	bool renewed =
		current && current->renewal == RENEWAL_NONE && !late(in, device->escrowed_at);
	if (renewed) {
		/* A token that came before the first Authenticate seen counts too. */
		device->reenrolled_at = sent_at(in);
		current->renewal = RENEWAL_AUTHENTICATED;
		TRY(store_version_save(tx, current));
	}
	return record(tx, in, dossier, ACTION_ENROL, renewed ? SAYS_RENEWED : SAYS_AUTHENTICATED);
}

static enum error on_token_update(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct device *device = &dossier->device;
	const char *what = NULL;
	if (late(in, device->checked_out_at))
		return OK;
	if (!device->enrolled_at) {
		device->enrolled_at = sent_at(in);
		what = "TokenUpdate";
	}
	if (device->unenrolled) {
		device->unenrolled = false;
		what = "TokenUpdate: enrolled again";
	}
	struct version *current = dossier_current(dossier);
	if (in->message->awaiting_configuration && current &&
	    current->renewal == RENEWAL_AUTHENTICATED && !late(in, device->reenrolled_at)) {
		current->renewal = RENEWAL_SET_UP;
		TRY(store_version_save(tx, current));
		what = SAYS_SET_UP;
	}
	return what ? record(tx, in, dossier, ACTION_ENROL, what) : OK;
}

static enum error on_check_out(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct device *device = &dossier->device;
	if (device->unenrolled || late(in, device->enrolled_at) ||
	    late(in, device->reenrolled_at) || (in->import && late(in, device->checked_out_at)) ||
	    known_from(in, device->checked_out_at))
		return OK;
	device->unenrolled = true;
	device->checked_out_at = sent_at(in);
	return record(tx, in, dossier, ACTION_CHECK_OUT, NULL);
}

/* ---- tokens ---- */

/* Was it sent before what is known of the device's tokens happened? Then that stands. */
static bool is_late(const struct checkin *in, const struct dossier *dossier)
{
	bool overtaken =
		late(in, dossier->device.escrowed_at) || late(in, dossier->device.checked_out_at);
	for (int i = 0; i < dossier->count; i++)
		overtaken = overtaken || late(in, dossier->versions[i].ended_at);
	return overtaken;
}

/* Nothing is ever lost: a late token becomes a version that has ended. */
static enum error keep_late(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct effect effect;
	if (in->message->token.len) {
		struct sealed sealed = *in->sealed;
		sealed.at = in->message->at;
		TRY(token_keep_past(tx, in->escrow, dossier, in->actor, &sealed,
				    "SetBootstrapToken", in->now, &effect));
		in->had_effect = !in->import || effect.added;
		in->arrived.tokens_new = in->arrived.tokens_past = effect.added != 0;
		in->arrived.tokens_same = !effect.added;
		return OK;
	}
	if (in->import)
		return OK;
	in->had_effect = true;
	return trail_add(tx, in->escrow,
			 &(struct event){.at = in->now,
					 .action = ACTION_REMOVE,
					 .outcome = "none",
					 .udid = dossier->device.udid,
					 .actor = in->actor,
					 .reason = "SetBootstrapToken, sent before the last "
						   "change: nothing is removed"});
}

static enum error remove_token(struct tx *tx, struct checkin *in, struct dossier *dossier,
			       bool was_unenrolled)
{
	struct effect effect;
	TRY(token_end(tx, in->escrow, dossier, in->actor, "SetBootstrapToken", in->now, &effect));
	in->had_effect = in->had_effect || !in->import || effect.ended;
	return was_unenrolled && !effect.ended
		       ? record(tx, in, dossier, ACTION_ENROL,
				"SetBootstrapToken without a token: enrolled again")
		       : OK;
}

/*
 * An import may bring what the store has. Only if it says when it was sent, and that was later than
 * all that is known, does a token that the device had before say anything new.
 */
static enum error is_known(struct tx *tx, const struct checkin *in, struct dossier *dossier,
			   bool *known)
{
	const struct device *device = &dossier->device;
	const struct version *current = dossier_current(dossier);
	struct version version;
	*known = false;
	if (!in->import || !in->message->token.len)
		return OK;
	enum error found = store_version_with_mac(tx, device->id, in->sealed->mac, &version);
	if (found)
		return found == ERR_NOT_FOUND ? OK : found;
	if (in->message->at)
		*known = in->message->at <= device->escrowed_at;
	else
		*known = current && (version.id != current->id || current->renewal == RENEWAL_NONE);
	return OK;
}

static enum error on_set(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct effect effect;
	bool known, was_unenrolled = dossier->device.unenrolled;
	TRY(is_known(tx, in, dossier, &known));
	if (known) {
		in->arrived.tokens_same = 1;
		return OK;
	}
	if (is_late(in, dossier))
		return keep_late(tx, in, dossier);
	in->had_effect = !in->import || was_unenrolled;
	dossier->device.unenrolled = false;
	if (!in->message->token.len)
		return remove_token(tx, in, dossier, was_unenrolled);
	in->had_effect = true;
	TRY(token_proves(tx, in->escrow, dossier, in->actor, "SetBootstrapToken", INT64_MAX,
			 in->now));
	TRY(token_put(tx, in->escrow, dossier, in->actor, in->sealed, "SetBootstrapToken", in->now,
		      &effect));
	in->replay = effect.replay;
	TRY(identity_escrowed(tx, in, dossier));
	in->arrived.tokens_new = effect.added != 0;
	in->arrived.tokens_ended = effect.added && effect.ended;
	in->arrived.tokens_same = !effect.added;
	return OK;
}

/* A request for a token that gets none is on the trail as well. */
static enum error record_none(struct tx *tx, struct checkin *in, const char *udid, const char *why)
{
	in->had_effect = true;
	in->opened.id = 0; /* what was unsealed stays here */
	return trail_add(tx, in->escrow,
			 &(struct event){.at = in->now,
					 .action = ACTION_RETRIEVE,
					 .outcome = "none",
					 .udid = udid,
					 .actor = in->actor,
					 .reason = why});
}

static enum error on_get(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	if (in->import)
		return OK;
	in->had_effect = true;
	const char *none =
		!in->readable ? "GetBootstrapToken: the reply has nowhere to go, so nothing "
				"was retrieved"
		: dossier->device.unenrolled ? "GetBootstrapToken: the device is unenrolled"
					     : NULL;
	if (!none)
		none = in->withheld = identity_forbids(in, dossier);
	if (none)
		return record_none(tx, in, dossier->device.udid, none);
	return token_retrieved(tx, in->escrow, dossier, in->actor, &in->opened, "GetBootstrapToken",
			       in->now);
}

/* ---- one message, one transaction ---- */

typedef enum error on_message(struct tx *, struct checkin *, struct dossier *);

static const struct {
	on_message *act;
	bool creates; /* a device that isn't known yet */
} kinds[MESSAGE_COUNT] = {
	[MESSAGE_AUTHENTICATE] = {on_authenticate, true},
	[MESSAGE_TOKEN_UPDATE] = {on_token_update, true},
	[MESSAGE_CHECK_OUT] = {on_check_out, false},
	[MESSAGE_SET_BOOTSTRAP_TOKEN] = {on_set, true},
	[MESSAGE_GET_BOOTSTRAP_TOKEN] = {on_get, false},
	[MESSAGE_SECURITY_INFO] = {on_facts, true},
	[MESSAGE_DEVICE_INFORMATION] = {on_facts, true},
};

/* What was sent at some time, or is moved in, may stand anywhere among the versions. */
static enum extent needed(const struct checkin *in)
{
	const struct message *message = in->message;
	if (in->import)
		return DOSSIER_WHOLE;
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		return DOSSIER_RETRIEVAL;
	return message->kind == MESSAGE_SET_BOOTSTRAP_TOKEN && !message->at ? DOSSIER_TOKEN
									    : DOSSIER_WHOLE;
}

enum error checkin_apply(struct tx *tx, void *context)
{
	struct checkin *in = context;
	const struct message *message = in->message;
	SCOPED(dossier_free) struct dossier dossier;
	in->had_effect = in->replay = in->stranger = false;
	in->withheld = NULL;
	in->arrived = (struct arrived){0};

	bool retrieves = message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN && !in->import;
	enum error found = dossier_find_for(tx, needed(in), message->id, &dossier);
	if (found == ERR_NOT_FOUND && retrieves)
		return record_none(tx, in, message->id, "GetBootstrapToken: an unknown device");
	if (found == ERR_NOT_FOUND && !kinds[message->kind].creates)
		return OK;
	if (found == ERR_NOT_FOUND)
		TRY(dossier_create(tx, message->id, message->user_enrolled,
				   message->token.len ? STATUS_ESCROWED : STATUS_NOT_ESCROWED,
				   in->now, &dossier));
	else
		TRY(found);
	in->arrived.device_new = found == ERR_NOT_FOUND;

	TRY(identity_note(tx, in, &dossier));
	TRY(kinds[message->kind].act(tx, in, &dossier));
	in->arrived.had_effect = in->had_effect || in->arrived.device_new;
	if (in->import && !in->arrived.had_effect)
		return OK;
	return dossier_settle(tx, &dossier, in->now);
}

bool checkin_matters(const struct message *message)
{
	return kinds[message->kind].act && !message->user_channel;
}
