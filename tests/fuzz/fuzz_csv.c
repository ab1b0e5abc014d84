/* Tables of devices: what is said to be one, and whatever pieces one is read in. */
#include "sources/csv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	int64_t line;
	uint64_t rows, refused;
};

static enum error on_row(void *context, const struct csv_row *row)
{
	struct seen *seen = context;
	/* In the order of lines; texts end, and messages have the length that is said. */
	if (row->line < seen->line || row->line < 2 || !row->udid || !*row->udid)
		abort();
	if ((row->serial && !*row->serial) || (row->token && !*row->token) ||
	    !row->authenticate != !row->authenticate_len ||
	    !row->token_update != !row->token_update_len || row->token_at < 0)
		abort();
	if (row->authenticate && row->authenticate[row->authenticate_len])
		abort();
	seen->line = row->line;
	seen->rows++;
	return OK;
}

static void on_refused(void *context, int64_t line, const char *udid, enum error error)
{
	struct seen *seen = context;
	if (line < 2 || !error || (udid && !*udid) || !*fail_why())
		abort();
	seen->refused++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const volatile sig_atomic_t stop;
	static int fd = -1;
	struct seen seen = {0};
	bool told = csv_tells(data, size);
	if (fd < 0)
		fd = memfd_create("table", 0);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size ||
	    lseek(fd, 0, SEEK_SET))
		abort();
	enum error error = csv_read(fd, &stop, on_row, on_refused, &seen);
	/* What has been read as a table starts like one, on its first line as a rule. */
	if (!error && !told && size <= 4096 && !memchr(data, '"', size))
		abort();
	if (error && seen.rows + seen.refused)
		abort();
	return 0;
}
