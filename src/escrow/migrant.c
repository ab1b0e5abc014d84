/*
 * A device out of another MDM's store: what its own messages would have done, had they come here
 * when they came there. Here things may have gone on since; so all of it has a time, and what is
 * known to be newer stands.
 *
 * MUST: no device becomes stale by it. (test: migrant_never_stale)
 * MUST: the second time it changes nothing. (test: migrant_twice)
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct migrant_arrival {
	struct arrival base;
	char from[256];
	bool user_enrolled, messages, disabled;
	bool dated; /* it is known when its Authenticate came, which has the facts */
	int64_t enrolled_at, seen_at, disabled_at; /* 0: not known */
	int64_t told_at;			   /* the newest moment that it tells of */
	struct facts reported;
	struct sealed sealed; /* size 0: no token */
};

static void release(struct arrival *arrival)
{
	sealed_free(&((struct migrant_arrival *)arrival)->sealed);
}

/* ---- prepared ---- */

/* The first that is known. */
static int64_t first_of(int64_t at, int64_t other)
{
	return at ? at : other;
}

static enum error check_message(const struct message *message, const struct migrant *migrant,
				enum message_kind kind)
{
	if (message->kind != kind)
		return fail(ERR_INVALID,
			    "device %s: where its %s message should be there is another one (%s)",
			    migrant->udid, message_word(kind), message_word(message->kind));
	if (strcasecmp(message->id, migrant->udid) != 0)
		return fail(ERR_INVALID, "device %s: its %s message is device %s's", migrant->udid,
			    message_word(kind), message->id);
	if (message->user_channel)
		return fail(ERR_INVALID, "device %s: its %s message is of the user channel",
			    migrant->udid, message_word(kind));
	return OK;
}

static enum error read_message(struct migrant_arrival *this, const struct migrant *migrant,
			       enum message_kind kind, const struct secret *text, int64_t at)
{
	SCOPED(message_free) struct message message = {0};
	if (!text->len)
		return OK;
	enum error read = mdm_read(text->data, text->len, at, &message);
	if (read && !*message.id)
		return fail(read, "device %s: its %s message: %s", migrant->udid,
			    message_word(kind), fail_why());
	TRY(read);
	TRY(check_message(&message, migrant, kind));
	this->messages = true;
	this->user_enrolled = this->user_enrolled || message.user_enrolled;
	/* That something must be asked again was so when the device enrolled there. */
	for (int i = 0; i < FACT_COUNT; i++)
		if (message.reported.of[i].state == FACT_KNOWN)
			this->reported.of[i] = message.reported.of[i];
	return OK;
}

static enum error read_token(struct migrant_arrival *this, const struct migrant *migrant,
			     bool again)
{
	struct arrival *base = &this->base;
	if (!migrant->token.len)
		return OK;
	if (mdm_check_token(&migrant->token))
		return fail(ERR_INVALID, "device %s: %s", migrant->udid, fail_why());
	if (this->user_enrolled)
		return token_of_user_enrolment(migrant->udid);
	TRY(token_seal(base->escrow, migrant->udid, &migrant->token,
		       again ? SEAL_ALWAYS : SEAL_UNLESS_KNOWN, &this->sealed));
	this->sealed.at = first_of(migrant->token_at, migrant->seen_at);
	this->sealed.imported = true;
	memcpy(&base->arrived.token_tag, this->sealed.mac, sizeof base->arrived.token_tag);
	base->assumes = !this->sealed.blob.len;
	return OK;
}

/* ---- applied ---- */

static enum error record(struct tx *tx, struct migrant_arrival *this, const struct dossier *dossier,
			 enum action action, const char *reason, int64_t now)
{
	this->base.arrived.had_effect = true;
	return trail_add(tx, this->base.escrow,
			 &(struct event){.at = now,
					 .action = action,
					 .outcome = "ok",
					 .udid = dossier->device.udid,
					 .actor = this->base.actor,
					 .reason = reason});
}

/* Nobody knows how old they are: what is known stands. */
static void leave_known(struct facts *reported, const struct facts *known)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (known->of[i].at)
			reported->of[i] = (struct fact){0};
}

static enum error apply_facts(struct tx *tx, struct migrant_arrival *this, struct dossier *dossier,
			      int64_t now)
{
	struct facts before = dossier->facts, reported = this->reported;
	bool anew = this->base.arrived.device_new;
	if (!this->dated)
		leave_known(&reported, &before);
	if (!facts_merge(&dossier->facts, &reported)) {
		dossier->facts = before;
		return OK;
	}
	dossier->renamed = true;
	this->base.arrived.had_effect = true;
	if (anew)
		return OK; /* what is said of a new device is enough */
	char reason[1024];
	facts_changed(&before, &dossier->facts, this->from, reason, sizeof reason);
	return record(tx, this, dossier, ACTION_IMPORT, reason, now);
}

/* Did what is known here happen after `at`? */
static bool overtaken(const struct device *device, int64_t at)
{
	return at < device->enrolled_at || at < device->reenrolled_at || at < device->escrowed_at ||
	       at <= device->checked_out_at;
}

static enum error apply_enrolment(struct tx *tx, struct migrant_arrival *this,
				  struct dossier *dossier, int64_t now)
{
	struct device *device = &dossier->device;
	int64_t enrolled_at = first_of(this->enrolled_at, first_of(this->seen_at, now));
	int64_t disabled_at = first_of(this->disabled_at, first_of(this->seen_at, now));
	bool anew = this->base.arrived.device_new;
	if (this->messages && !device->enrolled_at) {
		device->enrolled_at = enrolled_at;
		if (!anew)
			TRY(record(tx, this, dossier, ACTION_IMPORT, this->from, now));
	}
	if (!this->disabled && device->unenrolled && this->enrolled_at > device->checked_out_at) {
		device->unenrolled = false;
		TRY(record(tx, this, dossier, ACTION_IMPORT, this->from, now));
	}
	if (!this->disabled || device->unenrolled || (!anew && overtaken(device, disabled_at)))
		return OK;
	device->unenrolled = true;
	device->checked_out_at = disabled_at;
	return record(tx, this, dossier, ACTION_CHECK_OUT, this->from, now);
}

/* Is something of the device's tokens known that is newer than `at`? */
static bool token_is_old(const struct dossier *dossier, int64_t at)
{
	bool old = at <= dossier->device.escrowed_at;
	for (int i = 0; i < dossier->count; i++)
		old = old || at < dossier->versions[i].ended_at;
	return old;
}

static enum error apply_token(struct tx *tx, struct migrant_arrival *this, struct dossier *dossier,
			      int64_t now)
{
	struct arrival *base = &this->base;
	struct sealed sealed = this->sealed;
	struct effect effect;
	struct version known;
	if (!sealed.size)
		return OK;
	if (dossier->device.user_enrolled)
		return token_of_user_enrolment(dossier->device.udid);
	enum error found = ERR_NOT_FOUND;
	if (dossier->count)
		found = store_version_with_mac(tx, dossier->device.id, sealed.mac, &known);
	base->arrived.tokens_same = found == OK;
	if (found != ERR_NOT_FOUND)
		return found;
	/* Where nobody knows how old a token is, what is known stands. */
	sealed.at = first_of(sealed.at, dossier->count ? TIME_UNKNOWN : now);
	if (token_is_old(dossier, sealed.at)) {
		TRY(token_keep_past(tx, base->escrow, dossier, base->actor, &sealed, this->from,
				    now, &effect));
		base->arrived.tokens_past = 1;
	} else {
		TRY(token_proves(tx, base->escrow, dossier, base->actor, this->from, sealed.at,
				 now));
		TRY(token_put(tx, base->escrow, dossier, base->actor, &sealed, this->from, now,
			      &effect));
		base->arrived.tokens_ended = effect.ended != 0;
	}
	base->arrived.tokens_new = 1;
	base->arrived.had_effect = true;
	return OK;
}

/* ---- one that was taken away here ---- */

static enum error find_taken_away(struct tx *tx, const struct migrant_arrival *this,
				  struct device *past)
{
	int64_t removed_at;
	enum error found = store_removed_named(tx, this->base.udid, past);
	if (found)
		return found == ERR_NOT_FOUND ? OK : found;
	TRY(store_removed_last(tx, this->base.udid, &removed_at));
	if (this->told_at > removed_at)
		past->id = 0;
	return OK;
}

/* It isn't brought back, but nothing is lost. */
static enum error join_past(struct tx *tx, struct migrant_arrival *this, const struct device *past,
			    int64_t now)
{
	struct arrived *arrived = &this->base.arrived;
	SCOPED(dossier_free) struct dossier dossier = {.device = *past, .current = -1};
	struct sealed sealed = this->sealed;
	struct effect effect;
	bool known;
	if (!sealed.size)
		return OK;
	TRY(versions_have(tx, past->udid, sealed.mac, &known));
	arrived->tokens_same = known;
	if (known)
		return OK;
	sealed.at = first_of(sealed.at, now);
	TRY(token_keep_past(tx, this->base.escrow, &dossier, this->base.actor, &sealed, this->from,
			    now, &effect));
	arrived->tokens_new = arrived->tokens_past = 1;
	arrived->had_effect = true;
	return store_removed_touch(tx, past->id, now);
}

/* ---- the change ---- */

static enum error apply(struct tx *tx, void *context)
{
	struct migrant_arrival *this = context;
	struct arrived *arrived = &this->base.arrived;
	SCOPED(dossier_free) struct dossier dossier;
	struct device past = {0};
	int64_t now = time_now();
	enum error found = dossier_find(tx, this->base.udid, &dossier);
	if (found == ERR_NOT_FOUND)
		TRY(find_taken_away(tx, this, &past));
	if (past.id)
		return join_past(tx, this, &past, now);
	arrived->device_new = found == ERR_NOT_FOUND;
	if (arrived->device_new)
		TRY(dossier_create(tx, this->base.udid, this->user_enrolled,
				   this->disabled      ? STATUS_UNENROLLED
				   : this->sealed.size ? STATUS_ESCROWED
						       : STATUS_NOT_ESCROWED,
				   now, &dossier));
	else
		TRY(found);
	TRY(apply_facts(tx, this, &dossier, now));
	TRY(apply_enrolment(tx, this, &dossier, now));
	TRY(apply_token(tx, this, &dossier, now));
	/* A version's line says where a new device is from; one without a token has its own. */
	if (arrived->device_new && !arrived->tokens_new)
		TRY(record(tx, this, &dossier, ACTION_IMPORT, this->from, now));
	return arrived->had_effect ? dossier_settle(tx, &dossier, now) : OK;
}

/* ---- the whole ---- */

static int64_t not_after(int64_t at, int64_t now)
{
	return at < now ? at : now;
}

static int64_t later_of(int64_t at, int64_t other)
{
	return at > other ? at : other;
}

/* What stands in for times that the source doesn't give; none of them lies in the future. */
static void set_times(struct migrant_arrival *this, struct migrant *migrant, int64_t now)
{
	migrant->seen_at = not_after(migrant->seen_at, now);
	migrant->token_at = not_after(migrant->token_at, now);
	migrant->authenticate_at = not_after(migrant->authenticate_at, now);
	migrant->token_update_at = not_after(migrant->token_update_at, now);
	this->seen_at = migrant->seen_at;
	this->disabled = migrant->disabled;
	this->disabled_at = not_after(migrant->disabled_at, now);
	this->told_at =
		first_of(later_of(later_of(migrant->authenticate_at, migrant->token_update_at),
				  later_of(migrant->token_at, this->disabled_at)),
			 first_of(this->seen_at, now));
	this->enrolled_at = first_of(migrant->authenticate_at, migrant->token_update_at);
	this->dated = migrant->authenticate_at != 0;
}

static enum error prepare(struct migrant_arrival *this, const struct migrant *given, bool again)
{
	struct migrant migrant = *given; /* its texts stay the caller's */
	int64_t now = time_now();
	if (!udid_valid(migrant.udid, strlen(migrant.udid)))
		return fail(ERR_INVALID,
			    "`%s` is no UDID: it is empty or has other characters "
			    "than letters, digits and '-'",
			    migrant.udid);
	set_times(this, &migrant, now);
	int64_t facts_at = first_of(this->enrolled_at, first_of(this->seen_at, now));
	if (*migrant.serial)
		fact_set_text(&this->reported, FACT_SERIAL_NUMBER, migrant.serial, facts_at,
			      SOURCE_AUTHENTICATE);
	TRY(read_message(this, &migrant, MESSAGE_AUTHENTICATE, &migrant.authenticate, facts_at));
	TRY(read_message(this, &migrant, MESSAGE_TOKEN_UPDATE, &migrant.token_update, facts_at));
	TRY(read_token(this, &migrant, again));
	this->base.apply = apply;
	return OK;
}

enum error escrow_migrant_prepare(struct escrow *escrow, const struct actor *actor,
				  const struct migrant *migrant, bool again, struct arrival **out)
{
	TRY(arrival_new(sizeof(struct migrant_arrival), escrow, actor, migrant->udid, out));
	struct migrant_arrival *this = (struct migrant_arrival *)*out;
	this->base.release = release;
	snprintf(this->from, sizeof this->from, "from %s", migrant->from);
	return prepare(this, migrant, again);
}
