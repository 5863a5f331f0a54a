"""Profiles, trust lists and TLS certificates change while it runs: whole, at once, and never for the worse.

Every test puts back what it changed and waits until that holds, for the instance is everybody's.
"""

import http.client
import ipaddress
import json
import os
import signal
import ssl
import time
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import element
import est


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


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
        new = file.with_name(f".{file.name}.new")
        new.write_bytes(data if isinstance(data, bytes) else data.encode())
        new.chmod(file.stat().st_mode)
        new.rename(file)

    def reload(self, event="reloaded"):
        before = self.count(event)
        hang_up(self.assay)
        wait_for(lambda: self.count(event) > before)
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


def profile(assay, **changes):
    return json.dumps({**json.loads((assay.home / "profiles" / "line.json").read_text()), **changes})


def policy_of(assay, certificate):
    serial = f"{certificate.serial_number:x}".zfill(32)
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


def test_the_new_policy_is_a_chained_row_before_the_first_issuance_that_names_it(assay, change):
    change.write("profiles/line.json", profile(assay, validity="31d"))
    change.reload()
    certificate, _, _ = assay.enrol()
    digest = policy_of(assay, certificate)
    serial = f"{certificate.serial_number:x}".zfill(32)
    row = assay.sql(
        "SELECT p.seq < i.seq, p.stream = i.stream, c.stream IS NOT NULL FROM policy p"
        " JOIN issuance i ON i.policy_hash = p.hash JOIN chain c ON c.node = p.node AND c.stream = p.stream AND c.seq = p.seq"
        f" WHERE p.hash = '\\x{digest}' AND i.serial = '\\x{serial}'"
    )
    assert row == "t|t|t"


def test_a_change_is_seen_without_a_signal(assay, change):
    before = change.count("reloaded")
    change.write("profiles/line.json", profile(assay, validity="32d"))
    wait_for(lambda: change.count("reloaded") > before)
    assert days(assay.enrol()[0]) == 32


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


def test_a_bad_file_among_good_ones_holds_them_all_back(assay, change):
    change.write("profiles/line.json", profile(assay, validity="33d"))
    change.write("trust/rigs.pem", "nothing\n")
    change.reload("reload_refused")
    assert days(assay.enrol()[0]) > 1000


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
