/*
 * Which program's security.json the sizes of a store's devices are of. When the text gets another
 * form, RENDERING goes up, and the first to open a store afterwards works all sizes out anew.
 */
#include "inside.h"

#include "fault.h"

#define RENDERING 1
struct measuring {
	struct device_page page;
	int64_t now;
};

static enum error measure_apply(struct tx *tx, void *context)
{
	struct measuring *measuring = context;
	for (int i = 0; i < measuring->page.count; i++) {
		SCOPED(dossier_free) struct dossier dossier = {.current = -1};
		enum error found = dossier_load(tx, measuring->page.id[i], &dossier);
		if (found == ERR_GONE)
			continue;
		TRY(found);
		TRY(dossier_measure(&dossier));
		struct device *device = &dossier.device;
		device->security_at = time_later(device->security_at, measuring->now);
		TRY(store_device_save(tx, device));
	}
	return OK;
}

static enum error measure_all(struct escrow *escrow)
{
	struct measuring measuring = {.now = time_now()};
	struct device_page *page = &measuring.page;
	int64_t after = 0;
	do {
		page->count = 0;
		TRY(escrow_devices(escrow, STATUS_COUNT, after, DEVICE_PAGE, device_page_fill,
				   page));
		if (page->count)
			after = page->id[page->count - 1];
		TRY(store_change(escrow->store, measure_apply, &measuring));
	} while (page->count == DEVICE_PAGE);
	return OK;
}

enum error rendering_mark(struct tx *tx)
{
	return store_set_rendering(tx, RENDERING);
}

static enum error mark_apply(struct tx *tx, void *context)
{
	(void)context;
	return rendering_mark(tx);
}

enum error rendering_bring_up(struct escrow *escrow)
{
	struct store_state state;
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		TRY(store_view(escrow->store, &tx));
		TRY(store_state(tx, &state));
	}
	if (state.rendering >= RENDERING)
		return OK;
	if (escrow->mode == ESCROW_SEALED)
		return fail(ERR_INVALID,
			    "%s: served last by an older escrowfs: mount it once, or run `escrowfs "
			    "status` on it, to bring it up to date",
			    escrow->path);
	TRY(measure_all(escrow));
	fault_point("sizes-anew");
	return store_change(escrow->store, mark_apply, NULL);
}
