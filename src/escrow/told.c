/*
 * What the trail tells: one line at a time, and all lines of a device in their order.
 *
 * Which version is current follows from the order alone. One that comes is; one that is removed, or
 * replaced, isn't any more; one that is undone gives its place back to the one that was current when it
 * came. A token that is retrieved is the current one, or an old one had been put in its place.
 */
#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

/* Where the words stand last: what a file is called, which comes first, may say anything. */
static const char *last(const char *reason, const char *words)
{
	const char *found = NULL;
	for (const char *at = reason; (at = strstr(at, words)); at++)
		found = at;
	return found;
}

static bool ends_in(const char *reason, const char *words)
{
	size_t len = strlen(reason), n = strlen(words);
	return len >= n && strcmp(reason + len - n, words) == 0;
}

static bool begins_with(const char *reason, const char *words)
{
	return strncmp(reason, words, strlen(words)) == 0;
}

/* The first hash of 64 hex digits; returns what stands behind it, or NULL. */
static const char *read_hash(const char *reason, char out[static MENTION_TEXT])
{
	for (const char *at = reason; *at;) {
		size_t n = strspn(at, "0123456789abcdef");
		if (n == 64) {
			memcpy(out, at, n);
			out[n] = 0;
			return at + n;
		}
		at += n ? n : 1;
	}
	return NULL;
}

/* ---- a line ---- */

static int came(const char *reason, bool imported)
{
	const char *old = last(reason, SAYS_OLD), *token = last(reason, SAYS_TOKEN);
	const char *words = old > token ? old : token;
	int flags = imported || last(reason, SAYS_SENT) ? TOLD_ELSEWHERE : 0;
	if (words && strstr(words, SAYS_UNOPENED))
		flags |= TOLD_UNOPENED;
	bool past = ends_in(reason, SAYS_KEPT_PAST) || (old && words == old);
	return (past ? TOLD_CAME_PAST | TOLD_ELSEWHERE : TOLD_CAME) | flags;
}

static int imported(const struct json_line *line)
{
	if (!line->version)
		return -1;
	if (*line->blob)
		return came(line->reason, true);
	/* That nobody opened what had come before is as it was. */
	return last(line->reason, SAYS_ENDED_THERE)
		       ? TOLD_CAME_PAST | TOLD_ELSEWHERE | TOLD_UNOPENED
		       : TOLD_CONFIRMED_THERE;
}

static int enrolled(const char *reason)
{
	return strcmp(reason, SAYS_RENEWED) == 0	 ? TOLD_RENEWED
	       : strcmp(reason, SAYS_SET_UP) == 0	 ? TOLD_SET_UP
	       : strcmp(reason, SAYS_AUTHENTICATED) == 0 ? TOLD_AUTHENTICATED
							 : -1;
}

static int bound(const char *reason, char out[static MENTION_TEXT])
{
	const char *behind = read_hash(reason, out);
	if (!behind)
		return -1;
	return begins_with(behind, SAYS_STRANGER) ? TOLD_STRANGER : TOLD_BOUND;
}

static int setting(const char *reason, struct mention *out)
{
	const char *inode = last(reason, SAYS_INODE);
	const char *now = inode ? strstr(inode, SAYS_IS_NOW) : NULL;
	snprintf(out->whose, sizeof out->whose, "%s", TOLD_INODES);
	out->number = inode ? strtoll(inode + strlen(SAYS_INODE), NULL, 10) : 0;
	snprintf(out->text, sizeof out->text, "%s", now ? now + strlen(SAYS_IS_NOW) : "");
	return TOLD_SETTING;
}

/* Of a version. */
static int kind_of(const struct json_line *line, enum action action)
{
	switch (action) {
	case ACTION_ESCROW:
		return came(line->reason, false);
	case ACTION_CONFIRM:
		return TOLD_CONFIRMED | (last(line->reason, SAYS_SENT) ? TOLD_ELSEWHERE : 0);
	case ACTION_RETRIEVE:
	case ACTION_EXPORT:
		return TOLD_LEFT;
	case ACTION_REMOVE:
		return TOLD_REMOVED;
	case ACTION_UNDO:
		return TOLD_UNDONE;
	case ACTION_REKEY:
		return TOLD_SEALED;
	case ACTION_PURGE:
		return TOLD_PURGED;
	default:
		return -1;
	}
}

static enum action action_of(const char *word)
{
	int action = 0;
	while (action < ACTION_COUNT && strcmp(action_word((enum action)action), word) != 0)
		action++;
	return (enum action)action;
}

bool told_read(const struct json_line *line, int64_t at, struct mention *out)
{
	enum action action = action_of(line->action);
	if (strcmp(line->outcome, "ok") != 0)
		return false;
	*out = (struct mention){.number = line->version, .line = line->seq, .at = at, .kind = -1};
	snprintf(out->whose, sizeof out->whose, "%s", line->udid);
	snprintf(out->text, sizeof out->text, "%s", line->blob);
	if (action == ACTION_MODE || action == ACTION_POLICY)
		out->kind = setting(line->reason, out);
	else if (!*line->udid)
		return false;
	else if (action == ACTION_IMPORT)
		out->kind = imported(line);
	else if (line->version)
		out->kind = kind_of(line, action);
	else if (action == ACTION_ENROL)
		out->kind = enrolled(line->reason);
	else if (action == ACTION_FACTS && ends_in(line->reason, SAYS_PROVEN))
		out->kind = TOLD_PROVEN;
	else if (action == ACTION_IDENTITY)
		out->kind = bound(line->reason, out->text);
	else if (action == ACTION_DEVICE && begins_with(line->reason, SAYS_TAKEN_AWAY))
		out->kind = TOLD_TAKEN_AWAY;
	return out->kind >= 0;
}

void told_recipient_name(const char *hash, char out[static 80])
{
	snprintf(out, 80, "recipient %.64s", hash);
}

/* Of a rekey's the hash stands last: what the recipient is called comes before it. */
static const char *recipients_of(const struct json_line *line, int *kind)
{
	const char *added = last(line->reason, SAYS_ADDED),
		   *retired = last(line->reason, SAYS_RETIRED);
	*kind = TOLD_ADDED;
	if (strcmp(line->action, action_word(ACTION_INIT)) == 0)
		return begins_with(line->reason, SAYS_BORN_TO) ? line->reason + strlen(SAYS_BORN_TO)
							       : NULL;
	if (strcmp(line->action, action_word(ACTION_REKEY)) != 0 || line->version)
		return NULL;
	*kind = retired > added ? TOLD_RETIRED : TOLD_ADDED;
	return retired > added ? retired + strlen(SAYS_RETIRED)
	       : added	       ? added + strlen(SAYS_ADDED)
			       : NULL;
}

bool told_recipient(const struct json_line *line, const char **at, struct mention *out)
{
	int kind;
	const char *hashes = recipients_of(line, &kind);
	if (!hashes)
		return false;
	*out = (struct mention){.line = line->seq, .kind = kind};
	*at = read_hash(*at > hashes ? *at : hashes, out->text);
	if (!*at)
		return false;
	told_recipient_name(out->text, out->whose);
	return true;
}

static enum error add_list(const char *what, const uint8_t *list, size_t len, char *out,
			   size_t size)
{
	uint8_t digest[STORE_DIGEST];
	char hex[2 * STORE_DIGEST + 1];
	size_t n = strlen(out);
	if (!len)
		return OK;
	TRY(seal_digest(list, len, digest));
	hex_write(digest, sizeof digest, hex);
	snprintf(out + n, size - n, ", %s SHA-256 %s", what, hex);
	return OK;
}

enum error told_setting(const struct access *access, char out[static MENTION_TEXT])
{
	const struct owner *owner = &access->owner;
	snprintf(out, MENTION_TEXT, "%04o %u:%u", owner->mode, owner->uid, owner->gid);
	TRY(add_list("ACL", access->acl, access->acl_len, out, MENTION_TEXT));
	return add_list("default ACL", access->default_acl, access->default_len, out, MENTION_TEXT);
}

/* ---- the versions of a device ---- */

void told_free(struct told *told)
{
	free(told->list);
	told->list = NULL;
	told->count = told->cap = 0;
}

/* The place of the first whose number isn't lower. */
static int place_of(const struct told *told, int number)
{
	int low = 0, high = told->count;
	while (low < high) {
		int middle = low + (high - low) / 2;
		if (told->list[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct told_version *told_version(const struct told *told, int number)
{
	int at = place_of(told, number);
	return at < told->count && told->list[at].number == number ? &told->list[at] : NULL;
}

static struct told_version *current_of(const struct told *told)
{
	return told->current ? told_version(told, told->current) : NULL;
}

static struct told_version *insert(struct told *told, int number)
{
	if (told->count == told->cap) {
		int cap = told->cap ? 2 * told->cap : 4;
		struct told_version *more = realloc(told->list, (size_t)cap * sizeof *more);
		if (!more)
			return NULL;
		told->list = more;
		told->cap = cap;
	}
	int at = place_of(told, number);
	memmove(&told->list[at + 1], &told->list[at],
		(size_t)(told->count - at) * sizeof *told->list);
	told->count++;
	told->list[at] = (struct told_version){.number = number};
	return &told->list[at];
}

static void end(struct told *told, struct told_version *version, enum version_end why, int64_t at)
{
	if (told->current == version->number)
		told->current = 0;
	version->end = why;
	version->ended_at = at;
}

static void make_current(struct told *told, struct told_version *version)
{
	version->end = END_NONE;
	version->ended_at = 0;
	told->current = version->number;
}

/* ---- one line after the other ---- */

static void impossible(const struct told *told, const struct mention *line, const char *what)
{
	char sentence[256], other[48] = "none was";
	if (told->current)
		snprintf(other, sizeof other, "version %d was", told->current);
	snprintf(sentence, sizeof sentence,
		 "trail: line %lld: device %s, version %lld was %s, and %s the current one: "
		 "somebody "
		 "had changed the store",
		 (long long)line->line, told->udid, (long long)line->number, what, other);
	told->found(told->context, sentence);
}

static enum error take_came(struct told *told, const struct mention *line)
{
	int number = (int)line->number;
	bool elsewhere = line->kind & TOLD_ELSEWHERE;
	struct told_version *version = told_version(told, number);
	if (!version) {
		version = insert(told, number);
		if (!version)
			return fail(ERR_MEMORY, "out of memory");
		version->before = told->current;
	}
	if (version->gone)
		*version = (struct told_version){.number = number, .before = told->current};
	version->opened = version->opened || !(line->kind & TOLD_UNOPENED);
	version->escrowed_at = elsewhere ? 0 : line->at;
	version->confirmed_at = 0;
	version->never_confirmed = !elsewhere;
	version->renewal = RENEWAL_NONE;
	version->renewal_known = !elsewhere;
	if ((line->kind & TOLD_KIND) == TOLD_CAME_PAST) {
		end(told, version, END_NONE, 0);
		return OK;
	}
	struct told_version *current = current_of(told);
	if (current && current != version)
		end(told, current, END_REPLACED, elsewhere ? 0 : line->at);
	make_current(told, version);
	return OK;
}

static void take_undone(struct told *told, const struct mention *line, struct told_version *version)
{
	if (told->current != version->number) {
		/* That it was removed is taken back. */
		if (told->current)
			impossible(told, line, "brought back");
		make_current(told, version);
		return;
	}
	struct told_version *before = version->before ? told_version(told, version->before) : NULL;
	end(told, version, END_UNDONE, line->at);
	if (before && !before->gone)
		make_current(told, before);
}

static void renew(struct told *told, enum told_kind kind)
{
	struct told_version *current = current_of(told);
	if (!current)
		return;
	if (kind == TOLD_AUTHENTICATED) {
		current->maybe_authenticated = true;
		return;
	}
	current->renewal = kind == TOLD_RENEWED	 ? RENEWAL_AUTHENTICATED
			   : kind == TOLD_SET_UP ? RENEWAL_SET_UP
						 : RENEWAL_NONE;
	current->renewal_known = true;
}

static void take_device(struct told *told, const struct mention *line)
{
	switch ((enum told_kind)(line->kind & TOLD_KIND)) {
	case TOLD_AUTHENTICATED:
	case TOLD_RENEWED:
	case TOLD_SET_UP:
	case TOLD_PROVEN:
		renew(told, line->kind & TOLD_KIND);
		break;
	case TOLD_BOUND:
		snprintf(told->identity, sizeof told->identity, "%.64s", line->text);
		*told->stranger = 0;
		break;
	case TOLD_STRANGER:
		snprintf(told->stranger, sizeof told->stranger, "%.64s", line->text);
		told->stranger_at = line->at;
		break;
	case TOLD_TAKEN_AWAY:
		*told->identity = *told->stranger = 0;
		told->retrieved_at = 0;
		break;
	default:
		break;
	}
}

static void take_confirmed(const struct mention *line, struct told_version *version)
{
	version->confirmed_at = line->kind & TOLD_ELSEWHERE ? 0 : line->at;
	version->never_confirmed = false;
	version->renewal = RENEWAL_NONE;
	version->renewal_known = true;
	version->maybe_authenticated = false;
}

static void take_version(struct told *told, const struct mention *line,
			 struct told_version *version)
{
	bool current = told->current == version->number;
	switch ((enum told_kind)(line->kind & TOLD_KIND)) {
	case TOLD_CONFIRMED:
		if (!current)
			impossible(told, line, "confirmed");
		take_confirmed(line, version);
		break;
	case TOLD_CONFIRMED_THERE:
		version->confirmed_at = 0;
		version->never_confirmed = false;
		break;
	case TOLD_LEFT:
		if (!current)
			impossible(told, line, "handed out");
		version->opened = true;
		told->retrieved_at = line->at;
		break;
	case TOLD_REMOVED:
		if (!current)
			impossible(told, line, "removed");
		end(told, version, END_REMOVED, line->at);
		break;
	case TOLD_UNDONE:
		take_undone(told, line, version);
		break;
	case TOLD_SEALED:
		version->opened = true;
		break;
	case TOLD_PURGED:
		if (current)
			impossible(told, line, "destroyed");
		end(told, version, END_NONE, 0);
		version->gone = true;
		break;
	default:
		break;
	}
}

static enum error take(void *context, const struct mention *line)
{
	struct told *told = context;
	int kind = line->kind & TOLD_KIND;
	if (!line->number) {
		take_device(told, line);
		return OK;
	}
	if (line->number > told->highest)
		told->highest = (int)line->number;
	if (kind == TOLD_CAME || kind == TOLD_CAME_PAST)
		return take_came(told, line);
	struct told_version *version = told_version(told, (int)line->number);
	if (version)
		take_version(told, line, version);
	return OK;
}

enum error told_of(struct mentions *mentions, const char *udid, void (*found)(void *, const char *),
		   void *context, struct told *out)
{
	*out = (struct told){.udid = udid, .found = found, .context = context};
	return store_mentions_of(mentions, udid, take, out);
}
