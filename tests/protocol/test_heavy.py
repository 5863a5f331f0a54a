"""The layer "heavy": certificates of every shipped profile in the libraries that relying parties use."""

import os
import pathlib
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from conftest import run
from test_certificate import LABELS, make

HERE = pathlib.Path(__file__).parent / "relying"
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module", params=LABELS)
def leaf(request, assay, tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaf")
    file = folder / f"{request.param}.pem"
    file.write_bytes(make(assay, request.param)[0].public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def trust(assay, tmp_path_factory):
    """(root file, intermediates file)"""
    folder = tmp_path_factory.mktemp("trust")
    certs = assay.client().get("cacerts").certificates()
    for name, wanted in (("root", True), ("issuers", False)):
        (folder / f"{name}.pem").write_bytes(
            b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certs if (c.issuer == c.subject) == wanted)
        )
    return folder / "root.pem", folder / "issuers.pem"


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verifiers")
    env = {**os.environ, "GOCACHE": str(folder / "gocache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    run("go", "build", "-o", folder / "verify-go", HERE / "verify.go", env=env)
    run("gcc", "-Wall", "-Werror", "-o", folder / "verify-mbedtls", HERE / "verify_mbedtls.c", "-lmbedx509", "-lmbedcrypto")
    return folder


def test_openssl(leaf, trust):
    run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", trust[0], "-untrusted", trust[1], leaf)


def test_gnutls(leaf, trust, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_bytes(leaf.read_bytes() + issuer_pem(leaf, trust[1]))
    run("certtool", "--verify", "--load-ca-certificate", trust[0], "--verify-profile=medium", "--verify-purpose=1.3.6.1.5.5.7.3.2", "--infile", chain)


def issuer_pem(leaf, issuers):
    from cryptography import x509

    wanted = x509.load_pem_x509_certificate(leaf.read_bytes()).issuer
    for block in issuers.read_bytes().split(b"-----END CERTIFICATE-----\n")[:-1]:
        pem = block + b"-----END CERTIFICATE-----\n"
        if x509.load_pem_x509_certificate(pem).subject == wanted:
            return pem
    raise AssertionError("no issuer")


def test_go(leaf, trust, verifiers):
    run(verifiers / "verify-go", *trust, leaf)


def test_mbedtls(leaf, trust, verifiers):
    run(verifiers / "verify-mbedtls", *trust, leaf)


@pytest.mark.parametrize("verifier", ["verify-go", "verify-mbedtls"])
def test_the_verifiers_can_fail(leaf, trust, verifiers, verifier):
    done = subprocess.run([verifiers / verifier, trust[1], trust[1], trust[0]], capture_output=True)
    assert done.returncode != 0
