/*
 * The log's index: where in the log the newest state of each page is. SQLite keeps it in a file, -shm,
 * which all connections map into memory, and which grows with the log. It makes that file longer by
 * writing one byte every 4096: where the disk's blocks are smaller, holes are left, and to write into one
 * when the disk is full is no error that could be handled, but SIGBUS.
 *
 * So each part is filled with blocks when it is mapped, before anything is written to it; when there are
 * none, that is an error like any other. SQLite's own function does the mapping: a connection is given a
 * copy of the table that it is in.
 */
#include "inside.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* All connections are of the same kind, and have one table. */
static const sqlite3_io_methods *theirs;
static sqlite3_io_methods ours;

/* False: there is no room. Kernels before 5.14 don't do it. */
static bool fill(void *part, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)part / page * page;
	size = (size_t)((uintptr_t)part + size - from);
	int code;
	do
		code = madvise((void *)from, size, MADV_POPULATE_WRITE);
	while (code && errno == EINTR);
	/* EFAULT: to write there would be SIGBUS. EINVAL: this connection only reads there. */
	return !code || errno != EFAULT;
}

static int map(sqlite3_file *file, int part, int size, int extend, void volatile **out)
{
	int code = theirs->xShmMap(file, part, size, extend, out);
	if (code != SQLITE_OK || !*out || fill((void *)*out, (size_t)size))
		return code;
	*out = NULL; /* so that it is asked for again */
	return SQLITE_FULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void index_guard(struct tx *tx)
{
	sqlite3_file *file = NULL;
	sqlite3_file_control(tx->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (!file || !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap)
		return;
	pthread_mutex_lock(&mutex);
	if (!theirs) {
		theirs = file->pMethods;
		ours = *theirs;
		ours.xShmMap = map;
	}
	if (file->pMethods == theirs)
		file->pMethods = &ours;
	pthread_mutex_unlock(&mutex);
}
