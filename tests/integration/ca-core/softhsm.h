/*
 * softhsm.h - a real SoftHSM token in a folder of its own, with one key of each type, and CAs over them.
 */
#ifndef SOFTHSM_FIXTURE_H
#define SOFTHSM_FIXTURE_H

#include "issuer.h"

#define SOFTHSM_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define SOFTHSM_TOKEN "test"
#define SOFTHSM_PIN "4711-8150"

struct softhsm {
	char dir[64]; /* holds token/, softhsm2.conf, pin, <key>.pem */
	char pin_file[96];
};

/* Makes the token with the keys "p256", "p384" and "rsa" and points SOFTHSM2_CONF at it. Aborts on failure. */
void softhsm_make(struct softhsm *softhsm);
/* Removes the folder. */
void softhsm_remove(struct softhsm *softhsm);

struct hsm_options softhsm_options(const struct softhsm *softhsm, unsigned sessions);
/* A self-signed CA certificate over one of the keys, in <dir>/<key>.pem: the options of its issuer. */
struct issuer_options softhsm_ca(const struct softhsm *softhsm, struct hsm *hsm, const char *key, char path[96]);
void softhsm_write(const char *path, const char *text);

#endif
