/* The diary of a client, and what all its calls need. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

unsigned dice(struct client *client, unsigned n)
{
	/* xorshift64* */
	uint64_t x = client->dice;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	client->dice = x;
	return (unsigned)((x * UINT64_C(2685821657736338717)) >> 33) % n;
}

int64_t clock_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void call_begins(struct client *client)
{
	char name[16];
	client->call++;
	snprintf(name, sizeof name, "s%02d.%" PRIu64, client->number, client->call);
	prctl(PR_SET_NAME, name);
	client->ended = 0;
	client->began = clock_now();
}

void call_ends(struct client *client)
{
	if (!client->ended)
		client->ended = clock_now();
}

void call_told(struct client *client, const char *call, const char *device, const char *argument,
	       const char *result)
{
	fprintf(client->diary, "%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t%s\t%s\t%s\t%s\n",
		client->call, client->began, client->ended, call, device, argument, result);
}

const char *outcome(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";
	return name ? name : "?";
}

void call_over(struct client *client, const char *call, const char *device, const char *argument,
	       int error)
{
	call_ends(client);
	call_told(client, call, device, argument, outcome(error));
}

void device_path(const struct client *client, const char *device, const char *file, char *out,
		 size_t size)
{
	snprintf(out, size, "%s/devices/%s%s%s", client->mount, device, *file ? "/" : "", file);
}

int device_open(const struct client *client, const char *device, const char *file, int flags)
{
	char path[4096];
	device_path(client, device, file, path, sizeof path);
	return open(path, flags | O_CLOEXEC);
}

ssize_t read_all(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;
	while (len < size && (n = pread(fd, out + len, size - len, (off_t)len)) != 0) {
		if (n < 0)
			return -1;
		len += (size_t)n;
	}
	return (ssize_t)len;
}
