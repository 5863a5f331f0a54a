"""CRLs: complete, delta and in shards. A revocation is on each of them within a second of the API's answer.

OpenSSL checks certificates with them as a relying party would. The quickstart's issuer "attested" has four shards.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from conftest import TOP, run
from waiting import PATIENCE_S, wait_until

SHARDS = 4
ASSAYD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build")) / "server" / "assayd"
NO_REV_AVAIL = x509.ObjectIdentifier("2.5.29.56")
A_SECOND = 1.0


def pem(*objects):
    return b"".join(o.public_bytes(serialization.Encoding.PEM) for o in objects)


def crldp(cert):
    return [p.full_name[0].value for p in cert.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value]


def fetch(url, etag=None):
    headers = {"If-None-Match": etag} if etag else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as reply:
            return reply.status, dict(reply.headers), reply.read()
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), e.read()


def crl_at(url):
    """(CRL, answer's headers), as soon as there is one: lists are signed after the start."""
    answer = wait_until(url, lambda: (answer := fetch(url))[0] != 503 and answer)
    assert answer[0] == 200, answer
    return x509.load_der_x509_crl(answer[2]), answer[1]


def number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def entry(crl, cert):
    return crl.get_revoked_certificate_by_serial_number(cert.serial_number)


@pytest.fixture(scope="module")
def status(assay):
    return f"http://127.0.0.1:{assay.port + 2}"


@pytest.fixture(scope="module")
def issuers(assay):
    certs = assay.client().get("cacerts").certificates()
    return {"root": [c for c in certs if c.issuer == c.subject], "others": [c for c in certs if c.issuer != c.subject]}


def openssl_verify(folder, issuers, cert, crls, *options):
    for name, objects in (("root", issuers["root"]), ("others", issuers["others"]), ("cert", [cert]), ("crls", crls)):
        (folder / f"{name}.pem").write_bytes(pem(*objects))
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", folder / "root.pem", "-untrusted", folder / "others.pem", "-crl_check",
         "-CRLfile", folder / "crls.pem", *options, folder / "cert.pem"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


def shard_url(status, cert):
    return f"{status}/crl/attested/{cert.serial_number & (SHARDS - 1)}.crl"


def appear(urls, cert):
    """The lists once this certificate is on them, and how long the slowest took."""
    began, found, took = time.monotonic(), {}, {}
    while len(found) < len(urls):
        for url in urls:
            if url not in found and entry(crl := crl_at(url)[0], cert) is not None:
                found[url], took[url] = crl, time.monotonic() - began
        assert time.monotonic() - began < PATIENCE_S, f"not on {set(urls) - set(found)}"
    return found, max(took.values())


def settled(urls):
    """The lists' numbers when nothing of before is still being signed."""
    before = None
    while before != (before := [number(crl_at(u)[0]) for u in urls]):
        time.sleep(1)
    return before


def test_a_certificate_names_the_shard_of_its_serial(assay, status):
    cert, _, _ = assay.enrol(label="sharded")
    assert crldp(cert) == [shard_url(status, cert)]
    plain, _, _ = assay.enrol()
    assert crldp(plain) == [f"{status}/crl/attested.crl"]


def test_a_shard_says_that_it_is_one_and_a_complete_list_does_not(status, issuers):
    complete, headers = crl_at(f"{status}/crl/attested.crl")
    assert not any(e.critical for e in complete.extensions)
    freshest = complete.extensions.get_extension_for_class(x509.FreshestCRL)
    assert [p.full_name[0].value for p in freshest.value] == [f"{status}/crl/attested-delta.crl"]
    delta = crl_at(f"{status}/crl/attested-delta.crl")[0]
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical and indicator.value.crl_number < number(delta)
    numbers = {number(complete), number(delta)}
    for shard in range(SHARDS):
        url = f"{status}/crl/attested/{shard}.crl"
        crl = crl_at(url)[0]
        idp = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        assert idp.critical and [n.value for n in idp.value.full_name] == [url]
        numbers.add(number(crl))
        assert crl.is_signature_valid(next(c for c in issuers["others"] if c.subject == crl.issuer).public_key())
        assert all((r.serial_number & (SHARDS - 1)) == shard for r in crl)
    assert len(numbers) == SHARDS + 2  # one sequence for all
    for name in (f"attested/{SHARDS}", "attested/00", "attested/-1", "attested/", "unattested/0", "attested-delta-delta", "x" * 300):
        assert fetch(f"{status}/crl/{name}.crl")[0] == 404, name


def test_a_revocation_is_on_shard_complete_and_delta_within_a_second(assay, status, operator, issuers, tmp_path):
    times, signed_again = [], []
    for _ in range(8):  # the promise is of the service; one slow moment of a busy machine does not break it
        cert, _, _ = assay.enrol(label="sharded")
        mine, complete, delta = shard_url(status, cert), f"{status}/crl/attested.crl", f"{status}/crl/attested-delta.crl"
        others = [u for i in range(SHARDS) if (u := f"{status}/crl/attested/{i}.crl") != mine]
        base, before = crl_at(complete)[0], settled(others)
        ok, text = openssl_verify(tmp_path, issuers, cert, [crl_at(mine)[0]], "-extended_crl")
        assert ok, text
        operator.revoke({"serial": f"{cert.serial_number:038x}"})
        found, took = appear([mine, complete, delta], cert)
        times.append(took)
        signed_again.append([number(crl_at(u)[0]) for u in others] != before)  # also by the clock, but not each time
        for crls, options in (([found[mine]], ["-extended_crl"]), ([base, found[delta]], ["-use_deltas", "-extended_crl"])):
            ok, text = openssl_verify(tmp_path, issuers, cert, crls, *options)
            assert not ok and "revoked" in text, (options, text)
        if min(times) < A_SECOND and not all(signed_again):
            break
    assert min(times) < A_SECOND, times
    assert not all(signed_again), "a shard is signed again that the revocation is not in"


def test_a_release_takes_a_hold_off_every_list(assay, status, operator):
    cert, _, _ = assay.enrol(label="sharded")
    serial, complete, delta = f"{cert.serial_number:038x}", f"{status}/crl/attested.crl", f"{status}/crl/attested-delta.crl"
    operator.revoke({"serial": serial}, "certificateHold", "missing")
    appear([shard_url(status, cert), complete, delta], cert)
    operator.revoke({"serial": serial}, "removeFromCRL", "found")

    def reason(url):
        found = entry(crl_at(url)[0], cert)
        return found and found.extensions.get_extension_for_class(x509.CRLReason).value.reason

    wanted = [None, None, x509.ReasonFlags.remove_from_crl]
    wait_until("the hold is off", lambda: [reason(u) for u in (shard_url(status, cert), complete, delta)] == wanted)


def test_a_list_that_has_not_changed_is_not_sent_again(status):
    url = f"{status}/crl/idevid.crl"
    crl, headers = crl_at(url)
    assert headers["Content-Type"] == "application/pkix-crl" and "max-age=" in headers["Cache-Control"]
    assert headers["Last-Modified"] == crl.last_update.strftime("%a, %d %b %Y %H:%M:%S GMT")
    code, again, body = fetch(url, headers["ETag"])
    assert code == 304 and body == b"" and again["ETag"] == headers["ETag"]
    assert fetch(url, '"other"')[0] == 200


def test_a_short_lived_certificate_says_that_there_is_no_revocation(assay):
    cert, _, _ = assay.enrol(label="fleeting")
    available = cert.extensions.get_extension_for_oid(NO_REV_AVAIL)
    assert not available.critical and available.value.value == b"\x05\x00"
    access = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [d.access_method for d in access] == [AuthorityInformationAccessOID.CA_ISSUERS]
    assert not any(e.oid in (ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.FRESHEST_CRL) for e in cert.extensions)


@pytest.mark.parametrize(
    ("label", "like", "changes", "says"),
    [
        ("longer", "line", {"crl": "none", "validity": "25h"}, ("longer.json", "crl", "24h")),
        ("never", "idevid", {"crl": "none"}, ("never.json", "crl", "24h")),
        ("nowhere", "unattested", {"crl": "shard"}, ("nowhere.json", "shard", "crl_shards", "unattested")),
        ("other", "line", {"crl": "delta"}, ("other.json", "crl", "complete shard none", "delta")),
    ],
)
def test_a_profile_that_asks_for_what_cannot_be_is_refused(assay, tmp_path, label, like, changes, says):
    profile = json.loads((TOP / "deploy" / "profiles" / f"{like}.json").read_text())
    shutil.copytree(assay.home / "profiles", tmp_path / "profiles")
    (tmp_path / "profiles" / f"{label}.json").write_text(json.dumps({**profile, **changes}))
    config = json.loads((assay.home / "assay.json").read_text())
    file = assay.home / f"check-{label}.json"  # beside the other: its paths are relative
    file.write_text(json.dumps({**config, "profiles": str(tmp_path / "profiles")}))
    done = run(ASSAYD, "--config", file, "--check", check=False)
    assert done.returncode != 0
    assert all(s in done.stdout + done.stderr for s in says), done.stdout + done.stderr
