"""Debian's golang-cfssl as the peer: `cfssl serve`, P-256, without TLS, attestation, HSM or database."""

import contextlib
import json
import os
import pathlib
import selectors
import shutil
import socket
import subprocess
import tempfile
import time

from . import table
from .machine import Trouble, family_cpu_us, free_ports, say

CSRS = 32
CONNECTIONS = 16
SUBJECT = "/CN=device-{}"


def install():
    """As quickstart installs what is missing; a mirror without it is no fault of ours."""
    if shutil.which("cfssl"):
        return
    say("installing golang-cfssl")
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "-q", "update"],
                    ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "install", "--no-install-recommends", "golang-cfssl"]):
        try:
            done = subprocess.run([*sudo, *command], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except OSError as error:
            raise Trouble(f"golang-cfssl cannot be installed: {error}") from error
    if done.returncode != 0 or not shutil.which("cfssl"):
        why = (done.stderr.strip() or done.stdout.strip() or "no word from apt-get").splitlines()[-1]
        raise Trouble(f"golang-cfssl cannot be installed: {why}")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def make_requests(folder, port):
    """HTTP requests with ready CSRs, keys on P-256."""
    requests = []
    for i in range(CSRS):
        key, csr = folder / f"{i}.key", folder / f"{i}.csr"
        new_key(key)
        openssl("req", "-new", "-key", key, "-subj", SUBJECT.format(i), "-out", csr)
        body = json.dumps({"certificate_request": csr.read_text()}).encode()
        head = (f"POST /api/v1/cfssl/sign HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        requests.append(head.encode() + body)
    return requests


@contextlib.contextmanager
def server(folder, port):
    new_key(folder / "ca.key")
    openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-subj", "/CN=peer CA", "-days", "30", "-out", folder / "ca.pem")
    (folder / "config.json").write_text(json.dumps({"signing": {"default": {
        "expiry": "43800h", "usages": ["digital signature", "client auth"]}}}))
    process = subprocess.Popen(
        ["cfssl", "serve", "-address", "127.0.0.1", "-port", str(port), "-ca", folder / "ca.pem", "-ca-key",
         folder / "ca.key", "-config", folder / "config.json", "-loglevel", "4"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble("cfssl serve does not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def whole(reply):
    """The length of the reply once it is all there, else 0."""
    head, found, _ = reply.partition(b"\r\n\r\n")
    if not found:
        return 0
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Trouble(f"cfssl answered {reply[:200]!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return len(reply) >= len(head) + 4 + length


def sign(port, requests, count):
    """Kept-alive connections, closed loop; returns the last reply."""
    selector, sent, done, last = selectors.DefaultSelector(), 0, 0, b""
    for _ in range(CONNECTIONS):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(s, selectors.EVENT_READ, bytearray())
        s.sendall(requests[sent % CSRS])
        sent += 1
    while done < count:
        for key, _ in selector.select():
            got = key.fileobj.recv(65536)
            if not got:
                raise Trouble("cfssl closed a connection")
            key.data.extend(got)
            if not whole(bytes(key.data)):
                continue
            done, last = done + 1, bytes(key.data)
            key.data.clear()
            if sent < count:
                key.fileobj.sendall(requests[sent % CSRS])
                sent += 1
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return last


def check(reply):
    result = json.loads(reply.partition(b"\r\n\r\n")[2])
    if not result["success"] or "BEGIN CERTIFICATE" not in result["result"]["certificate"]:
        raise Trouble("cfssl did not issue a certificate")


def peer(bench):
    install()
    count = bench.scale(2000, 15000)
    port = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with server(folder, port) as pid:
            requests = make_requests(folder, port)
            sign(port, requests, count // 10)
            before, began = family_cpu_us(pid), time.monotonic()
            check(sign(port, requests, count))
            each, rate = (family_cpu_us(pid) - before) / count, count / (time.monotonic() - began)
    ours = bench.figures["line64_cpu_us"]
    bench.series["cfssl"] = {"cpu_us": each, "rate": rate, "requests": count}
    table.heading(f"peer: cfssl serve, bare certificates: {each:.0f} us of CPU each, {rate:.0f}/s; "
                  f"an attested enrolment here: {ours:.0f} us")
    return {"cfssl_cpu_us": each, "ratio_cfssl": ours / each}
