/*
 * What a device's own messages do. One function for each kind, all run in the message's one
 * transaction: the table at the end says which, and whether it makes a device that isn't known
 * yet.
 *
 * A message that came in an envelope with a time (a webhook) may be late: what happened after it
 * stands.
 *
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

struct checkin {
	struct escrow *escrow;
	const struct actor *actor;
	const struct message *message;
	int64_t now;
	bool readable;
	const struct sealed *sealed; /* SetBootstrapToken */
	struct version opened;	     /* GetBootstrapToken: what was unsealed; id 0: nothing */
	bool had_effect;
};

/* Was the message sent before something that is known to have happened at `at`? */
static bool late(const struct checkin *in, int64_t at)
{
	return in->message->at && in->message->at < at;
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
	if (!facts_merge(&dossier->facts, &in->message->reported))
		return OK;
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
	    late(in, dossier->device.reenrolled_at))
		return OK;
	dossier->device.proven_at = sent_at(in);
	current->renewal = RENEWAL_NONE;
	in->had_effect = true;
	return store_version_save(tx, current);
}

/* ---- enrolment ---- */

static enum error on_authenticate(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct device *device = &dossier->device;
	TRY(merge_facts(tx, in, dossier));
	if (late(in, device->enrolled_at) || late(in, device->reenrolled_at))
		return OK;
	if (device->enrolled_at)
		device->reenrolled_at = sent_at(in);
	else
		device->enrolled_at = sent_at(in);
	struct version *current = dossier_current(dossier);
	if (current && current->renewal == RENEWAL_NONE && !late(in, device->escrowed_at)) {
		/* A token that came before the first Authenticate seen counts too. */
		device->reenrolled_at = sent_at(in);
		current->renewal = RENEWAL_AUTHENTICATED;
		TRY(store_version_save(tx, current));
	}
	return record(tx, in, dossier, ACTION_ENROL, "Authenticate");
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
		what = "TokenUpdate with AwaitingConfiguration: set up anew, the token may not "
		       "work any more";
	}
	return what ? record(tx, in, dossier, ACTION_ENROL, what) : OK;
}

static enum error on_check_out(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct device *device = &dossier->device;
	if (device->unenrolled || late(in, device->enrolled_at) || late(in, device->reenrolled_at))
		return OK;
	device->unenrolled = true;
	device->checked_out_at = sent_at(in);
	return record(tx, in, dossier, ACTION_CHECK_OUT, NULL);
}

/* ---- tokens ---- */

/*
 * A device that escrows meets the prerequisites, whatever is known of it: facts that say otherwise
 * are out of date until they are reported again.
 */
static enum error doubt_facts(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct facts before = dossier->facts;
	int count = 0;
	for (bool doubted = true; doubted;) {
		doubted = false;
		uint32_t by = rules_prerequisites(&dossier->facts, dossier->device.user_enrolled)
				      .decided_by;
		for (int i = 0; i < FACT_COUNT; i++) {
			struct fact *fact = &dossier->facts.of[i];
			if (!(by >> i & 1) || fact->state != FACT_KNOWN)
				continue;
			fact->state = FACT_OUT_OF_DATE;
			doubted = true;
			count++;
		}
	}
	if (!count)
		return OK;
	char reason[512];
	facts_changed(&before, &dossier->facts,
		      "SetBootstrapToken: the device escrows, so these are out of date", reason,
		      sizeof reason);
	dossier->renamed = true;
	return record(tx, in, dossier, ACTION_FACTS, reason);
}

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
	if (in->message->token.len)
		return token_keep_past(tx, in->escrow, dossier, in->actor, in->sealed,
				       in->message->at, in->now);
	return trail_add(tx, in->escrow,
			 &(struct event){.at = in->now,
					 .action = ACTION_REMOVE,
					 .outcome = "none",
					 .udid = dossier->device.udid,
					 .actor = in->actor,
					 .reason = "SetBootstrapToken, sent before the last "
						   "change: nothing is removed"});
}

static enum error on_set(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	struct effect effect;
	in->had_effect = true;
	if (is_late(in, dossier))
		return keep_late(tx, in, dossier);
	dossier->device.unenrolled = false;
	if (!in->message->token.len)
		return token_end(tx, in->escrow, dossier, in->actor, "SetBootstrapToken", in->now,
				 &effect);
	TRY(doubt_facts(tx, in, dossier));
	return token_put(tx, in->escrow, dossier, in->actor, in->sealed, "SetBootstrapToken",
			 in->now, &effect);
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
	in->had_effect = true;
	const char *none =
		!in->readable ? "GetBootstrapToken: the reply has nowhere to go, so nothing "
				"was retrieved"
		: dossier->device.unenrolled ? "GetBootstrapToken: the device is unenrolled"
					     : NULL;
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

/*
 * The certificate that the web server verified: the first is bound to the device, a change is on
 * the trail.
 */
static enum error note_identity(struct tx *tx, struct checkin *in, struct dossier *dossier)
{
	char *bound = dossier->device.identity;
	const char *seen = in->message->identity;
	if (!*seen || strcmp(bound, seen) == 0)
		return OK;
	char reason[256];
	if (*bound)
		snprintf(reason, sizeof reason,
			 "the device came with another client certificate: %s, before %s", seen,
			 bound);
	else
		snprintf(reason, sizeof reason, "bound to client certificate %s", seen);
	memcpy(bound, seen, sizeof dossier->device.identity);
	return record(tx, in, dossier, ACTION_IDENTITY, reason);
}

static enum error checkin_apply(struct tx *tx, void *context)
{
	struct checkin *in = context;
	const struct message *message = in->message;
	SCOPED(dossier_free) struct dossier dossier;
	in->had_effect = false;

	enum error found = dossier_find(tx, message->id, &dossier);
	if (found == ERR_NOT_FOUND && message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		return record_none(tx, in, message->id, "GetBootstrapToken: an unknown device");
	if (found == ERR_NOT_FOUND && !kinds[message->kind].creates)
		return OK;
	if (found == ERR_NOT_FOUND)
		TRY(dossier_create(tx, message->id, message->user_enrolled, in->now, &dossier));
	else
		TRY(found);

	TRY(note_identity(tx, in, &dossier));
	TRY(kinds[message->kind].act(tx, in, &dossier));
	return dossier_settle(tx, &dossier, in->now);
}

/* Unseals what a GetBootstrapToken is to be answered with; nothing when it gets none. */
static enum error look_for_reply(struct checkin *in, struct secret *token)
{
	struct device device;
	SCOPED(bytes_free) struct bytes blob = {0};
	in->opened.id = 0;
	enum error found = escrow_search_udid(in->escrow, in->message->id, &device);
	if (found == ERR_NOT_FOUND || (found == OK && (!in->readable || device.unenrolled)))
		return OK;
	TRY(found);
	TRY(token_look(in->escrow, device.id, &device, &in->opened, &blob));
	return in->opened.id ? token_open(in->escrow, &device, &in->opened, &blob, token) : OK;
}

static enum error act_once(struct checkin *in, bool again, struct sealed *sealed,
			   struct secret *reply)
{
	const struct message *message = in->message;
	SCOPED(secret_free) struct secret token = {0};
	in->now = time_now();
	in->sealed = sealed;
	if (message->kind == MESSAGE_SET_BOOTSTRAP_TOKEN && message->token.len)
		TRY(token_seal(in->escrow, message->id, &message->token, again, sealed));
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		TRY(look_for_reply(in, &token));
	TRY(store_change(in->escrow->store, checkin_apply, in));
	if (message->kind != MESSAGE_GET_BOOTSTRAP_TOKEN || !in->readable)
		return OK;
	/* The transaction decides, not the look before it. */
	return mdm_write_reply(in->opened.id ? &token : NULL, reply);
}

enum error checkin_act(struct escrow *escrow, const struct actor *actor,
		       const struct message *message, bool readable, struct secret *reply,
		       bool *had_effect)
{
	*had_effect = false;
	if (!kinds[message->kind].act || message->user_channel)
		return OK;
	if (message->kind == MESSAGE_SET_BOOTSTRAP_TOKEN && message->user_enrolled)
		return fail(ERR_FORBIDDEN,
			    "device %s: a user enrolment (EnrollmentID without UDID) has no "
			    "Bootstrap Token; enrol the device through Apple Business Manager or "
			    "with a device enrolment profile",
			    message->id);
	struct checkin in = {.escrow = escrow,
			     .actor = actor,
			     .message = message,
			     .readable = readable && !message->webhook};
	enum error result = ERR_CHANGED;
	for (int tries = 0; result == ERR_CHANGED && tries < TRIES; tries++) {
		SCOPED(sealed_free) struct sealed sealed = {0};
		result = act_once(&in, tries > 0, &sealed, reply);
	}
	*had_effect = in.had_effect;
	return result;
}

enum error escrow_import(struct escrow *escrow, const struct actor *actor, const uint8_t *text,
			 size_t len, enum import_result *result)
{
	SCOPED(message_free) struct message message = {0};
	SCOPED(secret_free) struct secret reply = {0};
	bool had_effect = false;
	enum error read = mdm_read(text, len, time_now(), &message);
	if (!read)
		read = checkin_act(escrow, actor, &message, false, &reply, &had_effect);
	*result = read ? IMPORT_REFUSED : had_effect ? IMPORT_DONE : IMPORT_NOTHING;
	return escrow_refuse(escrow, actor, *message.id ? message.id : NULL, read);
}
