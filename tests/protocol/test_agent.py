"""What assay-agent accepts of a va that lies: a CA and CRLs of the tests' own, which no va would give."""

import datetime
import gzip
import http.server
import itertools
import json
import re
import subprocess
import threading
import time

import element
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from relying import AGENT, Program, agent_command, serials
from waiting import wait_until

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

    def crl(self, number, revoked=(), base=None, this=NOW - 3 * HOUR, end=NOW + HOUR, extra=None, critical=True, key=None, released=(), of=None):
        """More than half of its time is over: the complete list is asked for again."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(this).next_update(end)
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), True)
        if extra is not None:
            builder = builder.add_extension(extra, critical)
        for serial in (*revoked, *released):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
            if serial in released:
                entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)
            if of is not None:
                entry = entry.add_extension(x509.CertificateIssuer([x509.DirectoryName(of)]), True)
            builder = builder.add_revoked_certificate(entry.build())
        return der(builder.sign(key or self.key, hashes.SHA256()))

    def root_crl(self, end, this=NOW - HOUR, key=None, name=ROOT, revoked=(), base=None):
        """The root's own, PEM; `revoked`: CAs."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(this).next_update(end)
        for cert in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(cert.serial_number).revocation_date(NOW)
            builder = builder.add_revoked_certificate(entry.build())
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), True)
        crl = builder.add_extension(x509.CRLNumber(1), False).sign(key or self.root_key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def ca():
    return Ca()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path.split("?")[0])
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
    server.asked = []
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

    def run(*options):
        arguments = [str(c) for c in (*command, *options, "--once")]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, start_new_session=True)  # whom it signals
        assert done.returncode in (0, 1), done
        return done.returncode, done.stderr

    run.state, run.command = state, command
    return run


def test_what_is_right_is_taken(ca, va, once):
    va.gives["own-delta.crl"] = ca.crl(11, [3], base=10)
    code, said = once()
    assert code == 0 and serials(once.state) == {1, 2, 3}, said


def test_entries_may_come_in_any_order_and_twice(ca, va, once):
    """RFC 5280 asks for none, and what an agent looks up has one."""
    va.gives["own.crl"] = ca.crl(10, [5, 1, 4, 4, 3, 8, 2, 6])
    va.gives["own-delta.crl"] = ca.crl(11, [12, 9, 11, 9, 10], base=10, released=[6, 4, 5, 3, 1])
    code, said = once()
    assert code == 0 and serials(once.state) == {2, 8, 9, 10, 11, 12}, said
    assert "complete list 10, 7 revoked" in said and "delta 11, 6 revoked" in said, said


def test_a_list_is_good_as_long_as_its_newest_delta(ca, va, once):
    until, number = NOW + 2 * HOUR, 11
    va.gives["own-delta.crl"] = ca.crl(number, [3], base=10, end=until)
    for _ in range(2):
        assert once()[0] == 0
        of = json.loads(status(once.state, "--status", "--json")[1])["issuers"][0]
        assert (of["number"], of["good_until"], of["revoked"]) == (number, seconds(until), 3)
        head = (once.state / "revoked").read_bytes()[12 + 32 :]
        assert (int.from_bytes(head[:8], "big"), int.from_bytes(head[8:16], "big")) == (seconds(until), number)
        until, number = NOW + 3 * HOUR, 12  # the complete list has passed the delta
        va.gives["own.crl"] = ca.crl(number, [1, 2, 3], end=until)


def test_no_list_and_one_past_its_time_are_not_well(ca, va, once):
    va.gives["own.crl"] = b""
    assert once()[0] == 1 and status(once.state, "--health") == (1, "own: no list has come yet\n")
    (once.state / "own.crl").write_bytes(ca.crl(10, [1], end=NOW - HOUR))
    assert once()[0] == 1 and serials(once.state) == {1}
    code, said = status(once.state, "--health")
    assert code == 1 and f"own: its CRLs are past their time since {NOW - HOUR:%Y-%m-%d %H:%M:%S}Z" in said
    assert "PAST ITS TIME" in status(once.state, "--status")[1]


QUICK = """
import os, shutil, signal, sys
def look(*_):
    shutil.copy(sys.argv[1], sys.argv[2] + ".new")
    os.rename(sys.argv[2] + ".new", sys.argv[2])
signal.signal(signal.SIGHUP, look)
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""


def test_an_agent_that_asks_once_ends_when_nginx_knows_all(once, tmp_path):
    """Which was told at the start, too, and is not told again at once."""
    nginx = subprocess.Popen(["/usr/bin/python3", "-c", QUICK, once.state / "revoked", tmp_path / "seen"], stdout=subprocess.PIPE, text=True)
    try:
        (tmp_path / "nginx.pid").write_text(nginx.stdout.readline())
        assert once("--nginx-pid", tmp_path / "nginx.pid")[0] == 0
        wait_until("nginx has seen it", lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_bytes() == (once.state / "revoked").read_bytes())
    finally:
        nginx.kill()
        nginx.wait()


@pytest.mark.parametrize("text", ["", "none", "0"])
def test_a_pid_file_that_names_nobody_is_told_of(once, tmp_path, text):
    (tmp_path / "nginx.pid").write_text(text)
    code, said = once("--nginx-pid", tmp_path / "nginx.pid")
    assert code == 1 and f"nginx is not told: {tmp_path}/nginx.pid: no process id" in said, said
    assert "nginx is not told" in status(once.state, "--health")[1] and serials(once.state) == {1, 2}


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


def test_the_first_ca_that_comes_is_kept_and_one_that_was_put_there_is_not_asked_for(ca, va, once):
    """Somebody on the path may give another CA of the same root, with its lists; not to who has the right one already."""
    other = Ca()
    other.root_key, other.name = ca.root_key, element.common_name("Another issuer")
    other.cert = element.make_cert(other.name, other.key, ROOT, ca.root_key, ca=True)
    theirs, ours = {"own.cer": der(other.cert), "own.crl": other.crl(10, [7]), "own-delta.crl": b""}, dict(va.gives)
    (once.state / "own.cer").write_bytes(der(ca.cert))
    va.gives.update(theirs)
    code, said = once()
    assert code == 1 and "it is of another issuer" in said and not (once.state / "own.crl").exists(), said
    va.gives.update(ours)
    assert once()[0] == 0 and serials(once.state) == {1, 2}
    for file in once.state.iterdir():
        file.unlink()
    va.gives.update(theirs)
    assert once()[0] == 0 and serials(once.state) == {7}
    va.gives.update(ours)
    code, said = once()
    assert code == 1 and "it is of another issuer" in said and serials(once.state) == {7}, said


PART = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
LISTS = {
    "past its time": ({"this": NOW - 3 * HOUR, "end": NOW - HOUR}, "its nextUpdate was"),
    "of another clock": ({"this": NOW + HOUR, "end": NOW + 2 * HOUR}, "it begins"),
    "without number": ({"number": None}, "it has no CRL number"),
    "that another signed": ({"key": element.new_key()}, "its signature is not the issuer's"),
    "with the number 0": ({"number": 0}, "it has no CRL number"),
    "a delta": ({"base": 5}, "it is a delta, not a complete list"),
    "a part": ({"extra": PART}, "not for every certificate"),
    "a part that hardly says so": ({"extra": PART, "critical": False}, "not for every certificate"),
    "with entries of others": ({"of": ROOT}, "entry 0 is not understood"),
    "with what nobody knows": ({"extra": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")}, "not for every certificate"),
}  # fmt: skip


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_does_not_hold(ca, va, once, what):
    changes, reason = LISTS[what]
    va.gives["own.crl"] = ca.crl(**{"number": 10, "revoked": [1], **changes})
    code, said = once()
    assert code == 1 and reason in said and not (once.state / "own.crl").exists(), said


@pytest.mark.parametrize("path, reason", [("own.cer", "refused certificate of own: no certificate"), ("own.crl", "it is no CRL")])
def test_nothing_may_follow_what_is_given(va, once, path, reason):
    va.gives[path] += b"\0"
    code, said = once()
    assert code == 1 and reason in said and not (once.state / path).exists(), said


def test_neither_number_nor_time_goes_back_over_a_restart(ca, va, once):
    assert once()[0] == 0 and serials(once.state) == {1, 2}
    for crl, reason in (
        (ca.crl(9, [1]), "number 9 is older than 10"), (ca.crl(11, [1], this=NOW - 4 * HOUR), "number 11 is dated before 10"),
        (ca.crl(10, [1]), "another one with the number 10"),
    ):  # fmt: skip
        va.gives["own.crl"] = crl
        code, said = once()
        assert code == 1 and reason in said and serials(once.state) == {1, 2}, said


def test_a_complete_list_is_fetched_when_a_delta_needs_it_and_not_before(ca, va, once):
    """Without nginx, and with less than half of its time over."""
    fresh = {"this": NOW, "end": NOW + 24 * HOUR}
    va.gives["own.crl"] = ca.crl(10, [1, 2], **fresh)
    assert once()[0] == 0
    va.gives["own.crl"] = ca.crl(20, [5], **fresh)
    assert once()[0] == 0 and serials(once.state) == {1, 2}
    va.gives["own-delta.crl"] = ca.crl(21, [3], base=20)
    assert "own: fetching the complete list: it adds to 20" in once()[1] and serials(once.state) == {5}
    assert once()[0] == 0 and serials(once.state) == {3, 5}


def test_a_delta_is_not_forgotten_over_a_restart(ca, va, once):
    va.gives["own-delta.crl"] = ca.crl(12, [3], base=10)
    assert once()[0] == 0 and serials(once.state) == {1, 2, 3}
    va.gives["own-delta.crl"] = b""
    assert once()[0] == 0 and serials(once.state) == {1, 2, 3}
    va.gives["own-delta.crl"] = ca.crl(11, [4], base=10)
    code, said = once()
    assert code == 1 and "number 11 is older than 12" in said and serials(once.state) == {1, 2, 3}, said


def test_a_delta_to_a_list_that_is_not_there_changes_nothing(ca, va, once):
    va.gives["own-delta.crl"] = ca.crl(21, [3], base=20)
    said = once()[1]
    assert "it adds to 20, the newest complete list here is 10" in said and serials(once.state) == {1, 2}
    for base in (21, 0):
        va.gives["own-delta.crl"] = ca.crl(21, [3], base=base)
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


# The root's CRL, which somebody has to renew by hand


@pytest.fixture
def root_crl(ca, tmp_path):
    """Puts one there, whole at once."""

    def put(text):
        (tmp_path / "new.pem").write_bytes(text)
        (tmp_path / "new.pem").rename(tmp_path / "root-crl.pem")
        return tmp_path / "root-crl.pem"

    put(ca.root_crl(NOW + 60 * 24 * HOUR))
    put.file = tmp_path / "root-crl.pem"
    return put


def status(state, *options):
    done = subprocess.run([str(AGENT), "--state", str(state), *options], capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done
    return done.returncode, done.stdout


def metric(state, name):
    return int(re.search(rf"^assay_agent_{name} (\d+)$", (state / "metrics.prom").read_text(), re.M)[1])


def seconds(utc):
    return int(utc.replace(tzinfo=datetime.timezone.utc).timestamp())


def days(n):
    return NOW + n * 24 * HOUR


@pytest.mark.parametrize("end, this, options, close", [
    (days(15), days(-70), (), False), (days(13), days(-70), (), True),  # 14 days
    (days(4), days(-6), (), False), (days(3), days(-7), (), True),  # or the last third of its time
    (days(15), days(-70), ("--root-crl-warn", "16d"), True), (days(3), days(-7), ("--root-crl-warn", "48h"), False),
])  # fmt: skip
def test_the_end_of_the_roots_crl_is_said_before_it_comes(ca, once, root_crl, end, this, options, close):
    file = root_crl(ca.root_crl(end, this))
    code, said = once("--root-crl", file, *options)
    text = f"the root's CRL ({file}) ends at {end:%Y-%m-%d %H:%M:%S}Z, and then nginx lets nobody in: make the next one"
    assert code == int(close) and (text in said) == close, said
    health, problems = status(once.state, "--health")
    assert health == int(close) and (text in problems) == close, problems
    code, shown = status(once.state, "--status")
    assert code == 0 and f"good until {end:%Y-%m-%d %H:%M:%S}Z" in shown and ("ENDS SOON" in shown) == (text in shown) == close
    root = json.loads(status(once.state, "--status", "--json")[1])["root_crl"]
    assert root["close"] == close and root["next_update"] == end.replace(tzinfo=datetime.timezone.utc).timestamp()
    assert metric(once.state, "root_crl_close") == metric(once.state, "problems") == int(close)
    assert metric(once.state, "root_crl_next_update_seconds") == root["next_update"] > root["warned_from"]


def test_without_the_roots_crl_there_is_nothing_to_say_of_it(once):
    assert once()[0] == 0 and status(once.state, "--health") == (0, "")
    assert json.loads(status(once.state, "--status", "--json")[1])["root_crl"] is None
    assert "root_crl" not in (once.state / "metrics.prom").read_text()


@pytest.mark.parametrize("warn", ["", "0d", "1", "1w", "1001d", "24001h", "-1d", "1.5d", "14 d", "99999999999999999999d"])
def test_a_time_of_warning_that_is_none_is_refused(once, root_crl, warn):
    done = subprocess.run([str(c) for c in (*once.command, "--root-crl", root_crl.file, "--root-crl-warn", warn)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f'--root-crl-warn is "{warn}"; allowed: 1h to 1000d' in done.stderr, done
    done = subprocess.run([str(c) for c in (*once.command, "--root-crl-warn", "1d")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--root-crl-warn without --root-crl" in done.stderr, done


def test_a_roots_crl_that_does_not_hold_is_not_taken(ca, once, root_crl):
    good, stranger = ca.root_crl(days(60)), element.new_key()
    other = ca.root_crl(days(60), key=stranger, name=element.common_name("another"))
    for text, reason in (
        (b"", "no CRL in PEM"), (ca.root_crl(days(60), key=stranger), "its signature is not the root's"), (other, "it has no CRL of the root's"),
        (good + good.replace(b"\nM", b"\n!", 1), "it holds what is no CRL in PEM"), (ca.root_crl(days(60), base=1), "it is a delta, not a complete list"),
    ):  # fmt: skip
        code, said = once("--root-crl", root_crl(text))
        assert code == 1 and f"{root_crl.file}: {reason}" in said, said
    assert once("--root-crl", root_crl(good + other))[0] == 0  # another CA's of the chain


def test_of_several_crls_the_one_that_ends_first_counts(ca, once, root_crl):
    above = element.common_name("A CA of the chain")
    for ends in ((50, 40), (40, 50)):
        root_crl(ca.root_crl(days(ends[0])) + ca.root_crl(days(ends[1]), key=element.new_key(), name=above))
        assert once("--root-crl", root_crl.file)[0] == 0 and metric(once.state, "root_crl_next_update_seconds") == seconds(days(40))


def test_after_the_end_of_the_roots_crl_the_agent_says_what_to_make(ca, once, root_crl):
    assert once("--root-crl", root_crl.file)[0] == 0
    code, said = once("--root-crl", root_crl(ca.root_crl(NOW - HOUR, days(-7))))
    assert code == 1 and "CRL has expired: --root-crl has ended, make the next one with assay-ceremony crl" in said, said


@pytest.fixture
def running(once, root_crl, tmp_path):
    """An agent that goes on, and a process that takes itself for nginx."""
    nginx = subprocess.Popen(["sh", "-c", "trap : HUP; echo $$; while :; do sleep 0.05; done"], stdout=subprocess.PIPE, text=True)
    (tmp_path / "nginx.pid").write_text(nginx.stdout.readline())
    agent = Program(tmp_path / "agent.log", *once.command, "--root-crl", root_crl.file, "--root-crl-warn", "1h", "--nginx-pid", tmp_path / "nginx.pid")
    wait_until("it is well", lambda: (once.state / "crl.pem").exists() and status(once.state, "--health") == (0, ""))
    agent.state = once.state
    yield agent
    agent.stop()
    nginx.kill()
    nginx.wait()


def test_deltas_are_followed_again_once_the_list_that_they_add_to_is_there(ca, va, running):
    va.gives["own-delta.crl"] = ca.crl(21, [3], base=20)
    running.says("own: fetching the complete list: it adds to 20")
    assert serials(running.state) == {1, 2}
    va.gives["own.crl"] = ca.crl(20, [1])
    wait_until("the delta counts", lambda: serials(running.state) == {1, 3})
    va.gives["own-delta.crl"] = ca.crl(22, [3, 4], base=20)
    wait_until("the next delta counts", lambda: serials(running.state) == {1, 3, 4})


def test_nginxs_map_has_who_is_revoked_since_its_complete_list(ca, va, running):
    """And nobody whom a newer complete list lets go while the delta before it still lies there."""
    text = (running.state / "revoked.map").read_text
    va.gives["own-delta.crl"] = ca.crl(11, [1, 3, 0x1234], base=10, released=[2])
    wait_until("the map tells it", lambda: text() == "03 1;\n1234 1;\n")
    assert serials(running.state) == {1, 3, 0x1234}
    va.gives["own.crl"] = ca.crl(12, [0x1234, 7])
    wait_until("the complete list counts", lambda: serials(running.state) == {7, 0x1234})
    wait_until("the map is empty", lambda: text() == "")


@pytest.mark.parametrize("answer, said", [(b"", 0), (b"\x30\x00", 1)], ids=["nothing new", "no list"])
def test_a_va_that_answers_at_once_is_asked_once_a_second(va, running, answer, said):
    va.gives["own-delta.crl"] = answer
    asked, began = va.asked.count("/feed/own-delta.crl"), time.monotonic()
    wait_until("it is asked again and again", lambda: va.asked.count("/feed/own-delta.crl") >= asked + 4)
    assert time.monotonic() - began > 1
    assert running.text().count("refused delta") == said


def test_for_nginx_complete_lists_are_followed_however_new(ca, va, running):
    for number, serial in ((11, 7), (12, 8), (13, 9)):
        va.gives["own.crl"] = ca.crl(number, [serial], this=NOW, end=NOW + 24 * HOUR)
        wait_until(f"list {number}", lambda serial=serial: serials(running.state) == {serial})


def reloads(state):
    return json.loads((state / "status.json").read_text())["nginx"]["reloads"]


def test_nginx_is_told_twice_a_second_at_most(ca, va, running):
    numbers = itertools.count(11)

    def newer(handler):
        number = next(numbers)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(ca.crl(number, range(11, number + 1), base=10))

    before, began = reloads(running.state), time.monotonic()
    va.gives["own-delta.crl"] = newer
    wait_until("many deltas", lambda: len(serials(running.state)) > 30)
    told = reloads(running.state) - before
    assert told <= (time.monotonic() - began) / 0.5 + 1
    va.gives["own-delta.crl"] = ca.crl(10000, [3], base=10)
    wait_until("the last one is there", lambda: serials(running.state) == {1, 2, 3})
    wait_until("nginx is told of it", lambda: reloads(running.state) > before + told)


def test_what_cannot_be_written_is_said_and_tried_again(ca, va, running):
    in_the_way = running.state / "revoked.new"
    wait_until("nothing is being written", lambda: not in_the_way.exists())
    in_the_way.mkdir()
    va.gives["own-delta.crl"] = ca.crl(11, [3], base=10)
    running.says("not in force: ")
    wait_until("it is not well", lambda: "not in force: " in status(running.state, "--health")[1])
    assert serials(running.state) == {1, 2}
    told = reloads(running.state)
    in_the_way.rmdir()
    wait_until("it is in force", lambda: serials(running.state) == {1, 2, 3})
    wait_until("nginx is told, and all is well", lambda: reloads(running.state) > told and status(running.state, "--health") == (0, ""))


def test_a_va_that_fails_is_away_until_it_answers(va, running):
    def failing(handler):
        handler.send_response(500)
        handler.end_headers()

    assert metric(running.state, "va_up") == 1
    va.gives["own-delta.crl"] = failing
    running.says("HTTP status 500 for own-delta.crl")
    wait_until("it is away", lambda: metric(running.state, "va_up") == 0 and "is away: HTTP status 500" in status(running.state, "--health")[1])
    va.gives["own-delta.crl"] = b""
    running.says("va is back")
    wait_until("it is here", lambda: metric(running.state, "va_up") == 1 and status(running.state, "--health") == (0, ""))
    assert running.text().count("va away") == 1


def test_the_end_that_comes_and_a_new_one_are_noticed_without_a_restart(ca, root_crl, running):
    bundle = running.state / "crl.pem"
    assert bundle.read_bytes().endswith(root_crl.file.read_bytes())
    soon = ca.root_crl(datetime.datetime.utcnow().replace(microsecond=0) + HOUR + datetime.timedelta(seconds=4))
    root_crl(soon)
    wait_until("nginx has it", lambda: bundle.read_bytes().endswith(soon))
    running.says("and then nginx lets nobody in")
    wait_until("it is not well", lambda: status(running.state, "--health")[0] == 1 and metric(running.state, "root_crl_close") == 1)
    told = json.loads(status(running.state, "--status", "--json")[1])["nginx"]["reloads"]
    root_crl(b"-----BEGIN X509 CRL-----\nbroken")
    running.says("no CRL in PEM; the last good one stays in use")
    assert bundle.read_bytes().endswith(soon) and "no CRL in PEM" in status(running.state, "--health")[1]
    fresh = ca.root_crl(days(60))
    root_crl(fresh)
    wait_until("nginx has the new one", lambda: bundle.read_bytes().endswith(fresh))
    wait_until("it is well again", lambda: status(running.state, "--health") == (0, "") and metric(running.state, "root_crl_close") == 0)
    wait_until("nginx is told", lambda: json.loads(status(running.state, "--status", "--json")[1])["nginx"]["reloads"] > told)
    running.says(f"is good until {days(60):%Y-%m-%d %H:%M:%S}Z")


def whole(state):
    """The list says of the one issuer that all of it is revoked: good until 0, number all ones, no serials."""
    return (state / "revoked").read_bytes()[12 + 32 :] == bytes(8) + b"\xff" * 8 + bytes(8)


def test_a_ca_that_the_root_revokes_is_out_without_a_restart(ca, va, root_crl, running):
    good = ca.root_crl(days(60))
    root_crl(ca.root_crl(days(60), revoked=[ca.cert]))
    wait_until("all of it is revoked", lambda: whole(running.state))
    running.says("own: the root has revoked its CA: every certificate of it counts as revoked")
    wait_until("it is not well", lambda: "own: the root has revoked its CA: nobody" in status(running.state, "--health")[1])
    assert "ITS CA IS REVOKED" in status(running.state, "--status")[1]
    assert 'assay_agent_ca_revoked{issuer="own"} 1' in (running.state / "metrics.prom").read_text()
    wait_until("nginx has it", lambda: (running.state / "crl.pem").read_bytes().endswith(root_crl.file.read_bytes()))
    root_crl(good)
    running.says("own: the root does not revoke its CA any more: its lists are followed again")
    wait_until("its own list counts again", lambda: serials(running.state) == {1, 2} and status(running.state, "--health") == (0, ""))


def test_no_list_of_a_revoked_ca_is_believed_and_what_it_said_is_not_forgotten(ca, va, once, root_crl):
    assert once("--root-crl", root_crl.file)[0] == 0 and serials(once.state) == {1, 2}
    root_crl(ca.root_crl(days(60), revoked=[ca.cert]))
    va.gives["own.crl"] = ca.crl(11, [1, 2, 3])
    code, said = once("--root-crl", root_crl.file)
    assert code == 1 and "the root has revoked its CA" in said and whole(once.state), said
    va.gives["own.crl"] = ca.crl(9)
    code, said = once("--root-crl", root_crl(ca.root_crl(days(60))))
    assert code == 1 and "number 9 is older than 10" in said and serials(once.state) == {1, 2}, said


def test_a_list_that_was_asked_for_before_its_ca_was_revoked_is_not_taken(ca, va, root_crl, running):
    asked, revoked, again = threading.Event(), threading.Event(), threading.Event()

    def late(handler):
        asked.set()
        revoked.wait(120)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(ca.crl(11, [1, 2, 3]))

    def next_one(handler):
        again.set()
        handler.send_response(204)
        handler.end_headers()

    va.gives["own.crl"] = late
    assert asked.wait(60)
    va.gives["own.crl"] = next_one
    root_crl(ca.root_crl(days(60), revoked=[ca.cert]))
    wait_until("all of it is revoked", lambda: whole(running.state))
    revoked.set()
    root_crl(ca.root_crl(days(60)))
    assert again.wait(60), "the late one has been answered before"
    wait_until("its own list counts again", lambda: not whole(running.state))
    assert serials(running.state) == {1, 2}


def test_a_revoked_ca_is_not_fetched(ca, once, root_crl):
    code, said = once("--root-crl", root_crl(ca.root_crl(days(60), revoked=[ca.cert])))
    assert code == 1 and "refused certificate of own: not under the root: certificate revoked" in said, said
    assert not (once.state / "own.cer").exists()


def test_the_end_of_the_crl_that_revokes_a_ca_does_not_let_it_in_again(ca, root_crl, running):
    root_crl(ca.root_crl(NOW - HOUR, days(-7), revoked=[ca.cert]))
    wait_until("all of it is revoked", lambda: whole(running.state))
    running.says("nginx lets nobody in, and this agent would not start")


def test_what_came_before_a_break_in_the_roots_crl_revokes_nobody(ca, root_crl, running):
    root_crl(ca.root_crl(days(60), revoked=[ca.cert]) + b"-----BEGIN X509 CRL-----\nbroken")
    running.says("it holds what is no CRL in PEM; the last good one stays in use")
    root_crl(ca.root_crl(days(61)))
    wait_until("the next one is taken", lambda: (running.state / "crl.pem").read_bytes().endswith(root_crl.file.read_bytes()))
    wait_until("all is well", lambda: status(running.state, "--health") == (0, ""))
    assert serials(running.state) == {1, 2} and "has revoked" not in running.text()


def test_an_agent_that_does_not_run_is_not_well(once):
    assert once()[0] == 0 and status(once.state, "--health") == (0, "")
    written = json.loads((once.state / "status.json").read_text())
    (once.state / "status.json").write_text(json.dumps({**written, "written": written["written"] - 1000}))
    code, said = status(once.state, "--health")
    assert code == 1 and "the agent has written no status for 10" in said and "it does not run" in said


def test_the_metrics_are_what_prometheus_reads(once):
    assert once()[0] == 0
    text = (once.state / "metrics.prom").read_text()
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) assay_agent_[a-z_]+ .+|assay_agent_[a-z_]+(\{issuer="own"\})? \d+', line), line
    assert 'assay_agent_revoked{issuer="own"} 2' in text and metric(once.state, "va_up") == 1
