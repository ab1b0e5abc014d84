/*
 * A backup's device up to the transaction: its description is read, its seals are opened and
 * checked, its tokens sealed anew to today's recipients.
 *
 * MUST: a token under another's UDID is not taken in. (test: kept_of_another)
 * MUST: what arrives leaves its plaintext nowhere but in a new seal. (test: kept_sealed_anew)
 */
#include "kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REFUSALS_MAX 100

/* ---- a device of a backup ---- */

void kept_free(struct kept_device *kept)
{
	for (int i = 0; i < kept->count; i++) {
		bytes_free(&kept->tokens[i].pem);
		free(kept->tokens[i].path);
	}
	free(kept->tokens);
	for (int i = 0; i < kept->refusal_count; i++)
		free(kept->refusals[i].path);
	free(kept->refusals);
	for (int i = 0; i < STORE_NODES; i++) {
		bytes_free(&kept->access[i].acl);
		bytes_free(&kept->access[i].default_acl);
	}
	free(kept->path);
	bytes_free(&kept->security);
	*kept = (struct kept_device){0};
}

struct kept_token *kept_token(struct kept_device *kept)
{
	struct kept_token *more = realloc(kept->tokens, (size_t)(kept->count + 1) * sizeof *more);
	if (!more)
		return NULL;
	kept->tokens = more;
	more[kept->count] = (struct kept_token){0};
	return &more[kept->count++];
}

enum error kept_refuse(struct kept_device *kept, const char *path, enum error code)
{
	if (kept->refusal_count == REFUSALS_MAX) {
		snprintf(kept->refusals[REFUSALS_MAX - 1].why, ARRIVED_WHY,
			 "%s; and so on: more of this device isn't named", fail_why());
		return OK;
	}
	struct arrived_refusal *more =
		realloc(kept->refusals, (size_t)(kept->refusal_count + 1) * sizeof *more);
	if (!more)
		return fail(ERR_MEMORY, "out of memory");
	kept->refusals = more;
	more += kept->refusal_count;
	*more = (struct arrived_refusal){.path = strdup(path), .code = code};
	if (!more->path)
		return fail(ERR_MEMORY, "out of memory");
	snprintf(more->why, sizeof more->why, "%s", fail_why());
	kept->refusal_count++;
	return OK;
}

/* ---- between the steps ---- */

static void release(struct arrival *arrival)
{
	struct kept_arrival *this = (struct kept_arrival *)arrival;
	for (int i = 0; this->versions && i < this->kept.count; i++)
		sealed_free(&this->versions[i].sealed);
	free(this->versions);
	free(this->told);
	kept_free(&this->kept);
}

/* ---- one token ---- */

static enum error look_inside(struct escrow *escrow, const char *udid, const struct bytes *seal,
			      struct secret *token)
{
	SCOPED(secret_free) struct secret content = {0};
	SCOPED(message_free) struct message message = {0};
	if (!escrow->key)
		return fail(ERR_NO_KEY, "there is no private key here");
	TRY(seal_open(escrow->key, seal->data, seal->len, &content));
	TRY(token_held(udid, &content, &message));
	if (strcasecmp(message.id, udid) != 0)
		return fail(ERR_BAD_SEAL,
			    "the seal is another device's, %s; put the file back there",
			    *message.id ? message.id : "without a name");
	secret_move(token, &message.token);
	return OK;
}

/* No key opens it: it can only be kept, if one of this store's is for it. */
static enum error keep_unopened(const struct kept_arrival *this, const struct bytes *seal,
				struct kept_version *version)
{
	struct escrow *escrow = this->base.escrow;
	struct sealed *sealed = &version->sealed;
	struct seal_outline outline;
	TRY(sealing_outline(escrow, seal->data, seal->len, &outline));
	if (!outline.ours)
		return fail(ERR_NO_KEY,
			    "it is sealed to none of the recipients of store %s; name the private "
			    "key that opens it with --key URI",
			    escrow->path);
	TRY(mdm_token_size(this->kept.udid, outline.content_len, &sealed->size));
	if (!sealed->size)
		return fail(ERR_BAD_SEAL, "the seal holds no token");
	memcpy(sealed->digest, version->came_as, sizeof sealed->digest);
	version->state = KEPT_UNOPENED;
	return bytes_add(&sealed->blob, seal->data, seal->len);
}

/* Devices that were taken away count, too: their past is as much the name's. */
static enum error is_known(struct escrow *escrow, const char *udid, const uint8_t *mac, bool *known)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return versions_have(tx, udid, mac, known);
}

struct unopened {
	const struct version *told;
	struct version found; /* id 0: none */
};

static bool find_unopened(void *context, const struct version *version, const char *udid,
			  bool removed)
{
	struct unopened *unopened = context;
	(void)udid;
	(void)removed;
	if (!version->verified && kept_same_place(unopened->told, version))
		unopened->found = *version;
	return !unopened->found.id;
}

/*
 * The version that the backup tells of may be here, unopened, in another seal. Only what is in that
 * one can say: a backup tells what it likes.
 */
static enum error open_ours(const struct kept_arrival *this, struct kept_version *version)
{
	struct escrow *escrow = this->base.escrow;
	struct unopened unopened = {.told = &version->version};
	SCOPED(secret_free) struct secret token = {0};
	SCOPED(bytes_free) struct bytes blob = {0};
	uint8_t mac[STORE_DIGEST];
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		enum error found =
			store_versions_named(tx, this->kept.udid, find_unopened, &unopened);
		if (found == ERR_NOT_FOUND || (!found && !unopened.found.id))
			return OK;
		TRY(found);
		TRY(store_blob(tx, unopened.found.id, &blob));
	}
	enum error opened = look_inside(escrow, this->kept.udid, &blob, &token);
	if (opened == ERR_MEMORY)
		return opened;
	if (opened)
		return OK; /* it stays what it is, and this one comes beside it */
	TRY(token_mac(escrow, this->kept.udid, &token, mac));
	if (seal_equal(mac, version->sealed.mac, sizeof mac))
		version->proves = unopened.found;
	return OK;
}

/* Seals it anew, unless the store has this token: then a seal would most likely be for nothing. */
static enum error seal_anew(const struct kept_arrival *this, const struct secret *token, bool again,
			    struct kept_version *version)
{
	struct escrow *escrow = this->base.escrow;
	const char *udid = this->kept.udid;
	struct sealed *sealed = &version->sealed;
	bool known = false;
	version->state = KEPT_OPENED;
	sealed->size = (uint32_t)token->len;
	TRY(token_mac(escrow, udid, token, sealed->mac));
	/* What comes into a new store isn't there: see token.c. */
	if (!escrow->was_new || again)
		TRY(open_ours(this, version));
	if (!escrow->was_new && !again)
		TRY(is_known(escrow, udid, sealed->mac, &known));
	if (known)
		return OK;
	/* That the recipients are still the same, the change sees; then it looks for them first. */
	return again ? token_seal(escrow, udid, token, SEAL_ALWAYS, sealed)
		     : token_close(escrow, udid, token, sealed);
}

static enum error take_seal(const struct kept_arrival *this, bool again,
			    struct kept_version *version)
{
	const struct bytes *pem = &version->token->pem;
	SCOPED(secret_free) struct secret token = {0};
	SCOPED(bytes_free) struct bytes seal = {0};
	if (!pem->len)
		return fail(
			ERR_INVALID,
			"it is empty, and should hold a seal: restore it from the backup again");
	if (mdm_form(pem->data, pem->len) != FORM_PEM)
		return fail(ERR_INVALID,
			    "it is no seal in PEM; a plain token is written to the file `token` of "
			    "a mount, or imported as CSV");
	TRY(seal_dearmor(pem->data, pem->len, &seal));
	TRY(seal_digest(seal.data, seal.len, version->came_as));
	enum error opened = look_inside(this->base.escrow, this->kept.udid, &seal, &token);
	if (opened == ERR_NO_KEY)
		return keep_unopened(this, &seal, version);
	return opened ? opened : seal_anew(this, &token, again, version);
}

/* Nobody tells anything of it but its number. */
static struct version undated(const struct kept_token *token)
{
	return (struct version){.number = token->number,
				.escrowed_at = TIME_UNKNOWN,
				.ended_at = token->current ? 0 : TIME_UNKNOWN_END,
				.end = token->current ? END_NONE : END_REPLACED};
}

static enum error take_token(struct kept_arrival *this, bool again, const struct kept_token *token,
			     struct kept_version *version)
{
	const struct version *told = kept_told_of(this, token);
	version->token = token;
	version->version = told ? *told : undated(token);
	/* Nothing is escrowed there: an empty file says so. */
	if (!token->pem.len && token->current && !told)
		return OK;
	enum error taken = take_seal(this, again, version);
	if (taken == ERR_MEMORY || !taken)
		return taken;
	sealed_free(&version->sealed);
	version->sealed = (struct sealed){0};
	version->state = KEPT_NOTHING;
	return kept_refuse(&this->kept, token->path, taken);
}

/* ---- the whole ---- */

/* Where nothing could be read, no empty device is made. */
static void decide(struct kept_arrival *this)
{
	bool any = this->about.id != 0 || this->told_count || *this->about.udid;
	for (int i = 0; i < this->kept.count; i++)
		any = any || this->versions[i].state != KEPT_NOTHING;
	if (any)
		this->base.apply = kept_apply;
	this->base.arrived.refusals = this->kept.refusals;
	this->base.arrived.refusal_count = this->kept.refusal_count;
}

static enum error prepare(struct kept_arrival *this, bool again)
{
	struct kept_device *kept = &this->kept;
	TRY(kept_describe(this));
	this->versions = calloc((size_t)kept->count + 1, sizeof *this->versions);
	if (!this->versions)
		return fail(ERR_MEMORY, "out of memory");
	for (int i = 0; i < kept->count; i++) {
		struct kept_version *version = &this->versions[i];
		TRY(take_token(this, again, &kept->tokens[i], version));
		if (version->state == KEPT_OPENED && !version->sealed.blob.len)
			this->base.assumes = true;
	}
	decide(this);
	return OK;
}

enum error escrow_kept_prepare(struct escrow *escrow, const struct actor *actor,
			       struct kept_device *kept, bool again, struct arrival **out)
{
	TRY(arrival_new(sizeof(struct kept_arrival), escrow, actor, kept->udid, out));
	struct kept_arrival *this = (struct kept_arrival *)*out;
	this->base.release = release;
	this->kept = *kept;
	*kept = (struct kept_device){0};
	return prepare(this, again);
}
