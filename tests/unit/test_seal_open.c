/* Sealing and opening: the MUST clauses of seal.h, open.c, close.c and envelope.c. */
#include "seal_fixture.h"

#include "seal/envelope.h"
#include "seal/inside.h"
#include "seal/unwrap.h"
#include "seal/wipe.h"

#include <openssl/crypto.h>

#include <pthread.h>

#define HEAP ((size_t)1 << 20)
#define TEXT "<plist><dict><key>UDID</key><string>X</string></dict></plist>"
#define LEN (sizeof TEXT - 1)

/* A daily and a recovery key and their recipients; a stranger of each kind. */
static struct seal_key *daily, *recovery, *other_daily, *other_recovery;
static struct recipients *both, *only_daily, *only_recovery, *strangers;

static struct seal_key *make(enum seal_key_kind kind, const char *name, struct recipients *a,
			     struct recipients *b)
{
	SCOPED(bytes_free) struct bytes der = {0};
	assert_int_equal(seal_key_make(kind, name, in_dir(name), NULL, &der), OK);
	assert_int_equal(recipients_add(a, der.data, der.len), OK);
	if (b)
		assert_int_equal(recipients_add(b, der.data, der.len), OK);
	return load(in_dir(name));
}

static int setup(void **state)
{
	help_setup(state);
	recipients_new(&both);
	recipients_new(&only_daily);
	recipients_new(&only_recovery);
	recipients_new(&strangers);
	daily = make(SEAL_KEY_DAILY, "daily.pem", both, only_daily);
	recovery = make(SEAL_KEY_RECOVERY, "recovery.pem", both, only_recovery);
	other_daily = make(SEAL_KEY_DAILY, "other-daily.pem", strangers, NULL);
	other_recovery = make(SEAL_KEY_RECOVERY, "other-recovery.pem", strangers, NULL);
	return 0;
}

static int teardown(void **state)
{
	recipients_free(both);
	recipients_free(only_daily);
	recipients_free(only_recovery);
	recipients_free(strangers);
	seal_key_free(daily);
	seal_key_free(recovery);
	seal_key_free(other_daily);
	seal_key_free(other_recovery);
	return help_teardown(state);
}

/* The same private key, from a file without its certificate. */
static struct seal_key *bare(const char *name)
{
	assert_int_equal(shell("umask 077; openssl pkey -in %s -out bare.pem", name), 0);
	struct seal_key *key = load(in_dir("bare.pem"));
	assert_null(key->certificate);
	return key;
}

static struct bytes sealed(const struct recipients *recipients)
{
	struct bytes blob;
	assert_int_equal(seal_close(recipients, TEXT, LEN, &blob), OK);
	return blob;
}

/* Opens a blob; when that works it must be the text. */
static enum error opened(const struct seal_key *key, const uint8_t *blob, size_t len)
{
	SCOPED(secret_free) struct secret content = {0};
	enum error result = seal_open(key, blob, len, &content);
	if (result == OK) {
		assert_int_equal(content.len, LEN);
		assert_memory_equal(content.data, TEXT, LEN);
	} else {
		assert_null(content.data);
		assert_int_equal(content.len, 0);
	}
	return result;
}

/* ---- round trips ---- */

static void round_trip(const struct seal_key *key, const struct recipients *recipients)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 255, 256, 1000, 4096, 65536, 100001};
	SCOPED(bytes_free) struct bytes text = {0};
	for (size_t i = 0; i < 100001; i++)
		assert_int_equal(bytes_add(&text, &(uint8_t){(uint8_t)(i * 31 >> 3)}, 1), OK);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		SCOPED(bytes_free) struct bytes blob = {0};
		SCOPED(secret_free) struct secret content = {0};
		assert_int_equal(seal_close(recipients, text.data, sizes[i], &blob), OK);
		assert_int_equal(seal_open(key, blob.data, blob.len, &content), OK);
		assert_int_equal(content.len, sizes[i]);
		assert_memory_equal(content.data, text.data, sizes[i]);
	}
}

static void round_trip_daily(void **state)
{
	(void)state;
	round_trip(daily, only_daily);
}

static void round_trip_recovery(void **state)
{
	(void)state;
	round_trip(recovery, only_recovery);
}

static void round_trip_two_recipients(void **state)
{
	(void)state;
	round_trip(daily, both);
	round_trip(recovery, both);
}

static void round_trip_without_certificate(void **state)
{
	(void)state;
	SCOPED(seal_key_scoped) struct seal_key *bare_daily = bare("daily.pem");
	SCOPED(seal_key_scoped) struct seal_key *bare_recovery = bare("recovery.pem");
	round_trip(bare_daily, both);
	round_trip(bare_recovery, both);
}

/* A key that got a new certificate opens what was sealed under its old one. */
static void round_trip_with_new_certificate(void **state)
{
	(void)state;
	assert_int_equal(shell("umask 077; { openssl pkey -in daily.pem; openssl req -x509 -new "
			       "-key daily.pem -subj /CN=new; } >renewed.pem"),
			 0);
	SCOPED(seal_key_scoped) struct seal_key *renewed = load(in_dir("renewed.pem"));
	assert_non_null(renewed->certificate);
	SCOPED(bytes_free) struct bytes blob = sealed(both);
	assert_int_equal(opened(renewed, blob.data, blob.len), OK);
}

static void seal_twice_differs(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes a = sealed(both), b = sealed(both);
	struct envelope one, other;
	assert_int_equal(envelope_read(a.data, a.len, &one), OK);
	assert_int_equal(envelope_read(b.data, b.len, &other), OK);
	assert_int_equal(one.ciphertext.left, other.ciphertext.left);
	assert_memory_not_equal(one.nonce.at, other.nonce.at, ENVELOPE_NONCE);
	assert_memory_not_equal(one.ciphertext.at, other.ciphertext.at, one.ciphertext.left);
	struct envelope_recipient part, part2;
	while (one.recipients.left) {
		assert_int_equal(envelope_next(&one.recipients, &part), OK);
		assert_int_equal(envelope_next(&other.recipients, &part2), OK);
		assert_int_equal(part.key.left, part2.key.left);
		assert_memory_not_equal(part.key.at, part2.key.at, part.key.left);
	}
}

static void seal_needs_recipients(void **state)
{
	(void)state;
	SCOPED(recipients_scoped) struct recipients *none = NULL;
	struct bytes blob;
	assert_int_equal(recipients_new(&none), OK);
	assert_int_equal(seal_close(none, TEXT, LEN, &blob), ERR_INVALID);
	assert_null(blob.data);

	SCOPED(bytes_free) struct bytes two = sealed(both);
	struct envelope envelope;
	struct envelope_recipient part;
	int kinds[2] = {0};
	assert_int_equal(envelope_read(two.data, two.len, &envelope), OK);
	while (envelope.recipients.left) {
		assert_int_equal(envelope_next(&envelope.recipients, &part), OK);
		kinds[part.kind]++;
	}
	assert_int_equal(kinds[RECIPIENT_EC], 1);
	assert_int_equal(kinds[RECIPIENT_RSA], 1);
}

/* ---- not ours, or damaged ---- */

static void open_needs_the_key(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both), foreign = sealed(strangers);
	SCOPED(seal_key_scoped) struct seal_key *bare_daily = bare("daily.pem");
	SCOPED(seal_key_scoped) struct seal_key *bare_recovery = bare("recovery.pem");
	assert_int_equal(opened(other_daily, blob.data, blob.len), ERR_NO_KEY);
	assert_int_equal(opened(other_recovery, blob.data, blob.len), ERR_NO_KEY);
	assert_int_equal(opened(daily, foreign.data, foreign.len), ERR_NO_KEY);
	assert_int_equal(opened(recovery, foreign.data, foreign.len), ERR_NO_KEY);
	assert_int_equal(opened(bare_daily, foreign.data, foreign.len), ERR_NO_KEY);
	assert_int_equal(opened(bare_recovery, foreign.data, foreign.len), ERR_NO_KEY);
	assert_non_null(strstr(fail_why(), "key"));
	assert_int_equal(opened(other_daily, foreign.data, foreign.len), OK);
	assert_int_equal(opened(other_recovery, foreign.data, foreign.len), OK);
}

static size_t offset_of(const struct bytes *blob, const struct der *part)
{
	return (size_t)(part->at - blob->data);
}

/* No bit may turn and give another text; none of cipher, nonce, content and tag may turn at all. */
static void flip_all(const struct seal_key *key, const struct recipients *recipients, int bits)
{
	SCOPED(bytes_free) struct bytes blob = sealed(recipients);
	struct envelope envelope;
	assert_int_equal(envelope_read(blob.data, blob.len, &envelope), OK);
	size_t sensitive = offset_of(&blob, &envelope.nonce);
	for (size_t i = 0; i < blob.len; i++) {
		for (int bit = 0; bit < bits; bit++) {
			int turned = bits == 1 ? (int)(i % 8) : bit;
			blob.data[i] ^= (uint8_t)(1 << turned);
			enum error result = opened(key, blob.data, blob.len);
			if (i >= sensitive && result != ERR_BAD_SEAL)
				fail_msg("byte %zu, bit %d: %s", i, turned, error_name(result));
			if (result != OK && result != ERR_BAD_SEAL && result != ERR_NO_KEY)
				fail_msg("byte %zu, bit %d: %s", i, turned, error_name(result));
			blob.data[i] ^= (uint8_t)(1 << turned);
		}
	}
	assert_int_equal(opened(key, blob.data, blob.len), OK);
}

static void open_refuses_flipped_bit(void **state)
{
	(void)state;
	flip_all(daily, only_daily, 8);
	flip_all(daily, both, 1);
	flip_all(recovery, only_recovery, 1);
}

/* With its certificate known, a damaged part is told from another's. */
static void open_tells_damaged_from_foreign(void **state)
{
	(void)state;
	const struct seal_key *keys[] = {daily, recovery};
	for (size_t i = 0; i < 2; i++) {
		SCOPED(bytes_free) struct bytes blob = sealed(both);
		struct envelope envelope;
		struct envelope_recipient part;
		assert_int_equal(envelope_read(blob.data, blob.len, &envelope), OK);
		do {
			assert_int_equal(envelope_next(&envelope.recipients, &part), OK);
		} while (part.kind != (i == 0 ? RECIPIENT_EC : RECIPIENT_RSA));
		blob.data[offset_of(&blob, &part.key) + 7] ^= 0x10;
		assert_int_equal(opened(keys[i], blob.data, blob.len), ERR_BAD_SEAL);
	}
}

static void open_refuses_cut_and_longer(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both);
	for (size_t n = 0; n < blob.len; n++)
		assert_int_equal(opened(daily, blob.data, n), ERR_BAD_SEAL);
	assert_int_equal(bytes_add(&blob, "", 1), OK);
	assert_int_equal(opened(daily, blob.data, blob.len), ERR_BAD_SEAL);
	assert_int_equal(opened(daily, (const uint8_t *)"", 0), ERR_BAD_SEAL);
	assert_int_equal(opened(daily, (const uint8_t *)"no DER at all", 13), ERR_BAD_SEAL);
}

/* One content can't be put under another seal's keys. */
static void open_refuses_spliced(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes a = sealed(only_daily), b = sealed(only_daily);
	struct envelope from, to;
	assert_int_equal(a.len, b.len);
	assert_int_equal(envelope_read(a.data, a.len, &from), OK);
	assert_int_equal(envelope_read(b.data, b.len, &to), OK);
	size_t content = offset_of(&b, &to.nonce);
	memcpy(b.data + content, a.data + content, b.len - content);
	assert_int_equal(opened(daily, b.data, b.len), ERR_BAD_SEAL);
}

/* ---- shapes ---- */

/* Seals TEXT with the openssl command; what it wrote. */
static struct bytes by_openssl(const char *options)
{
	write_text("text", TEXT, 0600);
	assert_int_equal(
		shell("openssl cms -encrypt -binary -outform DER -in text -out theirs %s", options),
		0);
	return read_file(in_dir("theirs"));
}

static void open_takes_openssls_own(void **state)
{
	(void)state;
	SCOPED(bytes_free)
	struct bytes ec = by_openssl("-aes-256-gcm -recip daily.pem -keyopt ecdh_kdf_md:sha256");
	assert_int_equal(opened(daily, ec.data, ec.len), OK);
	SCOPED(bytes_free)
	struct bytes rsa = by_openssl("-aes-256-gcm -recip recovery.pem -keyopt "
				      "rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -keyopt "
				      "rsa_mgf1_md:sha256");
	assert_int_equal(opened(recovery, rsa.data, rsa.len), OK);
}

static void openssl_takes_ours(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both), pem = {0};
	write_file("ours", blob.data, blob.len, 0600);
	assert_int_equal(seal_armor(blob.data, blob.len, &pem), OK);
	write_file("ours.pem", pem.data, pem.len, 0600);
	write_text("text", TEXT, 0600);
	static const char *const keys[] = {"daily.pem", "recovery.pem"};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(shell("openssl cms -decrypt -inform DER -in ours -inkey %s | "
				       "cmp - text",
				       keys[i]),
				 0);
		assert_int_equal(shell("openssl cms -decrypt -inform PEM -in ours.pem -inkey %s "
				       "-recip %s | cmp - text",
				       keys[i], keys[i]),
				 0);
	}
}

/* The last length octet of the element whose content starts here. */
static void one_shorter(struct bytes *blob, const struct der *part)
{
	size_t at = offset_of(blob, part);
	for (uint8_t *length = &blob->data[at - 1];; length--) {
		if ((*length)--)
			break;
	}
}

/* A seal whose tag lost its last byte, all lengths as they should be then. */
static void open_refuses_short_tag(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both);
	struct der all = {blob.data, blob.len}, info, outer, enveloped, set, encrypted, tag;
	assert_true(der_sequence(&all, &info));
	struct der inside = info;
	assert_true(der_object(&inside, NID_id_smime_ct_authEnvelopedData));
	assert_true(der_tagged(&inside, 0, true, &outer));
	inside = outer;
	assert_true(der_sequence(&inside, &enveloped));
	inside = enveloped;
	assert_true(der_integer(&inside, 0) && der_set(&inside, &set) &&
		    der_sequence(&inside, &encrypted) && der_octets(&inside, &tag));
	one_shorter(&blob, &tag);
	one_shorter(&blob, &enveloped);
	one_shorter(&blob, &outer);
	one_shorter(&blob, &info);
	write_file("short", blob.data, blob.len - 1, 0600);
	assert_int_equal(shell("openssl asn1parse -inform DER -in short >/dev/null"), 0);
	assert_int_equal(opened(daily, blob.data, blob.len - 1), ERR_BAD_SEAL);
	assert_non_null(strstr(fail_why(), "tag"));
}

/* The private key is multiplied by nothing but a point of its own curve. */
static void open_refuses_points_off_the_curve(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(only_daily);
	struct envelope envelope;
	struct envelope_recipient part;
	uint8_t point[65], infinity[1] = {0};
	assert_int_equal(envelope_read(blob.data, blob.len, &envelope), OK);
	assert_int_equal(envelope_next(&envelope.recipients, &part), OK);
	assert_int_equal(part.ephemeral.left, sizeof point);
	const uint8_t *good = part.ephemeral.at;
	for (int i = 0; i < 4; i++) {
		SCOPED(secret_free) struct secret content_key = {0};
		memcpy(point, good, sizeof point);
		part.ephemeral.at = point;
		if (i == 1)
			point[64] ^= 1;
		else if (i == 2)
			memset(point + 1, 0xff, 32); /* over the field's prime */
		else if (i == 3)
			part.ephemeral = (struct der){infinity, sizeof infinity};
		assert_int_equal(unwrap(daily, &part, &content_key), i ? ERR_BAD_SEAL : OK);
		assert_int_equal(content_key.len, i ? 0 : 32);
		if (i == 1)
			assert_non_null(strstr(fail_why(), "point is not on curve"));
	}
}

static void open_refuses_other_shapes(void **state)
{
	(void)state;
	static const struct {
		const char *options;
		bool rsa;
	} shapes[] = {
		/* a cipher without a tag, the wrong cipher */
		{"-aes-256-cbc -recip daily.pem -keyopt ecdh_kdf_md:sha256", false},
		{"-aes-128-gcm -recip daily.pem -keyopt ecdh_kdf_md:sha256", false},
		/* SHA-1 */
		{"-aes-256-gcm -recip daily.pem", false},
		{"-aes-256-gcm -recip recovery.pem -keyopt rsa_padding_mode:oaep", true},
		{"-aes-256-gcm -recip recovery.pem -keyopt rsa_padding_mode:oaep -keyopt "
		 "rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha1",
		 true},
		/* PKCS #1 v1.5 */
		{"-aes-256-gcm -recip recovery.pem", true},
		/* a shared key, and a certificate named another way */
		{"-aes-256-gcm -secretkey 000102030405060708090A0B0C0D0E0F -secretkeyid 01", false},
		{"-aes-256-gcm -keyid -recip daily.pem -keyopt ecdh_kdf_md:sha256", false},
		/* no definite lengths */
		{"-stream -aes-256-gcm -recip daily.pem -keyopt ecdh_kdf_md:sha256", false},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		SCOPED(bytes_free) struct bytes blob = by_openssl(shapes[i].options);
		if (opened(shapes[i].rsa ? recovery : daily, blob.data, blob.len) != ERR_BAD_SEAL)
			fail_msg("taken: %s", shapes[i].options);
	}
	assert_int_equal(shell("openssl cms -sign -nodetach -outform DER -in text -out theirs "
			       "-signer daily.pem"),
			 0);
	SCOPED(bytes_free) struct bytes signed_data = read_file(in_dir("theirs"));
	assert_int_equal(opened(daily, signed_data.data, signed_data.len), ERR_BAD_SEAL);
}

/* Anything at all is answered, and never with a text. */
static void open_survives_noise(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both);
	unsigned seed = 1;
	for (int round = 0; round < 3000; round++) {
		SCOPED(bytes_free) struct bytes noisy = {0};
		assert_int_equal(bytes_add(&noisy, blob.data, blob.len), OK);
		for (int i = 0; i < 1 + round % 8; i++) {
			seed = seed * 1103515245 + 12345;
			noisy.data[(seed >> 8) % noisy.len] = (uint8_t)(seed >> 24);
		}
		enum error result = opened(daily, noisy.data, noisy.len);
		assert_true(result == OK || result == ERR_BAD_SEAL || result == ERR_NO_KEY);
	}
}

/* ---- memory ---- */

/* What is sealed and opened is nowhere but in the secret, and then nowhere at all. */
static void open_gives_secret(void **state)
{
	(void)state;
	const struct seal_key *keys[] = {daily, recovery};
	for (size_t i = 0; i < 2; i++) {
		struct bytes blob;
		struct secret content = {0};
		uint8_t text[NEEDLE];
		needle_put(text);
		assert_int_equal(secret_add(&content, text, sizeof text), OK);
		secret_wipe(text, sizeof text);
		assert_int_equal(seal_close(both, content.data, content.len, &blob), OK);
		if (wipe_frees())
			assert_int_equal(needles(), 1);
		secret_free(&content);
		if (wipe_frees())
			assert_int_equal(needles(), 0);

		assert_int_equal(seal_open(keys[i], blob.data, blob.len, &content), OK);
		assert_true(needle_at(content.data));
		if (CRYPTO_secure_malloc_initialized())
			assert_true(CRYPTO_secure_allocated(content.data));
		if (wipe_frees())
			assert_int_equal(needles(), 1);
		secret_free(&content);
		if (wipe_frees())
			assert_int_equal(needles(), 0);

		/* What fails its check leaves nothing either. */
		blob.data[blob.len - 1] ^= 1;
		assert_int_equal(seal_open(keys[i], blob.data, blob.len, &content), ERR_BAD_SEAL);
		if (wipe_frees())
			assert_int_equal(needles(), 0);
		bytes_free(&blob);
	}
}

static void open_without_secure_memory(void **state)
{
	(void)state;
	assert_true(CRYPTO_secure_malloc_initialized());
	SCOPED(bytes_free) struct bytes text = {0}, blob = {0};
	SCOPED(secret_free) struct secret content = {0}, hog = {0};
	for (int i = 0; i < 300; i++)
		assert_int_equal(bytes_add(&text, (char[1024]){0}, 1024), OK);
	assert_int_equal(seal_close(only_daily, text.data, text.len, &blob), OK);
	assert_int_equal(secret_new(HEAP / 2, &hog), OK);
	assert_int_equal(seal_open(daily, blob.data, blob.len, &content), ERR_MEMORY);
	assert_null(content.data);
}

/* ---- threads ---- */

static void *many_times(void *argument)
{
	const struct seal_key *key = argument;
	for (int i = 0; i < 40; i++) {
		char text[32];
		size_t n = (size_t)snprintf(text, sizeof text, "text %d of %p", i, (void *)text);
		struct bytes blob;
		struct secret content = {0};
		bool right = seal_close(both, text, n, &blob) == OK &&
			     seal_open(key, blob.data, blob.len, &content) == OK &&
			     content.len == n && memcmp(content.data, text, n) == 0;
		secret_free(&content);
		bytes_free(&blob);
		if (!right)
			return argument;
	}
	return NULL;
}

static void open_in_threads(void **state)
{
	(void)state;
	pthread_t threads[8];
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, many_times, i % 4 ? daily : recovery), 0);
	int wrong = 0;
	for (size_t i = 0; i < 8; i++) {
		void *result;
		pthread_join(threads[i], &result);
		wrong += result != NULL;
	}
	assert_int_equal(wrong, 0);
}

/* ---- from outside ---- */

static void outline_without_a_key(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes blob = sealed(both);
	struct seal_outline outline;
	assert_int_equal(seal_outline(both, blob.data, blob.len, &outline), OK);
	assert_int_equal(outline.content_len, LEN);
	assert_true(outline.ours);
	assert_int_equal(seal_outline(only_recovery, blob.data, blob.len, &outline), OK);
	assert_true(outline.ours);
	assert_int_equal(seal_outline(strangers, blob.data, blob.len, &outline), OK);
	assert_int_equal(outline.content_len, LEN);
	assert_false(outline.ours);
	assert_int_equal(seal_outline(both, blob.data, blob.len - 1, &outline), ERR_BAD_SEAL);
	assert_int_equal(seal_outline(both, "no seal", 7, &outline), ERR_BAD_SEAL);
}

int main(void)
{
	if (secret_prepare(HEAP) != OK)
		fprintf(stderr, "without a secure heap: %s\n", fail_why());
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_daily),
		cmocka_unit_test(round_trip_recovery),
		cmocka_unit_test(round_trip_two_recipients),
		cmocka_unit_test(round_trip_without_certificate),
		cmocka_unit_test(round_trip_with_new_certificate),
		cmocka_unit_test(seal_twice_differs),
		cmocka_unit_test(seal_needs_recipients),
		cmocka_unit_test(open_needs_the_key),
		cmocka_unit_test(open_refuses_flipped_bit),
		cmocka_unit_test(open_tells_damaged_from_foreign),
		cmocka_unit_test(open_refuses_cut_and_longer),
		cmocka_unit_test(open_refuses_spliced),
		cmocka_unit_test(open_takes_openssls_own),
		cmocka_unit_test(openssl_takes_ours),
		cmocka_unit_test(open_refuses_short_tag),
		cmocka_unit_test(open_refuses_points_off_the_curve),
		cmocka_unit_test(open_refuses_other_shapes),
		cmocka_unit_test(open_survives_noise),
		cmocka_unit_test(open_gives_secret),
		cmocka_unit_test(open_without_secure_memory),
		cmocka_unit_test(open_in_threads),
		cmocka_unit_test(outline_without_a_key),
	};
	return cmocka_run_group_tests_name("seal: open", tests, setup, teardown);
}
