/* Private keys: which are taken and which refused, passphrases, and the making of new ones. */
#include "seal_fixture.h"

#include "seal/inside.h"
#include "seal/wipe.h"

#include <openssl/x509v3.h>

#include <errno.h>
#include <time.h>

static enum error try_load(const char *uri, const char *passphrase_file, const char *outside_of)
{
	SCOPED(seal_key_scoped) struct seal_key *key = NULL;
	enum error result = seal_key_load(uri, passphrase_file, outside_of, &key);
	assert_int_equal(result == OK, key != NULL);
	return result;
}

/* Makes a key file, and forgets its certificate. */
static const char *make_key(enum seal_key_kind kind, const char *name, const char *passphrase_file)
{
	SCOPED(bytes_free) struct bytes der = {0};
	const char *path = in_dir(name);
	unlink(path);
	assert_int_equal(seal_key_make(kind, "somebody", path, passphrase_file, &der), OK);
	return path;
}

static void assert_why(const char *words)
{
	if (!strstr(fail_why(), words))
		fail_msg("\"%s\" doesn't say \"%s\"", fail_why(), words);
}

/* Opens what is sealed to the certificate? */
static bool opens(const struct seal_key *key, const struct bytes *certificate)
{
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	SCOPED(bytes_free) struct bytes blob = {0};
	SCOPED(secret_free) struct secret content = {0};
	assert_int_equal(recipients_new(&recipients), OK);
	assert_int_equal(recipients_add(recipients, certificate->data, certificate->len), OK);
	assert_int_equal(seal_close(recipients, "something", 9, &blob), OK);
	return seal_open(key, blob.data, blob.len, &content) == OK && content.len == 9 &&
	       memcmp(content.data, "something", 9) == 0;
}

/* ---- making ---- */

static void make_and_load(enum seal_key_kind kind, int bits, uint32_t usage)
{
	SCOPED(bytes_free) struct bytes der = {0}, beside = {0};
	const char *path = in_dir("made.pem");
	unlink(path);
	mode_t old = umask(0);
	assert_int_equal(seal_key_make(kind, "a name", path, NULL, &der), OK);
	umask(old);
	struct stat about;
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_mode, S_IFREG | 0600);

	SCOPED(seal_key_scoped) struct seal_key *key = load(path);
	assert_int_equal(EVP_PKEY_get_bits(key->key), bits);
	assert_int_equal(seal_key_certificate(key, "another name", &beside), OK);
	assert_int_equal(beside.len, der.len);
	assert_memory_equal(beside.data, der.data, der.len);
	assert_true(opens(key, &der));

	X509 *certificate = key->certificate;
	char name[64];
	X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
				  sizeof name);
	assert_string_equal(name, "a name");
	assert_int_equal(X509_get_version(certificate), X509_VERSION_3);
	assert_int_equal(X509_get_key_usage(certificate), usage);
	assert_non_null(X509_get0_subject_key_id(certificate));
	assert_int_equal(X509_verify(certificate, key->key), 1);
	assert_true(ASN1_STRING_length(X509_get0_serialNumber(certificate)) == 16);
	time_t later = time(NULL) + INT64_C(3650) * 86400, latest = later + 3 * 86400;
	assert_int_equal(X509_cmp_time(X509_get0_notAfter(certificate), &later), 1);
	assert_int_equal(X509_cmp_time(X509_get0_notAfter(certificate), &latest), -1);
}

static void make_daily(void **state)
{
	(void)state;
	make_and_load(SEAL_KEY_DAILY, 256, KU_KEY_AGREEMENT);
}

static void make_recovery(void **state)
{
	(void)state;
	make_and_load(SEAL_KEY_RECOVERY, 3072, KU_KEY_ENCIPHERMENT);
}

static void make_never_overwrites(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes der = {0};
	const char *path = write_text("there.pem", "precious", 0600);
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, "x", path, NULL, &der), ERR_EXISTS);
	assert_why("there.pem");
	SCOPED(bytes_free) struct bytes still = read_file(path);
	assert_string_equal((char *)still.data, "precious");

	const char *link = in_dir("link.pem");
	assert_int_equal(symlink(in_dir("elsewhere.pem"), link), 0);
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, "x", link, NULL, &der), ERR_EXISTS);
	assert_int_equal(access(in_dir("elsewhere.pem"), F_OK), -1);
}

static void make_leaves_nothing(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes der = {0};
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, "x", in_dir("none/key.pem"), NULL, &der),
			 ERR_NOT_FOUND);
	assert_int_equal(
		seal_key_make(SEAL_KEY_DAILY, "x", in_dir("made2.pem"), in_dir("none"), &der),
		ERR_NO_KEY);
	assert_int_equal(access(in_dir("made2.pem"), F_OK), -1);
	/* A name that no certificate takes: 64 characters are the most. */
	char name[100];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, name, in_dir("made2.pem"), NULL, &der),
			 ERR_INVALID);
	assert_int_equal(access(in_dir("made2.pem"), F_OK), -1);
}

/* ---- files ---- */

static void key_world_readable_refused(void **state)
{
	(void)state;
	const char *path = make_key(SEAL_KEY_DAILY, "open.pem", NULL);
	static const mode_t bad[] = {0604, 0644, 0602, 0601, 0666, 0777};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(chmod(path, bad[i]), 0);
		assert_int_equal(try_load(path, NULL, NULL), ERR_INVALID);
		assert_why("chmod o=");
		char uri[300];
		snprintf(uri, sizeof uri, "file:%s", path);
		assert_int_equal(try_load(uri, NULL, NULL), ERR_INVALID);
	}
	static const mode_t good[] = {0600, 0400, 0640, 0440, 0660};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(chmod(path, good[i]), 0);
		assert_int_equal(try_load(path, NULL, NULL), OK);
	}
}

static void key_inside_directory_refused(void **state)
{
	(void)state;
	assert_int_equal(shell("mkdir -p store/sub storeroom && ln -s store alias"), 0);
	make_key(SEAL_KEY_DAILY, "store/key.pem", NULL);
	make_key(SEAL_KEY_DAILY, "store/sub/key.pem", NULL);
	make_key(SEAL_KEY_DAILY, "storeroom/key.pem", NULL);
	assert_int_equal(shell("ln -s store/key.pem outside.pem; ln -s ../storeroom/key.pem "
			       "store/leads-out.pem"),
			 0);
	static const char *const inside[] = {
		"store/key.pem", "store/sub/key.pem",	   "outside.pem",
		"alias/key.pem", "store/../store/key.pem", "storeroom/../store/sub/key.pem"};
	const char *store = in_dir("store");
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		char uri[300];
		snprintf(uri, sizeof uri, "file://%s", in_dir(inside[i]));
		assert_int_equal(try_load(in_dir(inside[i]), NULL, store), ERR_INVALID);
		assert_why("store");
		assert_int_equal(try_load(uri, NULL, store), ERR_INVALID);
		assert_int_equal(try_load(in_dir(inside[i]), NULL, in_dir("alias")), ERR_INVALID);
		assert_int_equal(try_load(in_dir(inside[i]), NULL, NULL), OK);
	}
	assert_int_equal(try_load(in_dir("storeroom/key.pem"), NULL, store), OK);
	assert_int_equal(try_load(in_dir("store/../storeroom/key.pem"), NULL, store), OK);
	assert_int_equal(try_load(in_dir("store/leads-out.pem"), NULL, store), OK);
}

static void path_inside(void **state)
{
	(void)state;
	assert_int_equal(shell("mkdir -p in/deep out && ln -s in ln && touch in/file"), 0);
	const char *dir = in_dir("in");
	assert_true(seal_path_inside(in_dir("in/file"), dir));
	assert_true(seal_path_inside(in_dir("in"), dir));
	assert_true(seal_path_inside(in_dir("in/"), dir));
	assert_true(seal_path_inside(in_dir("in/not-yet"), dir));
	assert_true(seal_path_inside(in_dir("in/not/yet/there"), dir));
	assert_true(seal_path_inside(in_dir("ln/not-yet"), dir));
	assert_true(seal_path_inside(in_dir("in/x"), in_dir("ln")));
	assert_true(seal_path_inside(in_dir("out/../in/x"), dir));
	assert_true(seal_path_inside(in_dir("out/x"), "/"));
	assert_false(seal_path_inside(in_dir("out/x"), dir));
	assert_false(seal_path_inside(in_dir("in.key.pem"), dir));
	assert_false(seal_path_inside(in_dir("in/../out/x"), dir));
	assert_false(seal_path_inside(in_dir("x"), dir));
	/* A directory that isn't there yet either. */
	assert_true(seal_path_inside(in_dir("new/x"), in_dir("new")));
	assert_false(seal_path_inside(in_dir("new.key.pem"), in_dir("new")));
	/* Relative to the working directory. */
	char old[256];
	assert_non_null(getcwd(old, sizeof old));
	assert_int_equal(chdir(dir), 0);
	assert_true(seal_path_inside("x", dir));
	assert_true(seal_path_inside("./x", "."));
	assert_false(seal_path_inside("../x", "."));
	assert_int_equal(chdir(old), 0);
}

static void key_no_such_file(void **state)
{
	(void)state;
	assert_int_equal(try_load(in_dir("no.pem"), NULL, NULL), ERR_NOT_FOUND);
	assert_why("no.pem");
	assert_int_equal(try_load(in_dir("no/no.pem"), NULL, NULL), ERR_NOT_FOUND);
	assert_int_equal(try_load("", NULL, NULL), ERR_NOT_FOUND);
	assert_int_equal(try_load(help_dir, NULL, NULL), ERR_INVALID);
	assert_int_equal(shell("mkfifo -m 600 fifo"), 0);
	assert_int_equal(try_load(in_dir("fifo"), NULL, NULL), ERR_INVALID);
	assert_int_equal(try_load("nosuchscheme:key", NULL, NULL), ERR_NO_KEY);
	assert_why("openssl.cnf");
}

static void key_not_readable(void **state)
{
	(void)state;
	const char *path = make_key(SEAL_KEY_DAILY, "mine.pem", NULL);
	assert_int_equal(chmod(help_dir, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	else
		assert_int_equal(chmod(path, 0), 0);
	enum error result = try_load(path, NULL, NULL);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(result, ERR_ACCESS);
}

static void key_of_no_use(void **state)
{
	(void)state;
	write_text("words.pem", "not a key at all\n", 0600);
	assert_int_equal(try_load(in_dir("words.pem"), NULL, NULL), ERR_NO_KEY);
	assert_why("words.pem");
	write_text("empty.pem", "", 0600);
	assert_int_equal(try_load(in_dir("empty.pem"), NULL, NULL), ERR_NO_KEY);
	make_key(SEAL_KEY_DAILY, "whole.pem", NULL);
	assert_int_equal(shell("umask 077; openssl x509 -in whole.pem -out cert-only.pem;"
			       "openssl pkey -in whole.pem -pubout -out pub-only.pem;"
			       "openssl genpkey -algorithm ed25519 -out ed.pem"),
			 0);
	assert_int_equal(try_load(in_dir("cert-only.pem"), NULL, NULL), ERR_NO_KEY);
	assert_int_equal(try_load(in_dir("pub-only.pem"), NULL, NULL), ERR_NO_KEY);
	assert_int_equal(try_load(in_dir("ed.pem"), NULL, NULL), ERR_NO_KEY);
	assert_why("neither");
}

static void key_in_many_forms(void **state)
{
	(void)state;
	make_key(SEAL_KEY_DAILY, "forms.pem", NULL);
	write_text("forms.pass", "word\n", 0600);
	assert_int_equal(
		shell("umask 077; openssl pkey -in forms.pem -outform DER -out forms.der;"
		      "openssl pkey -in forms.pem -traditional -out forms.old;"
		      "{ openssl x509 -in forms.pem; cat forms.old; } >forms.reversed;"
		      "openssl pkey -in forms.pem -aes256 -passout pass:word -out forms.enc;"
		      "openssl pkcs12 -export -in forms.pem -passout pass:word -out forms.p12"),
		0);
	SCOPED(bytes_free) struct bytes certificate = {0};
	assert_int_equal(seal_certificate_read(in_dir("forms.pem"), &certificate), OK);
	static const struct {
		const char *name;
		bool with_certificate;
	} forms[] = {{"forms.pem", true},      {"forms.der", false}, {"forms.old", false},
		     {"forms.reversed", true}, {"forms.enc", false}, {"forms.p12", true}};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		SCOPED(seal_key_scoped) struct seal_key *key = NULL;
		if (seal_key_load(in_dir(forms[i].name), in_dir("forms.pass"), NULL, &key) != OK)
			fail_msg("%s: %s", forms[i].name, fail_why());
		assert_true(opens(key, &certificate));
		assert_int_equal(key->certificate != NULL, forms[i].with_certificate);
	}
}

/* Somebody else's certificate beside a key isn't the key's. */
static void key_certificate_must_fit(void **state)
{
	(void)state;
	make_key(SEAL_KEY_DAILY, "one.pem", NULL);
	make_key(SEAL_KEY_DAILY, "two.pem", NULL);
	assert_int_equal(
		shell("umask 077; { openssl x509 -in two.pem; openssl pkey -in one.pem; } "
		      ">wrong.pem; { cat wrong.pem; openssl x509 -in one.pem; } >both.pem"),
		0);
	SCOPED(seal_key_scoped) struct seal_key *wrong = load(in_dir("wrong.pem"));
	assert_null(wrong->certificate);
	SCOPED(seal_key_scoped) struct seal_key *both = load(in_dir("both.pem"));
	SCOPED(bytes_free) struct bytes mine = {0}, found = {0};
	assert_int_equal(seal_certificate_read(in_dir("one.pem"), &mine), OK);
	assert_int_equal(seal_key_certificate(both, "x", &found), OK);
	assert_int_equal(found.len, mine.len);
	assert_memory_equal(found.data, mine.data, mine.len);
}

static void key_signs_its_own(void **state)
{
	(void)state;
	static const enum seal_key_kind kinds[] = {SEAL_KEY_DAILY, SEAL_KEY_RECOVERY};
	for (size_t i = 0; i < 2; i++) {
		make_key(kinds[i], "with.pem", NULL);
		assert_int_equal(shell("umask 077; openssl pkey -in with.pem -out bare.pem"), 0);
		SCOPED(seal_key_scoped) struct seal_key *key = load(in_dir("bare.pem"));
		SCOPED(bytes_free) struct bytes der = {0};
		assert_int_equal(seal_key_certificate(key, "bare", &der), OK);
		assert_true(opens(key, &der));
	}
}

static void key_finds_its_recipient(void **state)
{
	(void)state;
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	assert_int_equal(recipients_new(&recipients), OK);
	static const char *const names[] = {"r0.pem", "r1.pem", "r2.pem"};
	for (size_t i = 0; i < 3; i++) {
		SCOPED(bytes_free) struct bytes der = {0};
		make_key(SEAL_KEY_DAILY, names[i], NULL);
		assert_int_equal(seal_certificate_read(in_dir(names[i]), &der), OK);
		assert_int_equal(recipients_add(recipients, der.data, der.len), OK);
	}
	make_key(SEAL_KEY_DAILY, "stranger.pem", NULL);
	SCOPED(seal_key_scoped) struct seal_key *stranger = load(in_dir("stranger.pem"));
	assert_int_equal(seal_key_recipient(stranger, recipients), -1);
	SCOPED(seal_key_scoped) struct seal_key *second = load(in_dir("r1.pem"));
	assert_int_equal(seal_key_recipient(second, recipients), 1);

	assert_int_equal(shell("umask 077; openssl pkey -in r2.pem -out r2-bare.pem"), 0);
	SCOPED(seal_key_scoped) struct seal_key *bare = load(in_dir("r2-bare.pem"));
	assert_null(bare->certificate);
	assert_int_equal(seal_key_recipient(bare, recipients), 2);
	assert_non_null(bare->certificate);
}

/* ---- passphrases ---- */

static void passphrase_from_file(void **state)
{
	(void)state;
	uint8_t word[NEEDLE + 1];
	needle_put(word);
	word[NEEDLE] = '\n';
	write_file("pass", word, sizeof word, 0600);
	secret_wipe(word, sizeof word);
	make_key(SEAL_KEY_DAILY, "locked.pem", in_dir("pass"));
	assert_int_equal(shell("grep -q 'BEGIN ENCRYPTED PRIVATE KEY' locked.pem"), 0);
	assert_int_equal(shell("openssl asn1parse -in locked.pem | grep -q aes-256-cbc"), 0);

	SCOPED(seal_key_scoped) struct seal_key *key = NULL;
	assert_int_equal(seal_key_load(in_dir("locked.pem"), in_dir("pass"), NULL, &key), OK);
	if (wipe_frees())
		assert_int_equal(needles(), 0); /* it is wiped */
	assert_int_equal(shell("openssl pkey -in locked.pem -passin file:pass -noout"), 0);

	assert_int_equal(try_load(in_dir("locked.pem"), NULL, NULL), ERR_NO_KEY);
	assert_why("passphrase-file");
	assert_why("locked.pem");
	write_text("wrong", "something else\n", 0600);
	assert_int_equal(try_load(in_dir("locked.pem"), in_dir("wrong"), NULL), ERR_NO_KEY);
	assert_why("wrong");
}

static void passphrase_is_the_first_line(void **state)
{
	(void)state;
	write_text("p1", "first line", 0600);
	make_key(SEAL_KEY_DAILY, "line.pem", in_dir("p1"));
	static const struct {
		const char *text;
		enum error verdict;
	} rows[] = {{"first line", OK},
		    {"first line\n", OK},
		    {"first line\nsecond\n", OK},
		    {"first line \n", ERR_NO_KEY},
		    {"\nfirst line\n", ERR_NO_KEY},
		    {"", ERR_NO_KEY}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		write_text("p2", rows[i].text, 0600);
		if (try_load(in_dir("line.pem"), in_dir("p2"), NULL) != rows[i].verdict)
			fail_msg("row %zu", i);
	}
	char long_line[2000];
	memset(long_line, 'x', sizeof long_line);
	write_file("p2", long_line, sizeof long_line, 0600);
	assert_int_equal(try_load(in_dir("line.pem"), in_dir("p2"), NULL), ERR_NO_KEY);
	write_file("p2", long_line, 1023, 0600);
	make_key(SEAL_KEY_DAILY, "long.pem", in_dir("p2"));
	assert_int_equal(try_load(in_dir("long.pem"), in_dir("p2"), NULL), OK);
}

static void passphrase_file_must_be_private(void **state)
{
	(void)state;
	const char *pass = write_text("p3", "word\n", 0600);
	make_key(SEAL_KEY_DAILY, "private.pem", pass);
	assert_int_equal(chmod(pass, 0644), 0);
	assert_int_equal(try_load(in_dir("private.pem"), pass, NULL), ERR_NO_KEY);
	assert_why("chmod o=");
	assert_int_equal(chmod(pass, 0440), 0);
	assert_int_equal(try_load(in_dir("private.pem"), pass, NULL), OK);
	/* A missing one is no missing key: that may be passed over. */
	assert_int_equal(try_load(in_dir("private.pem"), in_dir("nowhere"), NULL), ERR_NO_KEY);
	assert_why("nowhere");
}

static void passphrase_from_credential(void **state)
{
	(void)state;
	assert_int_equal(shell("mkdir -m 700 creds"), 0);
	write_text("creds/escrowfs.passphrase", "word\n", 0400);
	make_key(SEAL_KEY_DAILY, "cred.pem", in_dir("creds/escrowfs.passphrase"));
	assert_int_equal(try_load(in_dir("cred.pem"), NULL, NULL), ERR_NO_KEY);
	setenv("CREDENTIALS_DIRECTORY", in_dir("creds"), 1);
	assert_int_equal(try_load(in_dir("cred.pem"), NULL, NULL), OK);
	write_text("p4", "not it\n", 0600);
	assert_int_equal(try_load(in_dir("cred.pem"), in_dir("p4"), NULL), ERR_NO_KEY);
	setenv("CREDENTIALS_DIRECTORY", in_dir("none"), 1);
	assert_int_equal(try_load(in_dir("cred.pem"), NULL, NULL), ERR_NO_KEY);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* A unit has the credential always, also where there is no passphrase. */
static void empty_credential_is_none(void **state)
{
	(void)state;
	assert_int_equal(shell("mkdir -m 700 empty"), 0);
	make_key(SEAL_KEY_DAILY, "plain.pem", NULL);
	setenv("CREDENTIALS_DIRECTORY", in_dir("empty"), 1);
	const char *texts[] = {"", "\n"};
	for (int i = 0; i < 2; i++) {
		write_text("empty/escrowfs.passphrase", texts[i], 0400);
		assert_int_equal(try_load(in_dir("plain.pem"), NULL, NULL), OK);
		assert_int_equal(try_load(in_dir("cred.pem"), NULL, NULL), ERR_NO_KEY);
	}
	/* Of a file that was named it is a mistake. */
	write_text("p5", "\n", 0600);
	assert_int_equal(try_load(in_dir("plain.pem"), in_dir("p5"), NULL), ERR_NO_KEY);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* ---- files that somebody else opened ---- */

static struct opened opened(const char *path)
{
	struct opened file = {.path = path, .fd = -1};
	if (*path) {
		file.error = path_open(path, &file.fd);
		file.why = file.error ? strdup(fail_why()) : NULL;
	}
	return file;
}

static enum error try_opened(const char *uri, const char *passphrase_file, const char *outside_of)
{
	char paths[2][PATH_MAX];
	SCOPED(seal_key_scoped) struct seal_key *key = NULL;
	seal_key_files(uri, passphrase_file, paths[0], paths[1]);
	struct opened files[] = {opened(paths[0]), opened(paths[1])};
	enum error result = OK;
	/* Twice: a descriptor that was read to its end is read from its start. */
	for (int i = 0; i < 2; i++) {
		seal_key_scoped(&key);
		result = seal_key_load_opened(uri, passphrase_file, &files[0], &files[1],
					      outside_of, &key);
		assert_int_equal(result == OK, key != NULL);
	}
	for (int i = 0; i < 2; i++) {
		close(files[i].fd);
		free((char *)files[i].why);
	}
	return result;
}

static void opened_files_are_held_to_the_same(void **state)
{
	(void)state;
	char uri[256];
	const char *plain = make_key(SEAL_KEY_DAILY, "handed.pem", NULL);
	assert_int_equal(try_opened(plain, NULL, NULL), OK);
	snprintf(uri, sizeof uri, "file:%s", plain);
	assert_int_equal(try_opened(uri, NULL, in_dir("creds")), OK);
	assert_int_equal(try_opened(plain, NULL, in_dir("")), ERR_INVALID);
	assert_why("may not lie in the store's directory");
	assert_int_equal(chmod(plain, 0604), 0);
	assert_int_equal(try_opened(plain, NULL, NULL), ERR_INVALID);
	assert_int_equal(try_opened(in_dir("nowhere.pem"), NULL, NULL), ERR_NOT_FOUND);
	assert_why("nowhere.pem");

	write_text("word", "a word\n", 0600);
	make_key(SEAL_KEY_DAILY, "locked2.pem", in_dir("word"));
	assert_int_equal(try_opened(in_dir("locked2.pem"), in_dir("word"), NULL), OK);
	assert_int_equal(try_opened(in_dir("locked2.pem"), NULL, NULL), ERR_NO_KEY);
	assert_int_equal(try_opened(in_dir("locked2.pem"), in_dir("nowhere"), NULL), ERR_NO_KEY);
	assert_why("nowhere");
	write_text("word2", "a word\n", 0604);
	assert_int_equal(try_opened(in_dir("locked2.pem"), in_dir("word2"), NULL), ERR_NO_KEY);
}

static void key_held_until_given_back(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes der = {0};
	unlink(in_dir("held.pem"));
	assert_int_equal(seal_key_make(SEAL_KEY_DAILY, "held", in_dir("held.pem"), NULL, &der), OK);
	struct seal_key *key = load(in_dir("held.pem"));
	struct seal_key *taken = seal_key_hold(key);
	seal_key_free(key);
	assert_true(opens(taken, &der));
	SCOPED(seal_key_scoped) struct seal_key *again = load(in_dir("held.pem"));
	assert_true(seal_key_same(taken, again));
	seal_key_free(taken);
	SCOPED(seal_key_scoped) struct seal_key *other = load(in_dir("plain.pem"));
	assert_false(seal_key_same(again, other));
	assert_null(seal_key_hold(NULL));
	seal_key_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(make_daily),
		cmocka_unit_test(make_recovery),
		cmocka_unit_test(make_never_overwrites),
		cmocka_unit_test(make_leaves_nothing),
		cmocka_unit_test(key_world_readable_refused),
		cmocka_unit_test(key_inside_directory_refused),
		cmocka_unit_test(path_inside),
		cmocka_unit_test(key_no_such_file),
		cmocka_unit_test(key_not_readable),
		cmocka_unit_test(key_of_no_use),
		cmocka_unit_test(key_in_many_forms),
		cmocka_unit_test(key_certificate_must_fit),
		cmocka_unit_test(key_signs_its_own),
		cmocka_unit_test(key_finds_its_recipient),
		cmocka_unit_test(passphrase_from_file),
		cmocka_unit_test(passphrase_is_the_first_line),
		cmocka_unit_test(passphrase_file_must_be_private),
		cmocka_unit_test(passphrase_from_credential),
		cmocka_unit_test(empty_credential_is_none),
		cmocka_unit_test(opened_files_are_held_to_the_same),
		cmocka_unit_test(key_held_until_given_back),
	};
	return cmocka_run_group_tests_name("seal: keys", tests, help_setup, help_teardown);
}
