"""Profiles, trust lists and TLS certificates change while it runs: whole, at once, and never for the worse.

Every test puts back what it changed and waits until that holds, for the instance is everybody's.
"""

import hashlib
import http.client
import ipaddress
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import tempfile
import urllib.request

import pytest
from asn1crypto import algos
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import der
import element
import est
from conftest import run
from waiting import wait_until


def events(assay, role, event):
    return [line for line in assay.log() if line["role"] == role and line["event"] == event]


def hang_up(assay):
    os.kill(int((assay.home / "assayd.pid").read_text()), signal.SIGHUP)


class Change:
    """Writes files as an editor does that renames; reload() makes the role look and waits for what it says."""

    def __init__(self, assay, role="ra"):
        self.assay, self.role, self.before = assay, role, {}

    def count(self, event):
        return len(events(self.assay, self.role, event))

    def write(self, name, data):
        file = self.assay.home / name
        self.before.setdefault(file, file.read_bytes())
        self.put(file, data)

    @staticmethod
    def put(file, data):
        if file.name == "nonce.key":  # beside the PIN: the ra may open this one file and no new one in its place
            file.write_bytes(data)
            return
        new = file.with_name(f".{file.name}.new")
        new.write_bytes(data if isinstance(data, bytes) else data.encode())
        new.chmod(file.stat().st_mode)
        new.rename(file)

    def reload(self, event="reloaded"):
        before = self.count(event)
        hang_up(self.assay)
        wait_until(event, lambda: self.count(event) > before)
        return events(self.assay, self.role, event)[-1]

    def undo(self):
        for file, data in self.before.items():
            self.put(file, data)
        if self.before:
            self.reload()


@pytest.fixture
def change(assay):
    change = Change(assay)
    yield change
    change.undo()


@pytest.fixture
def change_admin(assay):
    change = Change(assay, "admin")
    yield change
    change.undo()


def configured(assay, *keys):
    """What the configuration says there: a file's name in this home."""
    value = json.loads((assay.home / "assay.json").read_text())
    for key in keys:
        value = value[key]
    return value


def profile(assay, **changes):
    return json.dumps({**json.loads((assay.home / "profiles" / "line.json").read_text()), **changes})


def policy_of(assay, certificate):
    serial = f"0{certificate.serial_number:x}"
    return assay.sql(f"SELECT encode(policy_hash, 'hex') FROM issuance WHERE serial = '\\x{serial}'")


def days(certificate):
    return (certificate.not_valid_after - certificate.not_valid_before).days


def metric(assay, name, role):
    context = ssl.create_default_context(cafile=assay.cacert)
    with urllib.request.urlopen(assay.env["ASSAY_ADMIN_URL"] + "/metrics", context=context) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(f'{name}{{') and f'role="{role}"' in line:
                return float(line.split()[-1])
    raise AssertionError(f"no {name} of {role}")


def test_a_changed_profile_takes_effect_also_on_a_kept_alive_connection(assay, change):
    rig = assay.rig()
    before, _, _ = assay.enrol(client=rig)
    change.write("profiles/line.json", profile(assay, validity="30d"))
    change.reload()
    after, _, _ = assay.enrol(client=rig)
    assert days(before) > 1000 and days(after) == 30
    assert policy_of(assay, before) != policy_of(assay, after)


@pytest.fixture
def user(assay, change):
    """Adds a user, as an operator would: (name, password, names) and a reload."""

    def add(name, password, names):
        hashed = run("assayd", "--hash-password", input=password).stdout.strip()
        file = configured(assay, "users")
        users = json.loads((assay.home / file).read_text())
        entry = {"user": name, "hash": hashed, "names": names, "labels": ["unattested"]}
        (users["users"] if isinstance(users, dict) else users).append(entry)
        change.write(file, json.dumps(users))
        change.reload()
        return assay.client(userpass=f"{name}:{password}")

    return add


def named(name, key=None):
    return element.csr(key or element.new_key(), subject=der.name((der.CN, name)))


def test_49_a_user_with_one_name_is_a_one_time_code(user):
    """Nothing of it is in the challengePassword; good for its name alone, and for that once."""
    device, key = user("code-4711", "k7QW-93TT-code", "legacy-4711"), element.new_key()
    assert device.enrol(named("legacy-4712"), "unattested").reason == "auth_name"
    first = device.enrol(named("legacy-4711", key), "unattested").certificate()
    again = device.enrol(named("legacy-4711", key), "unattested").certificate()  # whose reply was lost
    assert again.serial_number == first.serial_number
    assert device.enrol(named("legacy-4711"), "unattested").reason == "name_taken"


def test_14_a_password_may_stand_alone(assay, user, change):
    """RFC 7030 section 3.2.3: the user name is empty."""
    nobody = user("", "a password and no name", "legacy-alone-*")
    assert nobody.enrol(named("legacy-alone-1"), "unattested").status == 200
    wrong = assay.client(userpass=":another password").enrol(named("legacy-alone-2"), "unattested")
    assert (wrong.status, wrong.reason) == (401, "auth_password")
    change.undo()
    change.before = {}
    gone = nobody.enrol(named("legacy-alone-3"), "unattested")  # also though it has been verified before
    assert (gone.status, gone.reason) == (401, "auth_password")


def test_the_new_policy_is_a_chained_row_before_the_first_issuance_that_names_it(assay, change):
    change.write("profiles/line.json", profile(assay, validity="31d"))
    change.reload()
    certificate, _, _ = assay.enrol()
    digest = policy_of(assay, certificate)
    serial = f"0{certificate.serial_number:x}"
    row = assay.sql(
        "SELECT p.seq < i.seq, p.stream = i.stream, c.stream IS NOT NULL FROM policy p"
        " JOIN issuance i ON i.policy_hash = p.hash JOIN chain c ON c.node = p.node AND c.stream = p.stream AND c.seq = p.seq"
        f" WHERE p.hash = '\\x{digest}' AND i.serial = '\\x{serial}'"
    )
    assert row == "t|t|t"


def test_a_change_is_seen_without_a_signal(assay, change):
    before = change.count("reloaded")
    change.write("profiles/line.json", profile(assay, validity="32d"))
    wait_until("reloaded", lambda: change.count("reloaded") > before)
    assert days(assay.enrol()[0]) == 32


def test_a_new_policy_is_recorded_before_anybody_asks_for_anything_under_it(assay, change):
    before = int(assay.sql("SELECT count(*) FROM policy"))
    change.write("profiles/line.json", profile(assay, validity="37d"))
    change.reload()
    wait_until("another policy", lambda: int(assay.sql("SELECT count(*) FROM policy")) > before)


def test_every_file_that_is_read_again_is_watched(assay, change):
    """The same bytes anew are a change too."""
    for keys in (("est", "nonce_key"), ("root",), ("issuers", 0, "certificate"), ("users",), ("trust", "rigs")):
        before, name = change.count("reloaded"), configured(assay, *keys)
        change.write(name, (assay.home / name).read_bytes())
        wait_until(f"{name} is seen", lambda before=before: change.count("reloaded") > before)


BAD = {
    "no JSON": ("{", "line.json"),
    "an unknown key": (None, "validty"),
    "a value out of range": (None, "validity"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_profile_changes_nothing_and_says_file_and_key(assay, change, what):
    text, said = BAD[what]
    if what == "an unknown key":
        text = profile(assay, validty="1d")
    elif what == "a value out of range":
        text = profile(assay, validity="forever and a day")
    before = policy_of(assay, assay.enrol()[0])
    change.write("profiles/line.json", text)
    refused = change.reload("reload_refused")
    assert "line.json" in refused["detail"] and said in refused["detail"]
    assert metric(assay, "assay_reload_refused", "ra") == 1
    assert policy_of(assay, assay.enrol()[0]) == before
    change.undo()
    change.before = {}
    assert metric(assay, "assay_reload_refused", "ra") == 0


def test_what_was_refused_is_not_tried_again_before_it_changes(assay, change):
    before = change.count("reload_refused")
    change.write("profiles/line.json", "{")
    wait_until("refused", lambda: change.count("reload_refused") > before)
    for _ in range(3):  # looks that this role has had since
        told = change.count("restart_needed")
        change.write("assay.json", (assay.home / "assay.json").read_bytes() + b"\n")
        wait_until("another look", lambda told=told: change.count("restart_needed") > told)
    assert change.count("reload_refused") == before + 1


def test_a_bad_file_among_good_ones_holds_them_all_back(assay, change):
    change.write("profiles/line.json", profile(assay, validity="33d"))
    change.write("trust/rigs.pem", "nothing\n")
    first = served(assay.client())
    _, cert, key = new_server_certificate(assay)
    change.write("tls/est.key", element.pem(key))
    change.write("tls/est.pem", pem(cert))
    change.reload("reload_refused")
    assert days(assay.enrol()[0]) > 1000
    assert served(assay.client()) == first


def test_a_rig_ca_taken_away_is_refused_at_once_also_on_its_kept_alive_connection(assay, change):
    rig, other = assay.rig2(), assay.rig()
    assay.enrol(client=rig)
    pem = (assay.home / "trust" / "rigs.pem").read_text()
    assert assay.rigs.pem() in pem
    change.write("trust/rigs.pem", pem.replace(assay.rigs.pem(), ""))
    change.reload()
    assert rig.connection is not None
    key = element.new_key()
    reply = rig.enrol(element.csr(key, assay.vendor.element().evidence(key, b"\0" * 16)), "line")
    assert (reply.status, reply.reason) == (403, "chain_untrusted")
    assay.enrol(client=other)
    change.undo()
    change.before = {}
    assay.enrol(client=rig)  # and is back with the list


def served(client):
    if client.connection is None:
        assert client.get("cacerts").status == 200
    return client.connection.sock.getpeercert(binary_form=True)


def new_server_certificate(assay):
    """The same name and issuer's trust: a root of its own beside ours, in a file for the client."""
    root_key, key = element.new_key(), element.new_key()
    name = element.common_name("Reloaded root")
    root = element.make_cert(name, root_key, name, root_key, ca=True)
    san = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    cert = element.make_cert(element.common_name("localhost"), key, name, root_key, ekus=("1.3.6.1.5.5.7.3.1",), san=san)
    return root, cert, key


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def trusting(assay, root):
    file = assay.home / "reloaded-root.pem"
    file.write_bytes(pem(root))
    return str(file)


def test_a_new_tls_certificate_goes_to_new_connections_while_old_ones_go_on(assay, change):
    old = assay.client()
    first = served(old)
    root, cert, key = new_server_certificate(assay)
    change.write("tls/est.key", element.pem(key))
    change.write("tls/est.pem", pem(cert))
    change.reload()
    assert old.get("cacerts").status == 200 and served(old) == first
    new = est.Client(assay.url, trusting(assay, root))
    assert served(new) == cert.public_bytes(serialization.Encoding.DER)
    change.undo()
    change.before = {}
    assert new.get("cacerts").status == 200  # it began with the other one, which nobody else uses now
    assert served(assay.client()) == first


def test_a_tls_certificate_without_its_key_changes_nothing(assay, change):
    first = served(assay.client())
    _, cert, _ = new_server_certificate(assay)
    change.write("tls/est.pem", pem(cert))
    refused = change.reload("reload_refused")
    assert "est.pem" in refused["detail"]
    assert served(assay.client()) == first


def test_the_admin_listener_takes_its_certificate_and_operators_anew(assay, change_admin):
    root, cert, key = new_server_certificate(assay)
    change_admin.write("tls-admin/admin.key", element.pem(key))
    change_admin.write("tls-admin/admin.pem", pem(cert))
    change_admin.reload()
    context = ssl.create_default_context(cafile=trusting(assay, root))
    connection = http.client.HTTPSConnection("127.0.0.1", assay.port + 1, context=context, timeout=20)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    assert connection.sock.getpeercert(binary_form=True) == cert.public_bytes(serialization.Encoding.DER)


def test_an_operators_ca_taken_away_is_refused_at_once(assay, change_admin):
    context = ssl.create_default_context(cafile=assay.cacert)
    context.load_cert_chain(assay.env["ASSAY_OPERATOR_CERT"], assay.env["ASSAY_OPERATOR_KEY"])
    connection = http.client.HTTPSConnection("127.0.0.1", assay.port + 1, context=context, timeout=20)

    def ask():
        connection.request("GET", "/v1/nothing")
        reply = connection.getresponse()
        return reply.status, reply.read().decode()

    assert ask()[0] == 404  # known: may ask, there is nothing
    change_admin.write("trust/operators.pem", assay.rigs.pem())
    change_admin.reload()
    status, text = ask()
    assert status == 403 and "chain_untrusted" in text


def test_under_reloads_without_end_no_request_fails(assay, change):
    """Requests in hand end with the rules they began with: none is lost, none sees half of each."""
    rig = assay.rig()
    hashes = set()
    for i in range(10):
        change.write("profiles/line.json", profile(assay, validity=f"{40 + i % 2}d"))
        hang_up(assay)
        for _ in range(5):
            certificate, _, _ = assay.enrol(client=rig)
            hashes.add((policy_of(assay, certificate), days(certificate)))
    assert len(hashes) == len({digest for digest, _ in hashes})  # one validity a policy
    assert len(hashes) >= 2


# Secrets that nodes share: nonces and session tickets


@pytest.fixture
def rotation(change):
    """Writes the nonces' key, whose first secret is also the tickets'."""
    return lambda *secrets: change.write(configured(change.assay, "est", "nonce_key"), b"".join(secrets))


def secrets_now(assay):
    return (assay.home / configured(assay, "est", "nonce_key")).read_bytes()


def enrol_with(assay, rig, nonce):
    key = element.new_key()
    return rig.enrol(element.csr(key, assay.vendor.element().evidence(key, nonce)), "line")


def test_a_new_nonce_key_takes_over_while_nonces_of_the_old_one_are_good(assay, change, rotation):
    rig = assay.rig()
    old, new = secrets_now(assay), os.urandom(32)
    of_old, kept = rig.nonce(), rig.nonce()
    rotation(new, old)
    change.reload()
    of_new = rig.nonce()
    assert enrol_with(assay, rig, of_old).status == 200
    rotation(new)
    change.reload()
    assert enrol_with(assay, rig, of_new).status == 200  # it was the new one that made it
    refused = enrol_with(assay, rig, kept)
    assert (refused.status, refused.reason) == (403, "nonce_foreign")


def test_a_node_that_has_the_next_key_takes_what_the_others_make_with_it(assay, change, rotation):
    """All nodes get the next key at the end before any of them begins to use it."""
    rig = assay.rig()
    old, new = secrets_now(assay), os.urandom(32)
    rotation(new)
    change.reload()
    of_another_node = rig.nonce()
    rotation(old, new)
    change.reload()
    assert enrol_with(assay, rig, of_another_node).status == 200
    rotation(old)
    change.reload()
    assert enrol_with(assay, rig, rig.nonce()).status == 200


@pytest.mark.parametrize("size", [0, 31, 33, 128])
def test_a_nonce_key_of_another_size_changes_nothing(assay, change, rotation, size):
    rig = assay.rig()
    nonce = rig.nonce()
    rotation(b"k" * size)
    refused = change.reload("reload_refused")
    assert "nonce.key" in refused["detail"]
    assert enrol_with(assay, rig, nonce).status == 200


def tls_12(assay, context=None, session=None):
    if context is None:
        context = ssl.create_default_context(cafile=assay.cacert)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", assay.port), timeout=20)
    with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection:
        return context, connection.session, connection.session_reused


def test_7_tickets_of_a_replaced_key_mean_a_full_handshake_and_no_error(assay, change, rotation):
    context, session, _ = tls_12(assay)
    assert tls_12(assay, context, session)[2]
    old = secrets_now(assay)
    rotation(os.urandom(32), old)
    change.reload()
    _, of_new, reused = tls_12(assay, context, session)
    assert not reused
    assert tls_12(assay, context, of_new)[2]


# The change of a root


def token_signs(assay, label, digest):
    """The token's ECDSA over a digest, as DER: what an offline ceremony does with the old root's key."""
    pin = (assay.home / "secrets" / "pin").read_text().strip()
    tool = ["pkcs11-tool", "--module", assay.env["PKCS11_MODULE"], "--token-label", "assay", "--login", "--pin", pin]
    environ = {**os.environ, "SOFTHSM2_CONF": assay.env["SOFTHSM2_CONF"]}
    listed = run(*tool, "--list-objects", "--type", "privkey", env=environ).stdout
    key = re.search(rf"label: +{label}\n +ID: +([0-9a-f]+)", listed).group(1)
    with tempfile.TemporaryDirectory() as folder:
        given, signed = f"{folder}/in", f"{folder}/out"
        pathlib.Path(given).write_bytes(digest)
        signing = ["--sign", "--mechanism", "ECDSA", "--id", key, "--signature-format", "openssl"]
        run(*tool, *signing, "-i", given, "-o", signed, env=environ)
        return pathlib.Path(signed).read_bytes()


def signed_by_token(assay, cert, label, issuer):
    """The same certificate under a CA whose key is in the token (ecdsa-with-SHA384)."""
    c = asn1_x509.Certificate.load(element.cert_der(cert))
    tbs = c["tbs_certificate"].copy()
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha384_ecdsa"})
    tbs["signature"] = algorithm
    tbs["issuer"] = asn1_x509.Name.load(issuer.subject.public_bytes())
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
    for extension in tbs["extensions"]:
        if extension["extn_id"].native == "authority_key_identifier":
            extension["extn_value"] = asn1_x509.AuthorityKeyIdentifier({"key_identifier": issuer_id})
    signature = token_signs(assay, label, hashlib.sha384(tbs.dump(force=True)).digest())
    whole = asn1_x509.Certificate({"tbs_certificate": tbs, "signature_algorithm": algorithm, "signature_value": signature})
    return x509.load_der_x509_certificate(whole.dump(force=True))


class PublicKey:
    """Looks like a key to make_cert(), which asks a subject's for no more than this."""

    def __init__(self, cert):
        self.public_key = cert.public_key


def verifies(assay, anchor, cert, folder):
    """With one anchor and, between, nothing but what /cacerts gives."""
    for name, what in (("anchor", anchor), ("cert", cert)):
        (folder / f"{name}.pem").write_bytes(pem(what))
    done = run(
        "openssl", "verify", "-x509_strict", "-CAfile", folder / "anchor.pem", "-untrusted", assay.cacerts_file(),
        folder / "cert.pem", check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return done.returncode == 0


def test_29_old_and_new_root_with_each_other_lead_to_every_certificate(assay, change, tmp_path):
    load = x509.load_pem_x509_certificate
    old, issuer = (load((assay.home / "ca" / name).read_bytes()) for name in ("root.pem", "attested.pem"))
    key, name = element.new_key(), old.subject  # which keeps its name (RFC 4210 section 4.4)
    new = element.make_cert(name, key, name, key, ca=True)
    dates = {"start": old.not_valid_before, "end": old.not_valid_after}  # RFC 4210 section 4.4
    old_with_new = element.make_cert(old.subject, PublicKey(old), name, key, ca=True, **dates)
    new_with_old = signed_by_token(assay, element.make_cert(name, key, name, key, ca=True), "root", old)
    before, _, _ = assay.enrol()
    assert verifies(assay, old, before, tmp_path) and not verifies(assay, new, before, tmp_path)

    change.write("ca/root.pem", b"".join(map(pem, (new, old, old_with_new, new_with_old))))
    change.reload()
    given = assay.client().get("cacerts").certificates()
    assert {*map(element.cert_der, (new, old, old_with_new, new_with_old))} < {*map(element.cert_der, given)}
    assert element.cert_der(given[0]) == element.cert_der(issuer)  # the issuer first, still
    assert verifies(assay, old, before, tmp_path) and verifies(assay, new, before, tmp_path)

    again = element.make_cert(issuer.subject, PublicKey(issuer), name, key, ca=True, path_len=0)
    change.write("ca/attested.pem", pem(again))  # the same key, certified by the new root
    change.reload()
    after, _, _ = assay.enrol()
    assert verifies(assay, old, after, tmp_path) and verifies(assay, new, after, tmp_path)


def test_29_a_file_of_roots_with_something_else_in_it_changes_nothing(assay, change):
    client = assay.client()
    before = client.get("cacerts").body
    good = (assay.home / "ca" / "root.pem").read_bytes()
    for bad in (b"", good * 5, good + element.pem(element.new_key())):
        change.write("ca/root.pem", bad)
        refused = change.reload("reload_refused")
        assert "root" in refused["detail"]
        assert client.get("cacerts").body == before


# What is read at the start alone


@pytest.mark.parametrize("name, roles", [("assay.json", ["ra", "ca", "va", "admin"]), ("ca/idevid.pem", ["ca", "va"])])
def test_what_needs_a_restart_says_so(assay, change, name, roles):
    file = str(assay.home / name)

    def told(role):
        return sum(event["file"] == file for event in events(assay, role, "restart_needed"))

    before = {role: told(role) for role in roles}
    change.write(name, (assay.home / name).read_bytes() + b"\n")
    for role in roles:
        wait_until(f"{role} says so", lambda role=role: told(role) > before[role])
        assert "restart assayd" in events(assay, role, "restart_needed")[-1]["detail"]
