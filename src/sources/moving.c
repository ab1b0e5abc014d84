/*
 * A device on its way in.
 *
 * MUST: its messages and its token are in secure memory, and go with it.
 *       (test: row_in_secret, enrolment_in_secret)
 */
#include "sources/moving.h"

#include "mdm.h"

#include <stdio.h>
#include <stdlib.h>

enum error moving_new(const char *udid, struct moving **out)
{
	struct moving *moving = calloc(1, sizeof *moving);
	if (!moving)
		return fail(ERR_MEMORY, "out of memory");
	snprintf(moving->migrant.udid, sizeof moving->migrant.udid, "%s", udid);
	moving->migrant.from = moving->from;
	*out = moving;
	return OK;
}

void moving_free(struct moving *moving)
{
	if (!moving)
		return;
	secret_free(&moving->migrant.authenticate);
	secret_free(&moving->migrant.token_update);
	secret_free(&moving->migrant.token);
	secret_free(&moving->base64);
	free(moving);
}

static void release(void *work)
{
	moving_free(work);
}

/* Base64 is decoded here, on all processors, and once only. */
static enum error prepare(struct escrow *escrow, const struct actor *actor, const struct unit *unit,
			  bool again, struct arrival **out)
{
	struct moving *moving = unit->work;
	if (moving->base64.len) {
		enum error read = mdm_read_base64(moving->base64.data, moving->base64.len,
						  &moving->migrant.token);
		if (read)
			return fail(read, "device %s: its token: %s", moving->migrant.udid,
				    fail_why());
		secret_free(&moving->base64);
	}
	return escrow_migrant_prepare(escrow, actor, &moving->migrant, again, out);
}

static const struct unit_kind row = {.item = "line", .prepare = prepare, .release = release};

enum error moving_hand_over(struct intake *intake, struct moving *moving, const char *file,
			    int64_t line)
{
	const struct migrant *migrant = &moving->migrant;
	return intake_add(intake,
			  &(struct unit){.kind = &row,
					 .work = moving,
					 .size = sizeof *moving + moving->base64.len +
						 migrant->token.len + migrant->authenticate.len +
						 migrant->token_update.len,
					 .file = file,
					 .number = line,
					 .udid = migrant->udid});
}
