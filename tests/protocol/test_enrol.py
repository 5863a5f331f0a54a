"""Conformance C, D, E and the rules of retry: bodies, /cacerts, enrolment, nonces."""

import base64
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import der
import element
import est
from element import csr, new_key


def request_for(assay, client, label="line", key=None, chip=None):
    key, chip = key or new_key(), chip or assay.vendor.element()
    return csr(key, chip.evidence(key, client.nonce(label))), key, chip


def wrapped(der_bytes, width, newline):
    text = base64.b64encode(der_bytes)
    return newline.join(text[i : i + width] for i in range(0, len(text), width))


# C. Base64 and bodies


@pytest.mark.parametrize("width", [1, 64, 76, 1000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b" ", b"\t"], ids=["lf", "crlf", "space", "tab"])
def test_24_white_space_in_base64(assay, width, newline):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    for body in (wrapped(request, width, newline), newline + wrapped(request, width, newline) + newline):
        rig.post_raw("simpleenroll", body, "line").certificate()


@pytest.mark.parametrize("value", [None, "base64", "binary", "8bit", "nonsense"])
def test_23_content_transfer_encoding_is_ignored(assay, value):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    headers = {"Content-Transfer-Encoding": value} if value else {}
    rig.post("simpleenroll", request, "line", headers).certificate()


@pytest.mark.parametrize("armour", ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])
def test_pitfall_5_pem_is_understood(assay, armour):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    body = f"-----BEGIN {armour}-----\n{wrapped(request, 64, bytes([10])).decode()}\n-----END {armour}-----\n"
    rig.post_raw("simpleenroll", body.encode(), "line").certificate()


def test_pitfall_5_raw_der_is_understood(assay):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    rig.post_raw("simpleenroll", request, "line").certificate()


def test_pitfall_10_chunked_upload_and_expect(assay):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    text = base64.b64encode(request)
    rig.request("POST", rig.path("simpleenroll", "line"), iter([text[:100], text[100:]]), {"Content-Type": est.PKCS10}).certificate()


def test_25_replies_are_short_canonical_and_have_a_length(assay):
    reply = assay.client().get("cacerts")
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert reply.headers["Transfer-Encoding"] is None
    assert base64.b64decode(reply.body.strip(), validate=True)


# D. /cacerts


@pytest.mark.parametrize("who", ["nobody", "rig", "foreign", "password"])
def test_26_cacerts_asks_for_nothing(assay, who):
    key = new_key()
    name = element.common_name("Nobody's CA")
    foreign = element.make_cert(name, key, name, key, ca=True)
    client = {
        "nobody": assay.client,
        "rig": assay.rig,
        "foreign": lambda: assay.client(assay.rigs.make("stranger", issuer=(foreign, key))),
        "password": lambda: assay.client(userpass="x:y"),
    }[who]()
    assert client.get("cacerts").status == 200


def test_27_cacerts_is_certs_only(assay):
    reply = assay.client().get("cacerts")
    assert reply.headers["Content-Type"] == "application/pkcs7-mime"
    assert len(reply.certificates()) == 4  # root and three issuing CAs
    shown = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout"], input=base64.b64decode(reply.body), capture_output=True
    )
    assert shown.returncode == 0 and shown.stdout.count(b"subject=") == 4


def test_28_cacerts_is_enough_to_verify(assay, tmp_path):
    cert, _, _ = assay.enrol()
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", assay.cacerts_file(), leaf], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_28_cacerts_starts_with_an_issuer_and_holds_the_root(assay):
    certs = assay.client().get("cacerts").certificates()
    with open(assay.cacert, "rb") as f:
        root = x509.load_pem_x509_certificate(f.read())
    assert root in certs
    assert all(c.issuer == root.subject for c in certs)


# E. Enrol


def test_31_enrol_with_evidence(assay, one_issued):
    cert, key, chip = assay.enrol()
    assert element.spki(key) == cert.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    serial = f"{cert.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    shown = assay.sql(f"SELECT count(*) FROM issuance JOIN signature USING (serial) WHERE serial = '\\x{serial}'::bytea")
    assert shown == "1"
    assert chip.ueid.hex() in cert.subject.rfc4514_string()


def test_31_rig_alone_gets_nothing_on_line(assay, nothing_issued):
    rig = assay.rig()
    reply = rig.enrol(csr(new_key()))
    assert (reply.status, reply.reason) == (403, "evidence_missing")


@pytest.mark.parametrize("usage", [b"\x08"], ids=["keyAgreement"])
def test_33_a_key_agreement_request_is_possession_all_the_same(assay, usage):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    wish = element.extension_request(der.extension("2.5.29.15", der.bits(usage, 3), True))
    reply = rig.enrol(csr(key, chip.evidence(key, rig.nonce()), wish))
    # the profile gives digitalSignature; asking for another harmless usage is refused by name or served with ours
    assert reply.status == 200 or reply.reason == "csr_usage"


@pytest.mark.parametrize("make, digest", [(lambda: new_key(ec.SECP256R1), "sha256"), (lambda: new_key(ec.SECP384R1), "sha384"), (lambda: new_key(ec.SECP256R1), "sha384")], ids=["p256", "p384", "p256-sha384"])
def test_34_elliptic_keys(assay, make, digest):
    rig, key, chip = assay.rig(), make(), assay.vendor.element()
    rig.enrol(csr(key, chip.evidence(key, rig.nonce()), digest=digest)).certificate()


@pytest.mark.parametrize("size", [2048, 3072])
def test_34_rsa_keys(assay, size):
    """No quote can carry an RSA key, so the label without evidence shows them."""
    key = rsa.generate_private_key(65537, size)
    cert = assay.legacy().enrol(csr(key, subject=der.name((der.CN, f"legacy-rsa-{size}"))), "unattested").certificate()
    assert cert.public_key().public_numbers() == key.public_key().public_numbers()


def test_34_es384_attestation_key(assay):
    assay.enrol(chip=assay.vendor.element(curve=ec.SECP384R1))


@pytest.mark.parametrize("length", [16, 31, 32, 33])
def test_ueid_lengths(assay, length):
    import os

    cert, _, chip = assay.enrol(chip=assay.vendor.element(ueid=b"\x01" + os.urandom(length - 1)))
    assert element.ueid_text(chip.ueid) in cert.subject.rfc4514_string()


def test_own_name_in_the_csr_is_fine(assay):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    first = rig.enrol(csr(key, chip.evidence(key, rig.nonce()))).certificate()
    other_chip, other_key = assay.vendor.element(), new_key()
    rig.enrol(csr(other_key, other_chip.evidence(other_key, rig.nonce()))).certificate()
    again = rig.enrol(csr(key, chip.evidence(key, rig.nonce()), subject=first.subject.public_bytes())).certificate()
    assert again == first


def test_39_exactly_the_issued_certificate(assay):
    rig = assay.rig()
    request, key, _ = request_for(assay, rig)
    reply = rig.enrol(request)
    assert len(reply.certificates()) == 1
    assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert reply.headers["Content-Transfer-Encoding"] == "base64"


# Retry: promise 4


def test_42_the_same_request_twice_gives_one_serial(assay, one_issued):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    assert rig.enrol(request).certificate() == rig.enrol(request).certificate()


def test_42_also_over_another_connection(assay, one_issued):
    rig = assay.rig()
    request, _, _ = request_for(assay, rig)
    first = rig.enrol(request).certificate()
    assert assay.rig().enrol(request).certificate() == first


def test_42_also_through_another_rig(assay, one_issued):
    rig, rig2 = assay.rig(), assay.rig2()
    request, key, chip = request_for(assay, rig)
    first = rig.enrol(request).certificate()
    assert rig2.enrol(request).certificate() == first
    assert rig2.enrol(request_for(assay, rig2, key=key, chip=chip)[0]).certificate() == first


def test_42_many_at_once_give_one_serial(assay, one_issued):
    import concurrent.futures

    rig = assay.rig()
    request, _, _ = request_for(assay, rig)

    def send(_):
        client = assay.rig()
        while True:
            reply = client.enrol(request)
            if reply.status != 503:  # "this enrolment is under way, try again"
                return reply.certificate()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len({c.serial_number for c in pool.map(send, range(16))}) == 1


def test_board_that_lost_power_with_a_new_key_gets_a_new_certificate_three_times(assay):
    rig, chip = assay.rig(), assay.vendor.element()
    serials = {rig.enrol(request_for(assay, rig, chip=chip)[0]).certificate().serial_number for _ in range(4)}
    assert len(serials) == 4
    reply = rig.enrol(request_for(assay, rig, chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "device_known")


def test_superseded_certificate_is_refused(assay):
    rig, chip = assay.rig(), assay.vendor.element()
    first, first_key, _ = assay.enrol(rig, chip=chip)
    assay.enrol(rig, chip=chip)
    old = assay.client(assay.identity(first, first_key))
    reply = old.reenrol(csr(first_key))
    assert (reply.status, reply.reason) == (403, "client_revoked")


def test_known_device_in_use_with_a_new_key_is_409(assay):
    client, cert, key, chip = assay.device()
    client.reenrol(csr(key)).certificate()  # seen in use
    rig = assay.rig()
    before = assay.issuances()
    reply = rig.enrol(request_for(assay, rig, chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "device_known")
    assert assay.issuances() == before


def test_one_key_one_element(assay):
    """Promise 8: a key bound to one element is refused for another for ever."""
    rig = assay.rig()
    _, key, _ = assay.enrol(rig)
    before = assay.issuances()
    reply = rig.enrol(request_for(assay, rig, key=key)[0])
    assert (reply.status, reply.reason) == (409, "key_bound")
    assert assay.issuances() == before


# Basic on the label for devices made before the secure element


def test_a_name_is_enrolled_once_with_a_password(assay):
    legacy, subject = assay.legacy(), der.name((der.CN, "legacy-once"))
    key = new_key()
    first = legacy.enrol(csr(key, subject=subject), "unattested").certificate()
    assert legacy.enrol(csr(key, subject=subject), "unattested").certificate() == first
    before = assay.issuances()
    reply = legacy.enrol(csr(new_key(), subject=subject), "unattested")
    assert (reply.status, reply.reason) == (409, "name_taken")
    assert assay.issuances() == before


def test_unattested_has_an_issuer_of_its_own(assay):
    cert = assay.legacy().enrol(csr(new_key(), subject=der.name((der.CN, "legacy-issuer"))), "unattested").certificate()
    attested, _, _ = assay.enrol()
    assert cert.issuer != attested.issuer


# Nonces


def test_nonce_shape(assay):
    reply = assay.rig().get("nonce", "line")
    assert reply.headers["Content-Type"] == est.NONCE
    answer = json.loads(reply.body)
    assert 8 <= len(base64.urlsafe_b64decode(answer["nonce"] + "==")) <= 64 and "=" not in answer["nonce"]
    assert answer["expiry"] > 0
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("length", [8, 16, 20, 32, 64])
def test_nonce_of_the_length_asked_for(assay, length):
    reply = assay.rig().request(
        "POST", est.Client.path("nonce", "line"), json.dumps({"len": length}), {"Content-Type": est.NONCE}
    )
    assert reply.status == 200
    got = base64.urlsafe_b64decode(json.loads(reply.body)["nonce"] + "==")
    assert len(got) == max(length, 16)


@pytest.mark.parametrize("body", ["{", "[]", '{"len":7}', '{"len":65}', '{"len":"x"}', '{"len":-1}', "{} trailing", '{"len":1e9}'])
def test_nonce_bad_requests_are_400(assay, body):
    reply = assay.rig().request("POST", est.Client.path("nonce", "line"), body, {"Content-Type": est.NONCE})
    assert reply.status == 400


def test_nonces_differ(assay):
    rig = assay.rig()
    assert len({rig.nonce() for _ in range(200)}) == 200


def test_nonce_asks_who(assay):
    assert assay.client().get("nonce", "line").status == 403
    assert assay.client().get("nonce", "unattested").status in (401, 403)
