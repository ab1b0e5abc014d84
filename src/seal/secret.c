/*
 * Secure memory, and a process that is fit to hold it: secret.h says what must hold.
 *
 * Three nets, each for what the one before it can't catch. Secrets of our own lie in OpenSSL's secure
 * heap, which is locked, kept out of dumps and wiped. What libraries copy to the ordinary heap is
 * wiped as they free it (wipe.c), and what they leave on the stack by secret_wipe_stack(). And as
 * long as any of it is there, mlockall keeps it from the swap, PR_SET_DUMPABLE from dumps and
 * debuggers.
 */
#include "secret.h"

#include "log.h"
#include "seal/wipe.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The smallest block of the secure heap, in bytes. */
#define LEAST 32

/* What libcrypto and libplist were seen to use of the stack is a small part of this. */
#define STACK_USED (64 * 1024)
/*
 * More than a mount's first thread uses until its end. Measured with less and less of a stack (prlimit
 * --stack) and nothing locked: with 80 KiB a mount escrowed, retrieved and ended well, with 64 it died.
 */
#define STACK_ROOM ((size_t)256 * 1024)
#define STACK_STEP ((size_t)8 * 1024)
/* Of what the limit allows: for the calls that grow it, and a step. */
#define STACK_MARGIN ((size_t)24 * 1024)

/*
 * Under MCL_FUTURE a new mapping over the limit fails, and with it malloc and new threads: a limit
 * that is only met later is worse than no lock. Tries a mapping that is over it.
 */
static bool over_limit_allowed(rlim_t limit)
{
	size_t size = (size_t)limit + 1;
	void *probe =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe == MAP_FAILED)
		return false;
	munmap(probe, size);
	return true;
}

static bool locks_over_limit;

static void lock_memory(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
		getrlimit(RLIMIT_MEMLOCK, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		locks_over_limit = limit.rlim_cur != RLIM_INFINITY;
		if (!locks_over_limit || over_limit_allowed(limit.rlim_cur))
			return;
		locks_over_limit = false;
		munlockall();
	}
	log_say(LOG_LEVEL_WARNING,
		"only the secure heap is locked: the limit on locked memory (RLIMIT_MEMLOCK) is "
		"%llu "
		"KiB, and copies that libraries make may reach the swap; set LimitMEMLOCK=infinity "
		"in "
		"the unit, or run 'ulimit -l unlimited' before",
		(unsigned long long)limit.rlim_cur / 1024);
}

static size_t prepared;

size_t secret_heap(void)
{
	return prepared;
}

/* How much further down the first thread's stack may grow. 0: nobody knows, or no further. */
static size_t stack_left(void)
{
	pthread_attr_t attributes;
	void *lowest;
	size_t size;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return 0;
	int code = pthread_attr_getstack(&attributes, &lowest, &size);
	pthread_attr_destroy(&attributes);
	return code == 0 && here > (uintptr_t)lowest ? here - (uintptr_t)lowest : 0;
}

static __attribute__((noinline)) void use_stack(size_t room)
{
	uint8_t used[STACK_STEP];
	if (room > sizeof used)
		use_stack(room - sizeof used);
	OPENSSL_cleanse(used, sizeof used);
}

/* A stack that is locked can't grow any more: it grows before, as far as its limit (RLIMIT_STACK) lets it. */
static void grow_stack(void)
{
	size_t left = stack_left();
	size_t room = left > STACK_MARGIN ? left - STACK_MARGIN : 0;
	use_stack(room < STACK_ROOM ? room : STACK_ROOM);
}

void secret_settle(void)
{
	if (!locks_over_limit)
		return;
	struct rlimit limit = {0};
	getrlimit(RLIMIT_MEMLOCK, &limit);
	grow_stack();
	(void)mlockall(MCL_CURRENT | MCL_ONFAULT);
	locks_over_limit = false;
	log_say(LOG_LEVEL_WARNING,
		"memory that is needed from now on isn't locked, and copies that libraries make "
		"may "
		"reach the swap: the limit on locked memory (RLIMIT_MEMLOCK) is %llu KiB and can't "
		"be "
		"raised; set LimitMEMLOCK=infinity in the unit, or run 'ulimit -l unlimited' "
		"before",
		(unsigned long long)limit.rlim_cur / 1024);
}

enum error secret_prepare_sealed(size_t heap)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(ERR_ACCESS, "this process can't be kept from being dumped (%s)",
			    strerror(errno));
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});

	switch (CRYPTO_secure_malloc_init(heap, LEAST)) {
	case 0:
		return fail(ERR_MEMORY, "there is no memory for a secure heap of %zu KiB",
			    heap / 1024);
	case 1:
		prepared = heap;
		return OK;
	default:
		log_say(LOG_LEVEL_WARNING,
			"the secure heap of %zu KiB can't be locked and may reach the swap: raise "
			"the "
			"limit on locked memory (LimitMEMLOCK=infinity in the unit, or ulimit -l)",
			heap / 1024);
		prepared = heap;
		return OK;
	}
}

bool secret_wipes_frees(void)
{
	return wipe_frees();
}

enum error secret_prepare(size_t heap)
{
	lock_memory();
	return secret_prepare_sealed(heap);
}

enum error secret_new(size_t cap, struct secret *out)
{
	*out = (struct secret){0};
	/* The heap gives out powers of two: what it gives more than is asked for isn't lost so. */
	size_t given = LEAST;
	while (given < cap && given <= SIZE_MAX / 2)
		given *= 2;
	out->data = OPENSSL_secure_malloc(given);
	if (!out->data)
		return fail(ERR_MEMORY,
			    "the secure heap has no %zu bytes left: too many open at once", given);
	out->cap = given;
	return OK;
}

enum error secret_add(struct secret *secret, const void *bytes, size_t n)
{
	if (!n)
		return OK;
	if (n > secret->cap - secret->len) {
		struct secret grown;
		TRY(secret_new(secret->len + n, &grown));
		if (secret->len)
			memcpy(grown.data, secret->data, secret->len);
		grown.len = secret->len;
		secret_free(secret);
		*secret = grown;
	}
	memcpy(secret->data + secret->len, bytes, n);
	secret->len += n;
	return OK;
}

void secret_free(struct secret *secret)
{
	if (secret->data)
		OPENSSL_secure_clear_free(secret->data, secret->cap);
	*secret = (struct secret){0};
}

void secret_move(struct secret *to, struct secret *from)
{
	if (to == from)
		return;
	secret_free(to);
	*to = *from;
	*from = (struct secret){0};
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && (!a->len || CRYPTO_memcmp(a->data, b->data, a->len) == 0);
}

void secret_wipe(void *bytes, size_t n)
{
	if (n)
		OPENSSL_cleanse(bytes, n);
}

__attribute__((noinline)) void secret_wipe_stack(void)
{
	uint8_t used[STACK_USED];
	explicit_bzero(used, sizeof used); /* OPENSSL_cleanse() takes four times as long */
}
