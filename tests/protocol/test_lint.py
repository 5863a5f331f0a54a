"""zlint over certificates of every shipped profile and over the CAs: a linter that others wrote, its RFC rules alone.

The CA/Browser Forum's, the root programmes' and Certificate Transparency's rules are for web servers' certificates and do
not apply to devices. What is found must stand in ACCEPTED, with its reason.
"""

import json
import os
import pathlib
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from test_certificate import LABELS, make

TOP = pathlib.Path(__file__).parents[2]
WEB = "Apple,CABF_BR,CABF_EV,CABF_SMIME_BR,Community,ETSI_ESI,Mozilla"  # zlint knows RFC 3279 and 8813 only as what is left
PASSED = {"pass", "NA", "NE", "info"}
pytestmark = pytest.mark.heavy

# lint: (which certificates, why it is right as it is). Today zlint finds nothing.
ACCEPTED = {}


@pytest.fixture(scope="module")
def zlint():
    cache = os.environ.get("ASSAY_CACHE", TOP / ".cache")
    done = subprocess.run([TOP / "tests/support/fetch-zlint", cache], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def findings(zlint, pem, tmp_path):
    file = tmp_path / "certificate.pem"
    file.write_bytes(pem)
    done = subprocess.run([zlint, "-excludeSources", WEB, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 50, "zlint ran hardly any rule"
    return {name: r for name, r in results.items() if r["result"] not in PASSED}


def judge(zlint, what, cert, tmp_path):
    found = findings(zlint, cert.public_bytes(serialization.Encoding.PEM), tmp_path)
    left = {n: r for n, r in found.items() if n not in ACCEPTED or what not in ACCEPTED[n][0]}
    assert not left, f"{what}: {left}"


@pytest.mark.parametrize("label", LABELS)
def test_zlint_over_a_certificate_of(label, assay, zlint, tmp_path):
    judge(zlint, label, make(assay, label)[0], tmp_path)


def test_zlint_over_the_cas(assay, zlint, tmp_path):
    for cert in assay.client().get("cacerts").certificates():
        judge(zlint, "root" if cert.issuer == cert.subject else "issuer", cert, tmp_path)


def test_zlint_finds_something_in_a_bad_certificate(zlint, tmp_path):
    """A certificate of version 1 with an empty issuer: the rules above do run."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "key"]
    subprocess.run(["openssl", "req", "-x509", *key, "-subj", "/CN=x", "-out", tmp_path / "bad.pem", "-days", "30",
                    "-set_serial", "0"], check=True, capture_output=True)
    found = findings(zlint, (tmp_path / "bad.pem").read_bytes(), tmp_path)
    assert "e_serial_number_not_positive" in found, found
