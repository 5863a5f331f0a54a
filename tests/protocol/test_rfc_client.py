"""All operations through a client that follows the RFCs to the letter and refuses replies that do not."""

import base64
import ssl

import pytest
from asn1crypto import x509 as asn1_x509

import der
import rfc_client
from element import csr, new_key
from test_conformance_requests import legacy_name

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def client(assay, identity=None, userpass=None, tls=None):
    return rfc_client.Client(assay.url, assay.cacert, identity, userpass, tls)


@pytest.mark.item(22, 26, 27, 57, 58)
@pytest.mark.parametrize("label", [None, "line", "field", "unattested", "idevid", "bound"])
def test_distribution_to_the_letter(assay, label):
    anybody = client(assay)
    assert anybody.get("cacerts", label).status == 200
    assert anybody.get("csrattrs", label).status in (200, 204)
    if label:
        assert anybody.request("GET", f"/{label}/.well-known/est/cacerts").body == anybody.get("cacerts", label).body


@pytest.mark.item(17, 19, 31, 36, 39)
@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_a_life_to_the_letter(assay, version):
    """Anchors, attributes, a first certificate, a renewal, a new key: each certificate is the key's and nobody else's."""
    rig, chip, key = client(assay, assay.rig_identity, tls=version), assay.vendor.element(), new_key()
    assert rig.get("cacerts").status == 200
    first = rig.enrol(csr(key, chip.evidence(key, rig.nonce()))).certificate()
    device = client(assay, assay.identity(first, key), tls=version)
    renewed = device.reenrol(csr(key)).certificate()
    fresh = new_key()
    moved = device.reenrol(csr(fresh, chip.evidence(fresh, device.nonce("field")))).certificate()
    for certificate, own in ((first, key), (renewed, key), (moved, fresh)):
        assert certificate.public_key().public_numbers() == own.public_key().public_numbers()
        assert certificate.subject.public_bytes() == first.subject.public_bytes()
    assert len({first.serial_number, renewed.serial_number, moved.serial_number}) == 3


@pytest.mark.item(14, 31)
def test_a_password_to_the_letter(assay):
    """401 first, as a client sees it that sends credentials when asked (RFC 7617), on a connection that stays."""
    key = new_key()
    request = csr(key, subject=der.name((der.CN, legacy_name())))
    anybody = client(assay)
    challenged = anybody.enrol(request, "unattested")
    assert challenged.status == 401
    anybody.userpass = assay.env["ASSAY_USERPASS"]
    certificate = anybody.enrol(request, "unattested").certificate()
    assert asn1_x509.Name.load(certificate.subject.public_bytes()).native["common_name"].startswith("legacy-")


REFUSED = {
    "nothing there": ("GET", "/.well-known/est/nowhere/cacerts", None, None, 404),
    "no operation": ("GET", "/.well-known/est/fullcmc", None, None, 404),
    "method": ("GET", "/.well-known/est/simpleenroll", None, None, 405),
    "method of cacerts": ("POST", "/.well-known/est/cacerts", b"", "application/pkcs10", 405),
    "media type": ("POST", "/.well-known/est/simpleenroll", b"MAA=", "text/plain", 415),
    "nobody": ("POST", "/.well-known/est/line/simpleenroll", b"MAA=", "application/pkcs10", 403),
    "nobody, where a password helps": ("POST", "/.well-known/est/unattested/simpleenroll", b"MAA=", "application/pkcs10", 401),
    "renewal by nobody": ("POST", "/.well-known/est/unattested/simplereenroll", b"MAA=", "application/pkcs10", 403),
}  # fmt: skip


@pytest.mark.item(20, 40)
@pytest.mark.pitfall(14)
@pytest.mark.parametrize("what", REFUSED)
def test_refusals_to_the_letter(assay, nothing_issued, what):
    method, path, body, media, status = REFUSED[what]
    assert client(assay).request(method, path, body, {"Content-Type": media} if media else {}).status == status


@pytest.mark.item(20, 32, 40)
@pytest.mark.parametrize("body", [b"!", b"MAA=", b"", b"A" * 40, base64.b64encode(der.seq(der.integer(0)))], ids=range(5))
def test_what_is_no_request_is_refused_to_the_letter(assay, nothing_issued, body):
    assert client(assay, assay.rig_identity).post_raw("simpleenroll", body, "line").status == 400


@pytest.mark.item(37)
def test_a_wrong_password_is_not_even_looked_at_for_a_renewal(assay, nothing_issued):
    reply = client(assay, userpass="legacy:wrong").reenrol(csr(new_key()), "unattested")
    assert (reply.status, reply.reason) == (403, "cert_required")


@pytest.mark.item(18)
def test_percent_encoded_paths_are_the_same_paths(assay):
    anybody = client(assay)
    assert anybody.request("GET", "/%2ewell-known/est/%6cine/cacerts").body == anybody.get("cacerts", "line").body
    assert anybody.request("GET", "/.well-known/est/line%2Fcacerts").status == 404


@pytest.mark.pitfall(5)
def test_armour_with_something_behind_it_is_refused(assay, nothing_issued):
    rig, key = client(assay, assay.rig_identity), new_key()
    lines = base64.encodebytes(csr(key, assay.vendor.element().evidence(key, rig.nonce())))
    whole = b"-----BEGIN CERTIFICATE REQUEST-----\n" + lines + b"-----END CERTIFICATE REQUEST-----\n"
    for body in (whole + b"x", whole + whole, whole.replace(b"END CERT", b"END NEW CERT")):
        reply = rig.post_raw("simpleenroll", body, "line")
        assert (reply.status, reply.reason) == (400, "base64")
