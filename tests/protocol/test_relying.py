"""To the relying party: assay-agent, a real mosquitto and a real nginx with the configurations of deploy/relying. A device
that is revoked loses its open connection within a second, and what is not signed, or older, changes nothing."""

import http.server
import re
import signal
import statistics
import subprocess
import threading
import time
import urllib.request

import element
import pytest
from cryptography import x509

from instance import run
from ports import free_ports
from relying import AGENT, MOSQUITTO, NGINX, PLUGIN, Program, Relying, https_status, listening, plugin_environ, serials
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
    """Asks the feed for a number that no list will have while the module runs."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.status, self.took = url, None, None
        self.start()

    def run(self):
        began = time.monotonic()
        with urllib.request.urlopen(f"{self.url}/feed/idevid.crl?after=18446744073709551615", timeout=300) as response:
            self.status = response.status
        self.took = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def waiter(assay):
    return Waiter(assay.env["ASSAY_STATUS_URL"])


@pytest.fixture(scope="module")
def operator(assay):
    return assay.admin()


@pytest.fixture
def device(assay):
    def make():
        cert, key, _ = assay.enrol()
        return f"{cert.serial_number:032x}", assay.identity(cert, key)

    return make


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


def test_nginx_refuses_the_device_on_new_kept_and_resumed_connections(relying, operator, device):
    serial, identity = device()
    _, other = device()
    kept, bystander = relying.https(identity), relying.https(other)
    assert kept.get()[0] == 200 and bystander.get()[0] == 200
    session = kept.session()
    assert relying.https(identity, session).resumed, "what is to be shown below would show nothing"
    assert operator.fresh().revoke({"serial": serial})["done"]
    began = time.monotonic()
    wait_until("nginx refuses a new connection", lambda: https_status(relying, identity) != 200)
    took = time.monotonic() - began
    print(f"refused by nginx after {took * 1000:.0f} ms")
    wait_until("the kept connection is of no use", lambda: (kept.get() or (None,))[0] != 200)
    assert https_status(relying, identity, session) != 200, "a resumed session"
    assert https_status(relying, other) == 200
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
    client = relying.https(identity)
    assert client.get()[0] == 200
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


class Between(http.server.ThreadingHTTPServer):
    """Somebody on the path: passes on, is away, or says something else. `say` takes a list's name and the true answer."""

    daemon_threads = True

    def __init__(self, va):
        super().__init__(("127.0.0.1", 0), BetweenHandler)
        self.va, self.away, self.say, self.asked = va, False, None, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class BetweenHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        path = self.path
        server.asked.append(path)
        if server.away:
            self.close_connection = True
            return
        own = server.say(path) if server.say else None
        if own is not None:
            self.answer(200, own)
            return
        if "after=" in path:  # whoever is between does not wait for long, so that what it says next is heard soon
            path = path.split("?")[0]
            have = int(self.path.split("after=")[1])
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline and server.say is None and not server.away:
                body = urllib.request.urlopen(server.va + path, timeout=60).read()
                if number(body) > have:
                    self.answer(200, body)
                    return
                time.sleep(0.05)
            self.answer(204, b"")
            return
        self.answer(200, urllib.request.urlopen(server.va + path, timeout=60).read())

    def answer(self, status, body):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def number(der):
    return x509.load_der_x509_crl(der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@pytest.fixture
def between(assay):
    server = Between(assay.env["ASSAY_STATUS_URL"])
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def agent(relying, between, state, tmp_path):
    """An agent of its own behind somebody on the path: (how to start it, its state)."""
    programs = []

    def start():
        command = relying.agent_command(state=state, va=between.url, nginx=False, issuers=("attested",))
        programs.append(Program(tmp_path / "agent.log", *command))
        return programs[-1]

    yield start, state
    for program in programs:
        program.stop()


def fetch(assay, name):
    return urllib.request.urlopen(f"{assay.env['ASSAY_STATUS_URL']}/crl/{name}.crl", timeout=60).read()


def has(state, serial):
    return int(serial, 16) in serials(state)


def deltas_had(between):
    return [int(m[1]) for m in (re.search(r"-delta.*after=(\d+)", path) for path in between.asked) if m]


def test_forged_older_and_unsigned_deltas_are_refused_and_said(assay, operator, agent, between, device):
    start, state = agent
    old = fetch(assay, "attested-delta")
    serial, _ = device()
    assert operator.fresh().revoke({"serial": serial})["done"]
    wait_until("a newer delta", lambda: number(fetch(assay, "attested-delta")) > number(old))
    program = start()
    wait_until("the revocation", lambda: (state / "revoked").exists() and has(state, serial))
    # the complete list tells it as well: what the agent asks for tells which delta it has
    wait_until("it has a newer delta", lambda: any(have > number(old) for have in deltas_had(between)))
    forged = bytearray(fetch(assay, "attested-delta"))
    forged[-1] ^= 1
    inner = bytearray(fetch(assay, "attested-delta"))  # its own signature, another serial
    inner[inner.index(bytes.fromhex(serial)) + 15] ^= 1
    altered = int(serial, 16) ^ 1
    cases = [
        ("its signature is not the issuer's", bytes(forged)),
        ("older than", old),
        ("its signature is not the issuer's", bytes(inner)),
        ("it is no delta", fetch(assay, "attested")),
        ("it is no CRL", b"\x30\x03\x02\x01\x05"),
        ("it is of another issuer", fetch(assay, "unattested-delta")),
    ]
    before = serials(state)
    for said, body in cases:
        at = len(program.text())
        between.say = lambda path, body=body: body if "attested-delta" in path else None
        wait_until(said, lambda: said in program.text()[at:] or program.process.poll() is not None)
        assert before <= serials(state) and altered not in serials(state), said
    program.stop()
    program = start()  # what has been seen is not forgotten
    between.say = lambda path: old if "attested-delta" in path else None
    wait_until("older after a restart too", lambda: program.text().count("older than") >= 2)
    assert has(state, serial)
    between.say = None
    another, _ = device()
    assert operator.fresh().revoke({"serial": another})["done"]
    wait_until("true deltas again", lambda: has(state, another))


def test_the_complete_list_is_not_a_shard_nor_older(assay, operator, agent, between, device):
    """A shard is signed by the issuer too, and holds a quarter of what is revoked."""
    start, state = agent
    between.say = lambda path: fetch(assay, "attested/1") if "/feed/attested.crl" in path else None
    program = start()
    program.says("it is not for every certificate of the issuer")
    assert not (state / "attested.crl").exists()
    between.say = None
    wait_until("the true one", lambda: (state / "attested.crl").exists())


def test_a_va_that_is_away_is_said_and_found_again(assay, operator, agent, between, device):
    start, state = agent
    program = start()
    program.says("delta")
    between.away = True
    program.says("va away")
    status = run(AGENT, "--status", "--state", state).stdout
    assert "AWAY" in status
    serial, _ = device()
    assert operator.fresh().revoke({"serial": serial})["done"]
    assert not has(state, serial)
    between.away = False
    program.says("va is back")
    wait_until("what came meanwhile", lambda: has(state, serial))
    wait_until("status", lambda: "AWAY" not in run(AGENT, "--status", "--state", state).stdout)


def test_another_root_is_not_believed(assay, relying, between, tmp_path):
    (tmp_path / "root.pem").write_text(assay.rigs.pem())
    command = relying.agent_command(state=tmp_path, nginx=False)
    command[command.index("--root") + 1] = tmp_path / "root.pem"
    done = subprocess.run([str(c) for c in command] + ["--once"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "not under the root" in done.stderr, done.stderr
    assert not (tmp_path / "attested.cer").exists()


def test_once(relying, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    done = run(*relying.agent_command(state=state, nginx=False), "--once")
    assert "complete list" in done.stderr and "delta" in done.stderr
    assert (state / "revoked").read_bytes()[:8] == b"ASSAYRL1"
    shown = run(AGENT, "--status", "--state", state).stdout
    assert "here" in shown and "attested" in shown and "good until" in shown
    again = run(*relying.agent_command(state=state, nginx=False), "--once")
    assert "refused" not in again.stderr


@pytest.mark.parametrize("options, says", [
    ([], "--state is missing"), (["--state", "/nowhere"], "is no folder"), (["--state", "{}"], "--va is"),
    (["--state", "{}", "--va", "ftp://x"], "allowed: http://"), (["--state", "{}", "--va", "http://x"], "--root is missing"),
    (["--state", "{}", "--va", "http://x", "--root", "/none"], "--issuer is missing"),
    (["--issuer", "../x"], "allowed: up to 32"), (["--state", "{}", "--va", "http://x", "--root", "/none", "--issuer", "a"], "/none: cannot be read"),
    (["what"], "only options"), (["--nonsense"], "--help"),
])  # fmt: skip
def test_wrong_options_are_named(options, says, tmp_path):
    done = subprocess.run([str(AGENT), *(o.replace("{}", str(tmp_path)) for o in options)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and says in done.stderr, done.stderr


def test_help():
    text = run(AGENT, "--help").stdout
    assert "examples:" in text and "--nginx-pid" in text


@pytest.mark.parametrize("line, says", [
    ("plugin_opt_stale maybe", "allowed: refuse, kick, allow"), ("plugin_opt_lists x", "is unknown"), (None, "plugin_opt_list is missing"),
])  # fmt: skip
def test_wrong_options_of_the_plugin_are_named(line, says, tmp_path):
    file = tmp_path / "mosquitto.conf"
    lines = [f"plugin {PLUGIN}"] + ([f"plugin_opt_list {tmp_path}/x", line] if line else []) + ["listener 0 127.0.0.1"]
    file.write_text("\n".join(lines) + "\n")
    done = subprocess.run([MOSQUITTO, "-c", str(file)], capture_output=True, text=True, timeout=60, env=plugin_environ())
    assert done.returncode != 0 and says in done.stdout + done.stderr, done.stdout + done.stderr


class Stapling:
    """An nginx whose own certificate is an Assay's, and which staples what the va says of it."""

    def __init__(self, assay, folder, identity):
        self.assay, self.folder, self.port = assay, folder, free_ports()
        chain = folder / "chain.pem"
        chain.write_text(open(identity[0]).read() + (assay.home / "ca" / "attested.pem").read_text())
        cas = folder / "cas.pem"
        cas.write_text((assay.home / "ca" / "root.pem").read_text() + (assay.home / "ca" / "attested.pem").read_text())
        paths = "".join(f"{path}_temp_path {folder}/{path};" for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
            events {{ }}
            http {{
                {paths} access_log off;
                server {{
                    listen 127.0.0.1:{self.port} ssl;
                    ssl_certificate {chain};
                    ssl_certificate_key {identity[1]};
                    ssl_stapling on;
                    ssl_stapling_verify on;
                    ssl_trusted_certificate {cas};
                    location / {{ return 200; }}
                }}
            }}""")
        self.program = Program(folder / "nginx.log", NGINX, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf",
                               "-g", f"daemon off; pid {folder}/nginx.pid; error_log stderr;")  # fmt: skip
        wait_until("nginx", lambda: listening(self.port))

    def stapled(self):
        """What openssl's client is given with the certificate."""
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", self.assay.cacert, "-status",
                   check=False, input="").stdout  # fmt: skip


def test_an_nginx_staples_what_the_va_says_of_its_certificate(assay, operator, tmp_path):
    """When it is revoked, nginx staples nothing rather than "revoked", and says so."""
    cert, key, _ = assay.enrol(label="server")
    nginx = Stapling(assay, tmp_path, assay.identity(cert, key))
    try:
        # nginx asks only when somebody has connected
        wait_until("a stapled answer", lambda: "OCSP Response Status: successful" in nginx.stapled())
        assert "Cert Status: good" in nginx.stapled()
        assert operator.fresh().revoke({"serial": f"{cert.serial_number:032x}"})["done"]
        nginx.program.process.send_signal(signal.SIGHUP)  # it keeps an answer for up to an hour otherwise
        # the old worker may still serve a connection or two, with the old answer
        wait_until("no good answer", lambda: "no response sent" in nginx.stapled() and "revoked" in nginx.program.text())
    finally:
        nginx.program.stop()


def test_who_waits_for_nothing_is_told_so(waiter):
    """The last here, for it has waited beside the others."""
    waiter.join(120)
    assert waiter.status == 204 and 20 < waiter.took, waiter.took
