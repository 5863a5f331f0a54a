/*
 * softhsm.h - a real SoftHSM token in a folder of its own, with one key of each type, and CAs over them.
 */
#ifndef SOFTHSM_FIXTURE_H
#define SOFTHSM_FIXTURE_H

#include "issuer.h"

#define SOFTHSM_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define SOFTHSM_TOKEN "test"
#define SOFTHSM_PIN "4711-8150"

/* Of the test program; softhsm_setup() makes it. */
struct softhsm {
	char dir[64]; /* holds token/, softhsm2.conf, pin, <key>.pem */
	char pin_file[96];
};
extern struct softhsm softhsm;

/* For cmocka's group: makes the token with the keys "p256", "p384" and "rsa" and points SOFTHSM2_CONF at it, or aborts;
 * removes the folder. */
int softhsm_setup(void **state);
int softhsm_teardown(void **state);
/* Where SoftHSM is not installed: says so, and gives the status with which ctest knows a skipped test; else 0. */
int softhsm_missing(void);

struct hsm_options softhsm_options(unsigned sessions);
/* A self-signed CA certificate over one of the keys, in <dir>/<key>.pem: the options of its issuer. */
struct issuer_options softhsm_ca(struct hsm *hsm, const char *key, char path[96]);
/* Is it the key's, over this message? By OpenSSL alone. */
bool softhsm_verifies(const struct hsm_key *key, struct blob message, const uint8_t *sig, size_t len);
void softhsm_write(const char *path, const char *text);

#endif
