"""The feed of CRLs: a list is there as soon as it is signed, waiting costs nothing, and a crowd of waiters keeps nobody else out."""

import http.client
import selectors
import socket
import time
import urllib.parse

import pytest
from cryptography import x509
from waiting import PATIENCE_S, wait_until

OF_ONE_ADDRESS = 64  # LIMIT_FEED_WAITERS_ADDRESS


def number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


class Feed:
    """One connection, one list."""

    def __init__(self, assay, name):
        parts = urllib.parse.urlsplit(assay.env["ASSAY_STATUS_URL"])
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self.name, self.crl, self.number = name, None, 0

    def ask(self, query):
        self.connection.request("GET", f"/feed/{self.name}.crl{query}")

    def answer(self):
        response = self.connection.getresponse()
        body = response.read()
        if response.status == 200:
            self.crl = x509.load_der_x509_crl(body)
            self.number = number(self.crl)
        return response

    def get(self, query=None):
        self.ask(f"?after={self.number}" if query is None else query)
        return self.answer()


@pytest.fixture
def feed(assay):
    def make(name):
        client = Feed(assay, name)
        wait_until(name, lambda: client.get().status == 200)  # lists are signed after the start
        return client

    return make


def until_listed(client, serial):
    """Follows the feed until the certificate is on the list; how often it was answered with another one."""
    deadline, rounds = time.monotonic() + PATIENCE_S, 0
    while client.crl.get_revoked_certificate_by_serial_number(serial) is None:
        assert time.monotonic() < deadline
        before = client.number
        response = client.get()
        assert response.status in (200, 204)
        assert response.status == 204 or client.number > before
        rounds += 1
    return rounds


@pytest.mark.parametrize("kind", ["complete", "delta", "shard"])
def test_who_waits_gets_the_next_list(assay, feed, kind):
    cert, _, _ = assay.enrol(label="sharded")
    client = feed({"complete": "attested", "delta": "attested-delta", "shard": f"attested/{cert.serial_number & 3}"}[kind])
    client.ask(f"?after={client.number}")
    deadline = time.monotonic() + PATIENCE_S
    while gauge(assay) < 1:  # or it has been answered already, by what another test has left behind
        if client.connection.sock is None or readable(client.connection.sock):
            client.answer()
            client.ask(f"?after={client.number}")
        assert time.monotonic() < deadline
    assay.admin().revoke({"serial": f"{cert.serial_number:038x}"})
    response = client.answer()
    assert response.getheader("Cache-Control") == "no-store"
    until_listed(client, cert.serial_number)


def gauge(assay):
    text = assay.admin().connection
    text.request("GET", "/metrics")
    body = text.getresponse().read().decode()
    return next(float(line.split()[-1]) for line in body.splitlines() if line.startswith("assay_feed_waiting") and '"va"' in line)


def readable(sock):
    with selectors.DefaultSelector() as s:
        s.register(sock, selectors.EVENT_READ)
        return bool(s.select(0))


def test_an_older_number_is_answered_at_once(feed):
    client = feed("unattested")
    newest = client.number
    assert client.get("?after=0").status == 200 and client.number >= newest
    assert client.get("").status == 200


@pytest.mark.parametrize("name, query, status", [
    ("attested", "?after=x", 400), ("attested", "?after=-1", 400), ("attested", "?after=18446744073709551616", 400),
    ("nobody", "", 404), ("attested/9", "", 404), ("attested%00", "", 404), ("x" * 300, "", 404), ("../crl/attested", "", 404),
])  # fmt: skip
def test_what_is_no_request_is_refused(assay, name, query, status):
    client = Feed(assay, name)
    assert client.get(query).status == status
    client.name = "attested"
    assert client.get("?after=0").status in (200, 204), "the connection lives on"


def test_only_get_and_head(assay):
    client = Feed(assay, "attested")
    client.connection.request("POST", "/feed/attested.crl", b"")
    response = client.answer()
    assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD")


def test_a_crowd_of_waiters_keeps_nobody_out(assay, feed):
    """As many connections as may wait, and as many again, most of whom leave without a word: CRLs, OCSP and who comes
    later are served all the while, the later ones by a poll, and a revocation is seen by everybody."""
    late = feed("attested-delta")
    parts = urllib.parse.urlsplit(assay.env["ASSAY_STATUS_URL"])
    crowd = []
    for _ in range(2 * OF_ONE_ADDRESS):
        sock = socket.create_connection((parts.hostname, parts.port), timeout=60)
        sock.sendall(b"GET /feed/unattested.crl?after=18446744073709551615 HTTP/1.1\r\nHost: va\r\n\r\n")
        crowd.append(sock)
    wait_until("half of them were not to wait", lambda: sum(readable(s) for s in crowd) >= OF_ONE_ADDRESS)
    first = next(s for s in crowd if readable(s)).recv(4096).decode()
    assert first.startswith("HTTP/1.1 204 ") and "Retry-After: 1\r\n" in first
    for sock in crowd[::2]:
        sock.close()
    response = late.get()  # no place: at once
    assert response.status == 200 or response.getheader("Retry-After") == "1"
    cert, _, _ = assay.enrol()
    assay.admin().revoke({"serial": f"{cert.serial_number:038x}"})
    until_listed(late, cert.serial_number)
    for sock in crowd[1::2]:
        sock.close()
