/*
 * To whom tokens are sealed. The store counts how often its recipients were changed, and each of
 * its versions says of which count its seal is. A mount keeps the certificates in memory and reads
 * them again when the count moved on: at the look before a seal, and once a second.
 *
 * Between that look and the change a rekey may still come: so the change looks once more.
 *
 * MUST: nothing is added that is sealed to retired recipients. (test: rekey_of_others_is_followed,
 *       stale_seal_is_refused)
 */
#include "inside.h"

#include "log.h"

static enum error add_recipient(void *context, const struct recipient *recipient,
				const uint8_t *der, size_t len)
{
	(void)recipient;
	return recipients_add(context, der, len);
}

static enum error read_recipients(struct tx *tx, struct recipients **out, int64_t *generation)
{
	struct store_state state;
	TRY(store_state(tx, &state));
	*generation = state.generation;
	TRY(recipients_new(out));
	return store_recipients(tx, add_recipient, *out);
}

enum error sealing_load(struct escrow *escrow)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return read_recipients(tx, &escrow->recipients, &escrow->generation);
}

/* The mount goes on: it escrows, and opens what isn't sealed anew yet. */
static void warn_without_key(struct escrow *escrow)
{
	if (escrow->mode == ESCROW_SERVE && escrow->key &&
	    !seal_key_fits(escrow->key, escrow->recipients))
		log_say(LOG_LEVEL_WARNING,
			"%s: a rekey retired the private key of this mount, %s: it opens nothing "
			"that is sealed from now on (ENOKEY). Tokens are still escrowed. Mount "
			"again with the key of a recipient (`escrowfs rekey %s --list`)",
			escrow->path, escrow->key_uri, escrow->path);
}

static bool is_known(struct escrow *escrow, int64_t generation)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	bool known = escrow->generation == generation;
	pthread_rwlock_unlock(&escrow->sealing);
	return known;
}

enum error sealing_follow(struct escrow *escrow, struct tx *tx)
{
	struct store_state state;
	TRY(store_state(tx, &state));
	if (is_known(escrow, state.generation))
		return OK;
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	int64_t generation;
	TRY(read_recipients(tx, &recipients, &generation));
	pthread_rwlock_wrlock(&escrow->sealing);
	/* Another thread may have looked later and been here before. */
	if (generation > escrow->generation) {
		struct recipients *before = escrow->recipients;
		escrow->recipients = recipients;
		escrow->generation = generation;
		recipients = before;
		warn_without_key(escrow);
	}
	pthread_rwlock_unlock(&escrow->sealing);
	return OK;
}

enum error sealing_close(struct escrow *escrow, const void *content, size_t len, struct bytes *blob,
			 int64_t *generation)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	*generation = escrow->generation;
	enum error result = seal_close(escrow->recipients, content, len, blob);
	pthread_rwlock_unlock(&escrow->sealing);
	return result;
}

enum error sealing_outline(struct escrow *escrow, const void *blob, size_t len,
			   struct seal_outline *out)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	enum error result = seal_outline(escrow->recipients, blob, len, out);
	pthread_rwlock_unlock(&escrow->sealing);
	return result;
}

enum error sealing_still(struct tx *tx, int64_t generation)
{
	struct store_state state;
	TRY(store_state(tx, &state));
	return state.generation == generation
		       ? OK
		       : fail(ERR_CHANGED, "the store's recipients were changed meanwhile");
}
