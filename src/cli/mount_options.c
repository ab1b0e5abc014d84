/* The options behind -o: one table. */
#include "mount_options.h"

#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64
#define RETRIEVALS_MAX 1000000

typedef enum error take_option(const char *value, struct mount_options *);

static enum error take_key(const char *value, struct mount_options *options)
{
	options->key_uri = value;
	return OK;
}

static enum error take_passphrase_file(const char *value, struct mount_options *options)
{
	options->passphrase_file = value;
	return OK;
}

static enum error take_recipients(const char *value, struct mount_options *options)
{
	options->recipients = value;
	return OK;
}

static enum error take_sealed(const char *value, struct mount_options *options)
{
	(void)value;
	options->sealed = true;
	return OK;
}

static enum error take_ro(const char *value, struct mount_options *options)
{
	(void)value;
	options->read_only = true;
	return OK;
}

static enum error take_rw(const char *value, struct mount_options *options)
{
	(void)value;
	options->read_only = false;
	return OK;
}

static enum error take_allow_other(const char *value, struct mount_options *options)
{
	(void)value;
	options->allow_other = true;
	return OK;
}

static enum error take_default_permissions(const char *value, struct mount_options *options)
{
	(void)value;
	options->default_permissions = true;
	return OK;
}

static enum error take_user(const char *value, struct mount_options *options)
{
	options->user = value;
	return OK;
}

static enum error take_threads(const char *value, struct mount_options *options)
{
	char *end;
	long threads = strtol(value, &end, 10);
	if (end == value || *end || threads < 1 || threads > THREADS_MAX)
		return fail(ERR_INVALID, "option threads=%s: it takes a number from 1 to %d", value,
			    THREADS_MAX);
	options->threads = (int)threads;
	return OK;
}

static enum error take_max_retrievals(const char *value, struct mount_options *options)
{
	char *end;
	long number = strtol(value, &end, 10);
	if (end == value || strcmp(end, "/h") != 0 || number < 1 || number > RETRIEVALS_MAX)
		return fail(
			ERR_INVALID,
			"option max-retrievals=%s: it takes a number from 1 to %d and /h, as in "
			"max-retrievals=100/h",
			value, RETRIEVALS_MAX);
	options->max_retrievals = (int)number;
	return OK;
}

static enum error take_identity(const char *value, struct mount_options *options)
{
	if (strcmp(value, "strict") != 0)
		return fail(ERR_INVALID,
			    "option identity=%s: it takes `strict`; without the option a device "
			    "that comes with another certificate is on the trail, and served",
			    value);
	options->strict_identity = true;
	return OK;
}

static enum error refuse_remount(const char *value, struct mount_options *options)
{
	(void)value;
	(void)options;
	return fail(ERR_INVALID, "option remount: what is mounted keeps its options; unmount it, "
				 "and mount it again with others");
}

static const struct {
	const char *name; /* with its '=' when it takes a value */
	take_option *take;
} table[] = {
	{"key=", take_key},
	{"passphrase-file=", take_passphrase_file},
	{"recipients=", take_recipients},
	{"sealed", take_sealed},
	{"ro", take_ro},
	{"rw", take_rw},
	{"allow_other", take_allow_other},
	{"default_permissions", take_default_permissions},
	{"setuid=", take_user},
	{"threads=", take_threads},
	{"max-retrievals=", take_max_retrievals},
	{"identity=", take_identity},
	{"remount", refuse_remount},
};

/*
 * Read over. The first line always holds, whatever dev, suid and exec say: mount.fuse3(8) adds
 * them by itself. drop_privileges is its own, and
 * holds always, too. The others are mount(8)'s, fstab's and systemd's; a '*' stands for any
 * ending.
 */
static const char ignored[] =
	" nodev nosuid noexec dev suid exec drop_privileges"
	" defaults auto noauto user user=* nouser users owner group nofail comment=* x-* X-*"
	" _netdev async sync dirsync silent loud mand nomand iversion noiversion context=*"
	" atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime"
	" lazytime nolazytime ";

/* Is `option` the word at `word`, which ends at a space? */
static bool fits(const char *option, const char *word)
{
	while (*word != '*' && *word != ' ' && *option == *word)
		option++, word++;
	return *word == '*' || (*word == ' ' && !*option);
}

static bool is_ignored(const char *option)
{
	for (const char *space = ignored; space[1]; space = strchr(space + 1, ' '))
		if (fits(option, space + 1))
			return true;
	return !*option;
}

static enum error take(const char *option, bool sloppy, struct mount_options *options)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t len = strlen(table[i].name);
		bool takes_value = table[i].name[len - 1] == '=';
		if (strncmp(option, table[i].name, len) != 0 || (!takes_value && option[len]))
			continue;
		if (takes_value && !option[len])
			return fail(ERR_INVALID, "option %s needs a value", table[i].name);
		return table[i].take(option + len, options);
	}
	if (sloppy || is_ignored(option))
		return OK;
	return fail(ERR_INVALID,
		    "there is no mount option `%s`; `escrowfs mount --help` lists them", option);
}

/*
 * Ends the first option at its comma, without its quotes and backslashes; returns what follows,
 * or NULL.
 */
static char *cut(char *option)
{
	bool quoted = false;
	char *to = option;
	for (char *from = option;; from++) {
		if (*from == '"') {
			quoted = !quoted;
			continue;
		}
		bool ends = !*from || (*from == ',' && !quoted);
		if (ends) {
			char *next = *from ? from + 1 : NULL;
			*to = 0;
			return next;
		}
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
}

enum error mount_options_read(char *text, bool sloppy, struct mount_options *options)
{
	for (char *option = text, *next; option; option = next) {
		next = cut(option);
		TRY(take(option, sloppy, options));
	}
	return OK;
}
