/* Threads that live as long as one piece of work: to start one costs less than to seal one token. */
#include "crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define HANDS_MAX 64
#define STACK (256 * 1024) /* a thread's usual 8 MiB would be locked memory */

struct crew {
	crew_work *work;
	void *context;
	int count;
	atomic_int next;
};

static void *take_turns(void *context)
{
	struct crew *crew = context;
	for (int i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
		crew->work(crew->context, i);
	return NULL;
}

/* Threads besides this one. */
static int helpers_for(int count)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int hands = processors > HANDS_MAX ? HANDS_MAX : (int)processors;
	return (hands < count ? hands : count) - 1;
}

void crew_run(int count, crew_work *work, void *context)
{
	struct crew crew = {.work = work, .context = context, .count = count};
	pthread_t helper[HANDS_MAX];
	pthread_attr_t attributes;
	sigset_t all, before;
	int helpers = 0, wanted = helpers_for(count);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	/* Signals are for the threads that expect them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (helpers < wanted &&
	       pthread_create(&helper[helpers], &attributes, take_turns, &crew) == 0)
		helpers++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	take_turns(&crew);
	for (int i = 0; i < helpers; i++)
		pthread_join(helper[i], NULL);
}
