"""Certificates of the ceremony's issuers that no ceremony would make, signed by the instance's own token: pkcs11-tool."""

import datetime
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import der
import element


class Token:
    def __init__(self, assay):
        self.assay = assay

    def tool(self, *arguments):
        pin = (self.assay.home / "secrets" / "pin").read_text().strip()
        command = ["pkcs11-tool", "--module", self.assay.env["PKCS11_MODULE"], "--token-label", "assay", "--login", "--pin", pin]
        environ = {**os.environ, **self.assay.env}
        return subprocess.run([*command, *arguments], env=environ, check=True, capture_output=True, text=True, timeout=60).stdout

    def sign(self, label, message):
        """ECDSA with SHA-256, as in a certificate. The tool looks for keys to sign with by their ids alone."""
        key = re.search(rf"label:\s+{label}\n\s+ID:\s+(\w+)", self.tool("--list-objects", "--type", "privkey"))[1]
        with tempfile.TemporaryDirectory() as folder:
            given, made = pathlib.Path(folder, "digest"), pathlib.Path(folder, "signature")
            given.write_bytes(hashlib.sha256(message).digest())
            self.tool("--sign", "--mechanism", "ECDSA", "--signature-format", "openssl", "--id", key, "--input-file", given, "--output-file", made)
            return made.read_bytes()


def near_its_end(token, issuer, like, left_s=600):
    """The same certificate, but it ends soon: in the last third of a life of an hour."""
    ca = x509.load_pem_x509_certificate((token.assay.home / "ca" / f"{issuer}.pem").read_bytes())
    now = datetime.datetime.utcnow().replace(microsecond=0)
    builder = (
        x509.CertificateBuilder().subject_name(like.subject).issuer_name(ca.subject).public_key(like.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=2))
        .not_valid_after(now + datetime.timedelta(seconds=left_s))
    )  # fmt: skip
    for extension in like.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), False)
    shaped = builder.sign(element.new_key(), hashes.SHA256())
    tbs, algorithm = shaped.tbs_certificate_bytes, der.seq(der.oid(element.ECDSA_OIDS["sha256"]))
    made = x509.load_der_x509_certificate(der.seq(tbs, algorithm, der.bits(token.sign(issuer, tbs))))
    ca.public_key().verify(made.signature, tbs, ec.ECDSA(hashes.SHA256()))
    return made
