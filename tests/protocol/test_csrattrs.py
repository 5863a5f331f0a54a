"""Conformance I: what /csrattrs says, and that it agrees with what enrolment takes."""

import base64

import pytest
from asn1crypto import core
from cryptography.hazmat.primitives.asymmetric import ec

import element

EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
EC_PUBLIC_KEY = "1.2.840.10045.2.1"


class Values(core.SetOf):
    _child_spec = core.Any


class Attribute(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("values", Values)]


class AttrOrOid(core.Choice):
    _alternatives = [("oid", core.ObjectIdentifier), ("attribute", Attribute)]


class CsrAttrs(core.SequenceOf):
    _child_spec = AttrOrOid


def attrs(assay, label, client=None):
    reply = (client or assay.client()).get("csrattrs", label)
    if reply.status == 204:
        assert reply.body == b""
        return []
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/csrattrs"
    return list(CsrAttrs.load(base64.b64decode(reply.body.replace(b"\n", b""), validate=True), strict=True))


@pytest.mark.parametrize("label", [None, "line", "field", "unattested", "idevid"])
def test_57_58_csrattrs_asks_for_nothing(assay, label):
    attrs(assay, label)


def test_58_line_asks_for_attestation(assay):
    oids = [a.chosen.dotted for a in attrs(assay, "line") if a.name == "oid"]
    assert element.OID_ATTESTATION in oids
    assert element.OID_ATTESTATION not in [a.chosen.dotted for a in attrs(assay, "unattested") if a.name == "oid"]


@pytest.mark.parametrize("label", ["line", "field", "unattested", "idevid"])
def test_61_62_one_extension_request_and_one_key_type(assay, label):
    given = attrs(assay, label)
    types = [a.chosen["type"].dotted for a in given if a.name == "attribute"]
    assert types.count(EXTENSION_REQUEST) <= 1
    assert types.count(EC_PUBLIC_KEY) <= 1
    for a in given:
        if a.name == "attribute" and a.chosen["type"].dotted == EXTENSION_REQUEST:
            assert len(a.chosen["values"]) == 1


def test_60_a_request_made_from_csrattrs_is_taken(assay):
    """The curve and hash that csrattrs names are enough to be served."""
    given = attrs(assay, "line")
    curves = {"1.2.840.10045.3.1.7": ec.SECP256R1, "1.3.132.0.34": ec.SECP384R1}
    named = [
        core.ObjectIdentifier.load(v.contents if isinstance(v, bytes) else v.dump()).dotted
        for a in given
        if a.name == "attribute" and a.chosen["type"].dotted == EC_PUBLIC_KEY
        for v in a.chosen["values"]
    ]
    for curve in [curves[dotted] for dotted in named] or [ec.SECP256R1]:
        assay.enrol(key=element.new_key(curve))
