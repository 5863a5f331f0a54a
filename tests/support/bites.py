"""From an operator's revocation to what it is for: OCSP says revoked, an open connection is refused, the CRL has it.

Measured on the node that took the call and on another one of the same ledger, from the moment of the API's answer. Each
effect is waited for by a thread of its own, which looks again every few milliseconds.
"""

import http.client
import math
import threading
import time

import element
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtensionOID

EFFECTS = ("ocsp", "reenrol", "crl")
WHERE = ("told", "other")  # the node that took the call; the other one
REFUSED = ("client_revoked", "claim_revoked")
PAUSE_S = 0.003
PATIENCE_S = 60


class Node:
    """One node as devices, relying parties and operators see it."""

    def __init__(self, client, operator, status_port):
        self.client, self.operator, self.status_port = client, operator, status_port  # client: of an identity


def nodes_of(assay, second):
    """The first node and the second of tests' instances."""
    return [Node(assay.client, assay.admin("operator"), assay.port + 2),
            Node(second.client, second.admin("operator"), second.port + 2)]  # fmt: skip


class Device:
    def __init__(self, assay, node):
        self.cert, self.key, _ = assay.enrol()
        self.serial = self.cert.serial_number.to_bytes((self.cert.serial_number.bit_length() + 7) // 8, "big")
        self.identity, self.request = assay.identity(self.cert, self.key), element.csr(self.key)
        issuer = x509.load_pem_x509_certificate((assay.home / "ca" / "attested.pem").read_bytes())
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.cert, issuer, hashes.SHA256())
        self.question = builder.build().public_bytes(serialization.Encoding.DER)
        points = self.cert.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
        self.list = "/crl/" + points[0].full_name[0].value.rpartition("/crl/")[2]


class Status:
    """Connections to a node's status listener, made anew where it has closed them."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.status_port, timeout=PATIENCE_S)

    def ask(self, *request):
        for last in (False, True):
            try:
                self.connection.request(*request)
                answer = self.connection.getresponse()
                return answer, answer.read()
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                if last:
                    raise


def ocsp_looker(node, device):
    status = Status(node)

    def revoked():
        _, body = status.ask("POST", "/ocsp", device.question, {"Content-Type": "application/ocsp-request"})
        answer = ocsp.load_der_ocsp_response(body)
        return (answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
                and answer.certificate_status == ocsp.OCSPCertStatus.REVOKED)  # fmt: skip

    return revoked, status.connection.close


def reenrol_looker(node, device):
    client = node.client(device.identity)

    def refused():
        answer = client.reenrol(device.request)
        assert answer.status == 200 or answer.reason in REFUSED, answer.text
        return answer.status != 200

    return refused, client.close


def crl_looker(node, device):
    """The list that the certificate names; what is the same as the last time is not sent again."""
    status, etag = Status(node), [""]

    def listed():
        answer, body = status.ask("GET", device.list, None, {"If-None-Match": etag[0]})
        etag[0] = answer.getheader("ETag") or etag[0]
        return answer.status == 200 and device.serial in body

    return listed, status.connection.close


LOOKERS = {"ocsp": ocsp_looker, "reenrol": reenrol_looker, "crl": crl_looker}


def watch(look, told, name, seen):
    """Until the effect is there; seen[name]: when, or what went wrong."""
    try:
        told.wait()
        deadline = time.monotonic() + PATIENCE_S
        while not look():
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} has no effect after {PATIENCE_S} s")
            time.sleep(PAUSE_S)
        seen[name] = time.monotonic()
    except Exception as e:  # it is raised where the threads are joined
        seen[name] = e


def bite(assay, nodes, turn):
    """Revokes one new certificate; seconds until each effect, by (where, effect). `turn` says which node takes the call."""
    order = {"told": nodes[turn % 2], "other": nodes[1 - turn % 2]}
    device, told, seen = Device(assay, nodes[0]), threading.Event(), {}
    lookers = {(where, effect): LOOKERS[effect](node, device) for where, node in order.items() for effect in EFFECTS}
    for name, (look, _) in lookers.items():
        assert not look(), f"{name} before the revocation"  # connections are open, answers and lists are kept
    threads = [threading.Thread(target=watch, args=(look, told, name, seen)) for name, (look, _) in lookers.items()]
    for thread in threads:
        thread.start()
    try:
        plan = order["told"].operator.plan({"serial": device.serial.hex()}).json["plan"]
        done = order["told"].operator.post("revocations/" + plan, {})
        answered = time.monotonic()
    finally:
        told.set()
        for thread in threads:
            thread.join()
        for _, close in lookers.values():
            close()
    assert done.status == 200 and done.json["done"], done.body
    for name, at in seen.items():
        if isinstance(at, Exception):
            raise at
    return {name: at - answered for name, at in seen.items()}


def bites(assay, nodes, times):
    """The node that takes the call changes with each; sorted seconds by (where, effect)."""
    took = {(where, effect): [] for where in WHERE for effect in EFFECTS}
    for turn in range(times):
        for name, seconds in bite(assay, nodes, turn).items():
            took[name].append(seconds)
    return {name: sorted(seconds) for name, seconds in took.items()}


def quantile(ordered, share):
    """The nearest rank: of 100 the 99th at 0.99."""
    return ordered[math.ceil(share * len(ordered)) - 1]
