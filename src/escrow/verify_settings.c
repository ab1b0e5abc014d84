/*
 * Verify: what was set for the whole, and for each inode: who the recipients are, and owners, modes and
 * ACLs. A recipient that the trail doesn't tell of was slipped in: all that was sealed since opens with
 * his key. The last line of the trail about an inode says what holds for it, and so
 * must its row. Older programs wrote lines that don't: where a trail has such, a row that no line
 * speaks of says nothing.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "device UDID: " or "": ERR_GONE when it was taken away. */
static enum error owner_of(const struct verify *verify, uint64_t node, char *out, size_t size)
{
	struct device device;
	*out = 0;
	if (node < (uint64_t)256 * STORE_NODES)
		return OK;
	TRY(store_device(verify->tx, (int64_t)(node / STORE_NODES), &device));
	snprintf(out, size, "device %s: ", device.udid);
	return OK;
}

static enum error check_setting(void *context, uint64_t node, const struct access *access)
{
	const struct verify *verify = context;
	char text[MENTION_TEXT], owner[UDID_MAX + 16];
	struct mention said;
	TRY(told_setting(access, text));
	enum error found = store_mention_find(verify->mentions, TOLD_INODES, (int64_t)node, &said);
	if (found && found != ERR_NOT_FOUND)
		return found;
	if (found ? !verify->settings_said : strcmp(said.text, text) == 0)
		return OK;
	enum error there = owner_of(verify, node, owner, sizeof owner);
	if (there && there != ERR_GONE)
		return there;
	if (found)
		verify_found(verify,
			     "%sowner, mode and ACL of inode %" PRIu64 " are %s, and the trail "
			     "doesn't say that anybody set them",
			     owner, node, text);
	else
		verify_found(verify,
			     "%sowner, mode and ACL of inode %" PRIu64 " are %s, and line %" PRId64
			     " of the trail set them to %s",
			     owner, node, text, said.line, said.text);
	return OK;
}

enum error verify_settings(const struct verify *verify)
{
	return store_accesses(verify->tx, check_setting, (void *)verify);
}

void verify_setting_left(const struct verify *verify, const struct mention *said)
{
	char owner[UDID_MAX + 16];
	if (owner_of(verify, (uint64_t)said->number, owner, sizeof owner))
		return;
	verify_found(verify,
		     "%sline %" PRId64 " of the trail set owner, mode and ACL of inode %" PRId64
		     " to %s, and the store has nothing of it",
		     owner, said->line, said->number, said->text);
}

/* ---- recipients ---- */

static enum error check_recipient(void *context, const struct recipient *recipient,
				  const uint8_t *der, size_t len)
{
	const struct verify *verify = context;
	uint8_t digest[STORE_DIGEST];
	char hex[2 * STORE_DIGEST + 1], name[sizeof((struct mention *)0)->whose];
	struct mention said;
	TRY(seal_digest(der, len, digest));
	hex_write(digest, sizeof digest, hex);
	told_recipient_name(hex, name);
	enum error found = store_mention_find(verify->mentions, name, 0, &said);
	if (found && found != ERR_NOT_FOUND)
		return found;
	if (found ? verify->born : said.kind == TOLD_RETIRED)
		verify_found(
			verify,
			"recipient %s, SHA-256 %s: all is sealed to it, and the trail %s: find "
			"out who added it, and take it out with `escrowfs rekey STORE --retire "
			"%.8s`",
			recipient->name, hex,
			found ? "doesn't say that anybody added it" : "says that it was retired",
			hex);
	return OK;
}

enum error verify_recipients(const struct verify *verify)
{
	struct verify check = *verify;
	return store_recipients(verify->tx, check_recipient, &check);
}
