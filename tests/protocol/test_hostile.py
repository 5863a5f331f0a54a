"""Clients that mean no good: they cost the ra little, and others are served."""

import os
import pathlib
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

import element
import est
from another_ra import another_ra
from ports import free_ports
from test_tls import process_of
from waiting import readable, wait_until


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def dial(assay, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", assay.port), timeout=20, source_address=(source, 0))


def client_hello(assay):
    """The first flight of a real client."""
    context = ssl.create_default_context(cafile=assay.cacert)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HOW_FAR = ("nothing", "half a hello", "a hello")


def stop_in_mid_handshake(assay, how_far, n):
    """n connections that have got so far and say no more; the server has nothing left to do for them."""
    hello = client_hello(assay)
    part = {"nothing": b"", "half a hello": hello[: len(hello) // 2], "a hello": hello}[how_far]
    stopped = [dial(assay, "127.0.0.3") for _ in range(n)]
    for s in stopped:
        s.sendall(part)
    if how_far == "a hello":
        for s in stopped:
            assert s.recv(1)  # the server's flight: its work is done, and it waits
    for s in stopped:
        s.setblocking(False)
    return stopped


def has_ended(s):
    """Whether the server has ended the connection; reads away what it said before."""
    try:
        while s.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("how_far", HOW_FAR)
def test_who_stops_in_mid_handshake_costs_no_cpu(assay, how_far):
    stopped = stop_in_mid_handshake(assay, how_far, 500)
    pid = process_of(assay, "ra")
    before, start = cpu_s(pid), time.monotonic()
    assert assay.rig().get("nonce", "line").status == 200
    while time.monotonic() - start < 2:  # the time over which it is measured
        time.sleep(0.1)
    used = cpu_s(pid) - before
    held = sum(not has_ended(s) for s in stopped)
    print(f"\n{held} clients stopped after {how_far}: {used * 1000:.0f} ms of CPU in 2 s")
    assert used < 0.3
    for s in stopped:
        s.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\x16\x03\x01\xff\xff" + b"A" * 70000, b"\x80\x2e\x01\x00\x02"])
def test_garbage_is_dropped(assay, garbage):
    with dial(assay, "127.0.0.4") as s:
        try:
            s.sendall(garbage)
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        except OSError:
            pass
    assert assay.client().get("cacerts").status == 200


@pytest.fixture(scope="module")
def rigs_port(assay):
    """A listener for rigs, and behind its port one for all with the default limits."""
    port = free_ports()
    listeners = [{"name": "rigs", "port": port, "clients": "rigs"}, {"name": "all", "port": port + 1}]
    with another_ra(assay, "rigs", listeners):
        yield port


def test_a_listener_for_rigs_serves_rigs(assay, rigs_port):
    rig = est.Client(f"https://127.0.0.1:{rigs_port}", assay.cacert, assay.rig_identity)
    cert, _, _ = assay.enrol(client=rig)
    assert rig.get("cacerts").headers["Connection"] is None
    assert cert is not None


def test_a_listener_for_rigs_keeps_nobody_else(assay, rigs_port):
    cert, key, _ = assay.enrol()
    device = est.Client(f"https://127.0.0.1:{rigs_port}", assay.cacert, assay.identity(cert, key))
    reply = device.reenrol(element.csr(key))
    assert (reply.status, reply.reason, reply.headers["Connection"]) == (403, "client_kind", "close")
    user = est.Client(f"https://127.0.0.1:{rigs_port}", assay.cacert, userpass=assay.env["ASSAY_USERPASS"])
    reply = user.enrol(element.csr(element.new_key()), "unattested")
    assert (reply.status, reply.reason, reply.headers["Connection"]) == (403, "client_kind", "close")
    nobody = est.Client(f"https://127.0.0.1:{rigs_port}", assay.cacert)
    reply = nobody.get("cacerts")
    assert (reply.status, reply.headers["Connection"]) == (200, "close")


def try_dial(source, port):
    """None for a connection that is refused before we know that we have it."""
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    except ConnectionError:
        return None


def closed(sockets):
    """How many the server has let go: such a socket is readable, for a server says nothing before a client does."""
    return readable(sockets)


def test_an_address_that_begins_too_many_is_turned_away_and_others_are_not(assay, rigs_port):
    """The listener's default: 100 a second, two seconds' worth at once. Faster than that also where dialling is slow."""
    opened, dialled = [], 0

    def turned_away():
        nonlocal dialled
        opened.extend(s for _ in range(100) if (s := try_dial("127.0.0.5", rigs_port + 1)))
        dialled += 100
        return dialled - len(opened) + closed(opened) >= 50

    try:
        wait_until("50 are turned away", turned_away, 12)  # after fifteen those that were let in are let go too
        rig = est.Client(f"https://127.0.0.1:{rigs_port + 1}", assay.cacert, assay.rig_identity)
        assert rig.get("nonce", "line").status == 200  # from 127.0.0.1
    finally:
        for s in opened:
            s.close()


def test_the_limit_of_open_files_is_not_what_bounds_connections(assay):
    shown = pathlib.Path(f"/proc/{process_of(assay, 'ra')}/limits").read_text()
    soft, hard = re.search(r"^Max open files +(\d+) +(\d+)", shown, re.M).groups()
    assert soft == hard


def test_idle_connections_cost_little_and_others_are_served(assay):
    """HOSTILE_IDLE says how many, at most 5,000 of the 6,000 that a quickstart's listener takes."""
    wanted, pid = int(os.environ.get("HOSTILE_IDLE", "150")), process_of(assay, "ra")
    context = ssl.create_default_context(cafile=assay.cacert)
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))  # noqa: E731
    before, idle = rss(), []
    for i in range(min(wanted, 5000)):
        plain = dial(assay, f"127.0.1.{1 + i // 100}")
        idle.append(context.wrap_socket(plain, server_hostname="127.0.0.1"))
    grown = (rss() - before) / len(idle)
    print(f"\n{len(idle)} idle connections: {grown:.1f} KiB each")
    assert grown < 100
    assert assay.rig().get("nonce", "line").status == 200
    for s in idle:
        s.close()


def drip(s, head, drop, until):
    """Sends head at once, then one byte a second of drop; gives when the server had let go, None if it never did."""
    s.settimeout(1)
    start = time.monotonic()
    try:
        s.sendall(head)
        while time.monotonic() - start < until:
            try:
                if s.recv(4096) == b"":
                    return time.monotonic() - start
            except TimeoutError:
                pass
            s.sendall(drop)
    except OSError:
        return time.monotonic() - start
    return None


ENROL_HEAD = (
    b"POST /.well-known/est/line/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/pkcs10\r\nContent-Length: 4000\r\n\r\n"
)
SLOW = {  # what is sent at once, what then each second, and within how many seconds the server lets go
    "headers": (b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", 15),
    "a body": (ENROL_HEAD, b"A", 30),
    "a body that stops": (ENROL_HEAD + b"MIIB", b"", 30),
}


def test_the_slow_are_let_go_and_others_are_served(assay):
    """Each byte starts libmicrohttpd's own timeout again; ours, for the whole, does not move."""
    context = ssl.create_default_context(cafile=assay.cacert)
    context.load_cert_chain(*assay.rig_identity)
    stopped = [s for how_far in HOW_FAR for s in stop_in_mid_handshake(assay, how_far, 50)]
    kinds = [kind for kind in SLOW for _ in range(5)]
    slow = [context.wrap_socket(dial(assay), server_hostname="127.0.0.1") for _ in kinds]
    with ThreadPoolExecutor(len(slow)) as pool:
        let_go = [pool.submit(drip, s, *SLOW[kind][:2], SLOW[kind][2] + 90) for s, kind in zip(slow, kinds)]
        while not all(f.done() for f in let_go):
            assert assay.rig().get("nonce", "line").status == 200
            wait([f for f in let_go if not f.done()], timeout=2)
    took = [future.result() for future in let_go]
    assert None not in took, took
    for kind in SLOW:  # the first of each, for our own threads may get to it late
        assert min(t for k, t in zip(kinds, took) if k == kind) < SLOW[kind][2] + 10, (kind, took)
    wait_until("all are let go", lambda: all([has_ended(s) for s in stopped]))
    for s in slow + stopped:
        s.close()
