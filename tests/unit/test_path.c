/* Which symbolic links are followed, and which files are read. */
#include "path.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static char home[64];

static const char *in(const char *name)
{
	static _Thread_local char path[8][128];
	static _Thread_local int next;
	char *out = path[next++ % 8];
	snprintf(out, sizeof path[0], "%s/%s", home, name);
	return out;
}

static int setup(void **state)
{
	(void)state;
	snprintf(home, sizeof home, "/tmp/path-test-XXXXXX");
	if (!mkdtemp(home))
		return -1;
	mkdir(in("own"), 0755);
	mkdir(in("open"), 0755);
	mkdir(in("own/deep"), 0755);
	int fd = open(in("own/file"), O_CREAT | O_WRONLY, 0600);
	return fd < 0 || close(fd) || chmod(in("open"), 0777);
}

static int teardown(void **state)
{
	(void)state;
	char command[96];
	snprintf(command, sizeof command, "rm -rf %s", home);
	return system(command);
}

static void refused(const char *path, const char *link)
{
	assert_int_equal(path_check_links(path), ERR_INVALID);
	assert_non_null(strstr(fail_why(), link));
	assert_int_equal(path_check_file(path), ERR_INVALID);
}

static void links_of_others_are_refused(void **state)
{
	(void)state;
	assert_int_equal(symlink("../own/file", in("open/link")), 0);
	assert_int_equal(symlink(in("own"), in("open/directory")), 0);
	refused(in("open/link"), in("open/link"));
	refused(in("open/directory/file"), in("open/directory"));
	refused(in("open//./directory/deep/../file"), "directory");
	/* Over a link of ours that leads to theirs; and over one to ours that passes theirs. */
	assert_int_equal(symlink("../open/link", in("own/twice")), 0);
	refused(in("own/twice"), in("own/../open/link"));
	assert_int_equal(symlink("../open/directory/file", in("own/through")), 0);
	refused(in("own/through"), "open/directory");
	/* What isn't there behind it may be soon. */
	assert_int_equal(symlink("nowhere", in("open/dangling")), 0);
	assert_int_equal(path_check_links(in("open/dangling")), ERR_INVALID);

	/* A group that isn't ours, and a directory of somebody else, are others too. */
	assert_int_equal(chmod(in("open"), 0775), 0);
	if (getuid() == 0) {
		assert_int_equal(path_check_links(in("open/link")), OK);
		assert_int_equal(chown(in("open"), 0, NOBODY), 0);
		refused(in("open/link"), in("open/link"));
		assert_int_equal(chmod(in("open"), 0755), 0);
		assert_int_equal(path_check_links(in("open/link")), OK);
		assert_int_equal(chown(in("open"), NOBODY, 0), 0);
		refused(in("open/link"), in("open/link"));
		/* Sticky: one's own links are one's own. */
		assert_int_equal(chown(in("open"), 0, 0), 0);
		assert_int_equal(chmod(in("open"), 01777), 0);
		assert_int_equal(path_check_links(in("open/link")), OK);
		assert_int_equal(lchown(in("open/link"), NOBODY, NOBODY), 0);
		refused(in("open/link"), in("open/link"));
	}
}

static void own_links_are_followed(void **state)
{
	(void)state;
	assert_int_equal(symlink("file", in("own/link")), 0);
	assert_int_equal(symlink("own", in("short")), 0);
	assert_int_equal(symlink("loop", in("own/loop")), 0);
	assert_int_equal(path_check_file(in("own/link")), OK);
	assert_int_equal(path_check_file(in("short/link")), OK);
	assert_int_equal(path_check_links(in("own/loop")), OK);
	assert_int_equal(path_check_links(in("nothing/at/all")), OK);
	assert_int_equal(path_check_links(""), OK);
	assert_int_equal(path_check_links("/"), OK);
	assert_int_equal(path_check_links("."), OK);
	/* A file as such, in whosever directory, isn't asked about. */
	assert_int_equal(path_check_links(in("open/file")), OK);
}

static void files_that_are_none(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in("own/fifo"), 0600), 0);
	assert_int_equal(path_check_file(in("own/fifo")), ERR_INVALID);
	assert_int_equal(path_check_file(in("own/deep")), ERR_INVALID);
	assert_int_equal(path_check_file(in("own/missing")), ERR_NOT_FOUND);
	assert_int_equal(chmod(in("own/file"), 0602), 0);
	assert_int_equal(path_check_file(in("own/file")), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "chmod o-w"));
}

/* Whether it can be opened, and is read as what it is. */
static enum error opens(const char *path)
{
	int fd;
	enum error result = path_open(path, &fd);
	assert_int_equal(result == OK, fd >= 0);
	if (fd >= 0)
		close(fd);
	return result;
}

static void *swap(void *context)
{
	atomic_bool *stop = context;
	while (!atomic_load(stop)) {
		/* A file of theirs, and a link to what they may not read, in one place by turns. */
		if (rename(in("open/theirs"), in("open/place")) ||
		    symlink(in("own/file"), in("open/leads")) ||
		    rename(in("open/leads"), in("open/place")))
			break;
		close(open(in("open/theirs"), O_CREAT | O_WRONLY, 0600));
	}
	return NULL;
}

static void path_open_follows_none(void **state)
{
	(void)state;
	struct stat secret, got;
	assert_int_equal(symlink("file", in("own/link")), 0);
	assert_int_equal(symlink("../own/file", in("open/link")), 0);
	assert_int_equal(mkfifo(in("own/fifo"), 0600), 0);
	assert_int_equal(opens(in("own/file")), OK);
	assert_int_equal(opens(in("own/link")), OK);
	assert_int_equal(opens(in("own/../own//link")), OK);
	assert_int_equal(opens(in("open/link")), ERR_INVALID);
	assert_int_equal(opens(in("own/fifo")), ERR_INVALID);
	assert_int_equal(opens(in("own/deep")), ERR_INVALID);
	assert_int_equal(opens(in("own/missing")), ERR_NOT_FOUND);
	assert_int_equal(opens(in("own/file/missing")), ERR_NOT_FOUND);

	/* Between a look and the opening somebody else puts a link there. */
	atomic_bool stop = false;
	pthread_t thread;
	assert_int_equal(stat(in("own/file"), &secret), 0);
	close(open(in("open/theirs"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(pthread_create(&thread, NULL, swap, &stop), 0);
	char place[128];
	snprintf(place, sizeof place, "%s/open/place", home);
	for (int i = 0; i < 20000; i++) {
		int fd;
		if (path_open(place, &fd))
			continue;
		assert_int_equal(fstat(fd, &got), 0);
		assert_int_not_equal(got.st_ino, secret.st_ino);
		close(fd);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_HOME(links_of_others_are_refused),
		IN_HOME(own_links_are_followed),
		IN_HOME(files_that_are_none),
		IN_HOME(path_open_follows_none),
	};
	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
