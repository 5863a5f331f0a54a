"""To the relying party: assay-agent, a real mosquitto and a real nginx with the configurations of deploy/relying. A device
that is revoked loses its open connection within a second."""

import statistics
import subprocess
import threading
import time
import urllib.request

import der
import element
import pytest
from cryptography import x509

from relying import MOSQUITTO, NGINX, PLUGIN, Program, Relying, https_status, plugin_environ, put_root_crl
from waiting import wait_until

REVOCATIONS = 20
A_SECOND = 1.0

pytestmark = [
    pytest.mark.skipif(not (MOSQUITTO and NGINX), reason="no mosquitto or no nginx here (deploy/packages lists them)"),
    pytest.mark.skipif(not PLUGIN.exists(), reason="assay_mosquitto.so was not built: mosquitto's headers are missing"),
]


@pytest.fixture(scope="module")
def relying(assay, tmp_path_factory):
    party = Relying(assay, tmp_path_factory.mktemp("relying"))
    try:
        party.start_agent()
        party.start_mosquitto()
        party.start_nginx()
        yield party
    finally:
        party.stop()
    complaints = [line for p in party.programs.values() for line in p.text().splitlines() if "Sanitizer" in line or "runtime error:" in line]
    assert not complaints, complaints


class Waiter(threading.Thread):
    """Asks the feed for a number that no list will have while the module runs, and again when a list comes all the same."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.status, self.took = url, None, None
        self.start()

    def run(self):
        while self.status in (None, 200):
            began = time.monotonic()
            with urllib.request.urlopen(f"{self.url}/feed/idevid.crl?after=18446744073709551615", timeout=300) as response:
                self.status = response.status
            self.took = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def waiter(assay):
    return Waiter(assay.env["ASSAY_STATUS_URL"])


def percentile(times, p):
    return sorted(times)[min(len(times) - 1, int(len(times) * p / 100))]


def test_devices_are_put_out_within_a_second(relying, operator, device, capsys):
    bystanders = [relying.mqtt(device()[1], f"bystander-{i}") for i in range(3)]
    devices = [device() for _ in range(REVOCATIONS)]
    clients = [relying.mqtt(identity, f"device-{i}") for i, (_, identity) in enumerate(devices)]
    assert [c.code for c in bystanders + clients] == [0] * (REVOCATIONS + 3)
    times = []
    for (serial, _), client in zip(devices, clients):
        operator = operator.fresh()
        assert operator.revoke({"serial": serial})["done"]
        answered = time.monotonic()
        times.append(max(0.0, client.ended_at() - answered))
    with capsys.disabled():
        print(f"\nput out after the API's answer, {REVOCATIONS} revocations: p50 {statistics.median(times) * 1000:.0f} ms, "
              f"p99 {percentile(times, 99) * 1000:.0f} ms")  # fmt: skip
    assert statistics.median(times) < A_SECOND, times
    assert max(times) < 10 * A_SECOND, times
    assert all(c.alive() for c in bystanders), "another device was put out too"
    again = [relying.mqtt(identity, f"device-{i}") for i, (_, identity) in enumerate(devices)]
    assert [c.code for c in again] == [5] * REVOCATIONS, "not authorised (MQTT 3.1.1, table 3.1)"
    for client in bystanders + clients + again:
        client.close()


def test_mosquitto_sub_is_put_out_and_does_not_come_back(assay, relying, operator, device):
    serial, (cert, key) = device()
    sub = Program(relying.folder / "sub.log", "stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "localhost", "-p", relying.port,
                  "--cafile", assay.cacert, "--cert", cert, "--key", key, "-i", "a-device", "-t", "all")  # fmt: skip
    sub.says("received SUBACK")
    assert operator.fresh().revoke({"serial": serial})["done"]
    wait_until("mosquitto_sub ends", lambda: sub.process.poll() is not None)
    assert "CONNACK (5)" in sub.text() or "not authorised" in sub.text().lower(), sub.text()
    assert "a-device" in relying.programs["mosquitto"].text() and "its certificate is revoked" in relying.programs["mosquitto"].text()


def test_the_user_name_is_the_certificates(assay, relying, device):
    serial, identity = device()
    client = relying.mqtt(identity, "named")
    cert = x509.load_pem_x509_certificate(open(identity[0], "rb").read())
    name = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    relying.programs["mosquitto"].says(f"u'{name}'")
    client.close()


def test_nobody_chooses_a_user_name_who_has_none(assay, relying, tmp_path):
    """Of a CA beside the Assay's, for an Assay always gives one."""
    party = Relying(assay, tmp_path)
    party.state = relying.state
    with open(party.folder / "cas.pem", "a") as f:
        f.write(assay.rigs.pem())

    def identity(stem, *attributes):
        key = element.new_key()
        cert = element.make_cert(x509.Name([x509.NameAttribute(*a) for a in attributes]), key, assay.rigs.ca.subject, assay.rigs.key)
        return assay.rigs.write(stem, cert, key)

    organization = (x509.NameOID.ORGANIZATION_NAME, "Elsewhere")
    try:
        program = party.start_mosquitto(lambda text: text.replace("unknown_issuer refuse", "unknown_issuer allow"))
        named = party.mqtt(identity("named", organization, (x509.NameOID.COMMON_NAME, "pump-7")), "named", "admin")
        assert named.code == 0
        program.says("u'pump-7'")
        assert party.mqtt(identity("nameless", organization), "nameless", "admin").code == 5
        assert party.mqtt(identity("cut", (x509.NameOID.COMMON_NAME, "admin\0.elsewhere")), "cut").code == 5
        assert "u'admin'" not in program.text() and "nameless (serial" in program.text() and "has no CN" in program.text()
        assert party.mqtt(identity("alone", organization), "alone").code == 5
        named.close()
    finally:
        party.stop()


def kept_by_nginx(relying, identity):
    """A connection that stays open, and a session of it that nginx resumes. A worker that an earlier revocation's reload
    is about to end closes its connections after the answer."""

    def kept():
        client = relying.https(identity)
        if (client.get() or (None,))[0] != 200 or client.connection.sock is None:
            return None
        session = client.session()
        return relying.https(identity, session).resumed and (client, session)

    return wait_until("nginx keeps a connection, and resumes it", kept)


def test_nginx_refuses_the_device_on_new_kept_and_resumed_connections(relying, operator, device):
    serial, identity = device()
    _, other = device()
    kept, session = kept_by_nginx(relying, identity)
    wait_until("another is served", lambda: https_status(relying, other) == 200)
    assert operator.fresh().revoke({"serial": serial})["done"]
    began = time.monotonic()
    wait_until("nginx refuses a new connection", lambda: https_status(relying, identity) != 200)
    took = time.monotonic() - began
    print(f"refused by nginx after {took * 1000:.0f} ms")
    wait_until("the kept connection is of no use", lambda: (kept.get() or (None,))[0] != 200)
    assert https_status(relying, identity, session) != 200, "a resumed session"
    wait_until("another still is", lambda: https_status(relying, other) == 200)
    wait_until("it is in ssl_crl too", lambda: listed(relying.state / "crl.pem", serial))


def listed(file, serial):
    blocks = file.read_bytes().split(b"-----BEGIN X509 CRL-----")[1:]
    crls = [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + b) for b in blocks]
    assert len(crls) == 3  # two issuers, and the root
    return any(c.get_revoked_certificate_by_serial_number(int(serial, 16)) for c in crls)


def test_half_a_request_does_not_hold_the_old_worker_for_long(relying, operator, device):
    """Its connection is not idle, and worker_shutdown_timeout does not end the reading of headers: client_header_timeout
    does."""
    serial, identity = device()
    client, _ = kept_by_nginx(relying, identity)
    client.connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    assert operator.fresh().revoke({"serial": serial})["done"]
    began = time.monotonic()
    while client.connection.sock.recv(100):
        pass
    assert time.monotonic() - began < 40, "nginx's own default is a minute"
    client.close()


def test_on_hold_and_released(relying, operator, device):
    serial, identity = device()
    client = relying.mqtt(identity, "held")
    assert client.code == 0
    assert operator.fresh().revoke({"serial": serial}, reason="certificateHold")["done"]
    client.ended_at()
    assert relying.mqtt(identity, "held").code == 5
    wait_until("nginx refuses it", lambda: https_status(relying, identity) != 200)
    assert operator.fresh().revoke({"serial": serial}, reason="removeFromCRL")["done"]
    wait_until("let in again", lambda: relying.mqtt(identity, "held").code == 0)
    wait_until("served again", lambda: https_status(relying, identity) == 200)


def test_every_device_of_a_ca_that_the_root_revokes_is_put_out(assay, device, tmp_path):
    """By both, without a restart of anything, and let in again when the root says so; another CA's are not touched."""
    key = element.new_key()
    cert = assay.legacy().enrol(element.csr(key, subject=der.name((der.CN, "legacy-of-a-revoked-ca"))), "unattested").certificate()
    identity, (_, other) = assay.identity(cert, key), device()
    party = Relying(assay, tmp_path)
    try:
        agent = party.start_agent()
        party.start_mosquitto()
        party.start_nginx()
        out, bystander = party.mqtt(identity, "out"), party.mqtt(other, "bystander")
        assert (out.code, bystander.code) == (0, 0) and https_status(party, identity) == https_status(party, other) == 200
        put_root_crl(assay, party, "--revoke", "unattested")
        out.ended_at()
        assert party.mqtt(identity, "out").code == 5 and bystander.alive()
        wait_until("nginx refuses it", lambda: https_status(party, identity) != 200)
        assert https_status(party, other) == 200
        party.programs["mosquitto"].says("its certificate is revoked")
        agent.says("unattested: the root has revoked its CA")
        put_root_crl(assay, party)
        wait_until("let in again", lambda: party.mqtt(identity, "again").code == 0)
        wait_until("served again", lambda: https_status(party, identity) == 200)
    finally:
        party.stop()


def test_without_its_list_mosquitto_lets_nobody_new_in(relying, device):
    _, identity = device()
    client = relying.mqtt(identity, "before")
    assert client.code == 0
    (relying.state / "revoked").rename(relying.state / "away")
    try:
        assert relying.mqtt(identity, "without").code == 5
        relying.programs["mosquitto"].says("is missing or past its time")
        assert client.alive()
    finally:
        (relying.state / "away").rename(relying.state / "revoked")
    wait_until("let in again", lambda: relying.mqtt(identity, "with").code == 0)
    client.close()


def past_its_time(text):
    """The same list, whose CRLs ran out in 1970."""
    text = bytearray(text)
    for i in range(int.from_bytes(text[8:12], "big")):
        text[12 + 56 * i + 32 : 12 + 56 * i + 40] = (1).to_bytes(8, "big")
    return bytes(text)


@pytest.mark.parametrize("stale, stays, new", [("refuse", True, 5), ("kick", False, 5), ("allow", True, 0)])
def test_a_list_past_its_time(assay, relying, operator, device, tmp_path, stale, stays, new):
    gone, bad = device()
    assert operator.fresh().revoke({"serial": gone})["done"]
    wait_until("the agent knows it", lambda: bytes.fromhex(gone) in (relying.state / "revoked").read_bytes())
    good = (relying.state / "revoked").read_bytes()
    party = Relying(assay, tmp_path)
    file = party.state / "revoked"
    file.write_bytes(good)
    try:
        program = party.start_mosquitto(lambda text: text.replace("plugin_opt_stale refuse", f"plugin_opt_stale {stale}"))
        _, identity = device()
        client = party.mqtt(identity, "before")
        assert client.code == 0
        (party.state / "next").write_bytes(past_its_time(good))
        (party.state / "next").rename(file)
        program.says("is missing or past its time")
        if not stays:
            client.ended_at()
        assert party.mqtt(identity, "after").code == new
        assert party.mqtt(bad, "revoked").code == 5, "whatever the age of the list"
        assert client.alive() == stays
        (party.state / "next").write_bytes(good)
        (party.state / "next").rename(file)
        wait_until("let in again", lambda: party.mqtt(identity, "again").code == 0)
    finally:
        party.stop()


def test_whoever_mosquitto_lets_in_unasked_is_found_when_he_publishes(assay, relying, operator, device, tmp_path):
    """A second mosquitto with the mistake that README.md warns of."""
    wrong = Relying(assay, tmp_path)
    wrong.state = relying.state
    try:
        program = wrong.start_mosquitto(lambda text: text.replace("require_certificate true", "require_certificate true\nuse_identity_as_username true"))
        serial, identity = device()
        _, other = device()
        early, bystander = wrong.mqtt(identity, "early"), wrong.mqtt(other, "bystander")
        assert (early.code, bystander.code) == (0, 0)
        early.publish("a")
        program.says("early is connected without this plugin having been asked")
        assert operator.fresh().revoke({"serial": serial})["done"]
        early.ended_at()
        late = wrong.mqtt(identity, "late")
        assert late.code == 0, "mosquitto does ask: then the warning is wrong"
        late.publish("b")
        late.ended_at()
        bystander.publish("c")
        assert bystander.alive()
    finally:
        wrong.stop()


def test_a_certificate_of_another_ca_under_the_root_is_refused(assay, relying):
    """The broker trusts the rigs' CA as little as its agent watches it."""
    with open(relying.folder / "cas.pem") as f:
        assert f.read().count("BEGIN") == 4
    assert relying.mqtt(assay.rig_identity, "rig").code != 0


@pytest.mark.parametrize("line, says", [
    ("plugin_opt_stale maybe", "allowed: refuse, kick, allow"), ("plugin_opt_lists x", "is unknown"), (None, "plugin_opt_list is missing"),
])  # fmt: skip
def test_wrong_options_of_the_plugin_are_named(line, says, tmp_path):
    file = tmp_path / "mosquitto.conf"
    lines = [f"plugin {PLUGIN}"] + ([f"plugin_opt_list {tmp_path}/x", line] if line else []) + ["listener 0 127.0.0.1"]
    file.write_text("\n".join(lines) + "\n")
    done = subprocess.run([MOSQUITTO, "-c", str(file)], capture_output=True, text=True, timeout=60, env=plugin_environ())
    assert done.returncode != 0 and says in done.stdout + done.stderr, done.stdout + done.stderr


def test_who_waits_for_nothing_is_told_so(waiter):
    """The last here, for it has waited beside the others."""
    waiter.join(120)
    assert waiter.status == 204 and 20 < waiter.took, waiter.took
