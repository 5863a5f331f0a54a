/*
 * pkcs7.c - see pkcs7.h.
 *
 * RFC 5652 calls the certificates a SET OF; strict DER would sort them. CMS asks for BER alone here, and clients take
 * the first certificate for theirs, so the order given is kept.
 */
#include "pkcs7.h"

#include "derw.h"

#define HEADERS_BYTES                                                                                                  \
	96 /* everything around the certificates: seven headers of at most six bytes, two OIDs, a version */

static void write_certs_only(struct derw *w, const struct blob *certs, size_t n)
{
	const uint8_t *content = derw_mark(w), *mark;

	derw_put(w, DER_SET, BLOB(NULL, 0)); /* signerInfos */
	mark = derw_mark(w);
	while (n-- > 0)
		derw_raw(w, certs[n]);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	mark = derw_mark(w);
	derw_oid(w, oid_of(OID_PKCS7_DATA));
	derw_wrap(w, DER_SEQUENCE, mark);    /* encapContentInfo without content */
	derw_put(w, DER_SET, BLOB(NULL, 0)); /* digestAlgorithms */
	derw_uint(w, DER_INTEGER, 1);
	derw_wrap(w, DER_SEQUENCE, content);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), content);
	derw_oid(w, oid_of(OID_PKCS7_SIGNED_DATA));
	derw_wrap(w, DER_SEQUENCE, content);
}

enum reason pkcs7_certs_only(const struct blob *certs, size_t n, struct buf *ret_der, struct fault *f)
{
	AUTO(buf_done) struct buf room = { 0 };
	size_t total = HEADERS_BYTES;
	struct derw w;

	if (n == 0)
		return fault_set(f, REASON_INTERNAL, "certs-only answer without a certificate");
	for (size_t i = 0; i < n; i++)
		total += certs[i].len;
	TRY(buf_reserve(&room, total, f));
	w = derw_over(room.ptr, total);
	write_certs_only(&w, certs, n);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "certs-only answer over %zu bytes", total);
	return buf_copy(derw_blob(&w), ret_der, f);
}
