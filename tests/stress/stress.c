/*
 * The stress test's load: 64 clients, a process each, that call one mount without a pause.
 *
 *	stress MOUNT DIARIES SECONDS SEED
 *
 * Each client's diary goes to DIARIES/NN: a line a call, with tabs between: its number, the time
 * before and after it, what was called, the device, what with, and what came of it. What is called
 * follows from SEED; what meets what does not. Exits 1 when a client doesn't end as it should.
 */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define QUIET_FOR (5 * SECOND / 2)

/* What is called how often, of which devices. After what changes one there is a look at it. */
static const struct move {
	void (*make)(struct client *, const char *device);
	unsigned weight;
	unsigned where;
	bool changes;
} moves[] = {
	{do_read, 10, OWN | PLAIN | QUIET | SHARED | COMING, false},
	{do_deny, 4, OWN | PLAIN | SHARED, false},
	{do_keep_token, 4, OWN | PLAIN | SHARED | COMING, false},
	{do_escrow, 10, OWN | PLAIN | QUIET | SHARED | COMING, true},
	{do_keep_written, 3, OWN | SHARED, true},
	{do_escrow_and_more, 1, OWN | SHARED, true},
	{do_remove, 4, OWN | PLAIN | QUIET | SHARED | COMING, true},
	{do_half, 2, OWN | SHARED | COMING, true},
	{do_refused, 3, OWN | SHARED | COMING, true},
	{do_killed, 1, SHARED, false},
	{do_set, 6, OWN | PLAIN | QUIET | SHARED | COMING, true},
	{do_unset, 2, PLAIN, true},
	{do_get, 8, OWN | PLAIN | SHARED | COMING, false},
	{do_authenticate, 2, OWN | PLAIN | QUIET | FACTS, true},
	{do_update, 3, OWN | PLAIN | QUIET | SHARED, true},
	{do_check_out, 1, OWN | QUIET | SHARED, true},
	{do_facts, 5, OWN | PLAIN | QUIET | FACTS, true},
	{do_mode, 3, OWN | PLAIN | QUIET | SHARED | COMING, true},
	{do_acl, 3, OWN | PLAIN | SHARED, true},
	{do_make, 2, OWN | COMING, true},
	{do_take_away, 3, OWN | COMING, true},
	{do_status, 8, LOOKED_AT, false},
	{do_security, 4, LOOKED_AT, false},
	{do_stat, 8, LOOKED_AT, false},
	{do_keep_status, 2, LOOKED_AT, false},
	{do_list, 1, LOOKED_AT, false},
	{do_list_status, 1, LOOKED_AT, false},
	{do_search, 3, LOOKED_AT, false},
	{do_trail, 1, LOOKED_AT, false},
	{do_metrics, 1, LOOKED_AT, false},
};
#define MOVES (sizeof moves / sizeof *moves)

static const struct move *choose_move(struct client *client)
{
	unsigned all = 0, left;
	for (size_t i = 0; i < MOVES; i++)
		all += moves[i].weight;
	left = dice(client, all);
	for (size_t i = 0;; i++) {
		if (left < moves[i].weight)
			return &moves[i];
		left -= moves[i].weight;
	}
}

/* ---- devices ---- */

/* Is there a device of that kind for this client, now? */
static bool has(const struct client *client, unsigned kind, bool changes)
{
	if (kind == QUIET && changes)
		return client->number < QUIETS && clock_now() > client->quiet_since + QUIET_FOR;
	return kind != FACTS || client->number < SHAREDS;
}

static unsigned choose_kind(struct client *client, const struct move *move)
{
	unsigned kinds[8], count = 0;
	for (unsigned kind = 1; kind <= FACTS; kind <<= 1)
		if (move->where & kind && has(client, kind, move->changes))
			kinds[count++] = kind;
	return kinds[dice(client, count)];
}

static void choose_device(struct client *client, const struct move *move,
			  char device[static DEVICE_MAX])
{
	unsigned kind = choose_kind(client, move), number = (unsigned)client->number;
	bool looks = move->where == LOOKED_AT;
	char letter = 'O';
	switch (kind) {
	case PLAIN:
		letter = 'P';
		break;
	case QUIET:
		letter = 'Q';
		if (move->changes)
			client->quiet_since = clock_now();
		else
			number = dice(client, QUIETS);
		break;
	case SHARED:
		letter = 'S';
		number = dice(client, SHAREDS);
		break;
	case COMING:
		letter = 'T';
		number = dice(client, COMINGS);
		break;
	case IMPORTED:
		letter = 'I';
		number = dice(client, IMPORTEDS);
		break;
	case FACTS:
		letter = 'S';
		break;
	default:
		break;
	}
	/* Others' devices may be looked at, too. */
	if (looks && kind <= PLAIN && dice(client, 2))
		number = dice(client, CLIENTS);
	snprintf(device, DEVICE_MAX, "%c-%u", letter, number);
}

/* ---- clients ---- */

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

/* Some are interrupted all the time, while they wait for the mount as well. */
static void be_interrupted(void)
{
	const struct itimerval often = {{0, 1700}, {0, 1700}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void play(struct client *client)
{
	static const struct move making = {do_make, 0, 0, true};
	char device[DEVICE_MAX];
	snprintf(device, sizeof device, "O-%d", client->number);
	making.make(client, device);
	snprintf(device, sizeof device, "P-%d", client->number);
	making.make(client, device);
	while (clock_now() < client->until) {
		const struct move *move = choose_move(client);
		choose_device(client, move, device);
		move->make(client, device);
		if (move->changes && device[0] != 'T')
			look_at(client, device);
	}
	kept_close(&client->token);
	kept_close(&client->status);
	kept_close(&client->written);
}

static int be_client(struct client *client, const char *diaries)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%02d", diaries, client->number);
	client->diary = fopen(path, "we");
	if (!client->diary) {
		perror(path);
		return EXIT_FAILURE;
	}
	if (client->number % 8 == 7)
		be_interrupted();
	play(client);
	setitimer(ITIMER_REAL, &(const struct itimerval){0}, NULL);
	return fclose(client->diary) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: stress MOUNT DIARIES SECONDS SEED\n");
		return 2;
	}
	int64_t until = clock_now() + strtoll(argv[3], NULL, 10) * SECOND;
	uint64_t seed = strtoull(argv[4], NULL, 10);
	int status, failed = 0;
	for (int i = 0; i < CLIENTS; i++) {
		static struct client client;
		client = (struct client){
			.mount = argv[1],
			.number = i,
			.dice = (seed * CLIENTS + (uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15),
			.until = until,
			.token = {.fd = -1},
			.status = {.fd = -1},
			.written = {.fd = -1},
		};
		pid_t child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(be_client(&client, argv[2]));
		}
		if (child < 0) {
			perror("stress: fork");
			return EXIT_FAILURE;
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			fprintf(stderr, "stress: a client ended with status %#x\n",
				(unsigned)status);
			failed = 1;
		}
	return failed;
}
