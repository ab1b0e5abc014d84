/* Digests, MACs, armor and recipients, by known answers and by what OpenSSL itself makes of them. */
#include "seal_fixture.h"
#include "text.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "seal/certificate.h"
#include "seal/inside.h"

/* ---- digests ---- */

static void digest_known(void **state)
{
	(void)state;
	static const char *const known[][2] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		uint8_t digest[SEAL_DIGEST];
		char hex[65];
		seal_digest(known[i][0], strlen(known[i][0]), digest);
		hex_write(digest, sizeof digest, hex);
		assert_string_equal(hex, known[i][1]);
	}
}

static void digest2_is_of_both(void **state)
{
	(void)state;
	uint8_t whole[SEAL_DIGEST], pieces[SEAL_DIGEST];
	seal_digest("abcdef", 6, whole);
	for (size_t cut = 0; cut <= 6; cut++) {
		seal_digest2("abcdef", cut, &"abcdef"[cut], 6 - cut, pieces);
		assert_memory_equal(whole, pieces, SEAL_DIGEST);
	}
}

static void mac_known(void **state)
{
	(void)state;
	/* A key of zeros is the empty key, padded. */
	static const uint8_t zeros[32];
	uint8_t mac[SEAL_DIGEST], key[32] = {1}, other[SEAL_DIGEST];
	char hex[65];
	assert_int_equal(seal_mac(zeros, "", 0, mac), OK);
	hex_write(mac, sizeof mac, hex);
	assert_string_equal(hex,
			    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	assert_int_equal(seal_mac(key, "", 0, other), OK);
	assert_false(seal_equal(mac, other, sizeof mac));
	assert_true(seal_equal(mac, mac, sizeof mac));
}

/* RFC 4231, test cases 1, 2 and 6. */
static void hmac_known(void **state)
{
	(void)state;
	static const struct {
		int byte; /* -1: "Jefe" */
		size_t len;
		const char *text, *hex;
	} known[] = {
		{0x0b, 20, "Hi There",
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{-1, 4, "what do ya want for nothing?",
		 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
		 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		SCOPED(secret_free) struct secret key = {0};
		uint8_t bytes[131], mac[SEAL_DIGEST];
		char hex[65];
		memset(bytes, known[i].byte, sizeof bytes);
		assert_int_equal(secret_add(&key, known[i].byte < 0 ? (const void *)"Jefe" : bytes,
					    known[i].len),
				 OK);
		assert_int_equal(seal_hmac(&key, known[i].text, strlen(known[i].text), mac), OK);
		hex_write(mac, sizeof mac, hex);
		assert_string_equal(hex, known[i].hex);
	}
}

static void random_differs(void **state)
{
	(void)state;
	uint8_t a[32] = {0}, b[32] = {0};
	assert_int_equal(seal_random(a, sizeof a), OK);
	assert_int_equal(seal_random(b, sizeof b), OK);
	assert_memory_not_equal(a, b, sizeof a);
}

/* ---- armor ---- */

static void armor_as_openssl(void **state)
{
	(void)state;
	uint8_t blob[300];
	for (size_t i = 0; i < sizeof blob; i++)
		blob[i] = (uint8_t)(i * 7);
	for (size_t n = 1; n <= sizeof blob; n++) {
		SCOPED(bytes_free) struct bytes pem = {0}, back = {0};
		assert_int_equal(seal_armor(blob, n, &pem), OK);
		assert_int_equal(pem.len, seal_armor_size(n));

		char *theirs;
		BIO *bio = BIO_new(BIO_s_mem());
		assert_true(PEM_write_bio(bio, "CMS", "", blob, (long)n) > 0);
		assert_int_equal(BIO_get_mem_data(bio, &theirs), pem.len);
		assert_memory_equal(theirs, pem.data, pem.len);
		BIO_free(bio);

		assert_int_equal(seal_dearmor(pem.data, pem.len, &back), OK);
		assert_int_equal(back.len, n);
		assert_memory_equal(back.data, blob, n);
	}
}

static void dearmor_reads(void **state)
{
	(void)state;
	static const struct {
		const char *pem;
		enum error verdict;
	} rows[] = {
		{"-----BEGIN CMS-----\nQUJD\n-----END CMS-----\n", OK},
		{"-----BEGIN CMS-----\r\nQUJD\r\n-----END CMS-----\r\n", OK},
		{" \n-----BEGIN CMS-----\nQU\nJD\n-----END CMS-----", ERR_INVALID},
		{" \n-----BEGIN CMS-----\n\nQUJD\nQUI=\n\n-----END CMS----- \n\t", OK},
		{"-----BEGIN CMS-----\nQUI\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----\nQU*D\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----QUJD\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS----------END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----\nQUJD\n", ERR_INVALID},
		{"QUJD\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN PKCS7-----\nQUJD\n-----END PKCS7-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----\nX: y\n\nQUJD\n-----END CMS-----\n", ERR_INVALID},
		{"-----BEGIN CMS-----\nQUJD\n-----END CMS-----\nmore", ERR_INVALID},
		{"-----BEGIN CMS-----\nQUJD\n-----END CMS-----\n-----BEGIN CMS-----\nQUJD\n"
		 "-----END CMS-----\n",
		 ERR_INVALID},
		{"", ERR_INVALID},
		{"-----BEGIN CMS-----", ERR_INVALID},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SCOPED(bytes_free) struct bytes blob = {0};
		if (seal_dearmor(rows[i].pem, strlen(rows[i].pem), &blob) != rows[i].verdict)
			fail_msg("row %zu", i);
		if (rows[i].verdict == OK)
			assert_memory_equal(blob.data, "ABC", 3);
	}
}

/* ---- recipients ---- */

/* A certificate for a key of this kind, DER. */
static struct bytes certificate_for(EVP_PKEY *key)
{
	X509 *certificate = NULL;
	struct bytes der = {0};
	assert_non_null(key);
	assert_int_equal(certificate_make(key, "?provider=default", "somebody", &certificate), OK);
	assert_int_equal(openssl_certificate_der(certificate, &der), OK);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return der;
}

static enum error try_recipient(EVP_PKEY *key)
{
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	SCOPED(bytes_free) struct bytes der = certificate_for(key);
	assert_int_equal(recipients_new(&recipients), OK);
	enum error result = recipients_add(recipients, der.data, der.len);
	assert_int_equal(recipients_count(recipients), result == OK ? 1 : 0);
	return result;
}

static void recipients_take_ec_and_rsa(void **state)
{
	(void)state;
	assert_int_equal(try_recipient(EVP_EC_gen("P-256")), OK);
	assert_int_equal(try_recipient(EVP_EC_gen("P-384")), OK);
	assert_int_equal(try_recipient(EVP_RSA_gen(2048)), OK);
}

static void recipients_refuse_others(void **state)
{
	(void)state;
	assert_int_equal(try_recipient(EVP_RSA_gen(1024)), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "weak"));
	assert_int_equal(try_recipient(EVP_EC_gen("P-192")), ERR_INVALID);

	assert_int_equal(
		shell("openssl req -x509 -newkey ed25519 -nodes -subj /CN=x -keyout /dev/null "
		      "-outform DER -out ed.der 2>/dev/null"),
		0);
	SCOPED(bytes_free) struct bytes der = read_file(in_dir("ed.der"));
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	assert_int_equal(recipients_new(&recipients), OK);
	assert_int_equal(recipients_add(recipients, der.data, der.len), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "neither EC nor RSA"));
}

static void recipients_refuse_no_certificate(void **state)
{
	(void)state;
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	SCOPED(bytes_free) struct bytes der = certificate_for(EVP_EC_gen("P-256"));
	assert_int_equal(recipients_new(&recipients), OK);
	assert_int_equal(recipients_add(recipients, der.data, 0), ERR_INVALID);
	for (size_t n = 1; n < der.len; n += 13)
		assert_int_equal(recipients_add(recipients, der.data, n), ERR_INVALID);
	assert_int_equal(bytes_add(&der, "x", 1), OK);
	assert_int_equal(recipients_add(recipients, der.data, der.len), ERR_INVALID);
	assert_int_equal(recipients_count(recipients), 0);
}

static void recipients_tell(void **state)
{
	(void)state;
	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	SCOPED(bytes_free) struct bytes der = certificate_for(EVP_EC_gen("P-256"));
	assert_int_equal(recipients_new(&recipients), OK);
	assert_int_equal(recipients_add(recipients, der.data, der.len), OK);

	uint8_t digest[SEAL_DIGEST];
	char hex[65], fingerprint[65];
	int64_t expires_at, ten_years = INT64_C(3652) * 86400 * 1000000000;
	seal_digest(der.data, der.len, digest);
	hex_write(digest, sizeof digest, hex);
	assert_int_equal(recipients_about(recipients, 0, fingerprint, &expires_at), OK);
	assert_string_equal(fingerprint, hex);
	assert_in_range(expires_at - time_now() - ten_years + 60000000000, 0, 120000000000);
	assert_int_equal(recipients_about(recipients, 1, fingerprint, &expires_at), ERR_NOT_FOUND);
	assert_int_equal(recipients_about(recipients, -1, fingerprint, &expires_at), ERR_NOT_FOUND);
}

/* "No well-defined expiration date" (RFC 5280, section 4.1.2.5) is later than our clock goes. */
static void recipients_of_the_year_9999(void **state)
{
	(void)state;
	X509 *certificate = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	assert_int_equal(certificate_make(key, "?provider=default", "x", &certificate), OK);
	assert_true(ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z"));
	assert_true(X509_sign(certificate, key, EVP_sha256()));
	SCOPED(bytes_free) struct bytes der = {0};
	assert_int_equal(openssl_certificate_der(certificate, &der), OK);
	X509_free(certificate);
	EVP_PKEY_free(key);

	SCOPED(recipients_scoped) struct recipients *recipients = NULL;
	char fingerprint[65];
	int64_t expires_at;
	assert_int_equal(recipients_new(&recipients), OK);
	assert_int_equal(recipients_add(recipients, der.data, der.len), OK);
	assert_int_equal(recipients_about(recipients, 0, fingerprint, &expires_at), OK);
	assert_true(expires_at == INT64_MAX);
}

/* ---- certificates in files ---- */

static void certificate_files(void **state)
{
	(void)state;
	SCOPED(bytes_free) struct bytes der = certificate_for(EVP_EC_gen("P-256")), found = {0};
	write_file("c.der", der.data, der.len, 0644);
	assert_int_equal(shell("openssl x509 -inform DER -in c.der -out c.pem"), 0);
	assert_int_equal(
		shell("{ openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
		      "-aes256 -pass pass:x; cat c.pem; echo junk; } >both.pem 2>/dev/null"),
		0);
	static const char *const names[] = {"c.der", "c.pem", "both.pem"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(seal_certificate_read(in_dir(names[i]), &found), OK);
		assert_int_equal(found.len, der.len);
		assert_memory_equal(found.data, der.data, der.len);
		bytes_free(&found);
	}
	uint8_t digest[SEAL_DIGEST], expected[SEAL_DIGEST];
	assert_int_equal(seal_digest(der.data, der.len, expected), OK);
	SCOPED(bytes_free) struct bytes pem = read_file(in_dir("both.pem"));
	assert_int_equal(seal_certificate_digest(pem.data, pem.len, digest), OK);
	assert_memory_equal(digest, expected, sizeof digest);
	assert_int_equal(seal_certificate_digest(der.data, der.len, digest), ERR_INVALID);
	assert_int_equal(seal_certificate_digest(pem.data, 0, digest), ERR_INVALID);

	write_text("junk", "no certificate\n", 0644);
	write_text("empty", "", 0644);
	assert_int_equal(seal_certificate_read(in_dir("junk"), &found), ERR_INVALID);
	assert_non_null(strstr(fail_why(), "junk"));
	assert_int_equal(seal_certificate_read(in_dir("empty"), &found), ERR_INVALID);
	assert_int_equal(seal_certificate_read(in_dir("nowhere"), &found), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_known),
		cmocka_unit_test(digest2_is_of_both),
		cmocka_unit_test(mac_known),
		cmocka_unit_test(hmac_known),
		cmocka_unit_test(random_differs),
		cmocka_unit_test(armor_as_openssl),
		cmocka_unit_test(dearmor_reads),
		cmocka_unit_test(recipients_take_ec_and_rsa),
		cmocka_unit_test(recipients_refuse_others),
		cmocka_unit_test(recipients_refuse_no_certificate),
		cmocka_unit_test(recipients_tell),
		cmocka_unit_test(recipients_of_the_year_9999),
		cmocka_unit_test(certificate_files),
	};
	return cmocka_run_group_tests_name("seal: words", tests, help_setup, help_teardown);
}
