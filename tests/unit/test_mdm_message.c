/* Which kind a message is, whose it is, what it reports; webhooks. */
#include "mdm_fixture.h"

#include "base64.h"

static const struct message *read_ok(const char *text, struct message *out)
{
	if (read_text(text, out))
		ROW_FAILED("%s: %s\n", text, fail_why());
	return out;
}

static void kinds(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum message_kind kind;
		const char *word;
	} rows[] = {
		{TYPE("Authenticate", ""), MESSAGE_AUTHENTICATE, "Authenticate"},
		{TYPE("TokenUpdate", ""), MESSAGE_TOKEN_UPDATE, "TokenUpdate"},
		{TYPE("CheckOut", ""), MESSAGE_CHECK_OUT, "CheckOut"},
		{TYPE("SetBootstrapToken", ""), MESSAGE_SET_BOOTSTRAP_TOKEN, "SetBootstrapToken"},
		{TYPE("GetBootstrapToken", ""), MESSAGE_GET_BOOTSTRAP_TOKEN, "GetBootstrapToken"},
		{RESULT("SecurityInfo", ""), MESSAGE_SECURITY_INFO, "SecurityInfo"},
		{RESULT("QueryResponses", ""), MESSAGE_DEVICE_INFORMATION, "DeviceInformation"},
		{TYPE("UserAuthenticate", ""), MESSAGE_OTHER, "other"},
		{TYPE("DeclarativeManagement", ""), MESSAGE_OTHER, "other"},
		{TYPE("GetToken", ""), MESSAGE_OTHER, "other"},
		{TYPE("SecurityInfo", ""), MESSAGE_OTHER, "other"},
		{TYPE("other", ""), MESSAGE_OTHER, "other"},
		{DICT(TEXT("UDID", UDID) TEXT("Status", "Idle")), MESSAGE_OTHER, "other"},
		{DICT(TEXT("UDID", UDID) TEXT("Status", "NotNow")), MESSAGE_OTHER, "other"},
		{DICT(TEXT("UDID", UDID) TEXT("Status", "Error") KEY("ErrorChain") "<array/>"),
		 MESSAGE_OTHER, "other"},
		{DICT(TEXT("Status", "Idle")), MESSAGE_OTHER, "other"},
		{DICT(""), MESSAGE_OTHER, "other"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SCOPED(message_free) struct message message;
		read_ok(rows[i].text, &message);
		if (message.kind != rows[i].kind ||
		    strcmp(message_word(message.kind), rows[i].word) != 0)
			ROW_FAILED("row %zu\n", i);
		assert_false(message.webhook);
		assert_int_equal(message.at, 0);
	}
}

static void senders(void **state)
{
	(void)state;
	static const struct {
		const char *keys, *id; /* NULL: refused */
		bool user_enrolled, user_channel;
	} rows[] = {
		{TEXT("UDID", "a-B-9"), "a-B-9", false, false},
		{TEXT("UDID", "A") TEXT("EnrollmentID", "B"), "A", false, false},
		{TEXT("EnrollmentID", "B"), "B", true, false},
		{TEXT("UDID", "") TEXT("EnrollmentID", "B"), "B", true, false},
		{TEXT("UDID", "A") TEXT("UserID", "501"), "A", false, true},
		{TEXT("UDID", "A") TEXT("UserID", ""), "A", false, false},
		{TEXT("EnrollmentID", "B") TEXT("EnrollmentUserID", "C"), "B", true, true},
		{TEXT("UDID", "0123456789012345678901234567890123456789012345678901234567890123"),
		 "0123456789012345678901234567890123456789012345678901234567890123", false, false},
		{TEXT("UDID", "01234567890123456789012345678901234567890123456789012345678901234"),
		 NULL, false, false},
		{"", NULL, false, false},
		{TEXT("UDID", ""), NULL, false, false},
		{TEXT("UDID", "../x"), NULL, false, false},
		{TEXT("UDID", "a.b"), NULL, false, false},
		{TEXT("UDID", "a b"), NULL, false, false},
		{TEXT("UDID", "a\n"), NULL, false, false},
		{TEXT("UDID", "\xc3\xa9"), NULL, false, false},
		{TEXT("UDID", "A") TEXT("EnrollmentID", "b/c"), NULL, false, false},
		{KEY("UDID") "<integer>5</integer>", NULL, false, false},
		{KEY("UDID") "<data>QUJD</data>", NULL, false, false},
		{TEXT("UDID", "A") KEY("UserID") "<true/>", NULL, false, false},
		{TEXT("UDID", "A") KEY("EnrollmentUserID") "<dict/>", NULL, false, false},
	};
	static const char *const types[] = {"Authenticate", "TokenUpdate", "CheckOut",
					    "SetBootstrapToken", "GetBootstrapToken"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
			char text[1024];
			snprintf(text, sizeof text, DICT(TEXT("MessageType", "%s") "%s"), types[k],
				 rows[i].keys);
			SCOPED(message_free) struct message message;
			enum error result = read_text(text, &message);
			if (result != (rows[i].id ? OK : ERR_INVALID))
				ROW_FAILED("row %zu: %s\n", i, fail_why());
			if (result)
				continue;
			assert_string_equal(message.id, rows[i].id);
			assert_int_equal(message.user_enrolled, rows[i].user_enrolled);
			assert_int_equal(message.user_channel, rows[i].user_channel);
		}
	}
	/* Results name their device too. */
	assert_int_equal(verdict(DICT(KEY("SecurityInfo") "<dict/>")), ERR_INVALID);
	assert_int_equal(verdict(DICT(KEY("QueryResponses") "<dict/>")), ERR_INVALID);
	/* A refusal further down still says whose it was. */
	struct message message;
	assert_int_equal(read_text(TOKEN("???"), &message), ERR_INVALID);
	assert_string_equal(message.id, UDID);
	assert_true(why_has(UDID));
	message_free(&message);
}

static void wrong_types(void **state)
{
	(void)state;
	static const char *const bad[] = {
		DICT(KEY("MessageType") "<true/>"),
		DICT(KEY("MessageType") "<integer>1</integer>"),
		DICT(TEXT("UDID", UDID) KEY("SecurityInfo") "<string/>"),
		DICT(TEXT("UDID", UDID) KEY("QueryResponses") "<array/>"),
		TYPE("TokenUpdate", TEXT("AwaitingConfiguration", "true")),
		TYPE("TokenUpdate", KEY("AwaitingConfiguration") "<integer>1</integer>"),
		TYPE("Authenticate", KEY("SerialNumber") "<integer>1</integer>"),
		TYPE("Authenticate", KEY("OSVersion") "<real>10.15</real>"),
		TYPE("Authenticate", TEXT("Model", "a&#10;b")),
		RESULT("SecurityInfo", TEXT("FDE_Enabled", "true")),
		RESULT("SecurityInfo", KEY("SecureBoot") "<true/>"),
		RESULT("SecurityInfo", KEY("ManagementStatus") "<array/>"),
		RESULT("SecurityInfo",
		       KEY("ManagementStatus") "<dict>" TEXT("EnrolledViaDEP", "1") "</dict>"),
		RESULT("SecurityInfo", KEY("HardwareEncryptionCaps") "<string>3</string>"),
		RESULT("QueryResponses", KEY("IsSupervised") "<integer>1</integer>"),
		RESULT("QueryResponses", KEY("WiFiMAC") "<data/>"),
		RESULT("QueryResponses", KEY("EACSPreflight") "<true/>"),
		RESULT("QueryResponses", KEY("ServiceSubscriptions") "<dict/>"),
		RESULT("QueryResponses", KEY("ServiceSubscriptions") "<array><true/></array>"),
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (verdict(bad[i]) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
	/* Length: FACT_TEXT has room for 95 bytes. */
	char text[512];
	for (int len = FACT_TEXT - 2; len <= FACT_TEXT + 1; len++) {
		snprintf(text, sizeof text, TYPE("Authenticate", TEXT("SerialNumber", "%0*d")), len,
			 0);
		assert_int_equal(verdict(text), len < FACT_TEXT ? OK : ERR_INVALID);
	}
}

static void awaiting_configuration(void **state)
{
	(void)state;
	SCOPED(message_free) struct message with, without, no;
	assert_true(read_ok(TYPE("TokenUpdate", KEY("AwaitingConfiguration") "<true/>"), &with)
			    ->awaiting_configuration);
	assert_false(read_ok(TYPE("TokenUpdate", KEY("AwaitingConfiguration") "<false/>"), &no)
			     ->awaiting_configuration);
	assert_false(read_ok(TYPE("TokenUpdate", ""), &without)->awaiting_configuration);
}

/* ---- facts ---- */

static int reported(const struct message *message)
{
	int n = 0;
	for (int i = 0; i < FACT_COUNT; i++)
		n += message->reported.of[i].at != 0;
	return n;
}

static void assert_fact(const struct message *message, enum fact_name name, const char *value)
{
	const char *text = fact_text(&message->reported, name);
	if (!text || strcmp(text, value) != 0)
		ROW_FAILED("%s is %s, not %s\n", facts_table[name].name, text ? text : "unknown",
			   value);
	assert_int_equal(message->reported.of[name].at, NOW);
}

static void facts_of_authenticate(void **state)
{
	(void)state;
	SCOPED(message_free) struct message message;
	read_ok(TYPE("Authenticate", "<key>SerialNumber</key><string>C02X</string>"
				     "<key>IMEI</key><string>35 123456 789012 3</string>"
				     "<key>Model</key><string>MBP</string>"
				     "<key>ModelName</key><string>MacBook &amp; Pro</string>"
				     "<key>ProductName</key><string>Mac14,2</string>"
				     "<key>OSVersion</key><string>14.1</string>"
				     "<key>BuildVersion</key><string>23B74</string>"
				     "<key>DeviceName</key><string>x</string>"
				     "<key>Challenge</key><data>AAAA=</data>"),
		&message);
	assert_fact(&message, FACT_SERIAL_NUMBER, "C02X");
	assert_fact(&message, FACT_IMEI, "351234567890123");
	assert_fact(&message, FACT_MODEL, "MBP");
	assert_fact(&message, FACT_MODEL_NAME, "MacBook & Pro");
	assert_fact(&message, FACT_PRODUCT_NAME, "Mac14,2");
	assert_fact(&message, FACT_OS_VERSION, "14.1");
	static const enum fact_name unknown[] = {FACT_ENROLLED_VIA_DEP,
						 FACT_USER_APPROVED_ENROLLMENT,
						 FACT_USER_ENROLLMENT, FACT_SUPERVISED};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		const struct fact *fact = &message.reported.of[unknown[i]];
		assert_int_equal(fact->state, FACT_UNKNOWN);
		assert_int_equal(fact->at, NOW);
		assert_int_equal(fact->source, SOURCE_AUTHENTICATE);
	}
	assert_int_equal(reported(&message), 10);

	SCOPED(message_free) struct message empty;
	read_ok(TYPE("Authenticate", TEXT("SerialNumber", "") TEXT("IMEI", " ") TEXT("Model", "")),
		&empty);
	assert_int_equal(reported(&empty), 4);

	SCOPED(message_free) struct message user;
	read_ok(DICT(TEXT("MessageType", "Authenticate") TEXT("EnrollmentID", "E")), &user);
	assert_true(user.user_enrolled);
	assert_int_equal(reported(&user), 4);
}

static void facts_of_security_info(void **state)
{
	(void)state;
	SCOPED(message_free) struct message message;
	read_ok(RESULT("SecurityInfo",
		       "<key>PasscodePresent</key><true/>"
		       "<key>PasscodeCompliant</key><false/>"
		       "<key>FDE_Enabled</key><true/>"
		       "<key>FDE_HasPersonalRecoveryKey</key><true/>"
		       "<key>FDE_HasInstitutionalRecoveryKey</key><false/>"
		       "<key>HardwareEncryptionCaps</key><integer>0</integer>"
		       "<key>SystemIntegrityProtectionEnabled</key><true/>"
		       "<key>AuthenticatedRootVolumeEnabled</key><true/>"
		       "<key>IsRecoveryLockEnabled</key><false/>"
		       "<key>BootstrapTokenRequiredForKernelExtensionApproval</key><true/>"
		       "<key>BootstrapTokenRequiredForSoftwareUpdate</key><false/>"
		       "<key>BootstrapTokenAllowedForAuthentication</key><string>allowed</string>"
		       "<key>SecureBoot</key><dict>"
		       "<key>SecureBootLevel</key><string>full</string>"
		       "<key>ExternalBootLevel</key><string>not supported</string>"
		       "</dict>"
		       "<key>ManagementStatus</key><dict>"
		       "<key>EnrolledViaDEP</key><true/>"
		       "<key>UserApprovedEnrollment</key><true/>"
		       "<key>IsUserEnrollment</key><false/>"
		       "<key>IsActivationLockManageable</key><true/>"
		       "</dict>"),
		&message);
	static const struct {
		enum fact_name fact;
		bool flag;
	} flags[] = {
		{FACT_PASSCODE_PRESENT, true},
		{FACT_PASSCODE_COMPLIANT, false},
		{FACT_ENCRYPTED, true},
		{FACT_PERSONAL_RECOVERY_KEY, true},
		{FACT_INSTITUTIONAL_RECOVERY_KEY, false},
		{FACT_ENROLLED_VIA_DEP, true},
		{FACT_USER_APPROVED_ENROLLMENT, true},
		{FACT_SIP_ENABLED, true},
		{FACT_ACTIVATION_LOCK_MANAGEABLE, true},
		{FACT_AUTHENTICATED_ROOT, true},
		{FACT_BT_REQUIRED_FOR_KEXT, true},
		{FACT_BT_REQUIRED_FOR_UPDATE, false},
		{FACT_RECOVERY_LOCK, false},
		{FACT_USER_ENROLLMENT, false},
	};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		const struct fact *fact = &message.reported.of[flags[i].fact];
		if (fact->state != FACT_KNOWN || fact->flag != flags[i].flag ||
		    fact->source != SOURCE_SECURITY_INFO || fact->at != NOW)
			ROW_FAILED("%s\n", facts_table[flags[i].fact].name);
	}
	assert_fact(&message, FACT_SECURE_BOOT, "full");
	assert_fact(&message, FACT_EXTERNAL_BOOT, "not supported");
	assert_fact(&message, FACT_BT_ALLOWED, "allowed");
	assert_int_equal(reported(&message), 17);
}

static void allowed_for_authentication(void **state)
{
	(void)state;
	static const char *const words[] = {"allowed", "disallowed", "not supported", "perhaps",
					    ""};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		char text[1024];
		snprintf(text, sizeof text,
			 RESULT("SecurityInfo",
				TEXT("BootstrapTokenAllowedForAuthentication", "%s")),
			 words[i]);
		SCOPED(message_free) struct message message;
		read_ok(text, &message);
		if (i < 3)
			assert_fact(&message, FACT_BT_ALLOWED, words[i]);
		else
			assert_int_equal(reported(&message), 0);
	}
}

/* iOS says it in two keys. */
static void encryption_of_ios(void **state)
{
	(void)state;
#define CAPS(n) KEY("HardwareEncryptionCaps") "<integer>" n "</integer>"
#define PASSCODE(flag) KEY("PasscodePresent") "<" flag "/>"
	static const struct {
		const char *keys;
		int encrypted; /* -1: not reported */
	} rows[] = {
		{CAPS("3") PASSCODE("true"), 1},
		{CAPS("3") PASSCODE("false"), 0},
		{CAPS("1") PASSCODE("true"), 0},
		{CAPS("-1") PASSCODE("true"), 0},
		{CAPS("3"), -1},
		{PASSCODE("true"), -1},
		{CAPS("3") PASSCODE("true") KEY("FDE_Enabled") "<false/>", 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[1024];
		snprintf(text, sizeof text, RESULT("SecurityInfo", "%s"), rows[i].keys);
		SCOPED(message_free) struct message message;
		read_ok(text, &message);
		const struct fact *fact = &message.reported.of[FACT_ENCRYPTED];
		if ((fact->at ? (int)fact->flag : -1) != rows[i].encrypted)
			ROW_FAILED("row %zu\n", i);
	}
}

static void facts_of_device_information(void **state)
{
	(void)state;
	SCOPED(message_free) struct message message;
	read_ok(RESULT("QueryResponses", "<key>SerialNumber</key><string>C02X</string>"
					 "<key>IMEI</key><string>351234567890123</string>"
					 "<key>EthernetMAC</key><string>a4:b1:c1:00:0e:0f</string>"
					 "<key>WiFiMAC</key><string>a4-b1-c1-00-0e-10</string>"
					 "<key>Model</key><string>M</string>"
					 "<key>ModelName</key><string>N</string>"
					 "<key>ProductName</key><string>P</string>"
					 "<key>OSVersion</key><string>15.1</string>"
					 "<key>IsAppleSilicon</key><true/>"
					 "<key>IsSupervised</key><false/>"
					 "<key>SystemIntegrityProtectionEnabled</key><true/>"
					 "<key>EACSPreflight</key><string>success</string>"),
		&message);
	assert_fact(&message, FACT_SERIAL_NUMBER, "C02X");
	assert_fact(&message, FACT_IMEI, "351234567890123");
	assert_fact(&message, FACT_MAC_ADDRESS, "A4B1C1000E0F");
	assert_fact(&message, FACT_WIFI_MAC, "A4B1C1000E10");
	assert_fact(&message, FACT_MODEL, "M");
	assert_fact(&message, FACT_MODEL_NAME, "N");
	assert_fact(&message, FACT_PRODUCT_NAME, "P");
	assert_fact(&message, FACT_OS_VERSION, "15.1");
	assert_true(fact_true(&message.reported, FACT_APPLE_SILICON));
	assert_true(fact_false(&message.reported, FACT_SUPERVISED));
	assert_true(fact_true(&message.reported, FACT_SIP_ENABLED));
	assert_true(message.preflight_success);
	assert_int_equal(reported(&message), 11);
	assert_int_equal(message.reported.of[FACT_MODEL].source, SOURCE_DEVICE_INFORMATION);
}

static void addresses_and_imei(void **state)
{
	(void)state;
#define ZERO "00:00:00:00:00:00"
#define SIM(imei) "<dict>" TEXT("IMEI", imei) "</dict>"
#define SUBSCRIPTIONS(all) KEY("ServiceSubscriptions") "<array>" all "</array>"
	static const struct {
		const char *keys, *mac, *wifi, *imei;
	} rows[] = {
		{TEXT("WiFiMAC", "0a:1b:2c:3d:4e:5f"), "0A1B2C3D4E5F", "0A1B2C3D4E5F", NULL},
		{TEXT("EthernetMAC", ZERO) TEXT("WiFiMAC", "0a1b2c3d4e5f"), "0A1B2C3D4E5F",
		 "0A1B2C3D4E5F", NULL},
		{TEXT("EthernetMAC", ZERO) TEXT("WiFiMAC", ZERO), NULL, NULL, NULL},
		{TEXT("EthernetMAC", "0A.1B.2C.3D.4E.5F"), "0A1B2C3D4E5F", NULL, NULL},
		{TEXT("EthernetMAC", "none") TEXT("WiFiMAC", ""), NULL, NULL, NULL},
		{TEXT("IMEI", "35-1234"), NULL, NULL, NULL},
		{TEXT("IMEI", "") SUBSCRIPTIONS("<dict/>" SIM("") SIM("35 99 1") SIM("12")), NULL,
		 NULL, "35991"},
		{TEXT("IMEI", "77") SUBSCRIPTIONS(SIM("12")), NULL, NULL, "77"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[1024];
		snprintf(text, sizeof text, RESULT("QueryResponses", "%s"), rows[i].keys);
		SCOPED(message_free) struct message message;
		read_ok(text, &message);
		assert_int_equal(reported(&message), (rows[i].mac != NULL) +
							     (rows[i].wifi != NULL) +
							     (rows[i].imei != NULL));
		if (rows[i].mac)
			assert_fact(&message, FACT_MAC_ADDRESS, rows[i].mac);
		if (rows[i].wifi)
			assert_fact(&message, FACT_WIFI_MAC, rows[i].wifi);
		if (rows[i].imei)
			assert_fact(&message, FACT_IMEI, rows[i].imei);
		assert_false(message.preflight_success);
	}
}

/* Nothing of what these hold is in what is kept of the message, nor in a sentence. */
static void secrets_not_kept(void **state)
{
	(void)state;
	static const char *const texts[] = {
		RESULT("SecurityInfo",
		       "<key>FDE_PersonalRecoveryKeyCMS</key><data>U0VDUkVU</data>"
		       "<key>FDE_PersonalRecoveryKeyDeviceKey</key><string>SECRET</string>"
		       "<key>RecoveryLockPassword</key><string>SECRET</string>"),
		RESULT("QueryResponses", TEXT("UnlockToken", "SECRET") TEXT("PIN", "SECRET")),
		TYPE("TokenUpdate", "<key>UnlockToken</key><data>U0VDUkVU</data>"
				    "<key>PIN</key><string>SECRET</string>"),
		TYPE("Authenticate", "<key>UnlockToken</key><data>U0VDUkVU</data>"),
		TYPE("CheckOut", TEXT("UnlockToken", "SECRET")),
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct message message;
		read_ok(texts[i], &message);
		assert_null(message.token.data);
		for (int fact = 0; fact < FACT_COUNT; fact++)
			assert_null(strstr(message.reported.of[fact].text, "SECRET"));
		message_free(&message);
	}
	assert_int_equal(verdict(TYPE("Authenticate", TEXT("SerialNumber", "SECRET&#9;"))),
			 ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
	assert_int_equal(verdict(TOKEN("SECRET!")), ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
	assert_int_equal(verdict(TYPE("SetBootstrapToken", TEXT("BootstrapToken", "SECRET"))),
			 ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
	assert_int_equal(verdict("<plist><dict><SECRET/></dict></plist>"), ERR_INVALID);
	assert_null(strstr(fail_why(), "SECRET"));
}

/* ---- webhooks ---- */

static void webhook(const char *event, const char *created_at, const char *payload, char *out,
		    size_t size)
{
	static char encoded[8192];
	size_t len = strlen(payload);
	assert_true(BASE64_ENCODED(len) < sizeof encoded);
	base64_encode((const uint8_t *)payload, len, (uint8_t *)encoded);
	encoded[BASE64_ENCODED(len)] = 0;
	snprintf(out, size,
		 "{\"topic\": \"mdm\", \"created_at\": \"%s\", \"%s\": {\"udid\": \"x\", "
		 "\"raw_payload\": \"%s\"}}\n",
		 created_at, event, encoded);
}

static void webhooks(void **state)
{
	(void)state;
	char text[16384];
	static const struct {
		const char *event, *created_at, *payload;
		enum message_kind kind;
		int64_t at;
	} rows[] = {
		{"checkin_event", "2018-08-13T14:30:16.5Z", TYPE("Authenticate", ""),
		 MESSAGE_AUTHENTICATE, INT64_C(1534170616500000000)},
		{"checkin_event", "0001-01-01T00:00:00Z", TYPE("CheckOut", ""), MESSAGE_CHECK_OUT,
		 0},
		{"checkin_event", "2200-01-01T00:00:00Z", TYPE("CheckOut", ""), MESSAGE_CHECK_OUT,
		 0},
		{"acknowledge_event", "2018-08-13T14:30:16Z",
		 RESULT("SecurityInfo", KEY("FDE_Enabled") "<true/>"), MESSAGE_SECURITY_INFO,
		 INT64_C(1534170616000000000)},
		{"acknowledge_event", "2200-08-13T14:30:16Z",
		 RESULT("SecurityInfo", KEY("FDE_Enabled") "<true/>"), MESSAGE_SECURITY_INFO, 0},
		{"checkin_event", "2018-08-13T14:30:16Z", TYPE("GetBootstrapToken", ""),
		 MESSAGE_GET_BOOTSTRAP_TOKEN, INT64_C(1534170616000000000)},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SCOPED(message_free) struct message message;
		webhook(rows[i].event, rows[i].created_at, rows[i].payload, text, sizeof text);
		read_ok(text, &message);
		assert_true(message.webhook);
		assert_int_equal(message.kind, rows[i].kind);
		assert_string_equal(message.id, UDID);
		assert_int_equal(message.at, rows[i].at);
		int64_t at = message.reported.of[FACT_ENCRYPTED].at;
		if (message.kind == MESSAGE_SECURITY_INFO)
			assert_int_equal(at, rows[i].at ? rows[i].at : NOW);
		assert_int_equal(mdm_message_end(FORM_JSON, (uint8_t *)text, strlen(text), 0),
				 strlen(text) - 1);
	}
	/* Header lines go before it, too; inside it only property lists are messages. */
	SCOPED(message_free) struct message message;
	char more[20000];
	webhook("checkin_event", "2018-08-13T14:30:16Z", TYPE("CheckOut", ""), text, sizeof text);
	snprintf(more, sizeof more, "Host: x\r\n\r\n%s", text);
	read_ok(more, &message);
	static const char *const bad[] = {"{}", "QUJD", "Host: x\n\n<plist><dict/></plist>", "x"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		webhook("checkin_event", "2018-08-13T14:30:16Z", bad[i], text, sizeof text);
		if (verdict(text) != ERR_INVALID)
			ROW_FAILED("%s was taken\n", bad[i]);
	}
	/* An event without a payload is accepted, and nothing. */
	SCOPED(message_free) struct message none;
	read_ok("{\"topic\": \"mdm.Connect\", \"acknowledge_event\": {\"status\": \"Idle\"}}",
		&none);
	assert_int_equal(none.kind, MESSAGE_OTHER);
	assert_true(none.webhook);
}

static void nothing_else_is_a_message(void **state)
{
	(void)state;
	static const char *const bad[] = {"",	      " \n",	     "QUJD", "-----BEGIN CMS-----",
					  "[]",	      "hello: x",    "\xff", "bpl",
					  "bplist00", "\xef\xbb\xbf"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (verdict(bad[i]) != ERR_INVALID)
			ROW_FAILED("row %zu was taken\n", i);
}

int main(void)
{
	CRYPTO_secure_malloc_init(1 << 22, 32);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(senders),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(awaiting_configuration),
		cmocka_unit_test(facts_of_authenticate),
		cmocka_unit_test(facts_of_security_info),
		cmocka_unit_test(allowed_for_authentication),
		cmocka_unit_test(encryption_of_ios),
		cmocka_unit_test(facts_of_device_information),
		cmocka_unit_test(addresses_and_imei),
		cmocka_unit_test(secrets_not_kept),
		cmocka_unit_test(webhooks),
		cmocka_unit_test(nothing_else_is_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
