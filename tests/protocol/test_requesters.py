"""Certificates of those who ask and operate: issued by the ca, renewed by their owners, revoked with their rights."""

import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import time

import admin
import channel
import element
import pytest
from channel import Refused, grant
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from instance import run
from waiting import wait_until
from second_node import SecondNode
from services import Token, near_its_end

POLICY = bytes(range(40, 72))
number = iter(range(1000000))


def pem_csr(key):
    request = x509.CertificateSigningRequestBuilder().subject_name(element.common_name("whatever")).sign(key, element.hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def spki_hash(key):
    return hashlib.sha256(element.spki(key)).hexdigest()


def same_key(one, another):
    return one.public_key().public_numbers() == another.public_key().public_numbers()


class Requester:
    """One who was enrolled through the API: its answer, its files."""

    def __init__(self, assay, administrator, kind, name=None, key=None):
        self.assay, self.kind, self.name = assay, kind, name or f"{kind}-{next(number)}"
        self.key = key or element.new_key()
        body = {"kind": kind, "name": self.name, "csr": pem_csr(self.key), "note": "a test"}
        self.answer = administrator.post("requesters", body)
        if self.answer.status == 200:
            self.take(self.answer)

    def take(self, answer, key=None):
        self.key = key or self.key
        self.certificate = x509.load_pem_x509_certificate(answer.json["certificate"].encode())
        self.serial = answer.json["serial"]
        self.files = self.assay.identity(self.certificate, self.key)
        return self

    def admin(self):
        return self.assay.admin(self.files)

    @property
    def hash(self):
        return spki_hash(self.key)


def trusting(client, path="status", status=200):
    """The registry reaches a role within 200 ms."""
    return wait_until(f"{path}: {status}", lambda: (answer := client.get(path)).status == status and answer)


def actions(assay, request):
    return assay.sql(f"select who, outcome from operator_action where request = '{request}'").splitlines()


@pytest.fixture(scope="module", autouse=True)
def trust(assay, administrator):
    """The tests' rig CA is in both trust lists already; requesters of ours lead to the ceremony's."""


@pytest.mark.parametrize("kind, issuer", [("operator", "services"), ("auditor", "services"), ("administrator", "services"), ("rig", "rigs")])
def test_enrolled_it_is_as_the_ceremonys(assay, administrator, kind, issuer):
    one = Requester(assay, administrator, kind)
    assert one.answer.status == 200, one.answer.body
    cert = one.certificate
    assert same_key(cert, one.key)
    assert [(a.oid, a.value) for a in cert.subject] == [
        (NameOID.ORGANIZATION_NAME, "Assay quickstart"), (NameOID.COMMON_NAME, one.name)
    ]  # fmt: skip
    assert list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    ca = x509.load_pem_x509_certificate((assay.home / "ca" / f"{issuer}.pem").read_bytes())
    assert cert.issuer == ca.subject
    row = assay.sql(f"select i.issuer, i.profile, i.requester, i.level, s.serial is not null from issuance i left join signature s using (serial) where i.serial = '\\x{one.serial}'")
    assert row == f"{issuer}|{kind}|administrator:chief|0|t"
    assert administrator.get("certificates/" + one.serial).json["status"] == "valid"
    assert [r["not_after"] for r in administrator.get("requesters", limit=500).json["requesters"] if r["spki_hash"] == one.hash] == [one.answer.json["not_after"]]


def test_the_same_call_again_gives_the_same_certificate(assay, administrator):
    one = Requester(assay, administrator, "operator")
    again = Requester(assay, administrator, "operator", one.name, one.key)
    assert again.answer.json["certificate"] == one.answer.json["certificate"]


def test_an_operator_enrolled_works_renews_and_is_retired_on_an_open_connection(assay, administrator):
    one = Requester(assay, administrator, "operator")
    client = one.admin()
    trusting(client)
    assert client.plan({"rig": "nobody"}).status == 200
    renewed = client.post("renewal", {"csr": pem_csr(one.key)})
    assert renewed.status == 200, renewed.body
    row = assay.sql(f"select call, outcome, detail from operator_action where who = 'operator:{one.name}' order by number desc limit 1")
    assert row == f"POST /v1/renewal|ok|renew operator:{one.name}"
    first = one.serial
    one.take(renewed)
    assert one.serial != first and one.certificate.subject.rfc4514_string().startswith(f"CN={one.name}")
    assert assay.sql(f"select encode(previous, 'hex') from issuance where serial = '\\x{one.serial}'") == first
    assert client.post("renewal", {"csr": pem_csr(one.key)}).json["serial"] == one.serial, "the same call again"
    fresh = one.admin()
    assert fresh.get("status").status == 200
    retired = administrator.post(f"requesters/{one.hash}/retire", {"note": "left the house"})
    assert retired.status == 200, retired.body
    for connection in (client, fresh):
        assert refused(connection) in ("requester_unknown", "client_revoked")
    for serial in (first, one.serial):
        shown = administrator.get("certificates/" + serial).json
        assert shown["status"] == "revoked" and shown["revocation"]["reason"] == "cessationOfOperation"
    assert Requester(assay, administrator, "operator", one.name, one.key).answer.reason == "claim_revoked"


def test_another_key_follows_beside_the_present_one_and_both_are_retired_together(assay, administrator):
    one = Requester(assay, administrator, "auditor")
    old = one.admin()
    trusting(old)
    key, third = element.new_key(), element.new_key()
    renewed = old.post("renewal", {"csr": pem_csr(key)})
    assert renewed.status == 200, renewed.body
    assert old.post("renewal", {"csr": pem_csr(third)}).reason == "successor_pending"
    assert old.post("renewal", {"csr": pem_csr(key)}).json["serial"] == renewed.json["serial"]
    first_hash = one.hash
    one.take(renewed, key)
    new = one.admin()
    trusting(new)
    assert old.get("status").status == 200, "the present one counts until it ends"
    assert new.post("lists", {"serials": ["01"]}).status == 403, "the rights are the same"
    assert administrator.post(f"requesters/{first_hash}/retire", {"note": "n", "reason": "keyCompromise"}).status == 200
    trusting(old, status=403)
    trusting(new, status=403)


def test_a_rig_renews_through_est_and_keeps_its_key(assay, administrator):
    one = Requester(assay, administrator, "rig")
    client = assay.client(one.files)
    wait_until("it is a rig", lambda: client.get("nonce", "line").status == 200)
    renewed = client.reenrol(element.csr(one.key), "rigs")
    assert renewed.status == 200, renewed.text
    cert = renewed.certificate()
    assert cert.subject == one.certificate.subject and cert.issuer == one.certificate.issuer
    assert cert.serial_number != one.certificate.serial_number
    assert client.reenrol(element.csr(one.key), "rigs").certificate() == cert, "the same request again"
    assert client.reenrol(element.csr(element.new_key()), "rigs").reason == "key_new"
    assert one.admin().get("status").status == 403, "a rig gets nothing at all from the admin listener"
    assert one.admin().post("renewal", {"csr": pem_csr(one.key)}).status == 403
    next_one = assay.client(assay.identity(cert, one.key))
    assert next_one.get("nonce", "line").status == 200
    assert administrator.post(f"requesters/{one.hash}/retire", {"note": "stolen"}).status == 200
    for connection in (client, next_one):
        assert refused(connection, "nonce", "line") in ("client_revoked", "requester_unknown")


def test_a_rig_of_the_ceremony_renews_although_the_ledger_has_never_seen_its_certificate(assay):
    with open(assay.rig_identity[1], "rb") as f:
        key = serialization.load_pem_private_key(f.read(), None)
    renewed = assay.rig().reenrol(element.csr(key), "rigs")
    assert renewed.status == 200, renewed.text
    cert = renewed.certificate()
    assert [a.value for a in cert.subject] == ["Assay quickstart", "rig-1"] and same_key(cert, key)
    assert assay.client(assay.identity(cert, key)).get("nonce", "line").status == 200


def refused(client, path="status", label=None):
    """Why, once it is."""
    asked = (path, label) if label else (path,)
    answer = wait_until("refused", lambda: (answer := client.get(*asked)).status != 200 and answer)
    assert answer.status == 403, answer.body
    return answer.reason


def test_a_certificate_revoked_by_its_serial_is_refused_though_its_key_has_rights(assay, administrator):
    rig, operator = Requester(assay, administrator, "rig"), Requester(assay, administrator, "operator")
    client, est = operator.admin(), assay.client(rig.files)
    trusting(client)
    wait_until("it is a rig", lambda: est.get("nonce", "line").status == 200)
    for one in (rig, operator):
        assert administrator.revoke({"serial": one.serial})["changed"] == 1
    assert refused(client) == "client_revoked" and refused(est, "nonce", "line") == "client_revoked"
    assert {r["active"] for r in administrator.get("requesters", limit=500).json["requesters"] if r["spki_hash"] in (rig.hash, operator.hash)} == {True}


def test_rights_taken_away_are_gone_though_nobody_here_can_revoke_the_certificate(assay, administrator):
    identity = assay.rigs.make(f"operator-{next(number)}")
    assay.register("operator", "of-another-ca", identity[0])
    client = assay.admin(identity)
    trusting(client)
    with open(identity[0], "rb") as f:
        digest = assay.spki_hash(x509.load_pem_x509_certificate(f.read()))
    assert administrator.post(f"requesters/{digest}/retire", {"note": "left"}).status == 200
    assert refused(client) == "requester_unknown"


@pytest.mark.parametrize("label", ["line", "field", "unattested", "idevid"])
def test_a_rigs_certificate_renews_into_no_devices(assay, nothing_issued, label):
    with open(assay.rig_identity[1], "rb") as f:
        key = serialization.load_pem_private_key(f.read(), None)
    assert assay.rig().reenrol(element.csr(key), label).status == 403


def test_nobody_but_a_rig_renews_on_the_rigs_label(assay, administrator):
    device, cert, key, _ = assay.device()
    before = assay.issuances()
    assert device.reenrol(element.csr(key), "rigs").reason == "client_kind"
    assert assay.legacy().enrol(element.csr(element.new_key()), "rigs").status in (401, 403)
    assert assay.rig().enrol(element.csr(element.new_key()), "rigs").status == 403
    operator = Requester(assay, administrator, "operator")
    assert assay.client(operator.files).reenrol(element.csr(operator.key), "rigs").reason == "chain_untrusted"
    assert assay.issuances() == before + 1  # the operator's own


def test_a_key_that_is_somebodys_serves_nobody_else(assay, administrator):
    _, _, device_key, _ = assay.device()
    assert Requester(assay, administrator, "operator", key=device_key).answer.reason == "key_bound"
    one = Requester(assay, administrator, "operator")
    assert Requester(assay, administrator, "auditor", one.name, one.key).answer.reason == "key_bound"
    assert Requester(assay, administrator, "operator", "another", one.key).answer.reason == "key_bound"
    client = one.admin()
    trusting(client)
    other = Requester(assay, administrator, "operator")
    before = assay.sql("select count(*) from requester")
    for key in (other.key, device_key):
        assert client.post("renewal", {"csr": pem_csr(key)}).reason == "key_bound"
    assert assay.sql("select count(*) from requester") == before, "rights come before the certificate: neither was given"


def test_what_is_refused_registers_nobody(assay, administrator, nothing_issued):
    key = element.new_key()
    body = {"kind": "operator", "name": "mallory", "csr": pem_csr(key), "note": "n"}
    registered = lambda: assay.sql("select count(*) from requester")  # noqa: E731
    before = registered()
    forged = element.base64.b64encode(element.csr(key, signer=element.new_key())).decode()
    for changes, reason in [
        ({"csr": forged}, "csr_signature"), ({"csr": "AAAA"}, "csr_der"), ({"csr": "?"}, "base64"), ({"csr": ""}, "http_body"),
        ({"csr": 1}, "api_field"), ({"spki_hash": spki_hash(key)}, "api_field"), ({"name": "no spaces"}, "api_field"),
        ({"name": "x" * 65}, "api_field"), ({"kind": "ra"}, "api_field"), ({"kind": "tls"}, "api_field"),
        ({"csr": pem_csr(element.new_key(element.ec.SECP521R1))}, "key_type"),
    ]:  # fmt: skip
        answer = administrator.post("requesters", {**body, **changes})
        assert (answer.status // 100, answer.reason) == (4, reason), (changes, answer.body)
        assert actions(assay, answer.json["request"]) == [f"administrator:chief|{reason}"]
    for who in ("operator", "auditor"):
        assert assay.admin(who).post("requesters", body).reason == "rights"
    assert assay.admin("auditor").post("renewal", {"csr": forged}).reason == "csr_signature"
    assert registered() == before


# The commands


def ctl(assay, files, *arguments, **environ):
    env = {**os.environ, **assay.env, "ASSAY_OPERATOR_CERT": str(files[0]), "ASSAY_OPERATOR_KEY": str(files[1]), **environ}
    return subprocess.run(["assayctl", *map(str, arguments)], env=env, capture_output=True, text=True, timeout=60)


def read_cert(file):
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_assayctl_enrols_with_a_request_or_a_key_of_its_making(assay, administrator, tmp_path):
    chief = administrator.arguments[2]
    key, out = tmp_path / "rig.key", tmp_path / "rig.pem"
    name = f"rig-{next(number)}"
    done = ctl(assay, chief, "requester", "enrol", name, "--kind", "rig", "--new-key", key, "--out", out)
    assert done.returncode == 0 and name in done.stdout, done.stderr
    assert key.stat().st_mode & 0o777 == 0o600
    made = serialization.load_pem_private_key(key.read_bytes(), None)
    assert same_key(read_cert(out), made)
    again = ctl(assay, chief, "requester", "enrol", name, "--kind", "rig", "--new-key", key, "--out", out)
    assert again.returncode == 1 and "exists" in again.stderr, "no key is written over"
    (tmp_path / "alice.csr").write_text(pem_csr(element.new_key()))
    done = ctl(assay, chief, "--json", "requester", "enrol", f"alice-{next(number)}", "--kind", "operator", "--csr", tmp_path / "alice.csr")
    assert done.returncode == 0 and json.loads(done.stdout)["certificate"].startswith("-----BEGIN CERTIFICATE")
    refused = ctl(assay, (assay.env["ASSAY_OPERATOR_CERT"], assay.env["ASSAY_OPERATOR_KEY"]), "requester", "enrol", "eve", "--kind", "operator", "--csr", tmp_path / "alice.csr")
    assert refused.returncode == 1 and "(rights" in refused.stderr
    assert ctl(assay, chief, "requester", "enrol", "eve", "--kind", "operator").returncode == 2


def test_assayctl_renews_its_own_certificate_and_says_so_in_one_line(assay, administrator, tmp_path):
    one = Requester(assay, administrator, "operator")
    trusting(one.admin())
    cert, key = pathlib.Path(one.files[0]), one.files[1]
    ending = near_its_end(Token(assay), "services", one.certificate)
    cert.write_bytes(ending.public_bytes(serialization.Encoding.PEM))
    off = ctl(assay, (cert, key), "status", ASSAY_RENEW="off")
    assert off.returncode == 0 and off.stderr == "" and read_cert(cert) == ending
    done = ctl(assay, (cert, key), "status")
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "renewed until" in done.stderr, done.stderr
    assert read_cert(cert) != ending and same_key(read_cert(cert), one.key)
    assert ctl(assay, (cert, key), "status").stderr == ""
    following = (tmp_path / "new.pem", tmp_path / "new.key")
    done = ctl(assay, (cert, key), "renew", "--new-key", following[1], "--out", following[0])
    assert done.returncode == 0, done.stderr
    trusting(assay.admin(tuple(map(str, following))))


def test_a_command_does_not_fail_because_its_certificate_cannot_be_renewed(assay):
    key = element.new_key()
    shaped = element.make_cert(element.common_name("has a space"), key, element.common_name("x"), key, ekus=("1.3.6.1.5.5.7.3.2",))
    files = assay.identity(near_its_end(Token(assay), "services", shaped), key)
    assay.register("operator", "has a space", files[0])
    trusting(assay.admin(files))
    done = ctl(assay, files, "status")
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "could not be renewed" in done.stderr, done.stderr
    assert ctl(assay, files, "renew").returncode == 1


def test_assay_rig_renews_its_own_certificate_before_a_shift(assay, administrator, tmp_path):
    one = Requester(assay, administrator, "rig")
    wait_until("it is a rig", lambda: assay.client(one.files).get("nonce", "line").status == 200)
    cert = pathlib.Path(one.files[0])
    ending = near_its_end(Token(assay), "rigs", one.certificate)
    cert.write_bytes(ending.public_bytes(serialization.Encoding.PEM))
    env = {**os.environ, **assay.env, "ASSAY_RIG_CERT": str(cert), "ASSAY_RIG_KEY": one.files[1]}

    def shift(**more):
        command = ["assay-rig", "enrol", "--quiet", "--out", str(tmp_path / "devices")]
        return subprocess.run(command, env={**env, **more}, capture_output=True, text=True, timeout=120)

    off = shift(ASSAY_RENEW="off")
    assert off.returncode == 0 and read_cert(cert) == ending, off.stderr
    done = shift()
    assert done.returncode == 0 and "renewed" in done.stderr, done.stderr
    assert read_cert(cert) != ending and same_key(read_cert(cert), one.key)
    assert "renewed" not in shift().stderr
    assert administrator.post(f"requesters/{one.hash}/retire", {"note": "n"}).status == 200
    cert.write_bytes(ending.public_bytes(serialization.Encoding.PEM))
    refused = shift()
    assert refused.returncode != 0 and "could not be renewed" in refused.stderr


# What a role that was taken over could ask the ca for


@pytest.fixture(scope="module")
def ra(assay):
    """The socket of the instance's own ca, which serves one more connection of the same user."""
    with channel.Peer(json.loads((assay.home / "assay.json").read_text())["run_dir"], "ra") as peer:
        peer.policy(POLICY)
        yield peer


def test_the_ra_gets_no_certificate_under_the_issuers_for_services_and_rigs(assay, administrator, ra):
    rig, operator = Requester(assay, administrator, "rig"), Requester(assay, administrator, "operator")
    another, gone = Requester(assay, administrator, "rig"), Requester(assay, administrator, "rig")
    assert administrator.post(f"requesters/{gone.hash}/retire", {"note": "scrapped"}).status == 200
    _, device, both, _ = assay.device()
    body = {"kind": "rig", "name": "of-a-device", "spki_hash": spki_hash(both), "note": "a device's key with a rig's rights"}
    assert administrator.post("requesters", body).status == 200
    before = assay.issuances()
    fields = {"policy": POLICY, "level": 0, "level_needed": 0, "format": "name", "evidence": b"", "evidence_format": ""}
    own = element.new_key()
    for issuer in ("rigs", "services"):
        with pytest.raises(Refused):
            ra.enrol(grant(own, issuer=issuer, **fields))
    for issuer, key, serial in [
        ("rigs", own, rig.serial),  # a key of its own
        ("services", operator.key, operator.serial),  # not the ra's to renew
        ("rigs", operator.key, operator.serial),  # an operator's key is no rig's
        ("rigs", own, "00" * 16),  # a certificate nobody has
        ("rigs", operator.key, "00" * 16),
        ("rigs", another.key, rig.serial),  # another rig's key
        ("rigs", gone.key, gone.serial),  # rights that were taken away
        ("rigs", gone.key, "00" * 16),
        ("rigs", both, f"{device.serial_number:038x}"),  # a device's certificate is no rig's
        ("unattested", rig.key, rig.serial),  # a rig's certificate is no device's
        ("rigs", rig.key, operator.serial),
    ]:
        with pytest.raises(Refused):
            ra.enrol(channel.again(key, bytes.fromhex(serial), issuer=issuer, **fields))
    assert assay.issuances() == before


# With a node whose certificates are short


@pytest.fixture(scope="module")
def brief(assay):
    """A second node: TLS files of its own, and certificates that last 20 s."""
    node = SecondNode(assay, "brief")
    config = json.loads(node.config.read_text())
    config["certificates"] = {"operators": "20s", "rigs": "20s", "tls": "1h"}
    config["admin"]["two_operators_above"] = 1
    for listener, stem in (("est", "tls/est"), ("admin", "tls-admin/admin")):
        folder = node.folder / listener
        folder.mkdir()
        for kind in ("pem", "key"):
            shutil.copy(assay.home / f"{stem}.{kind}", folder / f"{listener}.{kind}")  # with its mode: one is a secret
        config[listener].update(certificate=str(folder / f"{listener}.pem"), key=str(folder / f"{listener}.key"))
    node.config.write_text(json.dumps(config))
    node.start()
    yield node
    node.stop()


def served(node, port):
    context = ssl.create_default_context(cafile=node.assay.cacert)
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True))


@pytest.mark.parametrize("listener, port", [("est", 0), ("admin", 1)])
def test_a_listeners_certificate_is_renewed_while_clients_are_connected(assay, brief, listener, port):
    open_before = brief.client(assay.rig_identity) if listener == "est" else brief.admin()
    asked = (lambda: open_before.get("nonce", "line").status) if listener == "est" else (lambda: open_before.get("status").status)
    assert asked() == 200
    first = served(brief, brief.port + port)
    file = brief.folder / listener / f"{listener}.pem"
    chain = file.read_bytes().split(b"-----END CERTIFICATE-----\n", 1)[1]
    ending = near_its_end(Token(assay), "services", first)
    (file.with_suffix(".next")).write_bytes(ending.public_bytes(serialization.Encoding.PEM) + chain)
    file.with_suffix(".next").chmod(0o640)
    file.with_suffix(".next").rename(file)
    deadline = time.monotonic() + 60
    while (now := served(brief, brief.port + port)).serial_number in (first.serial_number, ending.serial_number):
        assert time.monotonic() < deadline, "not renewed"
        assert asked() == 200
        time.sleep(0.2)
    assert asked() == 200, "who was connected stays so"
    assert same_key(now, first) and now.subject == first.subject
    for extension in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage):
        assert now.extensions.get_extension_for_class(extension).value == first.extensions.get_extension_for_class(extension).value
    assert assay.sql(f"select requester, profile, issuer from issuance where serial = '\\x{now.serial_number:038x}'") == "ca:upkeep|tls|services"
    assert file.read_bytes().endswith(chain) and file.stat().st_mode & 0o777 == 0o640
    url = f"https://127.0.0.1:{brief.port + port}/" + (".well-known/est/cacerts" if listener == "est" else "livez")
    assert run("curl", "-sS", "-f", "-o", "/dev/null", "--cacert", assay.cacert, url).returncode == 0


def metric_of(node, name):
    body = node.admin().connection
    body.request("GET", "/metrics")
    text = body.getresponse().read().decode()
    return float(re.search(rf'^{name}{{role="ca"}} (\S+)$', text, re.M)[1])


def test_a_certificate_of_another_ca_is_left_alone(assay, brief):
    """At the end of its life, for this listener's key and name: who put it there has to renew it."""
    file = brief.folder / "est" / "est.pem"
    good = file.read_bytes()
    present = x509.load_pem_x509_certificate(good)
    now = datetime.datetime.utcnow()
    foreign = element.make_cert(present.subject, present, assay.rigs.ca.subject, assay.rigs.key, ekus=(ExtendedKeyUsageOID.SERVER_AUTH.dotted_string,),
                                start=now - datetime.timedelta(hours=9), end=now + datetime.timedelta(minutes=9))  # fmt: skip
    name = "assay_tls_est_left_seconds"
    made = "select count(*) from issuance where requester = 'ca:upkeep'"
    before = assay.sql(made)
    try:
        file.write_bytes(text := foreign.public_bytes(serialization.Encoding.PEM))
        deadline = time.monotonic() + 60
        seen = []
        while len(seen) < 2:  # the second look comes when the first has ended
            assert time.monotonic() < deadline, seen
            left = metric_of(brief, name)
            seen += [left] if left < 600 and left not in seen else []
            time.sleep(0.1)
        assert file.read_bytes() == text and assay.sql(made) == before
    finally:
        file.write_bytes(good)


def test_a_certificate_that_cannot_be_read_is_told(assay, brief):
    metric = lambda name: metric_of(brief, name)  # noqa: E731
    folder = brief.folder / "est"
    wait_until("the certificate of before is looked at", lambda: metric("assay_tls_est_left_seconds") > 3000)
    assert metric("assay_tls_not_renewed") == 0
    file = folder / "est.pem"
    good = file.read_bytes()
    file.write_bytes(good[:40])
    wait_until("it is told", lambda: metric("assay_tls_not_renewed") == 1)
    status = brief.admin().connection
    status.request("GET", "/readyz")
    assert "TLS certificate" in status.getresponse().read().decode()
    file.write_bytes(good)
    wait_until("it is well again", lambda: metric("assay_tls_not_renewed") == 0)


def test_above_the_configured_number_another_operator_does_what_one_has_planned(assay, administrator, brief):
    serials = [f"{assay.enrol()[0].serial_number:038x}" for _ in range(2)]
    one, other = brief.admin(), brief.admin(administrator.arguments[2])
    plan = one.plan({"list": one.post("lists", {"serials": serials}).json["list"]}).json["plan"]
    refused = one.post("revocations/" + plan, {})
    assert (refused.status, refused.reason) == (403, "second_operator"), refused.body
    assert {administrator.get("certificates/" + serial).json["status"] for serial in serials} == {"valid"}
    assert other.post("revocations/" + plan, {}).json["changed"] == 2
    single = f"{assay.enrol()[0].serial_number:038x}"
    assert one.revoke({"serial": single})["changed"] == 1


def test_of_strangers_so_many_calls_a_minute_are_on_record(assay, brief):
    """60, and as many again when a minute ends meanwhile; each is refused all the same."""
    recorded = "select count(*) from operator_action where who = 'stranger' and node = 'brief'"
    before = int(assay.sql(recorded))
    stranger = brief.admin(assay.rig_identity)
    assert {stranger.get("status").status for _ in range(150)} == {403}
    assert 60 <= int(assay.sql(recorded)) - before <= 120


def test_lifetimes_are_the_configurations(assay, administrator, brief):
    chief = admin.Admin(f"https://127.0.0.1:{brief.port + 1}", assay.cacert, administrator.arguments[2])
    trusting(chief)
    for kind in ("operator", "rig"):
        one = Requester(assay, chief, kind)
        assert one.answer.status == 200, one.answer.body
        cert = one.certificate
        assert cert.not_valid_after - cert.not_valid_before == datetime.timedelta(hours=1, seconds=20)


def test_the_old_key_is_retired_when_its_certificate_ends(assay, administrator):
    one, following = Requester(assay, administrator, "operator"), element.new_key()
    client = one.admin()
    trusting(client)
    answer = client.post("renewal", {"csr": pem_csr(following)})
    assert answer.status == 200
    row = assay.sql(f"select until from work.succession where old_key = '\\x{one.hash}'")
    assert datetime.datetime.fromisoformat(row).timestamp() == one.certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()
    next_one = assay.admin(assay.identity(x509.load_pem_x509_certificate(answer.json["certificate"].encode()), following))
    trusting(next_one)
    assay.owner_sql(f"update work.succession set until = now() where old_key = '\\x{one.hash}'")  # as if it had ended
    trusting(client, status=403)
    assert next_one.get("status").status == 200
    assert administrator.get("certificates/" + one.serial).json["revocation"]["reason"] == "superseded"
    detail = assay.sql("select detail from operator_action where who = 'rule:succession' order by number desc limit 1")
    assert detail == "retire keys that others followed"


def test_a_start_gives_nobody_his_rights_back(assay):
    """Whom the ceremony registered and somebody has retired since."""
    cert = assay.env["ASSAY_AUDITOR_CERT"]
    assay.retire(cert)
    try:
        before = assay.sql("select count(*) from requester")
        assay.quickstart()
        assert assay.sql("select count(*) from requester") == before
    finally:
        assay.register("auditor", "auditor", cert)
