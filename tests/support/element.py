"""A software secure element and its vendor, and PKCS#10 requests, from the specifications alone.

Independent of rig/: the quote is COSE_Sign1 (RFC 9052) over deterministic CBOR (RFC 8949 section 4.2) as
ARCHITECTURE.md defines assay.1.1; the bundle is draft-ietf-lamps-csr-attestation-29; the request is RFC 2986.
"""

import base64
import datetime
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

import der

ASSAY = "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877"
OID_QUOTE = ASSAY + ".1.1"
OID_KP_QUOTE = ASSAY + ".2.1"
OID_CONTINUITY = ASSAY + ".4.1"
OID_ATTESTATION = "1.2.840.113549.1.9.16.2.59"
OID_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
PROFILE_URI = "urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa5"
ON_CHIP, NOT_EXPORTABLE, ONE_PURPOSE, DERIVED = 1, 2, 4, 8
NATIVE = ON_CHIP | NOT_EXPORTABLE


class Tag:
    def __init__(self, number, value):
        self.number, self.value = number, value


def cbor(value):
    """Deterministic CBOR of what a quote needs."""
    if isinstance(value, Tag):
        return _cbor_head(6, value.number) + cbor(value.value)
    if isinstance(value, int):
        return _cbor_head(0, value) if value >= 0 else _cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return _cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return _cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _cbor_head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        items = sorted((cbor(k), cbor(v)) for k, v in value.items())
        return _cbor_head(5, len(items)) + b"".join(k + v for k, v in items)
    raise TypeError(type(value))


def _cbor_head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    raise ValueError(number)


def new_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def cert_der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def ueid_text(ueid):
    """Up to 31 bytes hex, longer ones base32 without padding: X.520 allows 64 characters."""
    if len(ueid) <= 31:
        return ueid.hex()
    return base64.b32encode(ueid).decode().rstrip("=").lower()


def serial_octets(cert):
    """As DER has it: a zero before a first bit that is set."""
    return cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big")


def continuity(old_key, cert, key):
    """The attribute in which the old key signs for the new one."""
    message = b"assay-continuity-v1" + serial_octets(cert) + hashlib.sha256(spki(key)).digest()
    return der.attribute(OID_CONTINUITY, der.octets(old_key.sign(message, ec.ECDSA(hashes.SHA256()))))


def make_cert(subject, key, issuer, issuer_key, *, ca=False, path_len=None, ekus=(), start=None, end=None, san=None, names=None):
    """A certificate of RFC 5280's shape. `subject` and `issuer` are x509.Name; `names` is the key that its authority key
    identifier names, if that is not the issuer's."""
    now = datetime.datetime.utcnow()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start or now - datetime.timedelta(hours=1))
        .not_valid_after(end or now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca, path_len if ca else None), True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
            True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((names or issuer_key).public_key()), False)
    )
    if ekus:
        builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(eku) for eku in ekus]), False)
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), False)
    return builder.sign(issuer_key, hashes.SHA256())


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Vendor:
    """A chip vendor's batch CA: mints elements."""

    def __init__(self, batch_ca, batch_key, above=()):
        self.cert, self.key, self.above = batch_ca, batch_key, list(above)

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "batch-ca.pem"), "rb") as f:
            cert = x509.load_pem_x509_certificate(f.read())
        with open(os.path.join(folder, "batch-ca.key"), "rb") as f:
            return cls(cert, serialization.load_pem_private_key(f.read(), None))

    @classmethod
    def foreign(cls):
        """Looks like the quickstart vendor, but nobody trusts its root."""
        root_key, key = new_key(), new_key()
        root = make_cert(common_name("Foreign vendor root"), root_key, common_name("Foreign vendor root"), root_key, ca=True)
        batch = make_cert(common_name("Foreign batch CA"), key, root.subject, root_key, ca=True, path_len=0)
        return cls(batch, key)

    def below(self):
        """A CA under the batch CA, which its path length forbids."""
        key = new_key()
        cert = make_cert(common_name("Sub-batch CA"), key, self.cert.subject, self.key, ca=True, path_len=0)
        return Vendor(cert, key, [self.cert] + self.above)

    @classmethod
    def batches(cls, n):
        """So many batch CAs under one new root, and the root's certificate."""
        root_key = new_key()
        root = make_cert(common_name("Vendor root"), root_key, common_name("Vendor root"), root_key, ca=True)
        made = []
        for i in range(n):
            key = new_key()
            made.append(cls(make_cert(common_name(f"Batch CA {i}"), key, root.subject, root_key, ca=True, path_len=0), key))
        return made, root

    def batch_ca(self):
        """As the ledger names it."""
        return hashlib.sha256(spki(self.key)).hexdigest()

    def element(self, **options):
        return Element(self, **options)


class Element:
    """One secure element: its id, its attestation key and certificate."""

    def __init__(self, vendor, ueid=None, leaf_ueid=None, ekus=(OID_KP_QUOTE,), curve=ec.SECP256R1, **cert_options):
        self.vendor = vendor
        self.ueid = ueid or b"\x01" + os.urandom(16)
        self.key = new_key(curve)
        serial = ueid_text(leaf_ueid or self.ueid)
        subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)])
        self.cert = make_cert(subject, self.key, vendor.cert.subject, vendor.key, ekus=ekus, **cert_options)

    def claims(self, key, nonce, flags=NATIVE, profile=PROFILE_URI):
        point = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        curve = {256: 1, 384: 2, 521: 3}[key.curve.key_size]
        cose_key = {1: 2, -1: curve, -2: point.x.to_bytes(size, "big"), -3: point.y.to_bytes(size, "big")}
        return {10: nonce, 256: self.ueid, 8: {1: cose_key}, 265: profile, -80000: flags}

    def sign(self, payload, header=None):
        es384 = self.key.curve.key_size == 384
        protected = cbor(header or {1: -35 if es384 else -7})
        message = cbor(["Signature1", protected, b"", payload])
        signature = self.key.sign(message, ec.ECDSA(hashes.SHA384() if es384 else hashes.SHA256()))
        r, s = utils.decode_dss_signature(signature)
        size = 48 if es384 else 32
        return [protected, {}, payload, r.to_bytes(size, "big") + s.to_bytes(size, "big")]

    def bundle(self, sign1, certs=None):
        certs = certs if certs is not None else [self.cert, self.vendor.cert] + self.vendor.above
        statement = der.seq(der.oid(OID_QUOTE), der.octets(cbor(Tag(18, sign1))))
        return der.seq(der.seq(statement), *([der.seq(*map(cert_der, certs))] if certs else []))

    def evidence(self, key, nonce, **claims):
        """The attestation attribute of a request for `key`."""
        return der.attribute(OID_ATTESTATION, self.bundle(self.sign(cbor(self.claims(key, nonce, **claims)))))


def extension_request(*extensions):
    return der.attribute(OID_EXTENSION_REQUEST, der.seq(*extensions))


ECDSA_OIDS = {"sha1": "1.2.840.10045.4.1", "sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3"}
RSA_OIDS = {"sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11", "sha384": "1.2.840.113549.1.1.12"}
HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def sign_request(key, info, digest):
    """AlgorithmIdentifier and signature over a CertificationRequestInfo."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return der.seq(der.oid("1.3.101.112")), key.sign(info)
    if isinstance(key, rsa.RSAPrivateKey):
        return der.seq(der.oid(RSA_OIDS[digest]), der.NULL), key.sign(info, padding.PKCS1v15(), HASHES[digest])
    return der.seq(der.oid(ECDSA_OIDS[digest])), key.sign(info, ec.ECDSA(HASHES[digest]))


def csr(key, *attributes, subject=der.EMPTY_NAME, version=0, digest="sha256", spki_der=None, signer=None):
    """PKCS#10 in DER. `spki_der` puts another key in, `signer` signs with another."""
    info = der.seq(der.integer(version), subject, spki_der or spki(key), der.context(0, *sorted(attributes)))
    algorithm, signature = sign_request(signer or key, info, digest)
    return der.seq(info, algorithm, der.bits(signature))
