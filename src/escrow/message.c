/*
 * A message's way: by /checkin, where the caller waits and may get a reply, and by import, where
 * hundreds go in at the same time.
 *
 * MUST: a reply with a token goes only to a descriptor that may be read. (test: get_needs_reading)
 * MUST: a retrieval is on the trail, on disk, before its bytes leave.
 *       (test: retrieve_records_first)
 */
#include "checkin.h"

#include <string.h>

static enum error check_enrolment(const struct message *message)
{
	if (message->kind != MESSAGE_SET_BOOTSTRAP_TOKEN || !message->user_enrolled)
		return OK;
	return token_of_user_enrolment(message->id);
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
		TRY(token_seal(in->escrow, message->id, &message->token,
			       again ? SEAL_ALWAYS : SEAL_UNLESS_CURRENT, sealed));
	if (message->kind == MESSAGE_GET_BOOTSTRAP_TOKEN)
		TRY(look_for_reply(in, &token));
	TRY(store_change(in->escrow->store, checkin_apply, in));
	if (message->kind != MESSAGE_GET_BOOTSTRAP_TOKEN || !in->readable)
		return OK;
	/* The transaction decides, not the look before it. */
	return mdm_write_reply(in->opened.id ? &token : NULL, reply);
}

enum error checkin_act(struct escrow *escrow, const struct actor *actor,
		       const struct message *message, bool readable, struct secret *reply)
{
	if (!checkin_matters(message))
		return OK;
	TRY(check_enrolment(message));
	struct checkin in = {.escrow = escrow,
			     .actor = actor,
			     .message = message,
			     .readable = readable && !message->webhook};
	enum error result = ERR_CHANGED;
	for (int tries = 0; result == ERR_CHANGED && tries < TRIES; tries++) {
		SCOPED(sealed_free) struct sealed sealed = {0};
		result = act_once(&in, tries > 0, &sealed, reply);
	}
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

static enum error prepare(struct message_arrival *this, bool again)
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
				    .now = time_now(),
				    .import = true,
				    .sealed = &this->sealed};
	base->apply = apply;
	return OK;
}

enum error escrow_message_prepare(struct escrow *escrow, const struct actor *actor,
				  const uint8_t *text, size_t len, bool again, struct arrival **out)
{
	TRY(arrival_new(sizeof(struct message_arrival), escrow, actor, "", out));
	struct message_arrival *this = (struct message_arrival *)*out;
	this->base.release = release;
	enum error read = mdm_read(text, len, time_now(), &this->message);
	memcpy(this->base.udid, this->message.id, sizeof this->base.udid);
	return read ? read : prepare(this, again);
}
