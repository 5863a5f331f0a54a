/* quote_make.c - see quote_make.h. */
#include "quote_make.h"

#include <string.h>

#define PROFILE "urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa5"

EVP_PKEY *quote_device;

void put_raw(struct buf *out, struct blob bytes)
{
	if (buf_append(out, bytes, NULL) != REASON_OK)
		make_die("memory");
}

static void put_octet(struct buf *out, unsigned octet)
{
	uint8_t one = (uint8_t)octet;

	put_raw(out, BLOB(&one, 1));
}

void put_head(struct buf *out, unsigned major, uint64_t value)
{
	unsigned octets = value < 24 ? 0 : value < 256 ? 1 : value < 65536 ? 2 : value <= 0xffffffff ? 4 : 8;
	unsigned info = octets == 0 ? (unsigned)value : octets == 1 ? 24 : octets == 2 ? 25 : octets == 4 ? 26 : 27;

	put_octet(out, major << 5 | info);
	while (octets-- > 0)
		put_octet(out, (unsigned)(value >> (8 * octets) & 255));
}

void put_int(struct buf *out, int64_t value)
{
	put_head(out, value < 0, value < 0 ? (uint64_t)(-1 - value) : (uint64_t)value);
}

void put_bytes(struct buf *out, struct blob bytes)
{
	put_head(out, 2, bytes.len);
	put_raw(out, bytes);
}

void put_text(struct buf *out, const char *text)
{
	put_head(out, 3, strlen(text));
	put_raw(out, BLOB_STR(text));
}

struct buf cose_key(const struct pubkey *key)
{
	size_t len = key->len / 2;
	struct buf out = { 0 };

	put_head(&out, 5, 4);
	put_int(&out, 1);
	put_int(&out, 2);
	put_int(&out, -1);
	put_int(&out, key->type == KEY_EC_P256 ? 1 : 2);
	put_int(&out, -2);
	put_bytes(&out, BLOB(key->raw + 1, len));
	put_int(&out, -3);
	put_bytes(&out, BLOB(key->raw + 1 + len, len));
	return out;
}

void quote_claim(struct quote_make *quote, unsigned slot, int64_t key, const struct buf *value)
{
	struct buf claim = { 0 };

	put_int(&claim, key);
	put_raw(&claim, buf_blob(value));
	buf_done(&quote->claim[slot]);
	quote->claim[slot] = claim;
}

void quote_header(struct quote_make *quote, int64_t alg)
{
	buf_done(&quote->header);
	put_head(&quote->header, 5, 1);
	put_int(&quote->header, 1);
	put_int(&quote->header, alg);
}

void quote_start(struct quote_make *quote, EVP_PKEY *device_key, struct blob ueid, struct blob nonce, uint64_t flags)
{
	struct pubkey key = make_pubkey(device_key);
	AUTO(buf_done) struct buf cose = cose_key(&key), cnf = { 0 }, n = { 0 }, u = { 0 }, p = { 0 }, fl = { 0 };

	*quote = (struct quote_make){ .tag = 18 };
	put_head(&cnf, 5, 1);
	put_int(&cnf, 1);
	put_raw(&cnf, buf_blob(&cose));
	quote_claim(quote, CLAIM_CNF, 8, &cnf);
	put_bytes(&n, nonce);
	quote_claim(quote, CLAIM_NONCE, 10, &n);
	put_bytes(&u, ueid);
	quote_claim(quote, CLAIM_UEID, 256, &u);
	put_text(&p, PROFILE);
	quote_claim(quote, CLAIM_PROFILE, 265, &p);
	put_head(&fl, 0, flags);
	quote_claim(quote, CLAIM_FLAGS, -80000, &fl);
	put_head(&quote->unprotected, 5, 0);
	quote_header(quote, -7);
}

void quote_done(struct quote_make *quote)
{
	for (size_t i = 0; i < CLAIM_SLOTS; i++)
		buf_done(&quote->claim[i]);
	buf_done(&quote->header);
	buf_done(&quote->unprotected);
	buf_done(&quote->after);
}

struct buf quote_payload(const struct quote_make *quote)
{
	struct buf out = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < CLAIM_SLOTS; i++)
		n += quote->claim[i].len > 0;
	put_head(&out, 5, quote->count > 0 ? quote->count : n);
	for (size_t i = 0; i < CLAIM_SLOTS; i++)
		put_raw(&out, buf_blob(&quote->claim[i]));
	return out;
}

struct buf quote_sign(const struct quote_make *quote, EVP_PKEY *signer, const char *md_name)
{
	static const uint8_t zeros[64];
	AUTO(buf_done) struct buf payload = quote_payload(quote), tbs = { 0 }, signature = { 0 };
	struct buf out = { 0 };

	put_head(&tbs, 4, 4);
	put_text(&tbs, "Signature1");
	put_bytes(&tbs, buf_blob(&quote->header));
	put_bytes(&tbs, (struct blob){ 0 });
	put_bytes(&tbs, buf_blob(&payload));
	if (signer != NULL)
		signature = make_signature_raw(signer, md_name, buf_blob(&tbs));
	else
		put_raw(&signature, BLOB_OF(zeros));

	put_head(&out, 6, quote->tag);
	put_head(&out, 4, 4);
	put_bytes(&out, buf_blob(&quote->header));
	put_raw(&out, buf_blob(&quote->unprotected));
	put_bytes(&out, buf_blob(&payload));
	put_bytes(&out, buf_blob(&signature));
	put_raw(&out, buf_blob(&quote->after));
	return out;
}

struct buf bundle_statement(const char *oid, struct blob stmt)
{
	AUTO(buf_done) struct buf content = { 0 }, type = { 0 };
	struct oid parsed;

	if (!oid_parse(oid, &parsed))
		make_die(oid);
	type = make_element(0x06, BLOB(parsed.bytes, parsed.len));
	put_raw(&content, buf_blob(&type));
	put_raw(&content, stmt);
	return make_element(0x30, buf_blob(&content));
}

static struct buf sequence_of(const struct blob *items, size_t n)
{
	AUTO(buf_done) struct buf content = { 0 };

	for (size_t i = 0; i < n; i++)
		put_raw(&content, items[i]);
	return make_element(0x30, buf_blob(&content));
}

struct buf bundle_of(const struct blob *statements, size_t n_statements, const struct blob *certs, size_t n_certs)
{
	AUTO(buf_done) struct buf attestations = sequence_of(statements, n_statements), list = { 0 };
	struct blob parts[2] = { buf_blob(&attestations) };

	if (n_certs > 0) {
		list = sequence_of(certs, n_certs);
		parts[1] = buf_blob(&list);
	}
	return sequence_of(parts, 2);
}

struct buf bundle_of_quote(struct blob cose, const struct blob *certs, size_t n_certs)
{
	AUTO(buf_done)
	struct buf stmt = make_element(0x04, cose), statement = bundle_statement(QUOTE_OID, buf_blob(&stmt));
	struct blob one = buf_blob(&statement);

	return bundle_of(&one, 1, certs, n_certs);
}

static struct make_cert ca_spec(struct make_cert spec, EVP_PKEY *key, const char *cn)
{
	spec.key = key;
	spec.ca = true;
	if (spec.cn == NULL)
		spec.cn = cn;
	return spec;
}

void vendor_make(struct vendor *vendor, const struct vendor_make *spec, const char *chip_serial)
{
	struct make_cert root, batch, chip = spec->chip;

	vendor->root_key = make_key(KEY_EC_P384);
	vendor->batch_key = make_key(KEY_EC_P256);
	vendor->chip_key = make_key(spec->chip_key == KEY_NONE ? KEY_EC_P256 : spec->chip_key);
	root = ca_spec(spec->root, vendor->root_key, "Vendor root");
	batch = ca_spec(spec->batch, vendor->batch_key, "Vendor batch CA");
	batch.has_path_len = true;
	chip.key = vendor->chip_key;
	chip.ca = spec->chip_is_ca;
	chip.serial_number = chip_serial;
	if (chip.cn == NULL)
		chip.cn = "Chip";
	chip.eku = spec->chip_eku == NULL ? KP_QUOTE : spec->chip_eku[0] == '\0' ? NULL : spec->chip_eku;
	vendor->root = make_cert(&root, NULL, NULL);
	vendor->batch = make_cert(&batch, vendor->root, vendor->root_key);
	vendor->chip = make_cert(&chip, vendor->batch, vendor->batch_key);
	vendor->root_der = make_der(vendor->root);
	vendor->batch_der = make_der(vendor->batch);
	vendor->chip_der = make_der(vendor->chip);
}

void vendor_done(struct vendor *vendor)
{
	EVP_PKEY_free(vendor->root_key);
	EVP_PKEY_free(vendor->batch_key);
	EVP_PKEY_free(vendor->chip_key);
	X509_free(vendor->root);
	X509_free(vendor->batch);
	X509_free(vendor->chip);
	buf_done(&vendor->root_der);
	buf_done(&vendor->batch_der);
	buf_done(&vendor->chip_der);
	*vendor = (struct vendor){ 0 };
}

int quote_device_make(void **state)
{
	(void)state;
	quote_device = make_key(KEY_EC_P256);
	return 0;
}

int quote_device_free(void **state)
{
	(void)state;
	EVP_PKEY_free(quote_device);
	return 0;
}
