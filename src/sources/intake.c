/*
 * Two batches: one gathers, and is prepared, while the other one's changes are with the store's
 * writer. So reading and sealing use all processors but the one that the writer needs.
 */
#include "sources/intake.h"

#include "crew.h"
#include "fault.h"
#include "sources/seen.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BATCH 512
#define BATCH_BYTES ((size_t)2 * 1024 * 1024) /* what it holds lies in secure memory */
#define TRIES 8

/* A unit on its way. */
struct piece {
	struct unit unit;
	struct arrival *arrival;
	enum error error;
	char why[512]; /* of the error: sentences are a thread's */
	enum { WAITING, BEGUN, DONE } state;
};

struct batch {
	struct piece piece[BATCH];
	int count;
	size_t size;
};

struct intake {
	struct escrow *escrow;
	const struct actor *actor;
	const struct intake_watch *watch;
	const volatile sig_atomic_t *stop;
	struct intake_counts counts;
	struct seen *seen; /* a rehearsal's: what would be there by now */
	struct batch *gathering, *under_way;
	int depth;
	int64_t came;	   /* when the last unit did */
	enum error broken; /* nothing goes on after that */
	char why[512];
};

bool intake_is_fatal(enum error error)
{
	return error == ERR_IO || error == ERR_NO_SPACE || error == ERR_READ_ONLY ||
	       error == ERR_BUSY;
}

bool intake_stopped(const struct intake *intake)
{
	return *intake->stop || intake->broken;
}

const volatile sig_atomic_t *intake_stop(const struct intake *intake)
{
	return intake->stop;
}

int intake_descend(struct intake *intake, int more)
{
	return intake->depth += more;
}

/* ---- what is counted and said ---- */

static void say_refused(struct intake *intake, const char *file, const char *item, int64_t number,
			const char *udid)
{
	char why[512]; /* what is called may fail, too */
	snprintf(why, sizeof why, "%s", fail_why());
	intake->watch->refused(intake->watch->context, &(struct refused){.file = file,
									 .item = item,
									 .number = number,
									 .udid = udid ? udid : "",
									 .why = why});
}

static void refuse(struct intake *intake, const char *file, const char *item, int64_t number,
		   const char *udid, enum error code)
{
	intake->counts.refused++;
	(void)escrow_refuse(intake->escrow, intake->actor, udid && *udid ? udid : NULL, code);
	say_refused(intake, file, item, number, udid);
}

void intake_file(struct intake *intake)
{
	intake->counts.files++;
}

void intake_unread(struct intake *intake, const char *file)
{
	intake->counts.unread++;
	say_refused(intake, file, NULL, 0, NULL);
}

int64_t intake_seen(const struct intake *intake)
{
	return intake->counts.files + intake->counts.unread + intake->counts.refused;
}

enum error intake_refuse(struct intake *intake, const char *file, const char *item, int64_t number,
			 const char *udid, enum error code)
{
	if (intake_is_fatal(code))
		return code;
	intake->counts.units++;
	refuse(intake, file, item, number, udid, code);
	return OK;
}

static enum error count(struct intake *intake, const char *udid, struct arrived *arrived)
{
	struct intake_counts *counts = &intake->counts;
	for (int i = 0; i < arrived->refusal_count; i++) {
		const struct arrived_refusal *refusal = &arrived->refusals[i];
		refuse(intake, refusal->path, NULL, 0, udid,
		       fail(refusal->code, "%s", refusal->why));
	}
	if (intake->seen)
		TRY(seen_before(intake->seen, udid, arrived));
	counts->units++;
	if (arrived->had_effect)
		counts->effect++;
	else
		counts->nothing++;
	counts->devices_new += arrived->device_new;
	counts->tokens_new += arrived->tokens_new;
	counts->tokens_same += arrived->tokens_same;
	counts->tokens_past += arrived->tokens_past;
	counts->tokens_unverified += arrived->unverified;
	counts->tokens_ended += arrived->tokens_ended;
	return OK;
}

/* ---- the three steps ---- */

static void judge(struct piece *piece, enum error error)
{
	piece->error = error;
	if (error)
		snprintf(piece->why, sizeof piece->why, "%s", fail_why());
}

static void prepare(struct intake *intake, struct piece *piece, bool again)
{
	const struct unit *unit = &piece->unit;
	arrival_free(piece->arrival);
	piece->arrival = NULL;
	piece->state = WAITING;
	judge(piece,
	      unit->kind->prepare(intake->escrow, intake->actor, unit, again, &piece->arrival));
}

static void prepare_one(void *context, int i)
{
	struct intake *intake = context;
	prepare(intake, &intake->gathering->piece[i], false);
}

static void begin(struct piece *piece)
{
	if (!piece->error)
		judge(piece, arrival_begin(piece->arrival));
	piece->state = BEGUN;
}

static const char *udid_of(const struct piece *piece)
{
	if (piece->arrival)
		return arrival_udid(piece->arrival);
	return piece->unit.udid ? piece->unit.udid : "";
}

static bool is_under_way(const struct piece *piece)
{
	return !piece->error && piece->state != DONE;
}

/* Is whatever comes after it to wait for it, if that is of the same device? */
static bool holds_up(const struct piece *piece)
{
	return is_under_way(piece) && (piece->state == WAITING || arrival_assumes(piece->arrival));
}

/* Does a piece have to wait for one of its device that came before? `any`: some there hold others up. */
static bool must_wait(const struct batch *batch, int i, bool any)
{
	const struct piece *piece = &batch->piece[i];
	bool assumes = !piece->error && arrival_assumes(piece->arrival);
	if (piece->error || (!any && !assumes))
		return false;
	const char *udid = udid_of(piece);
	for (int j = 0; j < i; j++) {
		const struct piece *before = &batch->piece[j];
		if ((assumes ? is_under_way(before) : holds_up(before)) &&
		    strcasecmp(udid, udid_of(before)) == 0)
			return true;
	}
	return false;
}

/* True: one has to wait until those that were begun are done. */
static bool begin_all(struct batch *batch)
{
	bool waiting = false, any = false;
	for (int i = 0; i < batch->count; i++) {
		struct piece *piece = &batch->piece[i];
		if (piece->state == WAITING && must_wait(batch, i, any))
			waiting = true;
		else if (piece->state == WAITING)
			begin(piece);
		any = any || holds_up(piece);
	}
	return waiting;
}

static void release(struct piece *piece)
{
	if (piece->state == DONE)
		return;
	arrival_free(piece->arrival);
	piece->arrival = NULL;
	piece->unit.kind->release(piece->unit.work);
	free((char *)piece->unit.file);
	free((char *)piece->unit.udid);
	piece->state = DONE;
}

/* Waits for a piece; what was deceived by another's change is done again, by itself. */
static enum error finish(struct intake *intake, struct piece *piece, struct arrived *arrived)
{
	*arrived = (struct arrived){0};
	if (!piece->error)
		judge(piece, arrival_finish(piece->arrival, arrived));
	for (int tries = 1; piece->error == ERR_CHANGED && tries < TRIES; tries++) {
		prepare(intake, piece, true);
		begin(piece);
		if (!piece->error)
			judge(piece, arrival_finish(piece->arrival, arrived));
	}
	return piece->error;
}

static void break_off(struct intake *intake, enum error error)
{
	if (intake->broken)
		return;
	intake->broken = error;
	snprintf(intake->why, sizeof intake->why, "%s", fail_why());
}

static void finish_one(struct intake *intake, struct piece *piece)
{
	struct arrived arrived;
	enum error error = finish(intake, piece, &arrived);
	if (!error)
		error = count(intake, udid_of(piece), &arrived);
	else
		error = intake_refuse(intake, piece->unit.file, piece->unit.kind->item,
				      piece->unit.number, udid_of(piece),
				      fail(error, "%s", piece->why));
	if (error)
		break_off(intake, error);
	release(piece);
}

static void finish_begun(struct intake *intake, struct batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		if (batch->piece[i].state == BEGUN)
			finish_one(intake, &batch->piece[i]);
}

static void finish_all(struct intake *intake, struct batch *batch)
{
	finish_begun(intake, batch);
	for (bool more = true; more && !intake->broken;) {
		more = begin_all(batch);
		finish_begun(intake, batch);
	}
	for (int i = 0; i < batch->count; i++)
		release(&batch->piece[i]);
	bool any = batch->count > 0;
	batch->count = 0;
	batch->size = 0;
	if (any)
		intake->watch->progress(intake->watch->context, &intake->counts);
}

static enum error verdict(const struct intake *intake)
{
	return intake->broken ? fail(intake->broken, "%s", intake->why) : OK;
}

/* What has gathered is prepared, and begun when the batch before it is finished. */
static enum error run(struct intake *intake)
{
	struct batch *batch = intake->gathering;
	crew_run(batch->count, prepare_one, intake);
	fault_point("import-prepared");
	finish_all(intake, intake->under_way);
	intake->gathering = intake->under_way;
	intake->under_way = batch;
	fault_point("import-finished");
	if (!intake->broken)
		(void)begin_all(batch);
	fault_point("import-begun");
	return verdict(intake);
}

/* ---- for readers ---- */

enum error intake_add(struct intake *intake, const struct unit *unit)
{
	struct batch *batch = intake->gathering;
	struct piece *piece = &batch->piece[batch->count];
	*piece = (struct piece){.unit = *unit};
	intake->came = piece->unit.came = time_later(intake->came, time_now());
	piece->unit.file = strdup(unit->file);
	piece->unit.udid = unit->udid ? strdup(unit->udid) : NULL;
	if (intake->broken || !piece->unit.file || (unit->udid && !piece->unit.udid)) {
		release(piece);
		return intake->broken ? verdict(intake) : fail(ERR_MEMORY, "out of memory");
	}
	batch->count++;
	batch->size += unit->size;
	return batch->count == BATCH || batch->size >= BATCH_BYTES ? run(intake) : OK;
}

/* ---- the whole ---- */

enum error intake_new(struct escrow *escrow, const struct actor *actor,
		      const struct intake_watch *watch, const volatile sig_atomic_t *stop,
		      struct intake **out)
{
	struct intake *intake = calloc(1, sizeof *intake);
	if (!intake)
		return fail(ERR_MEMORY, "out of memory");
	*intake = (struct intake){.escrow = escrow,
				  .actor = actor,
				  .watch = watch,
				  .stop = stop,
				  .gathering = calloc(1, sizeof *intake->gathering),
				  .under_way = calloc(1, sizeof *intake->under_way)};
	enum error result =
		intake->gathering && intake->under_way ? OK : fail(ERR_MEMORY, "out of memory");
	if (!result && escrow_rehearses(escrow))
		result = seen_new(&intake->seen);
	if (result)
		intake_free(intake);
	else
		*out = intake;
	return result;
}

enum error intake_end(struct intake *intake, struct intake_counts *counts)
{
	enum error result = intake->broken ? verdict(intake) : run(intake);
	finish_all(intake, intake->under_way);
	*counts = intake->counts;
	return result ? result : verdict(intake);
}

static void throw_away(struct batch *batch)
{
	for (int i = 0; batch && i < batch->count; i++)
		release(&batch->piece[i]);
	free(batch);
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	throw_away(intake->under_way);
	throw_away(intake->gathering);
	seen_free(intake->seen);
	free(intake);
}
