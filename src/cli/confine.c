/*
 * What a process gives up, in the order in which it can be given up: the user needs capabilities to be
 * changed; Landlock and seccomp can be had without any once no_new_privs is set; and after seccomp
 * none of these calls can be made.
 *
 * Capabilities, no_new_privs and Landlock are a thread's own: so there must be no other yet.
 */
#include "confine.h"

#include "log.h"
#include "secret.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DATABASE "escrow.db"

/* ---- the user ---- */

static enum error check_owner(const struct confinement *wanted, const char *user, uid_t directory,
			      uid_t file)
{
	if (wanted->uid == directory && wanted->uid == file)
		return OK;
	return fail(ERR_INVALID, "setuid=%s: %s doesn't belong to that user: chown -R %s: %s", user,
		    wanted->store, user, wanted->store);
}

enum error confine_user(struct confinement *wanted, const char *user)
{
	char path[PATH_MAX + sizeof DATABASE];
	struct stat directory, file;
	snprintf(path, sizeof path, "%s/" DATABASE, wanted->store);
	if (stat(wanted->store, &directory) != 0 || stat(path, &file) != 0)
		return fail(ERR_IO, "%s: %s", wanted->store, strerror(errno));
	const struct passwd *entry = user ? getpwnam(user) : NULL;
	if (user && !entry)
		return fail(ERR_INVALID, "setuid=%s: there is no such user", user);
	if (user && getuid() != 0 && entry->pw_uid != getuid())
		return fail(ERR_INVALID, "setuid=%s: only root becomes another user", user);
	wanted->becomes = getuid() == 0;
	wanted->uid = entry ? entry->pw_uid : directory.st_uid;
	/* What SQLite makes anew beside the database is to be the database's group's. */
	wanted->gid[0] = file.st_gid;
	wanted->gid[1] = entry ? entry->pw_gid : directory.st_gid;
	return user ? check_owner(wanted, user, directory.st_uid, file.st_uid) : OK;
}

static enum error become(const struct confinement *wanted)
{
	size_t groups = sizeof wanted->gid / sizeof *wanted->gid;
	gid_t gid = wanted->gid[0];
	uid_t uid = wanted->uid;
	/* In a container nobody may be able to change to anybody, not even to who one is. */
	if (geteuid() == uid && getuid() == uid && getegid() == gid && getgid() == gid &&
	    setgroups(groups, wanted->gid) != 0)
		return OK;
	if (setgroups(groups, wanted->gid) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return fail(ERR_ACCESS, "%s: its owner, user %u, can't be become: %s",
			    wanted->store, uid, strerror(errno));
	return OK;
}

/* With the rights that are left. */
static enum error check_store(const struct confinement *wanted)
{
	char path[PATH_MAX + sizeof DATABASE];
	int how = wanted->reads ? R_OK : R_OK | W_OK;
	snprintf(path, sizeof path, "%s/" DATABASE, wanted->store);
	if (wanted->recipients && access(wanted->recipients, R_OK) != 0)
		return fail(
			ERR_ACCESS,
			"recipients=%s: user %u, whose the store is and who serves it, can't read "
			"it: %s",
			wanted->recipients, getuid(), strerror(errno));
	if (access(path, how) == 0 && access(wanted->store, how | X_OK) == 0)
		return OK;
	if (wanted->reads && errno == EROFS)
		return OK;
	return fail(
		ERR_ACCESS,
		"%s: it is served with the rights of its owner, user %u, and no others, who can't "
		"use it (%s): all of it must be that user's (chown -R), and the directories above "
		"it must let that user through",
		wanted->store, getuid(), strerror(errno));
}

/* ---- capabilities ---- */

static enum error keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, data) != 0)
		return fail(ERR_ACCESS, "capabilities can't be read: %s", strerror(errno));
	/* The bounding set matters to programs that it can't start; it may be that it can't be changed. */
	for (int i = 0; i < 64; i++)
		if (!(kept >> i & 1))
			(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (uint32_t)(kept >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) != 0)
		return fail(ERR_ACCESS, "capabilities can't be given up: %s", strerror(errno));
	return OK;
}

/* What changes a process's user makes its memory readable to that user again. */
static enum error keep_closed(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(ERR_ACCESS, "this process can't be closed: %s", strerror(errno));
	return OK;
}

/* ---- the two processes ---- */

enum error confine_serving(const struct confinement *wanted)
{
	tzset(); /* it reads a file, the first time */
	secret_settle();
	if (wanted->becomes)
		TRY(become(wanted));
	TRY(keep_capabilities(0));
	TRY(keep_closed());
	TRY(check_store(wanted));
	TRY(confine_files(wanted));
	return confine_calls_serving(wanted);
}

/* Landlock forbids unmounting: the files are left to the lack of capabilities. */
enum error confine_keeper(bool unmounts)
{
	if (getuid() != 0 && unmounts)
		return OK;
	/* The second one to come to a directory that only its owner may search. */
	const uint64_t kept = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_DAC_READ_SEARCH;
	TRY(keep_capabilities(unmounts ? kept : 0));
	TRY(keep_closed());
	return confine_calls_keeper();
}
