/*
 * To whom tokens are sealed. The store counts how often its recipients were changed, and each of
 * its versions says of which count its seal is. A mount keeps the certificates in memory and reads
 * them again when the count moved on: at the look before a seal, and once a second.
 *
 * Between that look and the change a rekey may still come: so the change looks once more.
 *
 * Who may write the store's files could add a recipient of his own. With recipients=FILE the
 * certificates are held against that file, which lies elsewhere: at first, and each time that they
 * changed. If they aren't the same nothing is sealed any more, and nothing was sealed to the others.
 *
 * MUST: with recipients=FILE nothing is sealed to anybody whom the file doesn't have.
 *       (test: attack.bats, "a recipient slipped into the database")
 * MUST: what was judged by a file that SIGHUP has replaced since is judged again.
 *       (test: pins_of_before_judge_nothing)
 * MUST: nothing is added that is sealed to retired recipients. (test: rekey_of_others_is_followed,
 *       stale_seal_is_refused)
 */
#include "inside.h"

#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- the file that they must be those of ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static bool has_another(const char *path, int fd)
{
	struct stat named, open;
	return stat(path, &named) == 0 && fstat(fd, &open) == 0 &&
	       (named.st_ino != open.st_ino || named.st_dev != open.st_dev);
}

/* `fd`: the file, open; -1: it is opened. */
static enum error read_pins(const char *store, const char *pins, int fd, struct recipients **out)
{
	static const char remedy[] = "a mount can't open another file that took its name: send it "
				     "SIGHUP, or unmount, and mount again";
	if (fd >= 0 && has_another(pins, fd))
		return fail(ERR_ACCESS, "%s: %s", pins, remedy);
	enum error read = fd < 0 ? recipients_read(pins, store, out)
				 : recipients_read_opened(&(struct opened){.path = pins, .fd = fd},
							  store, out);
	return read == ERR_ACCESS ? fail(read, "%s (%s)", fail_why(), remedy) : read;
}

/* Of the one that makes the difference the fingerprint is said. */
static enum error compare_pins(const char *store, const char *pins, int fd,
			       const struct recipients *now)
{
	SCOPED(recipients_scoped) struct recipients *pinned = NULL;
	char fingerprint[65];
	int64_t expires;
	if (!pins || !*pins)
		return OK;
	TRY(read_pins(store, pins, fd, &pinned));
	int more = recipients_beyond(now, pinned), less = recipients_beyond(pinned, now);
	if (more < 0 && less < 0)
		return OK;
	TRY(recipients_about(more < 0 ? pinned : now, more < 0 ? less : more, fingerprint,
			     &expires));
	if (more >= 0)
		return fail(
			ERR_UNPINNED,
			"%s: it has a recipient with SHA-256 %s that isn't in %s: if nobody of "
			"yours added it, find out who did, and take it out with `escrowfs rekey "
			"%s --retire %.8s`; else add it to the file",
			store, fingerprint, pins, store, fingerprint);
	return fail(ERR_UNPINNED,
		    "%s: it hasn't the recipient with SHA-256 %s that is in %s: add it with "
		    "`escrowfs rekey %s --add CERT`, or take it out of the file",
		    store, fingerprint, pins, store);
}

/* `pinning`: by which file they were judged. */
static enum error check_pins(struct escrow *escrow, const struct recipients *now, uint64_t *pinning)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	*pinning = escrow->pinnings;
	SCOPED(close_fd)
	int fd = escrow->pins_fd < 0 ? -1 : fcntl(escrow->pins_fd, F_DUPFD_CLOEXEC, 0);
	bool failed = escrow->pins_fd >= 0 && fd < 0;
	pthread_rwlock_unlock(&escrow->sealing);
	if (failed)
		return fail(ERR_MEMORY, "%s: no descriptor is left to read it", escrow->pins);
	return escrow_named(escrow, compare_pins(escrow->path, escrow->pins, fd, now), "recipients",
			    escrow->pins);
}

enum error sealing_pinned(struct tx *tx, const struct escrow *escrow, const char *pins)
{
	SCOPED(recipients_scoped) struct recipients *now = NULL;
	int64_t generation;
	TRY(read_recipients(tx, &now, &generation));
	return escrow_named(escrow, compare_pins(escrow->path, pins, -1, now), "recipients", pins);
}

enum error sealing_load(struct escrow *escrow)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	uint64_t pinning;
	TRY(store_view(escrow->store, &tx));
	TRY(read_recipients(tx, &escrow->recipients, &escrow->generation));
	return check_pins(escrow, escrow->recipients, &pinning);
}

/* The mount goes on: it escrows, and opens what isn't sealed anew yet. */
static void warn_without_key(struct escrow *escrow)
{
	SCOPED(seal_key_scoped) struct seal_key *key = daily_take(escrow);
	if (escrow->mode == ESCROW_SERVE && key && !seal_key_fits(key, escrow->recipients))
		log_say(LOG_LEVEL_WARNING,
			"%s: a rekey retired the private key of this mount, %s: it opens nothing "
			"that is sealed from now on (ENOKEY). Tokens are still escrowed. Put "
			"the key of a recipient in its place (`escrowfs rekey %s --list`) and send "
			"SIGHUP, or mount again",
			escrow->path, escrow->key_uri, escrow->path);
}

static bool is_known(struct escrow *escrow, int64_t generation)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	bool known = escrow->generation == generation && !escrow->unpinned;
	pthread_rwlock_unlock(&escrow->sealing);
	return known;
}

/* fail() says why. What was known before is what is sealed to, as soon as anything is again. */
static void say_verdict(const struct escrow *escrow, enum error verdict)
{
	if (verdict)
		log_say(LOG_LEVEL_ERROR, "nothing is escrowed any more: %s", fail_why());
	else
		log_say(LOG_LEVEL_INFO,
			"%s: its recipients are those in %s again: tokens are escrowed as before",
			escrow->path, escrow->pins);
}

struct judged {
	struct recipients *recipients; /* what isn't kept is to be freed */
	int64_t generation;
	uint64_t pinning;
	enum error verdict;
};

/* False: another file was pinned meanwhile, and that one decides. */
static bool keep(struct escrow *escrow, struct judged *judged)
{
	pthread_rwlock_wrlock(&escrow->sealing);
	bool current = escrow->pinnings == judged->pinning;
	bool other = current && escrow->unpinned != (judged->verdict != OK);
	if (current)
		escrow->unpinned = judged->verdict != OK;
	/* Another thread may have looked later and been here before. */
	if (current && !judged->verdict && judged->generation > escrow->generation) {
		struct recipients *before = escrow->recipients;
		escrow->recipients = judged->recipients;
		escrow->generation = judged->generation;
		judged->recipients = before;
		warn_without_key(escrow);
	}
	pthread_rwlock_unlock(&escrow->sealing);
	if (other)
		say_verdict(escrow, judged->verdict);
	return current;
}

static void judged_free(struct judged *judged)
{
	recipients_free(judged->recipients);
}

static enum error read_again(struct escrow *escrow, struct tx *tx)
{
	SCOPED(judged_free) struct judged judged = {0};
	TRY(read_recipients(tx, &judged.recipients, &judged.generation));
	do
		judged.verdict = check_pins(escrow, judged.recipients, &judged.pinning);
	while (!keep(escrow, &judged));
	return OK;
}

enum error sealing_is_known(struct escrow *escrow, struct tx *tx, bool *out)
{
	struct store_state state;
	TRY(store_state(tx, &state));
	*out = is_known(escrow, state.generation);
	return OK;
}

enum error sealing_follow(struct escrow *escrow, struct tx *tx)
{
	bool known;
	TRY(sealing_is_known(escrow, tx, &known));
	return known ? OK : read_again(escrow, tx);
}

enum error sealing_follow_now(struct escrow *escrow)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return sealing_follow(escrow, tx);
}

enum error sealing_pin(struct escrow *escrow, int fd)
{
	pthread_rwlock_wrlock(&escrow->sealing);
	int before = escrow->pins_fd;
	escrow->pins_fd = fd;
	escrow->pinnings++;
	pthread_rwlock_unlock(&escrow->sealing);
	close_fd(&before);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(read_again(escrow, tx));
	pthread_rwlock_rdlock(&escrow->sealing);
	bool unpinned = escrow->unpinned;
	pthread_rwlock_unlock(&escrow->sealing);
	return unpinned ? fail(ERR_UNPINNED,
			       "nothing is escrowed, for the store's recipients "
			       "aren't those in %s",
			       escrow->pins)
			: OK;
}

enum error sealing_close(struct escrow *escrow, const void *content, size_t len, struct bytes *blob,
			 int64_t *generation)
{
	pthread_rwlock_rdlock(&escrow->sealing);
	*generation = escrow->generation;
	enum error result =
		escrow->unpinned
			? fail(ERR_UNPINNED,
			       "%s: its recipients aren't those in %s any more, or that can't be "
			       "read, so nothing is sealed: the log says which, `escrowfs rekey %s "
			       "--list` shows them",
			       escrow->path, escrow->pins, escrow->path)
			: seal_close(escrow->recipients, content, len, blob);
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
