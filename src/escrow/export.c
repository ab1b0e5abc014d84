/*
 * Export: tokens in the clear, for another MDM. Batch by batch: the devices are looked at, their
 * tokens opened on all processors, and their lines added to the trail in one transaction; only when
 * that is on disk are they given out. What another caller changed between the look and the
 * transaction is looked at once more.
 *
 * MUST: a token is on the trail, on disk, before its bytes leave.
 *       (test: export.bats, "on the trail before")
 * MUST: what can't be recorded does not leave. (test: export.bats, "on the trail before")
 * MUST: plaintext lies in secure memory only, a batch of it at the most.
 *       (test: export_in_secret)
 */
#include "inside.h"

#include "crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256
/* Bytes of seals in a batch, which holds one at least: tokens are smaller, and secure memory is. */
#define BATCH_BYTES ((size_t)512 * 1024)

enum state {
	LOOK,	/* to be looked at, again maybe */
	OPEN,	/* looked at: to be opened */
	READY,	/* opened, or not to be had: to be recorded */
	LEAVES, /* recorded: to be given out */
	GIVEN,	/* or left out */
};

struct item {
	int64_t id; /* 0: by name */
	struct device device;
	struct version version;
	char serial[FACT_TEXT];
	struct bytes blob;
	struct secret text;
	enum state state;
	enum error error;
	char why[512];
};

struct batch {
	struct escrow *escrow;
	const struct actor *actor;
	const struct exporting *order;
	int64_t now, without;
	struct item *items; /* BATCH of them */
	int count;
};

static void item_clear(struct item *item)
{
	bytes_free(&item->blob);
	secret_free(&item->text);
}

static void batch_clear(struct batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		item_clear(&batch->items[i]);
	batch->count = 0;
}

/* Keeps the sentence: it is this thread's. */
static void refuse_item(struct item *item, enum error error)
{
	item->error = error;
	item->state = READY;
	snprintf(item->why, sizeof item->why, "%s", fail_why());
}

/* ---- looking ---- */

/* Nothing is escrowed: that is an answer for one who asked by name. */
static void leave_out(struct batch *batch, struct item *item)
{
	batch->without++;
	item->state = GIVEN;
	if (!batch->order->udid_count)
		return;
	refuse_item(item,
		    fail(ERR_NOT_FOUND, "device %s: no token is escrowed", item->device.udid));
	item->state = LEAVES;
}

static enum error look_at_token(struct batch *batch, struct tx *tx, struct item *item)
{
	struct facts facts;
	item->id = item->device.id;
	enum error found = store_version_current(tx, item->id, &item->version);
	if (found == ERR_NOT_FOUND) {
		leave_out(batch, item);
		return OK;
	}
	TRY(found);
	TRY(store_blob(tx, item->version.id, &item->blob));
	TRY(store_facts(tx, item->id, &facts));
	const char *serial = fact_text(&facts, FACT_SERIAL_NUMBER);
	snprintf(item->serial, sizeof item->serial, "%s", serial ? serial : "");
	item->state = OPEN;
	return OK;
}

static enum error look(struct batch *batch, struct tx *tx, struct item *item)
{
	item_clear(item);
	enum error found = item->id ? store_device(tx, item->id, &item->device)
				    : store_device_folded(tx, item->device.udid, &item->device);
	if (found == ERR_GONE) {
		item->state = GIVEN;
		return OK;
	}
	if (found == ERR_NOT_FOUND) {
		refuse_item(item, fail(found, "device %s: there is none of this name",
				       item->device.udid));
		item->state = LEAVES;
		return OK;
	}
	TRY(found);
	return look_at_token(batch, tx, item);
}

/* As many as fit; the rest is left for the next batch. */
static enum error look_at_all(struct batch *batch)
{
	size_t bytes = 0;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(batch->escrow->store, &tx));
	for (int i = 0; i < batch->count; i++) {
		if (batch->items[i].state != LOOK)
			continue;
		if (bytes >= BATCH_BYTES) {
			batch->count = i;
			break;
		}
		TRY(look(batch, tx, &batch->items[i]));
		bytes += batch->items[i].blob.len;
	}
	return OK;
}

/* ---- opening ---- */

static enum error open_item(const struct batch *batch, struct item *item)
{
	SCOPED(secret_free) struct secret token = {0};
	TRY(token_open(batch->escrow, &item->device, &item->version, &item->blob, &token));
	if (batch->order->form == EXPORT_MESSAGE)
		return mdm_write_token(item->device.udid, &token, &item->text);
	TRY(mdm_write_base64(&token, &item->text));
	item->text.len--; /* the newline */
	return OK;
}

static void open_one(void *context, int i)
{
	struct batch *batch = context;
	struct item *item = &batch->items[i];
	if (item->state != OPEN)
		return;
	item->state = READY;
	item->error = open_item(batch, item);
	if (item->error)
		refuse_item(item, item->error);
}

/* ---- recording ---- */

static enum error record_refusal(struct tx *tx, const struct batch *batch, const struct item *item)
{
	return trail_add(tx, batch->escrow,
			 &(struct event){.at = batch->now,
					 .action = ACTION_REFUSE,
					 .outcome = error_name(item->error),
					 .udid = item->device.udid,
					 .actor = batch->actor,
					 .reason = item->why});
}

static enum error record_item(struct tx *tx, const struct batch *batch, struct item *item)
{
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	if (item->error) {
		item->state = LEAVES;
		return record_refusal(tx, batch, item);
	}
	enum error result = dossier_load_for(tx, DOSSIER_RETRIEVAL, item->id, &dossier);
	if (!result)
		result = token_exported(tx, batch->escrow, &dossier, batch->actor, &item->version,
					batch->order->where, batch->now);
	item->state = result ? LOOK : LEAVES;
	if (result == ERR_GONE || result == ERR_CHANGED)
		return OK;
	TRY(result);
	return dossier_settle(tx, &dossier, batch->now);
}

static enum error export_apply(struct tx *tx, void *context)
{
	struct batch *batch = context;
	for (int i = 0; i < batch->count; i++)
		if (batch->items[i].state == READY)
			TRY(record_item(tx, batch, &batch->items[i]));
	return OK;
}

/* ---- giving out ---- */

static enum error give_out(struct batch *batch)
{
	for (int i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		if (item->state != LEAVES)
			continue;
		item->state = GIVEN;
		TRY(batch->order->each(batch->order->context,
				       &(struct exported){.udid = item->device.udid,
							  .serial = item->serial,
							  .escrowed_at = item->version.escrowed_at,
							  .error = item->error,
							  .why = item->why,
							  .text = item->text}));
		item_clear(item);
	}
	return OK;
}

static bool any_left(const struct batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		if (batch->items[i].state == LOOK)
			return true;
	return false;
}

static enum error export_batch(struct batch *batch)
{
	for (int tries = 0; any_left(batch); tries++) {
		if (tries == TRIES)
			return fail(ERR_CHANGED,
				    "tokens change faster than they can be exported; call it "
				    "again when less is going on");
		TRY(look_at_all(batch));
		crew_run(batch->count, open_one, batch);
		batch->now = time_now();
		TRY(store_change(batch->escrow->store, export_apply, batch));
		TRY(give_out(batch));
	}
	return OK;
}

/* ---- which devices ---- */

static struct item *add(struct batch *batch, int64_t id, const char *udid)
{
	struct item *item = &batch->items[batch->count++];
	*item = (struct item){.id = id, .state = LOOK};
	snprintf(item->device.udid, sizeof item->device.udid, "%s", udid);
	return item;
}

static bool fill(void *context, int64_t id, const char *udid)
{
	add(context, id, udid);
	return true;
}

static enum error export_all(struct batch *batch)
{
	const struct exporting *order = batch->order;
	for (int64_t after = 0; order->going_on(order->context);) {
		TRY(escrow_devices(batch->escrow, STATUS_COUNT, after, BATCH, fill, batch));
		if (!batch->count)
			return OK;
		TRY(export_batch(batch));
		after = batch->items[batch->count - 1].id;
		batch_clear(batch);
	}
	return OK;
}

static enum error export_named(struct batch *batch)
{
	const struct exporting *order = batch->order;
	for (int at = 0; at < order->udid_count && order->going_on(order->context);) {
		for (int i = at; i < order->udid_count && batch->count < BATCH; i++)
			add(batch, 0, order->udids[i]);
		TRY(export_batch(batch));
		at += batch->count;
		batch_clear(batch);
	}
	return OK;
}

enum error escrow_export(struct escrow *escrow, const struct actor *actor,
			 const struct exporting *order, int64_t *without)
{
	*without = 0;
	if (!escrow->key)
		return escrow_refuse(
			escrow, actor, NULL,
			fail(ERR_NO_KEY,
			     "%s: tokens are sealed, and there is no private key at %s: name one "
			     "with --key URI, or export them sealed, with --to tree",
			     escrow->path, escrow->key_uri));
	struct batch batch = {.escrow = escrow,
			      .actor = actor,
			      .order = order,
			      .items = calloc(BATCH, sizeof(struct item))};
	if (!batch.items)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = order->udid_count ? export_named(&batch) : export_all(&batch);
	*without = batch.without;
	batch_clear(&batch);
	free(batch.items);
	return result;
}
