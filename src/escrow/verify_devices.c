/*
 * Verify: does what is kept of each device agree with itself, and with the trail? Its word, the sizes of
 * its files, its names and when it was escrowed follow from its facts and versions; which version is
 * current, why and when the others ended, and whose certificate it has, the trail tells. So a bit that
 * turned over in any of these shows, unless it leaves all that follows as it was; and who makes an old
 * token the current one again, or binds a Mac's name to his own certificate, is found out.
 */
#include "verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void verify_found(const struct verify *verify, const char *format, ...)
{
	char sentence[768];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	verify->found(verify->context, sentence);
}

/* ---- what follows from the rest ---- */

static const char *difference(const struct device *kept, const struct device *follows)
{
	return kept->status != follows->status		       ? "its status"
	       : kept->escrowed_at != follows->escrowed_at     ? "when it was escrowed"
	       : kept->token_size != follows->token_size       ? "the size of its token"
	       : kept->security_size != follows->security_size ? "the size of its security.json"
	       : kept->sealed_size != follows->sealed_size
		       ? "the size of its security.json in a sealed mount"
		       : NULL;
}

struct names {
	const struct dossier *dossier;
	int borne;
	bool other; /* one that it hasn't */
};

static bool is_its_own(void *context, enum name_kind kind, const char *name)
{
	struct names *names = context;
	char folded[2][FACT_TEXT];
	int n = dossier_names(names->dossier, kind, folded);
	names->borne++;
	names->other = true;
	for (int i = 0; i < n; i++)
		if (strcmp(folded[i], name) == 0)
			names->other = false;
	return !names->other;
}

static enum error names_follow(struct tx *tx, const struct dossier *dossier, bool *follow)
{
	struct names names = {.dossier = dossier};
	char folded[2][FACT_TEXT];
	int count = 0;
	TRY(store_names_borne(tx, dossier->device.id, is_its_own, &names));
	for (int kind = NAME_SERIAL; kind <= NAME_IMEI; kind++)
		count += dossier_names(dossier, (enum name_kind)kind, folded);
	*follow = !names.other && names.borne == count;
	return OK;
}

static enum error check_follows(const struct verify *verify, struct dossier *dossier)
{
	struct device kept = dossier->device;
	bool follow = false;
	TRY(dossier_follow(dossier));
	const char *differs = difference(&kept, &dossier->device);
	dossier->device = kept;
	if (differs)
		verify_found(verify,
			     "device %s: %s doesn't agree with its facts and its versions: one of "
			     "these was changed",
			     kept.udid, differs);
	TRY(names_follow(verify->tx, dossier, &follow));
	if (!follow)
		verify_found(verify,
			     "device %s: its names under /search aren't those of its facts: one of "
			     "these was changed",
			     kept.udid);
	return OK;
}

/* ---- what the trail tells ---- */

static const char *time_differs(const struct told_version *told, const struct version *version)
{
	if (told->escrowed_at && version->escrowed_at != told->escrowed_at)
		return "when it was escrowed";
	if (told->ended_at && version->ended_at != time_later(version->escrowed_at, told->ended_at))
		return "when it ended";
	if (told->never_confirmed
		    ? version->confirmed_at
		    : told->confirmed_at && version->confirmed_at != told->confirmed_at)
		return "when it was confirmed";
	return NULL;
}

/* An older program's lines don't say of each step whether it was taken. */
static bool renewal_fits(const struct told_version *told, const struct version *version,
			 bool proven)
{
	return !told->renewal_known || version->renewal == told->renewal ||
	       (version->renewal == RENEWAL_AUTHENTICATED && told->maybe_authenticated) ||
	       (version->renewal == RENEWAL_NONE && proven);
}

static const char *version_differs(const struct verify *verify, const struct told_version *told,
				   const struct version *version, bool proven)
{
	if (version->ended_at ? told->end && version->end != told->end : version->end != END_NONE)
		return "why it ended";
	if (version->verified != told->opened)
		return "whether it was ever opened here";
	if (!renewal_fits(told, version, proven))
		return "whether the device enrolled since";
	return verify->born ? time_differs(told, version) : NULL;
}

static void check_version(const struct verify *verify, const struct told *told,
			  const struct version *version, bool removed, bool proven)
{
	const struct told_version *tale = told_version(told, version->number);
	if (!tale || tale->gone)
		return; /* which is said where its seal is looked at */
	bool current = !version->ended_at, should = told->current == version->number && !removed;
	const char *what = version_differs(verify, tale, version, proven);
	if (current && !should)
		verify_found(verify,
			     "device %s, version %d: it is kept as the current one, and the trail "
			     "says that %s",
			     told->udid, version->number,
			     removed ? "its device was taken away" : "it ended");
	else if (!current && should)
		verify_found(verify,
			     "device %s, version %d: it is kept as one that ended, and the trail "
			     "says that it is the current one",
			     told->udid, version->number);
	else if (what)
		verify_found(verify, "device %s, version %d: %s isn't what the trail says",
			     told->udid, version->number, what);
}

static enum error check_stranger(const struct verify *verify, const struct told *told, int64_t id)
{
	struct stranger stranger = {0};
	if (!*told->stranger)
		return OK;
	enum error found = store_stranger(verify->tx, id, &stranger);
	if (found && found != ERR_NOT_FOUND)
		return found;
	if (strcmp(stranger.identity, told->stranger) != 0 || stranger.at != told->stranger_at)
		verify_found(verify,
			     "device %s: the client certificate that it came with last, and that "
			     "isn't its own, isn't the one on the trail",
			     told->udid);
	return OK;
}

static enum error check_told(const struct verify *verify, const struct dossier *dossier,
			     const struct told *told)
{
	const struct device *device = &dossier->device;
	for (int i = 0; i < dossier->count; i++)
		check_version(verify, told, &dossier->versions[i], false, device->proven_at != 0);
	if (verify->born && strcmp(device->identity, told->identity) != 0)
		verify_found(
			verify,
			"device %s: the client certificate that it is bound to isn't the one on "
			"the trail",
			told->udid);
	if (device->retrieved_at < told->retrieved_at)
		verify_found(verify, "device %s: its token was retrieved later than is kept of it",
			     told->udid);
	if (device->last_version < told->highest)
		verify_found(verify,
			     "device %s: the trail names its version %d, whose number may be given "
			     "again",
			     told->udid, told->highest);
	return check_stranger(verify, told, device->id);
}

/* ---- a device ---- */

static enum error check_device(const struct verify *verify, int64_t id)
{
	SCOPED(dossier_free) struct dossier dossier = {.current = -1};
	SCOPED(told_free) struct told told = {0};
	enum error loaded = dossier_load(verify->tx, id, &dossier);
	if (loaded == ERR_IO) {
		char why[320];
		snprintf(why, sizeof why, "%s", fail_why());
		return fail(loaded, "device number %lld: %s", (long long)id, why);
	}
	TRY(loaded);
	TRY(check_follows(verify, &dossier));
	if (!verify->mentions)
		return OK;
	TRY(told_of(verify->mentions, dossier.device.udid, verify->found, verify->context, &told));
	return check_told(verify, &dossier, &told);
}

/* As in verify.c: behind what can't be read there may be more. */
static enum error check_present(const struct verify *verify)
{
	struct device_page page;
	for (int64_t after = 0; after < INT64_MAX;) {
		page.count = 0;
		enum error listed = store_devices(verify->tx, STATUS_COUNT, after, DEVICE_PAGE,
						  device_page_fill, &page);
		TRY(verify->go_on(verify->context, listed));
		if (!page.count && !listed)
			return OK;
		for (int i = 0; i < page.count; i++)
			TRY(verify->go_on(verify->context, check_device(verify, page.id[i])));
		after = page.count ? page.id[page.count - 1] : after;
		after += listed && after < INT64_MAX;
	}
	return OK;
}

/* ---- what was taken away ---- */

static void say_nothing(void *context, const char *sentence)
{
	(void)context;
	(void)sentence;
}

struct past {
	const struct verify *verify;
	const struct told *told;
};

static bool check_past(void *context, const struct version *version, const char *udid, bool removed)
{
	const struct past *past = context;
	(void)udid;
	if (removed)
		check_version(past->verify, past->told, version, true, true);
	return removed;
}

static enum error check_removed(const struct verify *verify, const char *udid)
{
	SCOPED(told_free) struct told told = {0};
	struct device device;
	/* Where there is one of this name again, its lines were gone through. */
	enum error there = store_device_folded(verify->tx, udid, &device);
	if (there && there != ERR_NOT_FOUND)
		return there;
	TRY(told_of(verify->mentions, udid, there ? verify->found : say_nothing, verify->context,
		    &told));
	struct past past = {verify, &told};
	return store_versions_named(verify->tx, udid, check_past, &past);
}

struct name_page {
	int64_t last;
	char udid[DEVICE_PAGE][UDID_MAX + 1];
	int count;
};

static bool fill(void *context, int64_t id, const char *udid)
{
	struct name_page *page = context;
	page->last = id;
	snprintf(page->udid[page->count], sizeof *page->udid, "%s", udid);
	return ++page->count < DEVICE_PAGE;
}

static enum error check_all_removed(const struct verify *verify)
{
	struct name_page page = {.count = DEVICE_PAGE};
	while (page.count == DEVICE_PAGE) {
		page.count = 0;
		TRY(store_removed_devices(verify->tx, page.last, DEVICE_PAGE, fill, &page));
		for (int i = 0; i < page.count; i++)
			TRY(check_removed(verify, page.udid[i]));
	}
	return OK;
}

/* ---- strangers ---- */

struct strangers {
	const struct verify *verify;
	enum error failed;
};

/* That it is the right one was seen with its device: may there be one? */
static bool may_be(void *context, const char *udid, const char *own,
		   const struct stranger *stranger)
{
	struct strangers *strangers = context;
	const struct verify *verify = strangers->verify;
	SCOPED(told_free) struct told told = {0};
	(void)own;
	(void)stranger;
	strangers->failed = told_of(verify->mentions, udid, say_nothing, NULL, &told);
	if (!strangers->failed && !*told.stranger)
		verify_found(
			verify,
			"device %s: the store says that it came with a client certificate that "
			"isn't its own, and the trail doesn't",
			udid);
	return !strangers->failed;
}

static enum error check_strangers(const struct verify *verify)
{
	struct strangers strangers = {.verify = verify};
	TRY(store_strangers(verify->tx, may_be, &strangers));
	return strangers.failed;
}

enum error verify_devices(const struct verify *verify)
{
	TRY(check_present(verify));
	if (!verify->mentions)
		return OK;
	TRY(verify->go_on(verify->context, check_strangers(verify)));
	return check_all_removed(verify);
}
