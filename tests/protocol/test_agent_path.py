"""assay-agent and a real va with somebody on the path between them, who can change nothing; and what it says to whoever
starts it."""

import http.server
import re
import subprocess
import threading
import time
import urllib.request

import pytest
from cryptography import x509
from instance import run
from relying import AGENT, ISSUERS, Program, agent_command, serials
from waiting import wait_until

pytestmark = pytest.mark.skipif(not AGENT.exists(), reason="assay-agent was not built")


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
def agent(assay, between, state, tmp_path):
    """An agent of its own behind somebody on the path: (how to start it, its state)."""
    programs = []

    def start():
        programs.append(Program(tmp_path / "agent.log", *agent_command(between.url, assay.cacert, state, ["attested"])))
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


def test_another_root_is_not_believed(assay, tmp_path):
    (tmp_path / "root.pem").write_text(assay.rigs.pem())
    command = agent_command(assay.env["ASSAY_STATUS_URL"], tmp_path / "root.pem", tmp_path, ISSUERS)
    done = subprocess.run([str(c) for c in command] + ["--once"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "not under the root" in done.stderr, done.stderr
    assert not (tmp_path / "attested.cer").exists()


def test_once(assay, state):
    command = agent_command(assay.env["ASSAY_STATUS_URL"], assay.cacert, state, ISSUERS)
    done = run(*command, "--once")
    assert "complete list" in done.stderr and "delta" in done.stderr
    assert (state / "revoked").read_bytes()[:8] == b"ASSAYRL1"
    shown = run(AGENT, "--status", "--state", state).stdout
    assert "here" in shown and "attested" in shown and "good until" in shown
    again = run(*command, "--once")
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
