"""Conformance K: certificates as relying parties read them, and the CRL and CA certificates that go with them."""

import datetime
import os
import subprocess
import urllib.request

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

import der
import element
from element import csr, new_key


def make(assay, label):
    """(certificate, key) of each shipped profile."""
    if label == "unattested":
        key = new_key()
        name = der.name((der.CN, "legacy-" + os.urandom(6).hex()))
        return assay.legacy().enrol(csr(key, subject=name), label).certificate(), key
    if label == "field":
        client, _, key, _ = assay.device()
        return client.reenrol(csr(key), label).certificate(), key
    cert, key, _ = assay.enrol(label=label)
    return cert, key


LABELS = ["line", "field", "unattested", "idevid"]


@pytest.fixture(scope="module", params=LABELS)
def issued(request, assay):
    return request.param, make(assay, request.param)[0]


def extension(cert, kind):
    return cert.extensions.get_extension_for_class(kind)


def issuer_of(assay, cert):
    return next(c for c in assay.client().get("cacerts").certificates() if c.subject == cert.issuer)


def test_76_version_and_algorithms(issued):
    _, cert = issued
    parsed = asn1_x509.Certificate.load(element.cert_der(cert), strict=True)
    assert parsed["tbs_certificate"]["version"].native == "v3"
    assert parsed["tbs_certificate"]["signature"].dump() == parsed["signature_algorithm"].dump()


def test_77_serial(issued):
    _, cert = issued
    parsed = asn1_x509.Certificate.load(element.cert_der(cert))
    octets = parsed["tbs_certificate"]["serial_number"].contents
    assert 16 <= len(octets) <= 20 and octets[0] == 1  # one byte 01, three of day, at least 12 random


def test_78_dates(issued):
    label, cert = issued
    validity = asn1_x509.Certificate.load(element.cert_der(cert))["tbs_certificate"]["validity"]
    before, after = validity["not_before"], validity["not_after"]
    assert before.name == "utc_time"
    assert abs((cert.not_valid_before - datetime.datetime.utcnow()) + datetime.timedelta(hours=1)) < datetime.timedelta(minutes=5)
    if label == "idevid":
        assert after.name == "general_time" and after.chosen.contents == b"99991231235959Z"
    else:
        assert after.name == ("utc_time" if cert.not_valid_after.year < 2050 else "general_time")


def test_79_never_beyond_the_issuer(assay, issued):
    _, cert = issued
    assert cert.not_valid_after <= issuer_of(assay, cert).not_valid_after


def test_80_issuer_is_the_cas_subject_byte_for_byte(assay, issued):
    _, cert = issued
    assert cert.issuer.public_bytes() == issuer_of(assay, cert).subject.public_bytes()


def test_81_names(issued):
    label, cert = issued
    cn = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    serial = cert.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert len(cn) == 1 or (label == "idevid" and len(serial) == 1)
    for attribute in cert.subject:
        assert 0 < len(attribute.value) <= 64
    if label == "idevid":
        other = extension(cert, x509.SubjectAlternativeName).value.get_values_for_type(x509.OtherName)
        assert [o.type_id.dotted_string for o in other] == ["1.3.6.1.5.5.7.8.4"]


def test_82_no_extension_twice_and_only_two_critical(issued):
    _, cert = issued
    oids = [e.oid for e in cert.extensions]
    assert len(oids) == len(set(oids))
    critical = {e.oid.dotted_string for e in cert.extensions if e.critical}
    assert critical == {"2.5.29.15", "2.5.29.19"}


def test_83_key_identifiers(assay, issued):
    _, cert = issued
    ca = issuer_of(assay, cert)
    assert extension(cert, x509.AuthorityKeyIdentifier).value.key_identifier == extension(ca, x509.SubjectKeyIdentifier).value.digest
    assert len(extension(cert, x509.SubjectKeyIdentifier).value.digest) >= 20


def test_84_85_end_entity_for_clients_only(issued):
    _, cert = issued
    assert extension(cert, x509.BasicConstraints).value.ca is False
    usage = extension(cert, x509.KeyUsage).value
    assert usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign
    try:
        assert list(extension(cert, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    except x509.ExtensionNotFound:
        assert issued[0] == "idevid"  # IEEE 802.1AR: an IDevID names no purpose


def fetch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as reply:
        return reply.headers["Content-Type"], reply.read()


def test_86_ca_issuers(assay, issued):
    _, cert = issued
    access = [
        d.access_location.value
        for d in extension(cert, x509.AuthorityInformationAccess).value
        if d.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    ]
    media, body = fetch(access[0])
    assert media in ("application/pkix-cert", "application/pkcs7-mime")
    assert x509.load_der_x509_certificate(body) == issuer_of(assay, cert)


def crl_of(cert):
    points = extension(cert, x509.CRLDistributionPoints)
    assert not points.critical
    media, body = fetch(points.value[0].full_name[0].value)
    assert media == "application/pkix-crl"
    return x509.load_der_x509_crl(body)


def test_86_89_crl(assay, issued):
    _, cert = issued
    crl = crl_of(cert)
    ca = issuer_of(assay, cert)
    assert crl.is_signature_valid(ca.public_key()) and crl.issuer == ca.subject
    assert crl.next_update > datetime.datetime.utcnow()
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number >= 0
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert crl.get_revoked_certificate_by_serial_number(cert.serial_number) is None


def test_89_openssl_checks_the_chain_with_the_crl(assay, tmp_path):
    cert, _ = make(assay, "line")
    leaf, crl = tmp_path / "leaf.pem", tmp_path / "crl.pem"
    leaf.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    crl.write_bytes(crl_of(cert).public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", assay.cacerts_file(), "-CRLfile", crl, "-purpose", "sslclient", leaf],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_88_ca_certificates(assay):
    for ca in assay.client().get("cacerts").certificates():
        basic = extension(ca, x509.BasicConstraints)
        assert basic.critical and basic.value.ca
        usage = extension(ca, x509.KeyUsage)
        assert usage.critical and usage.value.key_cert_sign
        extension(ca, x509.SubjectKeyIdentifier)
        with pytest.raises(x509.ExtensionNotFound):
            extension(ca, x509.ExtendedKeyUsage)


def test_oid_arcs_stay_below_2_28(issued):
    """Go and python-cryptography cannot parse others."""
    _, cert = issued
    for e in cert.extensions:
        assert all(int(arc) < 1 << 28 for arc in e.oid.dotted_string.split("."))


def test_signature_in_the_ledger_is_the_certificates(assay):
    cert, _ = make(assay, "line")
    octets = cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big").hex()
    tbs = assay.sql(f"SELECT encode(tbs, 'hex') FROM issuance WHERE serial = '\\x{octets}'::bytea")
    assert bytes.fromhex(tbs) == cert.tbs_certificate_bytes
    whole = assay.sql(f"SELECT encode(certificate('\\x{octets}'::bytea), 'hex')")
    assert bytes.fromhex(whole) == element.cert_der(cert)


def test_signature_algorithm_is_the_issuers(assay, issued):
    _, cert = issued
    assert isinstance(cert.signature_hash_algorithm, (hashes.SHA256, hashes.SHA384))


def test_every_issuance_of_the_session_is_signed_or_void(assay):
    assert assay.sql(
        "SELECT count(*) FROM issuance i WHERE NOT EXISTS (SELECT FROM signature s WHERE s.serial = i.serial) "
        "AND NOT EXISTS (SELECT FROM void v WHERE v.serial = i.serial)"
    ) == "0"
