/* plant.c - see plant.h. */
#include "plant.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "oid.h"

#define PATIENCE_S 120

static const uint8_t policy_hash_of_test[32] = { 0xab, 0xcd };

__attribute__((format(printf, 3, 4))) static void write_file(const struct plant *plant, const char *name,
							     const char *fmt, ...)
{
	char path[256];
	va_list ap;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", plant->home, name);
	file = fopen(path, "w");
	assert_non_null(file);
	va_start(ap, fmt);
	vfprintf(file, fmt, ap);
	va_end(ap);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0); /* some of them are secrets */
}

static void make_folder(const struct plant *plant, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", plant->home, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void write_config(struct plant *plant)
{
	char here[256];

	assert_non_null(getcwd(here, sizeof(here)));
	for (unsigned i = 0; i < 3; i++)
		plant->port[i] = (uint16_t)free_port();
	make_folder(plant, "users");
	write_file(plant, "users/users.json", "[]\n");
	write_file(
		plant, "assay.json",
		"{ \"node\": \"n1\", \"home\": \"quickstart\", \"state_dir\": \"state\", \"run_dir\": \"run\","
		"\"est\": { \"listeners\": [ { \"port\": %u } ], \"certificate\": \"tls/est.pem\", \"key\": "
		"\"tls/est.key\","
		"  \"default_label\": \"line\", \"nonce_key\": \"secrets/nonce.key\" },"
		"\"admin\": { \"port\": %u, \"certificate\": \"tls-admin/admin.pem\", \"key\": \"tls-admin/admin.key\","
		"  \"clients\": \"trust/operators.pem\" },"
		"\"status\": { \"port\": %u }, \"trust\": { \"rigs\": \"trust/rigs.pem\" },"
		"\"evidence\": [ { \"format\": \"assay.1.1\", \"name\": \"test\", \"roots\": \"vendor/root.pem\","
		"  \"software\": true } ],"
		"\"profiles\": \"%s/deploy/profiles\", \"users\": \"users/users.json\", \"root\": \"ca/root.pem\","
		"\"issuers\": [ { \"name\": \"attested\", \"certificate\": \"ca/attested.pem\", \"key\": \"attested\","
		"  \"level_min\": \"vouched\", \"validity_max\": \"10y\" },"
		" { \"name\": \"unattested\", \"certificate\": \"ca/unattested.pem\", \"key\": \"unattested\","
		"  \"level_min\": \"none\", \"level_max\": \"none\" },"
		" { \"name\": \"idevid\", \"certificate\": \"ca/idevid.pem\", \"key\": \"idevid\", \"level_min\": "
		"\"native\", \"hourly_max\": 3, \"validity_max\": \"none\" },"
		" { \"name\": \"rigs\", \"certificate\": \"ca/rigs.pem\", \"key\": \"rigs\", \"for\": \"rigs\","
		"  \"level_min\": \"none\", \"level_max\": \"none\" },"
		" { \"name\": \"services\", \"certificate\": \"ca/services.pem\", \"key\": \"services\", \"for\": \"services\","
		"  \"level_min\": \"none\", \"level_max\": \"none\" } ],"
		"\"token\": { \"module\": \"/usr/lib/softhsm/libsofthsm2.so\", \"label\": \"assay\","
		"  \"pin_file\": \"secrets/pin\" },"
		"\"ledger\": { \"writer\": \"%s\", \"reader\": \"%s\" } }\n",
		plant->port[0], plant->port[1], plant->port[2], here, plant->world->ca_conninfo,
		plant->world->ca_conninfo);
}

static void hold_ceremony(const struct plant *plant)
{
	char line[512], conf[256];

	snprintf(conf, sizeof(conf), "%s/softhsm2.conf", plant->home);
	setenv("SOFTHSM2_CONF", conf, 1);
	make_folder(plant, "token");
	make_folder(plant, "secrets");
	write_file(plant, "softhsm2.conf",
		   "directories.tokendir = %s/token\nobjectstore.backend = file\nlog.level = ERROR\n", plant->home);
	write_file(plant, "secrets/pin", "12345678\n");
	write_file(plant, "secrets/so-pin", "87654321\n");
	snprintf(line, sizeof(line), CEREMONY " --spec deploy/ceremony/quickstart.json --home %s > %s/ceremony.log",
		 plant->home, plant->home);
	assert_int_equal(system(line), 0);
}

static X509 *read_certificate(const struct plant *plant, const char *name)
{
	char path[256];
	FILE *file;
	X509 *x;

	snprintf(path, sizeof(path), "%s/%s", plant->home, name);
	file = fopen(path, "r");
	assert_non_null(file);
	x = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	assert_non_null(x);
	return x;
}

int plant_setup(void **state)
{
	struct plant *plant = calloc(1, sizeof(*plant));
	void *world = NULL;

	if (plant == NULL || world_setup(&world) != 0)
		return -1;
	plant->world = world;
	strcpy(plant->home, "/tmp/assay-plant-XXXXXX");
	assert_non_null(mkdtemp(plant->home));
	snprintf(plant->config, sizeof(plant->config), "%s/assay.json", plant->home);
	snprintf(plant->log, sizeof(plant->log), "%s/log", plant->home);
	make_folder(plant, "run");
	hold_ceremony(plant);
	write_config(plant);
	plant->attested = read_certificate(plant, "ca/attested.pem");
	*state = plant;
	return 0;
}

int plant_teardown(void **state)
{
	struct plant *plant = *state;
	void *world = plant->world;
	char line[256];

	if (plant->ca != 0)
		plant_kill(plant);
	X509_free(plant->attested);
	snprintf(line, sizeof(line), "rm -rf %s", plant->home);
	if (system(line) != 0)
		return -1;
	free(plant);
	return world_teardown(&world);
}

static void start(struct plant *plant, char *const argv[])
{
	assert_int_equal(plant->ca, 0);
	plant->ca = fork();
	assert_true(plant->ca >= 0);
	if (plant->ca == 0) {
		if (freopen(plant->log, "a", stderr) == NULL)
			_exit(99);
		execv(argv[0], argv);
		_exit(99);
	}
}

void plant_start(struct plant *plant)
{
	char *const argv[] = { ASSAYD, "--config", plant->config, "--role", "ca", NULL };

	start(plant, argv);
}

void plant_start_all(struct plant *plant)
{
	char *const argv[] = { ASSAYD, "--config", plant->config, NULL };

	start(plant, argv);
}

int plant_wait(struct plant *plant)
{
	int status;

	assert_int_equal(waitpid(plant->ca, &status, 0), plant->ca);
	plant->ca = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int plant_stop(struct plant *plant)
{
	kill(plant->ca, SIGTERM);
	return plant_wait(plant);
}

void plant_kill(struct plant *plant)
{
	kill(plant->ca, SIGKILL);
	assert_int_equal(plant_wait(plant), 256 + SIGKILL);
}

bool plant_logged(const struct plant *plant, const char *text)
{
	static char all[1 << 20];
	FILE *file = fopen(plant->log, "r");
	size_t n;

	if (file == NULL)
		return false;
	n = fread(all, 1, sizeof(all) - 1, file);
	fclose(file);
	all[n] = '\0';
	return strstr(all, text) != NULL;
}

static void on_up(void *user, struct channel *channel)
{
	struct peer *peer = user;
	struct buf body = { 0 };

	if (peer->announce) {
		assert_int_equal(pack_bytes(&body, BLOB_OF(policy_hash_of_test), NULL), REASON_OK);
		assert_int_equal(pack_text(&body, "test", NULL), REASON_OK);
		assert_true(channel_send(channel, FRAME_POLICY, 0, buf_blob(&body)));
		buf_done(&body);
	}
	pthread_mutex_lock(&peer->lock);
	peer->ups++;
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

static void on_down(void *user, struct channel *channel)
{
	struct peer *peer = user;

	(void)channel;
	pthread_mutex_lock(&peer->lock);
	peer->downs++;
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

static void on_frame(void *user, struct channel *channel, const struct frame *frame)
{
	struct peer *peer = user;
	struct answer *answer = &peer->answer[frame->id % ANSWERS_MAX];

	(void)channel;
	if (frame->type == FRAME_VIEW) {
		assert_int_equal(view_apply(peer->view, frame->body, clock_mono_us(), NULL), REASON_OK);
		return;
	}
	pthread_mutex_lock(&peer->lock);
	assert_false(answer->there); /* one answer a question */
	answer->there = true;
	answer->type = frame->type;
	assert_int_equal(buf_copy(frame->body, &answer->body, NULL), REASON_OK);
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

static const struct channel_events peer_events = { on_up, on_frame, on_down };

void peer_open(struct peer *peer, struct plant *plant, enum role role, bool announce)
{
	char path[256];
	struct fault f;

	memset(peer, 0, sizeof(*peer));
	peer->announce = announce;
	peer->view = view_new();
	pthread_mutex_init(&peer->lock, NULL);
	pthread_cond_init(&peer->changed, NULL);
	snprintf(path, sizeof(path), "%s/run/ca-%s.sock", plant->home, role_name(role));
	assert_int_equal(channel_connect(path, &peer_events, peer, &peer->client, &f), REASON_OK);
}

void peer_close(struct peer *peer)
{
	channel_client_close(peer->client);
	view_free(peer->view);
	for (unsigned i = 0; i < ANSWERS_MAX; i++)
		buf_done(&peer->answer[i].body);
	pthread_mutex_destroy(&peer->lock);
	pthread_cond_destroy(&peer->changed);
}

bool peer_send(struct peer *peer, enum frame_type type, uint64_t id, struct blob body)
{
	struct channel *channel = channel_client_get(peer->client);
	bool sent;

	if (channel == NULL)
		return false;
	pthread_mutex_lock(&peer->lock);
	buf_done(&peer->answer[id].body);
	peer->answer[id].there = false;
	pthread_mutex_unlock(&peer->lock);
	sent = channel_send(channel, type, id, body);
	channel_unref(channel);
	return sent;
}

bool peer_enrol(struct peer *peer, uint64_t id, const struct grant *grant)
{
	struct buf body = { 0 };
	bool sent;

	assert_int_equal(grant_encode(grant, &body, NULL), REASON_OK);
	sent = peer_send(peer, FRAME_ENROL, id, buf_blob(&body));
	buf_done(&body);
	return sent;
}

/* True when it came, false after `seconds`. */
static bool wait_answer(struct peer *peer, uint64_t id, int seconds)
{
	struct timespec until;
	bool there;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&peer->lock);
	while (!peer->answer[id].there)
		if (pthread_cond_timedwait(&peer->changed, &peer->lock, &until) != 0)
			break;
	there = peer->answer[id].there;
	pthread_mutex_unlock(&peer->lock);
	return there;
}

const struct answer *peer_answer(struct peer *peer, uint64_t id)
{
	if (!wait_answer(peer, id, PATIENCE_S))
		fail_msg("no answer to %llu", (unsigned long long)id);
	return &peer->answer[id];
}

bool peer_has(struct peer *peer, uint64_t id)
{
	return wait_answer(peer, id, 0);
}

const char *refusal_of(const struct answer *answer)
{
	struct pack_reader r = { .left = buf_blob(&answer->body) };
	static char name[64];
	char detail[256];

	if (answer->type != FRAME_REFUSED)
		return "enrolled";
	pack_get_text(&r, name, sizeof(name));
	pack_get_text(&r, detail, sizeof(detail));
	assert_true(pack_done(&r));
	return name;
}

struct enrolled enrolled_of(const struct plant *plant, const struct answer *answer)
{
	struct pack_reader r = { .left = buf_blob(&answer->body) };
	struct enrolled e = { 0 };
	struct blob serial;
	const uint8_t *p;
	X509 *x;

	if (answer->type != FRAME_ENROLLED)
		fail_msg("refused: %s", refusal_of(answer));
	e.repeated = pack_get_u8(&r) == 1;
	serial = pack_get_bytes(&r);
	e.der = pack_get_bytes(&r);
	assert_true(pack_done(&r) && serial.len <= sizeof(e.serial));
	memcpy(e.serial, serial.ptr, serial.len);
	e.serial_len = serial.len;
	p = e.der.ptr;
	x = d2i_X509(NULL, &p, (long)e.der.len);
	assert_non_null(x);
	assert_ptr_equal(p, e.der.ptr + e.der.len);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(plant->attested)), 1);
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(x)), e.serial_len);
	assert_memory_equal(ASN1_STRING_get0_data(X509_get0_serialNumber(x)), e.serial, e.serial_len);
	X509_free(x);
	return e;
}

static void new_key(struct pubkey *key)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");

	assert_non_null(pkey);
	*key = (struct pubkey){ .type = KEY_EC_P256, .bits = 256 };
	assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, "pub", key->raw, sizeof(key->raw), &key->len), 1);
	EVP_PKEY_free(pkey);
}

struct grant *grant_for(unsigned element)
{
	struct grant *g = grant_new();

	assert_non_null(g);
	g->kind = GRANT_ENROL;
	strcpy(g->profile, "line");
	strcpy(g->family, "device");
	strcpy(g->issuer, "attested");
	memcpy(g->policy_hash, policy_hash_of_test, sizeof(g->policy_hash));
	strcpy(g->requester, "rig:station-1");
	strcpy(g->device.format, "assay.1.1");
	memset(g->device.vendor_root, 0x76, sizeof(g->device.vendor_root));
	g->device.element_len = sizeof(element);
	memcpy(g->device.element, &element, sizeof(element));
	new_key(&g->key);
	g->level = LEVEL_NATIVE;
	g->level_needed = LEVEL_VOUCHED;
	g->n_subject = 2;
	g->subject[0].type = OID_AT_CN;
	snprintf(g->subject[0].value, sizeof(g->subject[0].value), "dev-%u", element);
	g->subject[1].type = OID_AT_SERIAL_NUMBER;
	snprintf(g->subject[1].value, sizeof(g->subject[1].value), "%u", element);
	g->n_sans = 1;
	g->san[0].type = SAN_URI;
	snprintf(g->san[0].value, sizeof(g->san[0].value), "urn:dev:%u", element);
	g->validity_s = 5ULL * 365 * 86400;
	g->key_usage = KU_DIGITAL_SIGNATURE;
	g->n_ekus = 1;
	g->eku[0] = *oid_of(OID_KP_CLIENT_AUTH);
	strcpy(g->evidence_format, "assay.1.1");
	assert_int_equal(buf_copy(BLOB_STR("the bundle"), &g->evidence, NULL), REASON_OK);
	return g;
}

struct grant *grant_again(const struct grant *grant, const struct enrolled *previous, bool other_key)
{
	struct grant *g = grant_new();

	assert_non_null(g);
	*g = *grant;
	g->kind = GRANT_REENROL;
	strcpy(g->profile, "field");
	g->n_subject = g->n_sans = 0;
	g->device = (struct device_id){ 0 };
	g->level = LEVEL_NONE;
	g->rekey_needs_evidence = true;
	g->evidence_format[0] = '\0';
	g->evidence = g->continuity = (struct buf){ 0 };
	g->previous_len = previous->serial_len;
	memcpy(g->previous, previous->serial, previous->serial_len);
	if (other_key)
		new_key(&g->key);
	return g;
}

static bool is_passing(const struct answer *answer)
{
	return answer->type == FRAME_REFUSED &&
	       (strcmp(refusal_of(answer), "ledger_away") == 0 || strcmp(refusal_of(answer), "claim_pending") == 0 ||
		strcmp(refusal_of(answer), "stopping") == 0 || strcmp(refusal_of(answer), "overloaded") == 0 ||
		strcmp(refusal_of(answer), "token_away") == 0);
}

/* What a rig does: the same again while the answer says "later", or while nobody answers. */
struct enrolled enrol_patiently(struct plant *plant, struct peer *peer, uint64_t id, const struct grant *grant)
{
	int64_t until_us = clock_mono_us() + PATIENCE_S * 1000000LL;
	const struct timespec pause = { .tv_nsec = 20000000 };

	while (clock_mono_us() < until_us) {
		if (peer_enrol(peer, id, grant) && wait_answer(peer, id, 2) && !is_passing(&peer->answer[id]))
			return enrolled_of(plant, &peer->answer[id]);
		nanosleep(&pause, NULL);
	}
	fail_msg("the ca did not take it for %d s", PATIENCE_S);
	return (struct enrolled){ 0 };
}

/* A view that is fresh has come through the ledger. */
void wait_ready(struct plant *plant, struct peer *peer)
{
	int64_t until_us = clock_mono_us() + PATIENCE_S * 1000000LL;
	const struct timespec pause = { .tv_nsec = 10000000 };

	while (view_fresh(peer->view, clock_mono_us(), NULL) != REASON_OK ||
	       !plant_logged(plant, "\"event\":\"ready\"")) {
		if (clock_mono_us() > until_us)
			fail_msg("no fresh view after %d s", PATIENCE_S);
		nanosleep(&pause, NULL);
	}
}
