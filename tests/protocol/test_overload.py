"""Crowds: strangers leave room for rigs, and one client's requests leave room for another's."""

import os
import pathlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import der
import element
import est
import pytest
from another_ra import another_ra
from ports import free_ports
from waiting import readable, wait_until

pids = {}  # of the ra behind a port
FREE = {"per_address": 0, "handshakes_s": 0, "strangers_s": 0}


@pytest.fixture(scope="module")
def port(assay):
    """Of a listener of 24 connections, 8 of them for rigs; behind it one on which strangers begin one a second."""
    port = free_ports()
    listeners = [
        {"name": "small", "port": port, "connections": 24, "reserve": 8, **FREE},
        {"name": "rationed", "port": port + 1, **FREE, "strangers_s": 1},
        {"name": "plain", "port": port + 2, **FREE},
    ]
    with another_ra(assay, "crowd", listeners, user_under_way=2) as ra:
        pids[port] = ra.pid
        yield port


class Crowd:
    """Connections that say nothing, each perhaps refused at once."""

    def __init__(self, port, sources):
        self.sockets, self.refused = [], 0
        for source in sources:
            try:
                self.sockets.append(socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)))
            except ConnectionError:
                self.refused += 1

    @property
    def turned_away(self):
        """A server says nothing before a client does: who can read has been let go."""
        return self.refused + readable(self.sockets)

    def wait_turned_away(self, n):
        """Ten seconds at the most, for after fifteen those that were let in are let go too."""
        wait_until(f"{n} are turned away", lambda: self.turned_away >= n, 10)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for s in self.sockets:
            s.close()


def rig_at(assay, port):
    return est.Client(f"https://127.0.0.1:{port}", assay.cacert, assay.rig_identity)


def test_strangers_leave_room_for_rigs(assay, port):
    first = rig_at(assay, port)
    assert first.get("nonce", "line").status == 200  # its address is a rig's from here
    with Crowd(port, ["127.0.0.6"] * 60) as crowd:
        crowd.wait_turned_away(60 - 16)
        rigs = [rig_at(assay, port) for _ in range(4)]
        assert [rig.get("nonce", "line").status for rig in rigs] == [200] * 4
        assert first.get("nonce", "line").status == 200
        for rig in rigs:
            rig.close()


def test_strangers_together_begin_so_many_a_second(assay, port):
    rig = rig_at(assay, port + 1)
    wait_until("it serves rigs", lambda: nonce_or_none(rig) == 200)
    with Crowd(port + 1, [f"127.0.3.{i}" for i in range(1, 201)]) as crowd:
        crowd.wait_turned_away(100)
        again = rig_at(assay, port + 1)
        assert again.get("nonce", "line").status == 200
    before = cpu_us(pids[port])
    with Crowd(port + 1, [f"127.0.4.{i}" for i in range(1, 251)] * 4) as crowd:
        crowd.wait_turned_away(500)
        cost = (cpu_us(pids[port]) - before) / crowd.turned_away
    print(f"\na refusal costs {cost:.0f} us of CPU")
    assert cost < 300  # a handshake takes more


def cpu_us(pid):
    """Of all threads, those that have ended left out."""
    return sum(int(file.read_text().split()[0]) for file in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000


def nonce_or_none(client):
    try:
        return client.get("nonce", "line").status
    except OSError:
        return None


def test_43_wrong_passwords_of_one_address_leave_room_for_another(assay, port):
    """A password takes its time by intent; two requests of an address may wait for that, the rest is told to come again."""
    url, n = f"https://127.0.0.1:{port + 2}", 48
    all_there = threading.Barrier(n)

    def guess():
        client = est.Client(url, assay.cacert, userpass="legacy:guess", source="127.0.0.6")
        request = legacy_request()
        assert client.get("cacerts").status == 200
        all_there.wait(60)
        return client.enrol(request, "unattested")

    with ThreadPoolExecutor(n) as pool:
        guesses = [pool.submit(guess) for _ in range(n)]
        user = est.Client(url, assay.cacert, userpass=assay.env["ASSAY_USERPASS"], source="127.0.0.7")
        while not all(g.done() for g in guesses):
            user.enrol(legacy_request(), "unattested").certificate()
    guesses = [g.result() for g in guesses]
    assert {(g.status, g.reason) for g in guesses} == {(401, "auth_password"), (503, "requester_busy")}
    assert all(int(g.headers["Retry-After"]) >= 1 for g in guesses if g.status == 503)


def legacy_request():
    name = "legacy-" + os.urandom(6).hex()
    return element.csr(element.new_key(), subject=der.name((der.CN, name)))
