"""Debian's golang-cfssl as the peer: `cfssl serve`, P-256, without TLS, attestation, HSM or database."""

import contextlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time

from . import packages, plain_http, table
from .machine import Trouble, family_cpu_us

CSRS = 32
CONNECTIONS = 16
SUBJECT = "/CN=device-{}"


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


def sign(port, requests, count):
    return plain_http.drive(port, (requests[i % CSRS] for i in range(count)), CONNECTIONS)


def check(reply):
    result = json.loads(reply)
    if not result["success"] or "BEGIN CERTIFICATE" not in result["result"]["certificate"]:
        raise Trouble("cfssl did not issue a certificate")


def peer(bench):
    packages.install("peer")
    count = bench.scale(2000, 15000)
    port = packages.free_ports(1)
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
