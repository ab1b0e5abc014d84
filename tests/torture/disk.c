/*
 * A disk between SQLite and the system's, a VFS that calls the usual one: it fails when it is asked to
 * (disk.h), in the middle of a write, too, and it loses power (power.c). It is there before main(), and
 * is what SQLite opens by itself.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct disk_control nothing;
struct disk_control *disk = &nothing;
static sqlite3_vfs *usual;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct file {
	sqlite3_file base;
	struct platter *platter; /* NULL: what lies in it needn't outlive a crash */
	int error;		 /* the last one that was ours */
};

static sqlite3_file *below(sqlite3_file *file)
{
	return (sqlite3_file *)((char *)file + sizeof(struct file));
}

/* ---- whether it fails ---- */

/* Is this one to fail? The errno, or 0. */
static int fault(sqlite3_file *base, int operation)
{
	if (!(atomic_load(&disk->operations) & operation))
		return 0;
	atomic_fetch_add(&disk->seen, 1);
	if (atomic_fetch_sub(&disk->pass, 1) > 0)
		return 0;
	atomic_store(&disk->pass, 0);
	if (atomic_fetch_sub(&disk->fail, 1) <= 0) {
		atomic_store(&disk->fail, 0);
		return 0;
	}
	atomic_fetch_add(&disk->failed, 1);
	int error = (int)atomic_load(&disk->error);
	((struct file *)base)->error = error;
	errno = error;
	return error;
}

/* After each step that the power may go out at. The mutex is held. */
static void use_power(void)
{
	if (atomic_load(&disk->cut) > 0 && atomic_fetch_sub(&disk->cut, 1) == 1)
		power_out();
}

/* ---- files ---- */

static int disk_close(sqlite3_file *file)
{
	return below(file)->pMethods ? below(file)->pMethods->xClose(below(file)) : SQLITE_OK;
}

static int disk_read(sqlite3_file *file, void *buffer, int n, sqlite3_int64 offset)
{
	atomic_fetch_add(&disk->reads, 1);
	if (fault(file, DISK_READ))
		return SQLITE_IOERR_READ;
	bool keep = atomic_load(&disk->keep);
	if (keep)
		pthread_mutex_lock(&mutex);
	int code = below(file)->pMethods->xRead(below(file), buffer, n, offset);
	if (keep)
		pthread_mutex_unlock(&mutex);
	return code;
}

/* Whole sectors around them, as they are: zeros behind the end. */
static void keep_before(sqlite3_file *file, sqlite3_int64 offset, sqlite3_int64 n)
{
	struct platter *platter = ((struct file *)file)->platter;
	sqlite3_int64 from = offset & ~INT64_C(511), to = (offset + n + 511) & ~INT64_C(511), size;
	if (!platter || n <= 0)
		return;
	char *bytes = calloc(1, (size_t)(to - from));
	if (!bytes || below(file)->pMethods->xFileSize(below(file), &size))
		abort();
	(void)below(file)->pMethods->xRead(below(file), bytes, (int)(to - from), from);
	platter_touch(platter, from, bytes, to - from, size);
	free(bytes);
}

static int disk_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	atomic_fetch_add(&disk->writes, 1);
	int error = fault(file, DISK_WRITE);
	bool keep = atomic_load(&disk->keep);
	if (keep) {
		pthread_mutex_lock(&mutex);
		keep_before(file, offset, n);
	}
	/* What there was room for is there. */
	int code = below(file)->pMethods->xWrite(below(file), bytes, error ? n / 2 : n, offset);
	if (keep) {
		use_power();
		pthread_mutex_unlock(&mutex);
	}
	if (!error)
		return code;
	errno = error;
	return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 to)
{
	if (fault(file, DISK_TRUNCATE))
		return SQLITE_IOERR_TRUNCATE;
	bool keep = atomic_load(&disk->keep);
	sqlite3_int64 size = 0;
	if (keep) {
		pthread_mutex_lock(&mutex);
		if (below(file)->pMethods->xFileSize(below(file), &size) == SQLITE_OK && size > to)
			keep_before(file, to, size - to);
	}
	int code = below(file)->pMethods->xTruncate(below(file), to);
	if (keep) {
		use_power();
		pthread_mutex_unlock(&mutex);
	}
	return code;
}

static int disk_sync(sqlite3_file *file, int flags)
{
	atomic_fetch_add(&disk->syncs, 1);
	if (fault(file, DISK_SYNC))
		return SQLITE_IOERR_FSYNC;
	/* The system's own power doesn't go out: to wait for its disk would only take time. */
	if (!atomic_load(&disk->keep))
		return below(file)->pMethods->xSync(below(file), flags);
	pthread_mutex_lock(&mutex);
	use_power();
	if (((struct file *)file)->platter)
		platter_settle(((struct file *)file)->platter);
	pthread_mutex_unlock(&mutex);
	return SQLITE_OK;
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return below(file)->pMethods->xFileSize(below(file), size);
}

static int disk_lock(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xLock(below(file), level);
}

static int disk_unlock(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xUnlock(below(file), level);
}

static int disk_reserved(sqlite3_file *file, int *out)
{
	return below(file)->pMethods->xCheckReservedLock(below(file), out);
}

static int disk_file_control(sqlite3_file *file, int what, void *out)
{
	struct file *this = (struct file *)file;
	if (what == SQLITE_FCNTL_LAST_ERRNO && this->error) {
		*(int *)out = this->error;
		this->error = 0;
		return SQLITE_OK;
	}
	return below(file)->pMethods->xFileControl(below(file), what, out);
}

static int disk_sector(sqlite3_file *file)
{
	return below(file)->pMethods->xSectorSize(below(file));
}

static int disk_is_like(sqlite3_file *file)
{
	return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int disk_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	return below(file)->pMethods->xShmMap(below(file), page, size, extend, out);
}

static int disk_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return below(file)->pMethods->xShmLock(below(file), offset, n, flags);
}

static void disk_shm_barrier(sqlite3_file *file)
{
	below(file)->pMethods->xShmBarrier(below(file));
}

static int disk_shm_unmap(sqlite3_file *file, int remove)
{
	return below(file)->pMethods->xShmUnmap(below(file), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = disk_close,
	.xRead = disk_read,
	.xWrite = disk_write,
	.xTruncate = disk_truncate,
	.xSync = disk_sync,
	.xFileSize = disk_size,
	.xLock = disk_lock,
	.xUnlock = disk_unlock,
	.xCheckReservedLock = disk_reserved,
	.xFileControl = disk_file_control,
	.xSectorSize = disk_sector,
	.xDeviceCharacteristics = disk_is_like,
	.xShmMap = disk_shm_map,
	.xShmLock = disk_shm_lock,
	.xShmBarrier = disk_shm_barrier,
	.xShmUnmap = disk_shm_unmap,
};

/* ---- the disk ---- */

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
	static const int lasting = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
	struct file *this = (struct file *)file;
	(void)vfs;
	*this = (struct file){0};
	int code = usual->xOpen(usual, path, below(file), flags, out);
	/* SQLite closes what has methods, whatever the code. */
	if (below(file)->pMethods)
		this->base.pMethods = &methods;
	if (!code && path && (flags & lasting)) {
		pthread_mutex_lock(&mutex);
		this->platter = platter_of(path);
		pthread_mutex_unlock(&mutex);
	}
	return code;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	(void)vfs;
	pthread_mutex_lock(&mutex);
	struct platter *platter = platter_of(path);
	int code = usual->xDelete(usual, path, sync);
	if (platter && !code)
		platter_settle(platter);
	pthread_mutex_unlock(&mutex);
	return code;
}

static void map_control(void)
{
	const char *path = getenv("ESCROWFS_DISK");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		disk = map;
	close(fd);
}

__attribute__((constructor)) static void be_the_disk(void)
{
	static sqlite3_vfs vfs;
	map_control();
	/* As the program has it; once SQLite is there it is too late for that. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	usual = sqlite3_vfs_find(NULL);
	if (!usual)
		abort();
	vfs = *usual;
	vfs.zName = "torture";
	vfs.szOsFile = (int)sizeof(struct file) + usual->szOsFile;
	vfs.xOpen = disk_open;
	vfs.xDelete = disk_delete;
	sqlite3_vfs_register(&vfs, 1);
}
