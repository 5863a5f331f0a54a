/*
 * station.h - the personalisation of one board, in eight steps, each with its time.
 *
 *   power_up         bring the element up, read who it is
 *   generate_attest  a key pair in the element, a nonce from the server, the element's statement over both, the CSR
 *   forward          send CSR and evidence, wait for the answer, send again where the way was lost
 *   receive          read the certificate: one, for this key
 *   import           into the element
 *   challenge        read it back, throw 32 random bytes at the element, which signs them
 *   prove            verify that signature with the certificate's key, and the certificate's path; take into use
 *   log              a record for the MES
 *
 * A re-enrolment takes the same steps with the device's own certificate as the client's.
 *
 * Owns:     an outcome holds no heap.
 * Threads:  a station belongs to one thread; a plan is read-only and shared.
 */
#ifndef RIG_STATION_H
#define RIG_STATION_H

#include "element.h"
#include "est.h"
#include "mes.h"
#include "se_soft.h"

enum step {
	STEP_POWER_UP,
	STEP_GENERATE_ATTEST,
	STEP_FORWARD,
	STEP_RECEIVE,
	STEP_IMPORT,
	STEP_CHALLENGE,
	STEP_PROVE,
	STEP_LOG,
	STEP_COUNT
};
extern const char *const step_names[STEP_COUNT];

enum plan_kind { PLAN_ENROL, PLAN_REENROL };

/* What all stations of a run do. */
struct plan {
	enum plan_kind kind;
	const char *url, *cacert, *rig_cert, *rig_key, *userpass; /* as est_options; rig_cert may be NULL */
	const char *label;
	enum element_key key;        /* of new keys */
	bool attested;               /* enrol: bring evidence; otherwise a common name */
	bool new_key;                /* re-enrol: with a new key and fresh evidence; otherwise renew */
	const char *name_prefix;     /* not attested: common name = prefix and the element's id */
	struct soft_options element; /* how new elements are made */
	const char *const *folders;  /* of devices there are already; NULL: each device is a new element */
	double patience_s;
	long timeout_ms;
	const char *order;              /* for the MES; NULL: none */
	struct mes *mes;                /* NULL: no log */
	X509_STORE *trust;              /* the roots that /cacerts gave */
	STACK_OF(X509) * intermediates; /* and the CAs below them */
};

/* How it went with one board. */
struct outcome {
	bool begun, ok;
	unsigned retries;
	double ms[STEP_COUNT];
	enum step last; /* the step that failed, where !ok */
	char id[ELEMENT_ID_CHARS + 1];
	char serial[2 * 20 + 1]; /* hex */
	char issuer[65];         /* common name */
	char reason[48];         /* the server's short name; empty where the trouble is elsewhere */
	struct trouble trouble;
};

struct station {
	const struct plan *plan;
	unsigned number; /* from 1 */
	struct est *est; /* the rig's connection, kept; NULL for re-enrolment: there each device has its own */
};

/* Does all eight steps with board `index`; the log is written also where another step failed. */
void station_personalise(struct station *station, size_t index, struct outcome *ret_outcome);

/* The connection options for a rig by that plan. */
struct est_options plan_connection(const struct plan *plan);

#endif
