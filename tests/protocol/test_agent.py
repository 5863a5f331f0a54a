"""What assay-agent accepts of a va that lies: a CA and CRLs of the tests' own, which no va would give."""

import datetime
import gzip
import http.server
import subprocess
import threading

import element
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from relying import AGENT, agent_command, serials

NOW = datetime.datetime.utcnow().replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)
ROOT = element.common_name("Agent test root")
pytestmark = pytest.mark.skipif(not AGENT.exists(), reason="assay-agent was not built")


def der(one):
    return one.public_bytes(serialization.Encoding.DER)


class Ca:
    def __init__(self):
        self.root_key, self.key = element.new_key(), element.new_key()
        self.root = element.make_cert(ROOT, self.root_key, ROOT, self.root_key, ca=True)
        self.name = element.common_name("Agent test issuer")
        self.cert = element.make_cert(self.name, self.key, ROOT, self.root_key, ca=True)

    def without_crl_sign(self):
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name(ROOT).public_key(self.key.public_key())
        builder = builder.serial_number(7).not_valid_before(NOW - HOUR).not_valid_after(NOW + 24 * HOUR)
        usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        return builder.sign(self.root_key, hashes.SHA256())

    def crl(self, number, revoked=(), base=None, this=NOW - 3 * HOUR, end=NOW + HOUR, extra=None):
        """More than half of its time is over: the complete list is asked for again."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(this).next_update(end)
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), True)
        if extra is not None:
            builder = builder.add_extension(extra, True)
        for serial in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build())
        return der(builder.sign(self.key, hashes.SHA256()))


@pytest.fixture(scope="module")
def ca():
    return Ca()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        answer = self.server.gives[self.path.split("?")[0].rsplit("/", 1)[1]]
        if callable(answer):
            answer(self)
            return
        self.send_response(200 if answer else 204)
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def va(ca):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.gives = {"own.cer": der(ca.cert), "own.crl": ca.crl(10, [1, 2]), "own-delta.crl": b""}
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def once(ca, va, state, tmp_path):
    """Everything is asked for once: (exit code, what was said)."""
    (tmp_path / "root.pem").write_bytes(ca.root.public_bytes(serialization.Encoding.PEM))
    command = agent_command(f"http://127.0.0.1:{va.server_address[1]}", tmp_path / "root.pem", state, ["own"])

    def run():
        done = subprocess.run([str(c) for c in [*command, "--once"]], capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 1), done
        return done.returncode, done.stderr

    run.state = state
    return run


def test_what_is_right_is_taken(ca, va, once):
    va.gives["own-delta.crl"] = ca.crl(11, [3], base=10)
    code, said = once()
    assert code == 0 and serials(once.state) == {1, 2, 3}, said


@pytest.mark.parametrize("what", ["another root's", "without cRLSign", "no CA", "no certificate"])
def test_a_ca_that_is_not_to_be_believed(ca, va, once, what):
    stranger = Ca()
    gives = {
        "another root's": (der(stranger.cert), "not under the root"), "without cRLSign": (der(ca.without_crl_sign()), "no CA that may sign"),
        "no CA": (der(element.make_cert(ca.name, ca.key, ROOT, ca.root_key)), "no CA that may sign"), "no certificate": (b"\x30\x00", "no certificate"),
    }  # fmt: skip
    va.gives["own.cer"], reason = gives[what]
    code, said = once()
    assert code == 1 and reason in said and not (once.state / "own.cer").exists(), said


LISTS = {
    "past its time": ({"this": NOW - 3 * HOUR, "end": NOW - HOUR}, "its nextUpdate was"),
    "of another clock": ({"this": NOW + HOUR, "end": NOW + 2 * HOUR}, "it begins"),
    "without number": ({"number": None}, "it has no CRL number"),
    "a part": ({"extra": x509.IssuingDistributionPoint(None, None, True, False, None, False, False)}, "not for every certificate"),
    "with what nobody knows": ({"extra": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")}, "not for every certificate"),
}  # fmt: skip


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_does_not_hold(ca, va, once, what):
    changes, reason = LISTS[what]
    va.gives["own.crl"] = ca.crl(**{"number": 10, "revoked": [1], **changes})
    code, said = once()
    assert code == 1 and reason in said and not (once.state / "own.crl").exists(), said


def test_neither_number_nor_time_goes_back_over_a_restart(ca, va, once):
    assert once()[0] == 0 and serials(once.state) == {1, 2}
    for crl, reason in (
        (ca.crl(9, [1]), "number 9 is older than 10"), (ca.crl(11, [1], this=NOW - 4 * HOUR), "number 11 is dated before 10"),
        (ca.crl(10, [1]), "another one with the number 10"),
    ):  # fmt: skip
        va.gives["own.crl"] = crl
        code, said = once()
        assert code == 1 and reason in said and serials(once.state) == {1, 2}, said


def test_a_delta_to_a_list_that_is_not_there_changes_nothing(ca, va, once):
    va.gives["own-delta.crl"] = ca.crl(21, [3], base=20)
    said = once()[1]
    assert "it adds to 20, the newest complete list here is 10" in said and serials(once.state) == {1, 2}
    va.gives["own-delta.crl"] = ca.crl(21, [3], base=21)
    code, said = once()
    assert code == 1 and "its base is not before it" in said and serials(once.state) == {1, 2}


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(1 << 20))
    except OSError:
        pass


def truncated(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(bytes(1000))


def bomb(handler):
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(gzip.compress(bytes(16 << 20)))


def round_and_round(handler):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def to_a_file(handler):
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/passwd")
    handler.end_headers()


@pytest.mark.parametrize("how", [endless, truncated, bomb, round_and_round, to_a_file], ids=lambda how: how.__name__)
def test_what_is_no_answer_changes_nothing(ca, va, once, how):
    assert once()[0] == 0
    for path in ("own.crl", "own-delta.crl"):
        va.gives = {"own.cer": der(ca.cert), "own.crl": b"", "own-delta.crl": b"", path: how}
        code, said = once()
        assert code == 1 and serials(once.state) == {1, 2}, said
