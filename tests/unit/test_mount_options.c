/* What -o takes: its own options, and what mount(8), fstab and systemd put there for others. */
#include "cli/mount_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[512];

static enum error read_options(const char *given, struct mount_options *out)
{
	*out = (struct mount_options){0};
	snprintf(text, sizeof text, "%s", given);
	return mount_options_read(text, false, out);
}

static void takes_its_own(void **state)
{
	(void)state;
	struct mount_options options;
	assert_int_equal(
		read_options("key=/k.pem,passphrase-file=/p,sealed,ro,threads=7", &options), OK);
	assert_string_equal(options.key_uri, "/k.pem");
	assert_string_equal(options.passphrase_file, "/p");
	assert_true(options.sealed && options.read_only && !options.allow_other);
	assert_int_equal(options.threads, 7);
	assert_int_equal(read_options("max-retrievals=100/h", &options), OK);
	assert_int_equal(options.max_retrievals, 100);
	assert_false(options.strict_identity);
	assert_null(options.recipients);
	assert_int_equal(read_options("recipients=/etc/escrow.pem", &options), OK);
	assert_string_equal(options.recipients, "/etc/escrow.pem");
	assert_int_equal(read_options("identity=strict", &options), OK);
	assert_true(options.strict_identity);
	assert_int_equal(read_options("ro,rw,allow_other", &options), OK);
	assert_true(options.allow_other && !options.read_only);
	assert_true(!options.user && !options.default_permissions);
	assert_int_equal(read_options("setuid=escrow,default_permissions", &options), OK);
	assert_string_equal(options.user, "escrow");
	assert_true(options.default_permissions);
}

static void keeps_commas_in_values(void **state)
{
	(void)state;
	struct mount_options options;
	assert_int_equal(read_options("key=pkcs11:a\\,b,ro", &options), OK);
	assert_string_equal(options.key_uri, "pkcs11:a,b");
	assert_true(options.read_only);
	assert_int_equal(read_options("key=\"pkcs11:a,b\",ro", &options), OK);
	assert_string_equal(options.key_uri, "pkcs11:a,b");
	assert_true(options.read_only);
}

static void reads_over_what_is_for_others(void **state)
{
	(void)state;
	struct mount_options options;
	static const char *const others[] = {
		"",
		",,",
		"defaults",
		"rw,nosuid,nodev,noexec,relatime",
		"dev,suid,exec,drop_privileges",
		"noauto,user,user=joe,users,nofail,_netdev,auto,owner,group",
		"x-systemd.automount,x-systemd.requires=a.service,x-gvfs-hide",
		"X-mount.mkdir,comment=a",
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_int_equal(read_options(others[i], &options), OK);
		assert_memory_equal(&options, &(struct mount_options){0}, sizeof options);
	}
}

static void names_what_it_refuses(void **state)
{
	(void)state;
	struct mount_options options;
	static const struct {
		const char *given, *names;
	} wrong[] = {
		{"ro,bogus,rw", "`bogus`"},
		{"keys=x", "`keys=x`"},
		{"sealedx", "`sealedx`"},
		{"ro=1", "`ro=1`"},
		{"key=", "key="},
		{"key", "`key`"},
		{"threads=0", "threads=0"},
		{"threads=65", "threads=65"},
		{"threads=2x", "threads=2x"},
		{"threads=-1", "threads=-1"},
		{"threads=99999999999999999999", "threads=99999999999999999999"},
		{"identity=lax", "identity=lax"},
		{"max-retrievals=100", "max-retrievals=100"},
		{"max-retrievals=0/h", "max-retrievals=0/h"},
		{"max-retrievals=-5/h", "max-retrievals=-5/h"},
		{"max-retrievals=5/m", "max-retrievals=5/m"},
		{"max-retrievals=5/hour", "max-retrievals=5/hour"},
		{"max-retrievals=1000001/h", "max-retrievals=1000001/h"},
		{"max-retrievals=/h", "max-retrievals=/h"},
		{"max-retrievals=", "max-retrievals="},
		{"remount,ro", "remount"},
		{"passphrase=secret", "passphrase"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(read_options(wrong[i].given, &options), ERR_INVALID);
		assert_non_null(strstr(fail_why(), wrong[i].names));
	}
}

static void sloppy_reads_over_anything_unknown(void **state)
{
	(void)state;
	struct mount_options options = {0};
	char given[] = "bogus,ro,other=1", wrong[] = "threads=0";
	assert_int_equal(mount_options_read(given, true, &options), OK);
	assert_true(options.read_only);
	assert_int_equal(mount_options_read(wrong, true, &options), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_its_own),
		cmocka_unit_test(keeps_commas_in_values),
		cmocka_unit_test(reads_over_what_is_for_others),
		cmocka_unit_test(names_what_it_refuses),
		cmocka_unit_test(sloppy_reads_over_anything_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
