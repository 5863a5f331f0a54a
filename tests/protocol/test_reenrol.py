"""Conformance 35-38 and the rules of renewal: names, level, continuity, which certificate stays good."""


import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import der
import element
from element import continuity, csr, new_key, serial_octets

SAN = "2.5.29.17"


def san_of(cert):
    try:
        return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.public_bytes()
    except x509.ExtensionNotFound:
        return None


def san_wish(value):
    return element.extension_request(der.extension(SAN, value))


def test_36_renew_with_the_same_key(assay):
    client, cert, key, _ = assay.device()
    new = client.reenrol(csr(key)).certificate()
    assert new.serial_number != cert.serial_number
    assert new.subject.public_bytes() == cert.subject.public_bytes()
    assert san_of(new) == san_of(cert)
    assert new.issuer == cert.issuer


def test_36_renewal_repeated_gives_the_same_successor(assay):
    client, cert, key, _ = assay.device()
    new = client.reenrol(csr(key)).certificate()
    assert client.reenrol(csr(key)).certificate() == new
    assert assay.client(assay.identity(cert, key)).reenrol(csr(key)).certificate() == new


def test_36_presenting_the_successor_starts_the_next_one(assay):
    client, cert, key, _ = assay.device()
    second = client.reenrol(csr(key)).certificate()
    third = assay.client(assay.identity(second, key)).reenrol(csr(key)).certificate()
    assert len({cert.serial_number, second.serial_number, third.serial_number}) == 3


def test_36_rekey_with_evidence(assay):
    client, cert, _, chip = assay.device()
    key = new_key()
    request = csr(key, chip.evidence(key, client.nonce("field")))
    new = client.reenrol(request).certificate()
    assert element.spki(key) == new.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert new.subject == cert.subject
    assert client.reenrol(request).certificate() == new


def test_device_gets_nothing_for_a_new_key_without_evidence(assay):
    client, _, _, _ = assay.device()
    before = assay.issuances()
    reply = client.reenrol(csr(new_key()))
    assert (reply.status, reply.reason) == (403, "evidence_missing")
    assert assay.log_event(reply.request)["reason"] == "evidence_missing"
    assert assay.issuances() == before


def test_level_is_never_lowered(assay):
    """Promise 3: a new key brings evidence at least as strong as that behind the certificate it replaces."""
    client, _, _, chip = assay.device()
    key, before = new_key(), assay.issuances()
    weaker = chip.evidence(key, client.nonce("field"), flags=element.NATIVE | element.DERIVED)
    reply = client.reenrol(csr(key, weaker))
    assert (reply.status, reply.reason) == (403, "evidence_level")
    assert assay.issuances() == before


def test_evidence_of_another_element_is_refused(assay):
    client, _, _, _ = assay.device()
    key, before = new_key(), assay.issuances()
    reply = client.reenrol(csr(key, assay.vendor.element().evidence(key, client.nonce("field"))))
    assert reply.status in (403, 409) and reply.reason in ("evidence_identity", "device_known")
    assert assay.issuances() == before


def test_a_label_renews_certificates_of_its_family_alone(assay):
    """What another family's profile gives (purposes, lifetime, grace after the end) is not a renewal's to pick."""
    client, _, key, _ = assay.device()
    before = assay.issuances()
    reply = client.reenrol(csr(key), label="brief")
    assert (reply.status, reply.reason) == (403, "client_kind")
    assert assay.issuances() == before


HOURLY = 60  # device_hourly of the instance


def test_one_device_cannot_use_up_its_issuers_hour(assay):
    """The line issues from the same issuer: a stolen key that renews its own successors would stop it for the hour."""
    first, cert, key, _ = assay.device()
    successor = cert = first.reenrol(csr(key)).certificate()
    reply, n = None, 1
    while n <= 2 * HOURLY:  # an hour may end meanwhile
        client = assay.client(assay.identity(cert, key))
        reply = client.reenrol(csr(key))
        client.close()
        if reply.status != 200:
            break
        cert, n = reply.certificate(), n + 1
    assert (reply.status, reply.reason) == (503, "renewed_often")
    assert HOURLY <= n <= 2 * HOURLY
    assert first.reenrol(csr(key)).certificate() == successor  # what was given before is given again
    other, _, others_key, _ = assay.device()  # the line goes on
    other.reenrol(csr(others_key)).certificate()


def test_the_old_certificate_stays_good(assay):
    """Rotation never strands a device: the reply may be lost, the old certificate still re-enrols."""
    client, cert, key, chip = assay.device()
    fresh = new_key()
    request = csr(fresh, chip.evidence(fresh, client.nonce("field")))
    new = client.reenrol(request).certificate()
    client.close()
    assert client.reenrol(request).certificate() == new
    assert assay.sql(f"SELECT count(*) FROM revocation WHERE serial = '\\x{serial_octets(cert).hex()}'::bytea") == "0"


def test_continuity_is_recorded(assay):
    client, cert, key, _ = assay.device()
    new = client.reenrol(csr(key)).certificate()
    previous = assay.sql(f"SELECT encode(previous, 'hex') FROM issuance WHERE serial = '\\x{serial_octets(new).hex()}'::bytea")
    assert previous == serial_octets(cert).hex()


def test_continuity_signature_of_the_old_key_is_taken(assay):
    client, cert, old_key, chip = assay.device()
    key = new_key()
    client.reenrol(csr(key, chip.evidence(key, client.nonce("field")), continuity(old_key, cert, key))).certificate()


def test_continuity_signature_of_another_key_is_refused(assay):
    client, cert, _, chip = assay.device()
    key, before = new_key(), assay.issuances()
    reply = client.reenrol(csr(key, chip.evidence(key, client.nonce("field")), continuity(new_key(), cert, key)))
    assert (reply.status, reply.reason) == (403, "continuity")
    assert assay.issuances() == before


# 35: names


def test_35_equal_names_are_fine(assay):
    client, cert, key, _ = assay.device()
    wishes = [san_wish(san_of(cert))] if san_of(cert) else []
    client.reenrol(csr(key, *wishes, subject=cert.subject.public_bytes())).certificate()


@pytest.mark.parametrize(
    "change, reason",
    [
        ("subject", "csr_subject"),
        ("string type", "csr_subject"),
        ("added SAN", "csr_san"),
        ("dropped SAN", "csr_san"),
    ],
)
def test_35_other_names_are_refused(assay, change, reason):
    client, cert, key, _ = assay.device()
    before = assay.issuances()
    cn = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    serial = cert.subject.get_attributes_for_oid(x509.NameOID.SERIAL_NUMBER)[0].value
    subject, wishes = cert.subject.public_bytes(), []
    if change == "subject":
        subject = der.name((der.CN, cn + "x"), (der.SERIAL_NUMBER, serial))
    elif change == "string type":
        subject = der.name((der.CN, cn), (der.SERIAL_NUMBER, serial), string=lambda t: der.tlv(0x14, t.encode()))
    elif change == "added SAN":
        old = san_of(cert)
        names = old[2:] if old else b""
        wishes = [san_wish(der.seq(names, der.tlv(0x82, b"router.example.org")))]
    elif change == "dropped SAN":
        if not san_of(cert):
            pytest.fail("the field profile should give a SAN, or this row should go")
    if change == "dropped SAN":
        wishes = [san_wish(der.seq(der.tlv(0x82, b"other.example.org")))]
    reply = client.reenrol(csr(key, *wishes, subject=subject))
    assert (reply.status, reply.reason) == (403, reason)
    assert assay.issuances() == before


def test_37_without_a_certificate_there_is_no_reenrolment(assay, nothing_issued):
    reply = assay.client().reenrol(csr(new_key()))
    assert (reply.status, reply.reason) == (403, "cert_required")


def test_37_a_password_is_not_enough_to_reenrol(assay, nothing_issued):
    reply = assay.legacy().reenrol(csr(new_key(), subject=der.name((der.CN, "legacy-x"))), "unattested")
    assert reply.status in (401, 403)


def test_unattested_renews_with_its_certificate(assay):
    key, subject = new_key(), der.name((der.CN, "legacy-renew"))
    cert = assay.legacy().enrol(csr(key, subject=subject), "unattested").certificate()
    client = assay.client(assay.identity(cert, key))
    renewed = client.reenrol(csr(key), "unattested").certificate()
    assert renewed.subject == cert.subject and renewed.serial_number != cert.serial_number
    rekey = new_key()
    assert client.reenrol(csr(rekey), "unattested").certificate().subject == cert.subject


def test_no_way_across_classes_without_evidence(assay):
    """An unattested certificate gets nothing on the attested label."""
    key, subject = new_key(), der.name((der.CN, "legacy-climber"))
    cert = assay.legacy().enrol(csr(key, subject=subject), "unattested").certificate()
    before = assay.issuances()
    reply = assay.client(assay.identity(cert, key)).reenrol(csr(key), "field")
    assert reply.status == 403
    assert assay.issuances() == before


def test_a_device_cannot_renew_for_another(assay):
    one, _, _, _ = assay.device()
    _, other, _, _ = assay.device()
    before = assay.issuances()
    reply = one.reenrol(csr(new_key(), subject=other.subject.public_bytes()))
    assert reply.status == 403
    assert assay.issuances() == before
