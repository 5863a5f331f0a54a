"""OCSP: what an answer costs, from the cache and with a nonce through the token."""

import base64
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.parse

from . import ledger, plain_http, table
from .crowd import STATIONS, working
from .driver import enrol
from .machine import Trouble

CONNECTIONS = 64
CERTIFICATES = 500
NONCE_BYTES = 16
SERIAL = bytes([1]) + bytes.fromhex("a5") * 18  # of the template, in the place of a certificate's, and as long
SUCCESSFUL = bytes.fromhex("0a0100")  # responseStatus, after the outer SEQUENCE's length of two bytes
WITHOUT_RATION = 1_000_000  # signatures a second: the ration protects the line, which is idle here


def template(instance, *options):
    """A request by openssl about SERIAL."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "request")
        subprocess.run(["openssl", "ocsp", "-sha256", "-issuer", instance.home / "ca" / "attested.pem", "-serial",
                        "0x" + SERIAL.hex(), *options, "-reqout", file], check=True, capture_output=True)
        return file.read_bytes()


def serials(instance):
    """Of certificates that are on record."""
    found = ledger.ask(instance, "select encode(i.serial, 'hex') from issuance i join signature s on s.serial = i.serial "
                                 f"where i.issuer = 'attested' order by i.serial desc limit {CERTIFICATES}")
    return [bytes.fromhex(serial) for serial in found]


def gets(instance, which, count):
    der, host = template(instance, "-no_nonce"), instance.env["ASSAY_STATUS_URL"].removeprefix("http://")
    paths = [urllib.parse.quote(base64.b64encode(der.replace(SERIAL, serial)), safe="") for serial in which]
    ready = [f"GET /ocsp/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for path in paths]
    return [ready[i % len(ready)] for i in range(count)]


def posts(instance, which, count):
    der, host = template(instance, "-nonce"), instance.env["ASSAY_STATUS_URL"].removeprefix("http://")
    head = (f"POST /ocsp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/ocsp-request\r\n"
            f"Content-Length: {len(der)}\r\n\r\n").encode()
    return [head + der.replace(SERIAL, which[i % len(which)])[:-NONCE_BYTES] + os.urandom(NONCE_BYTES) for i in range(count)]


def is_good(request, body):
    if body[4:7] != SUCCESSFUL:
        raise Trouble(f"the responder answers {body[:20].hex()}")


def has_nonce(request, body):
    is_good(request, body)
    if request[-NONCE_BYTES:] not in body:
        raise Trouble("an answer came without the request's nonce")


def measured(bench, requests, check, parts):
    """CPU of an answer by part, and answers a second of a core that does nothing else."""
    instance = bench.instance
    port = urllib.parse.urlsplit(instance.env["ASSAY_STATUS_URL"]).port
    before, began = parts(), time.monotonic()
    plain_http.drive(port, requests, CONNECTIONS, check)
    seconds, after = time.monotonic() - began, parts()
    cpu = {part: (after[part] - before[part]) / len(requests) for part in after}
    return {"cpu_us": cpu, "total_us": sum(cpu.values()), "per_s_core": 1e6 / sum(cpu.values()),
            "rate": len(requests) / seconds, "answers": len(requests)}


def ocsp(bench):
    instance = bench.instance
    enrol(instance, CERTIFICATES, 64)

    def va_alone():
        return {"va": instance.role_cpu_us()["va"]}

    with instance.altered(lambda config: config["status"].update(ocsp_s=WITHOUT_RATION)):
        which = serials(instance)
        measured(bench, gets(instance, which, 2 * len(which)), is_good, va_alone)  # each is signed once, and then kept
        cached = measured(bench, gets(instance, which, bench.scale(8000, 50000)), is_good, va_alone)
        measured(bench, posts(instance, which, 300), has_nonce, instance.cpu_us)
        signed = measured(bench, posts(instance, which, bench.scale(3000, 20000)), has_nonce, instance.cpu_us)
    bench.series["ocsp"] = {"get_from_cache": cached, "post_with_nonce": signed}
    table.heading(f"ocsp: {CONNECTIONS} connections, closed loop")
    for what, one in (("GET from the cache, va alone", cached), ("POST with nonce, all roles and PostgreSQL", signed)):
        table.note(f"{what}: {one['total_us']:.0f} us of CPU, {one['per_s_core']:.0f}/s of a core; "
                   f"{one['rate']:.0f}/s beside the asker")
    return {"ocsp_get_per_s_core": cached["per_s_core"], "ocsp_nonce_per_s_core": signed["per_s_core"]}


def flood(bench):
    """Strangers ask with nonces, as fast as they are answered, while 16 stations work: the ration as it comes."""
    instance = bench.instance
    enrol(instance, CERTIFICATES, 64)
    which, with_nonce = serials(instance), []

    def counted(request, body):
        is_good(request, body)
        with_nonce.append(request[-NONCE_BYTES:] in body)

    plain_http.drive(urllib.parse.urlsplit(instance.env["ASSAY_STATUS_URL"]).port, gets(instance, which, len(which)), CONNECTIONS)
    questions = posts(instance, which, bench.scale(8000, 150000))
    with working(bench, bench.scale(4000, 60000)) as alone:
        time.sleep(bench.scale(1, 8))  # the measuring time itself
    with working(bench, bench.scale(4000, 60000)) as during:
        began = time.monotonic()
        plain_http.drive(urllib.parse.urlsplit(instance.env["ASSAY_STATUS_URL"]).port, questions, CONNECTIONS, counted)
        seconds = time.monotonic() - began
    alone, during = alone[0], during[0]
    bench.series["flood"] = {"alone": alone, "during": during, "questions": len(questions), "with_nonce": sum(with_nonce),
                             "seconds": seconds}
    table.heading(f"flood: {CONNECTIONS} strangers ask for OCSP with nonces while {STATIONS} stations work")
    table.note(f"stations alone: {alone['rate']:.0f}/s, p99 {alone['whole_ms']['p99']:.1f} ms; "
               f"during the flood: {during['rate']:.0f}/s, p99 {during['whole_ms']['p99']:.1f} ms")
    table.note(f"answers: {len(questions) / seconds:.0f}/s, all good; {sum(with_nonce) / seconds:.0f}/s with their nonce "
               "through the token, the others as they are kept")
    return {"flood_p99_ratio": during["whole_ms"]["p99"] / alone["whole_ms"]["p99"],
            "flood_signed_per_s": sum(with_nonce) / seconds, "flood_answers_per_s": len(questions) / seconds}
