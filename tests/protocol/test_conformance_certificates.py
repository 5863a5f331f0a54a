"""Conformance K and L, what test_certificate.py leaves: dates past 2050, policies, CRLs."""

import urllib.request

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509

import element
from test_certificate import crl_of, make
from waiting import wait_until


def tbs(cert):
    return asn1_x509.Certificate.load(element.cert_der(cert))["tbs_certificate"]


def test_78_beyond_2050_it_is_generalized_time(assay):
    cert, _, _ = assay.enrol(label="long")
    end = tbs(cert)["validity"]["not_after"]
    assert cert.not_valid_after.year >= 2050 and end.name == "general_time"
    assert end.chosen.contents.endswith(b"Z") and len(end.chosen.contents) == 15


@pytest.mark.parametrize("label", ["line", "field", "unattested", "idevid"])
def test_82_87_no_unique_identifiers_and_no_policies(assay, label):
    cert = make(assay, label)[0]
    assert tbs(cert)["issuer_unique_id"].native is None and tbs(cert)["subject_unique_id"].native is None
    assert "2.5.29.32" not in {e.oid.dotted_string for e in cert.extensions}


def test_77_no_serial_twice(assay):
    assert assay.sql("SELECT count(*) = count(DISTINCT serial) FROM issuance") == "t"


def raw_crl(assay, issuer):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{assay.env['ASSAY_STATUS_URL']}/crl/{issuer}.crl") as reply:
        assert reply.headers["Content-Type"] == "application/pkix-crl"
        return asn1_crl.CertificateList.load(reply.read(), strict=True)["tbs_cert_list"]


def test_90_92_nothing_revoked_means_no_list(assay):
    assert assay.issuances() >= 0
    crl = raw_crl(assay, "idevid")
    assert crl["version"].native == "v2" and crl["revoked_certificates"].native is None
    assert not [e for e in crl["crl_extensions"] if e["extn_id"].dotted in ("2.5.29.27", "2.5.29.28")]  # neither delta nor partitioned


def test_89_91_a_revocation_gives_a_new_number_a_date_and_no_unspecified_reason(assay):
    rig, chip = assay.rig(), assay.vendor.element()
    first, _, _ = assay.enrol(rig, chip=chip)
    before = crl_of(first)
    assay.enrol(rig, chip=chip)  # a new key of a board never seen in use: the first is superseded
    wait_until("it is on the CRL", lambda: crl_of(first).get_revoked_certificate_by_serial_number(first.serial_number) is not None)
    after = crl_of(first)
    from cryptography import x509

    assert number(after) > number(before) and after.last_update >= before.last_update
    parsed = asn1_crl.CertificateList.load(after.public_bytes(element.serialization.Encoding.DER))["tbs_cert_list"]
    assert parsed["this_update"].name == "utc_time" and parsed["next_update"].name == "utc_time"
    reason = after.get_revoked_certificate_by_serial_number(first.serial_number).extensions.get_extension_for_class(x509.CRLReason)
    assert reason.value.reason == x509.ReasonFlags.superseded


def number(crl):
    from cryptography import x509

    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
