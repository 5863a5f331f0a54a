/* fill_requesters.c - see api.h: what bodies say of rigs, operators and their keys. */
#include <string.h>

#include "admin/fields.h"
#include "csr.h"
#include "http/body.h"
#include "http/peer.h"

static enum reason take_kind(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	static const char *const kinds[] = { "rig", "ra", "operator", "auditor", "administrator" };
	const char *text;

	TRY(field_text(name, value, &text, f));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], text) == 0)
			return value_plain(name, text, call->ask.kind, sizeof(call->ask.kind), f);
	return fault_set(f, REASON_API_FIELD, "%s: must be rig, ra, operator, auditor or administrator", name);
}

static enum reason take_spki_hash(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;

	TRY(field_text(name, value, &text, f));
	if (value_bytes(text, call->ask.spki_hash, sizeof(call->ask.spki_hash)))
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "%s: must be the SHA-256 of the public key, 64 hex digits", name);
}

/* The key of a request whose signature shows that its sender has it. Names are the registry's: those of the request are
 * not looked at. */
static enum reason take_csr(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	struct claims claims = { 0 }, *batch[] = { &claims };
	struct fault verdict = { 0 };
	struct csr csr;
	const char *text;

	TRY(field_text(name, value, &text, f));
	TRY(body_der(BLOB_STR(text), &der, f));
	TRY(csr_parse(buf_blob(&der), &csr, &claims, f));
	if (csr.asks_ca)
		return fault_set(f, REASON_CSR_CA, "%s: basicConstraints CA:TRUE", name);
	claims_check(batch, 1, &verdict);
	if (verdict.reason != REASON_OK) {
		*f = verdict;
		return f->reason;
	}
	call->ask.key = csr.key;
	return REASON_OK;
}

enum reason fill_register(struct call *call, struct fault *f)
{
	static const struct field fields[] = {
		FIELD("kind", true, take_kind),
		FIELD_TEXT("name", true, ask.name),
		FIELD("spki_hash", false, take_spki_hash),
		FIELD_TEXT("names", false, ask.names),
		FIELD_TEXT("labels", false, ask.labels),
		FIELD_TEXT("note", true, ask.note),
		FIELD("csr", false, take_csr),
	};
	const bool hash = json_object_get(call->body, "spki_hash") != NULL;

	call->ask.op = json_object_get(call->body, "csr") != NULL ? OPERATE_ENROL : OPERATE_REGISTER;
	TRY(FIELDS_READ(call, fields, f));
	if (call->ask.name[0] == '\0' || strchr(call->ask.name, ':') != NULL)
		return fault_set(f, REASON_API_FIELD, "name: must be 1 to 80 characters without a colon");
	if (hash == (call->ask.op == OPERATE_ENROL))
		return fault_set(f, REASON_API_FIELD,
				 "one of spki_hash (of a certificate that others issue) and csr is needed");
	return REASON_OK;
}

/* One's own: what is renewed is the certificate of this connection. */
enum reason fill_renewal(struct call *call, struct fault *f)
{
	static const struct field fields[] = { FIELD("csr", true, take_csr) };
	const struct peer *peer = call->x->peer; /* operator_check(): there is one */

	call->ask.op = OPERATE_RENEW;
	TRY(FIELDS_READ(call, fields, f));
	memcpy(call->ask.spki_hash, peer->spki_hash, sizeof(call->ask.spki_hash));
	call->ask.until_s = peer->cert.not_after_s;
	if (peer->cert.serial.len > LIMIT_SERIAL_BYTES)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: serial of %zu bytes", peer->cert.serial.len);
	return buf_copy(peer->cert.serial, &call->ask.serials, f);
}

enum reason fill_retire(struct call *call, struct fault *f)
{
	static const struct field fields[] = { FIELD_TEXT("note", true, ask.note),
					       FIELD("reason", false, field_reason) };

	call->ask.op = OPERATE_RETIRE;
	call->ask.reason = CRL_REASON_CESSATION;
	TRY(FIELDS_READ(call, fields, f));
	if (call->ask.reason == CRL_REASON_HOLD || call->ask.reason == CRL_REASON_RELEASE)
		return fault_set(f, REASON_API_FIELD, "reason: retiring is for good; hold a certificate by its serial");
	if (value_bytes(call->segment, call->ask.spki_hash, sizeof(call->ask.spki_hash)))
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "path: must be the SHA-256 of the public key, 64 hex digits");
}
