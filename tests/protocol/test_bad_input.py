"""Bad input on the main way: a clear refusal, nothing issued, nothing lost.

Every row is one way to be wrong. For each: the HTTP status, the text for the client, the log line with the same
request id and reason, the ledger without a new issuance, and a healthy enrolment right afterwards.
"""

import base64
import datetime
import hmac
import os
import random
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import der
import element
from element import csr, new_key

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.utcnow()


class Case:
    """What a row gets to work with: a rig's connection, a new element, a new key, a fresh nonce."""

    def __init__(self, assay):
        self.assay = assay
        self.client = assay.rig()
        self.chip = assay.vendor.element()
        self.key = new_key()
        self.nonce = self.client.nonce()

    def evidence(self, **options):
        return self.chip.evidence(self.key, self.nonce, **options)

    def quote(self, **options):
        return self.chip.sign(element.cbor(self.chip.claims(self.key, self.nonce, **options)))

    def enrol(self, *attributes, **options):
        return self.client.enrol(csr(self.key, *attributes, **options))

    def enrol_bundle(self, bundle):
        return self.enrol(der.attribute(element.OID_ATTESTATION, bundle))

    def good(self):
        return csr(self.key, self.evidence())

    def with_chip(self, chip):
        self.chip = chip
        return self.enrol(self.evidence())


ROWS = []


def row(name, status, reason):
    def add(send):
        ROWS.append(pytest.param(send, status, reason, id=name))
        return send

    return add


# Evidence


@row("no_evidence", 403, "evidence_missing")
def _(c):
    return c.enrol()


@row("two_bundles_in_one_attribute", 400, "evidence_duplicate")
def _(c):
    one, other = c.chip.bundle(c.quote()), c.chip.bundle(c.quote(), certs=[c.chip.cert])
    return c.enrol(der.attribute(element.OID_ATTESTATION, one, other))


@row("two_attestation_attributes", 400, "evidence_duplicate")
def _(c):
    return c.enrol(c.evidence(), c.evidence())


@row("evidence_for_another_key", 403, "evidence_key")
def _(c):
    return c.client.enrol(csr(c.key, c.chip.evidence(new_key(), c.nonce)))


@row("nonce_made_up", 403, "nonce_foreign")
def _(c):
    c.nonce = os.urandom(16)
    return c.enrol(c.evidence())


@row("nonce_of_another_rig", 403, "nonce_foreign")
def _(c):
    c.nonce = c.assay.rig2().nonce()
    return c.enrol(c.evidence())


@row("nonce_of_another_label", 403, "nonce_foreign")
def _(c):
    c.nonce = c.client.nonce("idevid")
    return c.enrol(c.evidence())


@row("nonce_empty", 400, "evidence_content")
def _(c):
    c.nonce = b""
    return c.enrol(c.evidence())


def nonce_made_at(c, time_s, requester="rig:rig-1", label="line"):
    """A nonce as the daemon made it at that time (attestation/nonce.c), with the home's own nonce key."""
    secret = (c.assay.home / "secrets" / "nonce.key").read_bytes()
    tick = int(time_s) * 16384
    text = f"assay-nonce-v1|{tick:016x}|16|{len(requester)}|{requester}|{label}"
    return (tick & 0xFFFFFFFF).to_bytes(4, "big") + hmac.digest(secret, text.encode(), "sha512")[:12]


@row("nonce_stale", 403, "nonce_stale")
def _(c):
    c.nonce = nonce_made_at(c, time.time() - 2 * 3600)
    return c.enrol(c.evidence())


def altered(field, value):
    """The payload is altered after it was signed: the signature is that of the true one."""

    def send(c):
        true = c.chip.claims(c.key, c.nonce)
        sign1 = c.chip.sign(element.cbor(true))
        sign1[2] = element.cbor({**true, field: value(c, true[field])})
        return c.enrol_bundle(c.chip.bundle(sign1))

    return send


row("quote_signature_altered_in_a_bit", 403, "evidence_signature")(
    lambda c: c.enrol_bundle(c.chip.bundle(flip_signature(c.quote())))
)


def flip_signature(sign1):
    protected, unprotected, payload, signature = sign1
    at = random.Random(7).randrange(len(signature) * 8)
    flipped = bytearray(signature)
    flipped[at // 8] ^= 1 << (at % 8)
    return [protected, unprotected, payload, bytes(flipped)]


row("signed_nonce_altered", 403, "evidence_signature")(altered(10, lambda c, old: c.client.nonce()))
row("signed_ueid_altered", 403, "evidence_identity")(altered(256, lambda c, old: b"\x01" + os.urandom(16)))
row("signed_profile_altered", 400, "evidence_profile")(altered(265, lambda c, old: old[:-1] + "6"))
row("signed_flags_altered", 403, "evidence_signature")(altered(-80000, lambda c, old: old | element.ONE_PURPOSE))


@row("signed_key_altered", 403, "evidence_signature")
def _(c):
    true = c.chip.claims(new_key(), c.nonce)
    sign1 = c.chip.sign(element.cbor(true))
    sign1[2] = element.cbor(c.chip.claims(c.key, c.nonce))
    return c.enrol_bundle(c.chip.bundle(sign1))


@row("wrong_profile_uri", 400, "evidence_profile")
def _(c):
    return c.enrol(c.evidence(profile="urn:uuid:00000000-0000-0000-0000-000000000000"))


@row("flags_without_on_chip", 403, "evidence_flags")
def _(c):
    return c.enrol(c.evidence(flags=element.NOT_EXPORTABLE))


@row("flags_without_not_exportable", 403, "evidence_flags")
def _(c):
    return c.enrol(c.evidence(flags=element.ON_CHIP))


@row("flags_derived_from_injected_secret", 403, "evidence_level")
def _(c):
    return c.enrol(c.evidence(flags=element.NATIVE | element.DERIVED))


@row("flags_unknown_bit", 403, "evidence_flags")
def _(c):
    return c.enrol(c.evidence(flags=element.NATIVE | 16))


@row("cbor_not_deterministic", 400, "evidence_content")
def _(c):
    claims = c.chip.claims(c.key, c.nonce)
    encoded = element.cbor(claims)
    assert encoded[:1] == b"\xa5"
    return c.enrol_bundle(c.chip.bundle(c.chip.sign(b"\xb8\x05" + encoded[1:])))  # a map head that is too long


@row("quote_truncated", 400, "evidence_content")
def _(c):
    return c.enrol_bundle(c.chip.bundle(c.chip.sign(element.cbor(c.chip.claims(c.key, c.nonce))[:-3])))


@row("statement_of_unknown_format", 400, "evidence_format")
def _(c):
    statement = der.seq(der.oid("1.3.6.1.5.5.999.1"), der.octets(b"x"))
    return c.enrol_bundle(der.seq(der.seq(statement), der.seq(element.cert_der(c.chip.cert))))


@row("bundle_is_not_der", 400, "evidence_der")
def _(c):
    return c.enrol_bundle(der.seq(der.seq(der.integer(1))))


# The vendor's chain


@row("vendor_leaf_expired", 403, "chain_expired")
def _(c):
    return c.with_chip(c.assay.vendor.element(start=NOW - 20 * DAY, end=NOW - DAY))


@row("vendor_leaf_from_the_future", 403, "chain_future")
def _(c):
    return c.with_chip(c.assay.vendor.element(start=NOW + DAY, end=NOW + 20 * DAY))


@row("vendor_chain_foreign", 403, "chain_untrusted")
def _(c):
    return c.with_chip(element.Vendor.foreign().element())


@row("vendor_batch_ca_beyond_its_path_length", 403, "chain_pathlen")
def _(c):
    return c.with_chip(c.assay.vendor.below().element())


@row("vendor_leaf_is_a_ca", 403, "chain_leaf")
def _(c):
    return c.with_chip(c.assay.vendor.element(ca=True))


@row("vendor_leaf_lacks_the_purpose", 403, "chain_leaf")
def _(c):
    return c.with_chip(c.assay.vendor.element(ekus=("1.3.6.1.5.5.7.3.2",)))


@row("ueid_unlike_the_leafs", 403, "evidence_identity")
def _(c):
    return c.with_chip(c.assay.vendor.element(leaf_ueid=b"\x01" + os.urandom(16)))


@row("vendor_leaf_signature_broken", 403, "chain_signature")
def _(c):
    spoilt = bytearray(element.cert_der(c.chip.cert))
    spoilt[-1] ^= 1
    statement = der.seq(der.oid(element.OID_QUOTE), der.octets(element.cbor(element.Tag(18, c.quote()))))
    certs = der.seq(bytes(spoilt), element.cert_der(c.assay.vendor.cert))
    return c.enrol_bundle(der.seq(der.seq(statement), certs))


# The request itself


@row("csr_signature_broken", 400, "csr_signature")
def _(c):
    return c.enrol(c.evidence(), signer=new_key())


@row("csr_signed_by_sha1", 400, "csr_algorithm")
def _(c):
    return c.enrol(c.evidence(), digest="sha1")


@row("csr_version_1", 400, "csr_version")
def _(c):
    return c.enrol(c.evidence(), version=1)


@row("key_rsa_1024", 400, "key_weak")
def _(c):
    return c.client.enrol(csr(rsa.generate_private_key(65537, 1024)))


@row("key_p521", 400, "key_type")
def _(c):
    return c.client.enrol(csr(new_key(ec.SECP521R1)))


@row("key_secp256k1", 400, "key_type")
def _(c):
    return c.client.enrol(csr(new_key(ec.SECP256K1)))


@row("key_ed25519", 400, "key_type")
def _(c):
    key = ed25519.Ed25519PrivateKey.generate()
    return c.client.enrol(csr(key))


@row("key_off_the_curve", 400, "key_invalid")
def _(c):
    good = bytearray(element.spki(c.key))
    good[-1] ^= 1  # y is no longer a root of the curve's equation for x
    return c.enrol(c.evidence(), spki_der=bytes(good))


BASIC, KU, EKU, SAN = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"


@row("csr_asks_for_ca", 400, "csr_ca")
def _(c):
    wish = element.extension_request(der.extension(BASIC, der.seq(der.boolean(True)), True))
    return c.enrol(c.evidence(), wish)


@row("csr_asks_for_cert_sign", 400, "csr_usage")
def _(c):
    wish = element.extension_request(der.extension(KU, der.bits(b"\x04", 2), True))
    return c.enrol(c.evidence(), wish)


@row("csr_asks_for_cmc_ra", 400, "csr_usage")
def _(c):
    wish = element.extension_request(der.extension(EKU, der.seq(der.oid("1.3.6.1.5.5.7.3.28"))))
    return c.enrol(c.evidence(), wish)


@row("csr_asks_for_ocsp_signing", 400, "csr_usage")
def _(c):
    wish = element.extension_request(der.extension(EKU, der.seq(der.oid("1.3.6.1.5.5.7.3.9"))))
    return c.enrol(c.evidence(), wish)


@row("csr_asks_for_another_devices_name", 403, "csr_subject")
def _(c):
    _, _, other = c.assay.enrol(c.client)
    c.issued = 1
    return c.enrol(c.evidence(), subject=der.name((der.CN, element.ueid_text(other.ueid))))


@row("csr_asks_for_a_foreign_san", 403, "csr_san")
def _(c):
    wish = element.extension_request(der.extension(SAN, der.seq(der.tlv(0x82, b"router.example.org"))))
    return c.enrol(c.evidence(), wish)


@row("csr_extension_twice", 400, "csr_extension")
def _(c):
    usage = der.extension(KU, der.bits(b"\x80", 7), True)
    return c.enrol(c.evidence(), element.extension_request(usage, usage))


@row("csr_extension_request_twice", 400, "csr_attribute")
def _(c):
    usage = der.extension(KU, der.bits(b"\x80", 7), True)
    return c.enrol(c.evidence(), element.extension_request(usage), element.extension_request(usage))


# Bodies


@row("body_not_base64", 400, "base64")
def _(c):
    return c.client.post_raw("simpleenroll", b"!!" + base64.b64encode(c.good()), "line")


@row("body_empty", 400, "http_body")
def _(c):
    return c.client.post_raw("simpleenroll", b"", "line")


@row("csr_truncated", 400, "csr_der")
def _(c):
    return c.client.enrol(c.good()[:-7])


@row("csr_trailing_bytes", 400, "csr_der")
def _(c):
    return c.client.enrol(c.good() + b"\x00")


@row("csr_not_der_length", 400, "csr_der")
def _(c):
    good = c.good()
    assert good[:2] == b"\x30\x82"
    return c.client.enrol(b"\x30\x83\x00" + good[2:])


@row("csr_twice_in_one_body", 400, "csr_der")
def _(c):
    return c.client.enrol(c.good() * 2)


@row("body_of_1_mb", 413, "http_too_large")
def _(c):
    return c.client.post_raw("simpleenroll", b"QUJD" * (256 * 1024), "line")


# HTTP


@row("method_wrong", 405, "http_method")
def _(c):
    reply = c.client.get("simpleenroll", "line")
    assert reply.headers["Allow"] == "POST"
    return reply


@row("media_type_wrong", 415, "http_media_type")
def _(c):
    return c.client.post("simpleenroll", c.good(), "line", {"Content-Type": "application/json"})


@row("label_unknown", 404, "http_path")
def _(c):
    return c.client.enrol(c.good(), "no-such-label")


@row("operation_unknown", 404, "http_path")
def _(c):
    return c.client.post("serverkeygen", c.good(), "line")


# Who is asking


@row("no_credentials", 403, "cert_required")
def _(c):
    c.client = c.assay.client()
    return c.enrol(c.evidence())


@row("no_credentials_where_basic_would_do", 401, "auth_required")
def _(c):
    reply = c.assay.client().enrol(csr(c.key, subject=der.name((der.CN, "legacy-nobody"))), "unattested")
    assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
    return reply


@row("password_wrong", 401, "auth_password")
def _(c):
    client = c.assay.client(userpass=c.assay.env["ASSAY_USERPASS"] + "x")
    return client.enrol(csr(c.key, subject=der.name((der.CN, "legacy-wrong"))), "unattested")


@row("user_unknown", 401, "auth_password")
def _(c):
    client = c.assay.client(userpass="nobody:secret")
    return client.enrol(csr(c.key, subject=der.name((der.CN, "legacy-wrong"))), "unattested")


@row("user_asks_for_a_name_not_its_own", 403, "auth_name")
def _(c):
    return c.assay.legacy().enrol(csr(c.key, subject=der.name((der.CN, "router-1"))), "unattested")


@row("user_on_a_label_for_rigs", 403, "cert_required")
def _(c):
    c.client = c.assay.legacy()
    return c.enrol(c.evidence())


def with_client(make):
    def send(c):
        c.client = c.assay.client(make(c))
        return c.enrol(c.evidence())

    return send


row("rig_certificate_expired", 403, "chain_expired")(
    with_client(lambda c: c.assay.rigs.make("rig-expired", start=NOW - 20 * DAY, end=NOW - DAY))
)
row("rig_certificate_from_the_future", 403, "chain_future")(
    with_client(lambda c: c.assay.rigs.make("rig-future", start=NOW + DAY, end=NOW + 20 * DAY))
)
row("rig_certificate_not_registered", 403, "requester_unknown")(with_client(lambda c: c.assay.rigs.make("rig-unknown")))
row("rig_certificate_for_servers", 403, "chain_leaf")(
    with_client(lambda c: c.assay.rigs.make("rig-server", ekus=("1.3.6.1.5.5.7.3.1",)))
)


@row("rig_certificate_foreign", 403, "chain_untrusted")
def _(c):
    key = new_key()
    name = element.common_name("Foreign rigs CA")
    foreign = element.make_cert(name, key, name, key, ca=True)
    c.client = c.assay.client(c.assay.rigs.make("rig-foreign", issuer=(foreign, key)))
    return c.enrol(c.evidence())


@row("rig_certificate_of_a_name_alike_ca", 403, "chain_signature")
def _(c):
    key = new_key()
    alike = element.make_cert(c.assay.rigs.ca.subject, key, c.assay.rigs.ca.subject, key, ca=True)
    c.client = c.assay.client(c.assay.rigs.make("rig-alike", issuer=(alike, key), names=c.assay.rigs.key))
    return c.enrol(c.evidence())


@row("device_certificate_on_the_line", 403, "client_kind")
def _(c):
    c.issued = 1
    c.client, _, _, _ = c.assay.device()
    return c.enrol(c.evidence())


@row("operator_certificate_on_the_line", 403, None)
def _(c):
    c.client = c.assay.client((c.assay.env["ASSAY_OPERATOR_CERT"], c.assay.env["ASSAY_OPERATOR_KEY"]))
    return c.enrol(c.evidence())


@row("rig_certificate_on_reenrol", 403, "client_kind")
def _(c):
    return c.client.reenrol(csr(c.key))


@pytest.mark.item(10, 12, 20, 24, 31, 32, 34, 37, 40, 82, 84, 85)
@pytest.mark.pitfall(14)
@pytest.mark.parametrize("send, status, reason", ROWS)
def test_bad_input(assay, send, status, reason):
    case = Case(assay)
    case.issued = 0  # a row that needs a healthy device first says how many
    before = assay.issuances()

    reply = send(case)

    assert (reply.status, reply.reason) == (status, reason or reply.reason), reply.text
    assert reply.headers["Content-Type"].split(";")[0] == "text/plain"
    assert "Traceback" not in reply.text and len(reply.text) < 300
    event = assay.log_event(reply.request)
    assert (event["status"], event["reason"]) == (status, reply.reason)
    assert "serial" not in event or event["serial"] == ""
    assert assay.issuances() == before + case.issued, "a refused request left an issuance in the ledger"


def test_a_nonce_of_another_claim_is_refused(assay):
    """A nonce that issued for one claim issues for no other."""
    rig = assay.rig()
    nonce = rig.nonce()
    first, second = assay.vendor.element(), assay.vendor.element()
    key = new_key()
    rig.enrol(csr(key, first.evidence(key, nonce))).certificate()
    before = assay.issuances()
    other = new_key()
    reply = rig.enrol(csr(other, second.evidence(other, nonce)))
    assert (reply.status, reply.reason) == (403, "nonce_reused")
    assert assay.log_event(reply.request)["reason"] == "nonce_reused"
    assert assay.issuances() == before


@pytest.fixture(scope="module", autouse=True)
def died_before(assay):
    """How many roles had, by another test's hand."""
    return deaths(assay)


def deaths(assay):
    return len([e for e in assay.log() if e.get("event") == "role_died"])


def test_nothing_is_lost_after_all_that(assay, died_before):
    """The same daemon still enrols, and no role has died of the above."""
    assay.enrol()
    assert deaths(assay) == died_before
