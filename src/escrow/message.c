/*
 * A message's way: by /checkin, where the caller waits and may get a reply, and by import, where
 * hundreds go in at the same time.
 *
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 */
#include "checkin.h"

#include "fault.h"

#include <string.h>

static enum error check_enrolment(const struct message *message)
{
	if (message->kind != MESSAGE_SET_BOOTSTRAP_TOKEN || !message->user_enrolled)
		return OK;
	return token_of_user_enrolment(message->id);
}

/* Unseals what a GetBootstrapToken is to be answered with; nothing when it gets none. */
static enum error look_for_reply(struct checkin *in, struct quota_pass *pass, struct secret *token)
{
	struct device device;
	SCOPED(bytes_free) struct bytes blob = {0};
	in->opened.id = 0;
	in->leaves = false;
	if (!in->readable)
		return OK;
	enum error found =
		token_look_named(in->escrow, in->message->id, &device, &in->opened, &blob);
	/* Without a device or a token of it. */
	if (!in->opened.id)
		return found == ERR_NOT_FOUND ? OK : found;
	/*
	 * Who checked out gets none, and a stranger neither: nothing is unsealed for him, and he uses up
	 * nobody's retrievals.
	 */
	in->leaves = !device.unenrolled && (!in->escrow->strict_identity || !*device.identity ||
					    strcmp(device.identity, in->message->identity) == 0);
	if (!in->leaves) {
		in->opened.id = 0;
		return OK;
	}
	TRY(found); /* its seal can't be had */
	TRY(quota_take(in->escrow->retrievals, device.udid, pass));
	return token_open(in->escrow, &device, &in->opened, &blob, token);
}

/* A token that leaves may use the room that is kept back; whatever else is sent may not. */
static enum error change(struct checkin *in)
{
	return (in->leaves ? store_change_vital : store_change)(in->escrow->store, checkin_apply,
								in);
}

static enum error act_once(struct checkin *in, bool again, struct sealed *sealed,
			   struct secret *reply)
{
	const struct message *message = in->message;
	SCOPED(secret_free) struct secret token = {0};
	SCOPED(quota_give_back) struct quota_pass pass = {0};
	in->now = time_now();
	in->sealed = sealed;
	if (message->kind == MESSAGE_SET_BOOTSTRAP_TOKEN && message->token.len)
		TRY(token_seal(in->escrow, message->id, &message->token,
			       again ? SEAL_ALWAYS : SEAL_UNLESS_CURRENT, sealed));
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		TRY(look_for_reply(in, &pass, &token));
	TRY(change(in));
	fault_point("message-recorded");
	if (message->kind != MESSAGE_GET_BOOTSTRAP_TOKEN || !in->readable)
		return OK;
	/* It is on the trail. No reply with nothing in it, which says that there is no token. */
	if (in->withheld)
		return fail(ERR_FORBIDDEN, "device %s: %s", message->id, in->withheld);
	/* The transaction decides, not the look before it. */
	if (in->opened.id)
		quota_use(&pass);
	return mdm_write_reply(in->opened.id ? &token : NULL, reply);
}

/* What /metrics tells of it, now that it is done, or refused. `withheld`: done, and no token given. */
static void count(const struct checkin *in, int64_t began, enum error result, bool withheld)
{
	struct counters *counters = &in->escrow->counters;
	const struct message *message = in->message;
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN && !withheld)
		count_withheld(in->escrow, result);
	if (result && !withheld)
		return;
	if (message->kind == MESSAGE_SET_BOOTSTRAP_TOKEN && message->token.len)
		latency_note(&counters->escrow, began);
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN && in->opened.id)
		latency_note(&counters->retrieval, began);
	atomic_fetch_add(&counters->replays, in->replay);
	atomic_fetch_add(&counters->identities, in->stranger);
	atomic_fetch_add(&counters->withheld[WITHHELD_IDENTITY], withheld);
}

enum error checkin_act(struct escrow *escrow, const struct actor *actor,
		       const struct message *message, bool readable, struct secret *reply,
		       bool *recorded)
{
	*recorded = false;
	if (!checkin_matters(message))
		return OK;
	TRY(check_enrolment(message));
	struct checkin in = {.escrow = escrow,
			     .actor = actor,
			     .message = message,
			     .readable = readable && !message->webhook};
	enum error result = ERR_CHANGED;
	int64_t began = latency_clock();
	for (int tries = 0; result == ERR_CHANGED && tries < TRIES; tries++) {
		SCOPED(sealed_free) struct sealed sealed = {0};
		result = act_once(&in, tries > 0, &sealed, reply);
	}
	*recorded = result == ERR_FORBIDDEN && in.withheld;
	count(&in, began, result, *recorded);
	return result;
}

/* ---- by import ---- */

struct message_arrival {
	struct arrival base;
	struct message message;
	struct sealed sealed;
	struct checkin in;
};

static void release(struct arrival *arrival)
{
	struct message_arrival *this = (struct message_arrival *)arrival;
	message_free(&this->message);
	sealed_free(&this->sealed);
}

static enum error apply(struct tx *tx, void *context)
{
	struct message_arrival *this = context;
	TRY(checkin_apply(tx, &this->in));
	uint64_t tag = this->base.arrived.token_tag;
	this->base.arrived = this->in.arrived;
	this->base.arrived.token_tag = tag;
	return OK;
}

static enum error prepare(struct message_arrival *this, int64_t came, bool again)
{
	const struct message *message = &this->message;
	struct arrival *base = &this->base;
	if (!checkin_matters(message))
		return OK;
	TRY(check_enrolment(message));
	if (message->token.len) {
		TRY(token_seal(base->escrow, message->id, &message->token,
			       again ? SEAL_ALWAYS : SEAL_UNLESS_KNOWN, &this->sealed));
		this->sealed.at = message->at;
		memcpy(&base->arrived.token_tag, this->sealed.mac, sizeof base->arrived.token_tag);
		base->assumes = !this->sealed.blob.len;
	}
	this->in = (struct checkin){.escrow = base->escrow,
				    .actor = base->actor,
				    .message = message,
				    .now = came,
				    .import = true,
				    .sealed = &this->sealed};
	base->apply = apply;
	return OK;
}

enum error escrow_message_prepare(struct escrow *escrow, const struct actor *actor,
				  const uint8_t *text, size_t len, int64_t came, bool again,
				  struct arrival **out)
{
	TRY(arrival_new(sizeof(struct message_arrival), escrow, actor, "", out));
	struct message_arrival *this = (struct message_arrival *)*out;
	this->base.release = release;
	enum error read = mdm_read(text, len, came, &this->message);
	memcpy(this->base.udid, this->message.id, sizeof this->base.udid);
	return read ? read : prepare(this, came, again);
}
