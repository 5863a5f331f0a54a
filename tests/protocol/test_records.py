"""What a reply looks like on the wire: one TLS record; and whoever asks without reading is let go, not waited for."""

import os
import re
import select
import socket
import ssl
import subprocess
import time

import pytest

from test_reload import metric
from waiting import wait_until

ALERT, APPLICATION_DATA = 21, 23  # RFC 8446 section 5.1
GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
CACERTS = "/.well-known/est/cacerts"


class Wire:
    """A TLS connection whose incoming records can be counted. On 1.2 the outer type is the true one."""

    def __init__(self, port, cacert, identity=None, version=ssl.TLSVersion.TLSv1_2, receive=None):
        context = ssl.create_default_context(cafile=cacert)
        context.minimum_version = context.maximum_version = version
        if identity:
            context.load_cert_chain(*identity)
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.came, self.types, self.sizes = b"", [], []
        while not self.shaken():
            self.take()

    def shaken(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            self.socket.sendall(self.outgoing.read())

    def take(self):
        """More bytes; False at the end of the connection."""
        bytes_ = self.socket.recv(65536)
        self.incoming.write(bytes_)
        self.came += bytes_
        while len(self.came) >= 5 and len(self.came) >= (size := 5 + int.from_bytes(self.came[3:5], "big")):
            self.types.append(self.came[0])
            self.sizes.append(size)
            self.came = self.came[size:]
        return bytes_ != b""

    def say(self, text):
        self.tls.write(text.encode())
        self.socket.sendall(self.outgoing.read())

    def read(self):
        """What has come, decrypted; waits for something."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                if not self.take():
                    return b""

    def replies(self, n, body=True):
        """n whole replies of one kind."""
        got = b""
        while n > 0:
            got += (more := self.read())
            assert more, "the connection ended before the reply"
            while b"\r\n\r\n" in got and n > 0:
                head, rest = got.split(b"\r\n\r\n", 1)
                size = int(re.search(rb"^Content-Length: (\d+)", head, re.M)[1]) if body else 0
                if len(rest) < size:
                    break
                got, n = rest[size:], n - 1
        assert got == b""
        return head

    def close(self):
        self.socket.close()


def records(wire, request, n=1, body=True):
    """Types of the records that bring the reply to the request."""
    wire.types.clear()
    wire.say(request)
    head = wire.replies(n, body)
    return wire.types[:], int(head.split()[1])


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def wire(assay, request):
    wire = Wire(assay.port, assay.cacert, assay.rig_identity, request.param)
    records(wire, GET.format(CACERTS))  # on 1.3 the tickets come before it
    yield wire
    wire.close()


REQUESTS = {
    "a short reply": (GET.format("/.well-known/est/line/nonce"), 200),
    "a reply of more than a packet": (GET.format(CACERTS), 200),
    "a refusal": (GET.format("/nothing"), 404),
    "a refusal after a body": ("POST /.well-known/est/line/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\nContent-Length: 4\r\n\r\nMAA=", 400),
}  # fmt: skip


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_reply_is_one_record(wire, kind):
    request, status = REQUESTS[kind]
    for _ in range(3):
        assert records(wire, request) == ([APPLICATION_DATA], status)


def test_a_reply_without_body_is_one_record(wire):
    types, status = records(wire, GET.format(CACERTS).replace("GET", "HEAD"), body=False)
    assert types == [APPLICATION_DATA] and status == 200


def test_the_admin_listener_answers_in_one_record(assay):
    identity = (assay.env["ASSAY_OPERATOR_CERT"], assay.env["ASSAY_OPERATOR_KEY"])
    wire = Wire(assay.port + 1, assay.cacert, identity)
    for path in ("/livez", "/nothing"):
        assert records(wire, GET.format(path))[0] == [APPLICATION_DATA]
    wire.close()


def test_what_is_too_long_for_one_record_comes_whole(assay):
    identity = (assay.env["ASSAY_OPERATOR_CERT"], assay.env["ASSAY_OPERATOR_KEY"])
    wire = Wire(assay.port + 1, assay.cacert, identity)
    for _ in range(3):  # and what is short comes in one again
        n = len(wire.sizes)
        assert len(records(wire, GET.format("/v1/openapi.json"))[0]) > 2
        assert wire.sizes[n] < 1000  # the header: what is long is not held, so that it may wait for a slow reader
        assert records(wire, GET.format("/livez"))[0] == [APPLICATION_DATA]
    wire.close()


def test_requests_sent_together_are_answered_in_order(wire):
    types, status = records(wire, GET.format("/nothing") * 20 + GET.format(CACERTS) * 20, 40)
    assert (types, status) == ([APPLICATION_DATA] * 40, 200)


def test_a_wait_for_100_continue_ends(wire):
    request, status = REQUESTS["a refusal after a body"]
    head, body = request.split("\r\n\r\n")
    wire.say(head + "\r\nExpect: 100-continue\r\n\r\n")
    assert wire.read().startswith(b"HTTP/1.1 100 ")
    assert records(wire, body) == ([APPLICATION_DATA], status)


@pytest.mark.parametrize("request_", [GET.format(CACERTS).replace("Host", "Connection: close\r\nHost"), GET.format(CACERTS).replace("1.1", "1.0")], ids=["close", "1.0"])  # fmt: skip
def test_the_last_reply_comes_before_the_close(assay, request_):
    wire = Wire(assay.port, assay.cacert)
    assert records(wire, request_) in (([APPLICATION_DATA], 200), ([APPLICATION_DATA, ALERT], 200))
    assert wire.read() == b""
    assert wire.types == [APPLICATION_DATA, ALERT]
    wire.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("fragment", [512, 1024, 2048, 4096])
def test_a_small_client_gets_records_that_it_can_take(assay, fragment, version, tmp_path):
    """RFC 6066 section 4: openssl ends the connection over a longer one. On a resumed session too."""
    body = assay.client().get("cacerts").body
    for path, end in ((CACERTS, body), ("/nothing", b")\n")):
        for ticket in ("-sess_out", "-sess_in"):
            get = GET.format(path).replace("Host", "Connection: close\r\nHost").encode()
            done = subprocess.run(
                ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{assay.port}", "-CAfile", assay.cacert, version,
                 "-maxfraglen", str(fragment), ticket, tmp_path / "session"], input=get, capture_output=True, timeout=60)  # fmt: skip
            assert done.stdout.startswith(b"HTTP/1.1 ") and done.stdout.endswith(end), done


class Client:
    """openssl's, which alone changes its keys when it is told to; what it says of messages is read as it comes."""

    def __init__(self, assay):
        command = ["openssl", "s_client", "-tls1_3", "-msg", "-connect", f"127.0.0.1:{assay.port}", "-CAfile", assay.cacert]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""

    def say(self, line, until):
        """What it said up to this text."""
        self.process.stdin.write(line)
        self.process.stdin.flush()
        while until not in self.said:
            assert select.select([self.process.stdout], [], [], 60)[0], self.said
            assert (more := os.read(self.process.stdout.fileno(), 65536)), self.said
            self.said += more
        said, self.said = self.said.split(until, 1)
        return said


def test_a_client_that_changes_its_keys_is_answered_with_ours(assay):
    """RFC 8446 section 4.6.3: before the next application data."""
    client, get = Client(assay), GET.format("/nothing").encode()
    try:
        client.say(b"", b"read R BLOCK")
        assert b"KeyUpdate" not in client.say(get, b"HTTP/1.1 404 ")
        for _ in range(3):
            client.say(b"K\n", b">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
            assert b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate" in client.say(get, b"HTTP/1.1 404 ")
        assert b"KeyUpdate" not in client.say(get, b"HTTP/1.1 404 ")
    finally:
        client.process.kill()
        client.process.wait()


def test_who_says_no_more_and_listens_gets_the_reply(wire):
    """Half of the connection closed, as a client does that has one thing to ask."""
    wire.types.clear()
    wire.tls.write(GET.format(CACERTS).encode())
    wire.socket.sendall(wire.outgoing.read())
    wire.socket.shutdown(socket.SHUT_WR)
    assert b" 200 OK" in wire.replies(1)


def test_a_reply_does_not_wait_in_the_kernel(wire):
    """Which keeps a packet that is not full for 200 ms when the socket is corked: always, so that the best of many tells."""
    took = []
    for _ in range(20):
        start = time.monotonic()
        records(wire, REQUESTS["a short reply"][0])
        took.append(time.monotonic() - start)
    assert min(took) < 0.15


def ask_and_never_read(wire):
    """Each request in a record of its own: true once the server has ended the connection, false if it lets us wait."""
    start = time.monotonic()
    try:
        while time.monotonic() - start < 40:
            wire.say(GET.format(CACERTS))
    except TimeoutError:
        pass
    except ConnectionError:
        return True
    return False


def test_who_asks_without_reading_is_let_go_and_others_are_served(assay):
    connections = lambda: metric(assay, "assay_connections", "ra")  # noqa: E731
    before = connections()
    wires = [Wire(assay.port, assay.cacert, assay.rig_identity, receive=4096) for _ in range(5)]
    for wire in wires:
        assert ask_and_never_read(wire)  # well before the minute for which a rig may be idle
        assert assay.rig().get("nonce", "line").status == 200
    wait_until("their connections are closed", lambda: connections() <= before + 1)  # our own connection stays
    for wire in wires:
        wire.close()
