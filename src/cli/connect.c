/*
 * escrowfs connect: mounts for a service that has no right to mount.
 *
 * A unit that has its service hardened gives it a view of the filesystem of its own, in which it could
 * mount for itself alone, and neither root nor capabilities. So ExecStartPre=+ calls this outside of all
 * that. It mounts, leaves the open connection in systemd's file descriptor store, and ends; systemd passes
 * the connection to ExecStart, which serves it (mount.c). ExecStopPost=+ unmounts.
 *
 * Until it is served nothing that is mounted there answers: systemd mustn't look at it either while it
 * makes the service's view (InaccessiblePaths= in the unit).
 */
#include "cli.h"

#include "fs.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PATIENCE (UINT64_C(30) * 1000000) /* us until systemd has taken it */

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* What an attempt before left there would come along. */
static enum error leave_with_systemd(int connection)
{
	sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" CLI_CONNECTION);
	int code =
		sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" CLI_CONNECTION, &connection, 1);
	if (code == 0)
		return fail(ERR_INVALID,
			    "there is no systemd to take the connection: this is for a unit's "
			    "ExecStartPre=, with NotifyAccess=exec and FileDescriptorStoreMax=1; "
			    "`escrowfs mount` is for everybody else");
	if (code > 0)
		code = sd_notify_barrier(0, PATIENCE);
	return code < 0 ? fail(ERR_IO, "systemd doesn't take the connection: %s", strerror(-code))
			: OK;
}

static enum error mount_and_leave(const char *store, const char *point)
{
	int connection;
	TRY(fs_mountpoint_check(point));
	TRY(fs_mountpoint_connect(store, point, &connection));
	enum error result = leave_with_systemd(connection);
	close(connection);
	if (result)
		(void)umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW);
	return result;
}

static int run(int argc, char **argv)
{
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		if (option == 'h')
			return cli_help(&cli_connect);
		return cli_bad_option(&cli_connect, argv, option);
	}
	if (argc - optind < 2)
		return cli_usage(&cli_connect, "%s is missing", argc == optind ? "STORE" : "DIR");
	if (argc - optind > 2)
		return cli_usage(&cli_connect, "`%s` is too much", argv[optind + 2]);
	char *store = cli_absolute(argv[optind]), *point = cli_absolute(argv[optind + 1]);
	enum error result = !store || !point ? fail(ERR_MEMORY, "out of memory")
					     : mount_and_leave(store, point);
	free(store);
	free(point);
	return result ? cli_failed() : EXIT_SUCCESS;
}

static const char help[] = "\
For ExecStartPre= of a unit whose ExecStart= is `escrowfs mount -f STORE DIR`:\n\
what that one serves is mounted here, and handed on by systemd.\n";

const struct command cli_connect = {
	.name = "connect",
	.arguments = "STORE DIR",
	.summary = "mounts for a hardened systemd unit, which serves it",
	.help = help,
	.run = run,
};
