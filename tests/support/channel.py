"""The channel between the roles as somebody who has taken one of them over would speak it: frames and grants by hand.

Written against server/channel/channel.h, not against its code; every field of a grant can be wrong on purpose.
"""

import os
import pathlib
import re
import select
import socket
import struct
import time

import element
from cryptography import x509
from cryptography.hazmat.primitives import serialization

ENROL, ENROLLED, REFUSED, VIEW, CRL_ASK, CRL, POLICY = range(1, 8)
GRANT_ENROL, GRANT_REENROL = 1, 2
LEVELS = {"none": 0, "vouched": 1, "provisioned": 2, "native": 3}
P256, P384, P521, RSA = 1, 2, 3, 4
URI, DNS, HW_MODULE = 0, 1, 2
DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN = 1, 1 << 5, 1 << 6
TOP = pathlib.Path(__file__).resolve().parents[2]
OIDS = re.findall(r"^OID\((\w+),", (TOP / "ca-core" / "oid.def").read_text(), re.M)


def attribute(name):
    """The number under which a kind of name goes over the channel."""
    return OIDS.index(name)


def oid(dotted):
    """Content octets."""
    arcs = [int(arc) for arc in dotted.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(octets))
    return out


def u8(value):
    return struct.pack(">B", value)


def u32(value):
    return struct.pack(">I", value)


def blob(value):
    value = value.encode() if isinstance(value, str) else value
    return u32(len(value)) + value


def frame(kind, number, body, version=1, length=None):
    rest = struct.pack(">BBQ", version, kind, number) + body
    return u32(len(rest) if length is None else length) + rest


def point(key):
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def grant(key, **changes):
    """A grant that the ca has no objection to, but for what is changed. `key` is an EC P-256 private key."""
    element = os.urandom(17)
    fields = {
        "kind": GRANT_ENROL, "profile": "line", "family": "device", "issuer": "attested", "policy": bytes(32),
        "requester": "rig:rig-1", "once": 0, "level": LEVELS["native"], "level_needed": LEVELS["native"],
        "rekey_needs_evidence": 1, "format": "assay.1.1", "root": bytes(32), "element": element,
        "key_type": P256, "bits": 256, "rsa_e": 0, "raw": point(key),
        "subject": [(attribute("AT_CN"), element.hex()), (attribute("AT_SERIAL_NUMBER"), element.hex())],
        "sans": [], "unit_serial": "", "validity": 86400, "key_usage": DIGITAL_SIGNATURE,
        "ekus": [oid("1.3.6.1.5.5.7.3.2")], "stamp": 0, "crl": 0, "evidence_format": "assay.1.1", "batch_ca": bytes(32), "nonce": os.urandom(16),
        "freshness": "ok", "previous": b"", "evidence": b"\x30\x00", "continuity": b"",
    }
    unknown = changes.keys() - fields.keys()
    assert not unknown, unknown
    g = {**fields, **changes}
    return b"".join([
        u8(g["kind"]), blob(g["profile"]), blob(g["family"]), blob(g["issuer"]), blob(g["policy"]),
        blob(g["requester"]), u8(g["once"]), u8(g["level"]), u8(g["level_needed"]), u8(g["rekey_needs_evidence"]),
        blob(g["format"]), blob(g["root"]), blob(g["element"]),
        u32(g["key_type"]), u32(g["bits"]), u32(g["rsa_e"]), blob(g["raw"]),
        u32(len(g["subject"])), *(u32(kind) + blob(value) for kind, value in g["subject"]),
        u32(len(g["sans"])), *(u32(kind) + blob(value) + blob(kind_oid) for kind, value, kind_oid in g["sans"]),
        blob(g["unit_serial"]), struct.pack(">Q", g["validity"]), u32(g["key_usage"]),
        u32(len(g["ekus"])), *(blob(eku) for eku in g["ekus"]), u8(g["stamp"]), u8(g["crl"]),
        blob(g["evidence_format"]), blob(g["batch_ca"]), blob(g["nonce"]), blob(g["freshness"]), blob(g["previous"]),
        blob(g["evidence"]), blob(g["continuity"]),
    ])


def again(key, previous, **changes):
    """The grant of a re-enrolment of the certificate `previous` (a serial's content octets)."""
    nothing = {"kind": GRANT_REENROL, "profile": "field", "subject": [], "sans": [], "previous": previous, "level": 0,
               "level_needed": 0, "format": "", "element": b"", "evidence": b"", "evidence_format": "", "nonce": b""}
    return grant(key, **{**nothing, **changes})


class Refused(Exception):
    """The ca's refusal: its reason, then what it says to the log."""

    @property
    def reason(self):
        return self.args[0]


class Ended(Exception):
    """The ca has ended the connection."""


class Peer:
    """Us in the place of a role, on its socket."""

    def __init__(self, run_dir, role):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{run_dir}/ca-{role}.sock")  # without a timeout: waits for a place in the backlog
        self.socket.settimeout(30)
        self.inside, self.last = bytearray(), 1000

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def raw(self, data):
        """False once the ca does not take any more."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send(self, kind, body):
        self.last += 1
        self.raw(frame(kind, self.last, body))
        return self.last

    def read(self):
        """The next frame: (kind, number, body)."""
        while len(self.inside) < 4 or len(self.inside) < 4 + struct.unpack(">I", self.inside[:4])[0]:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Ended()
            self.inside += data
        length = struct.unpack(">I", self.inside[:4])[0]
        one = bytes(self.inside[4 : 4 + length])
        del self.inside[: 4 + length]
        _, kind, number = struct.unpack(">BBQ", one[:10])
        return kind, number, one[10:]

    def answer(self, number):
        while True:
            kind, to, body = self.read()
            if kind in (ENROLLED, REFUSED, CRL) and to == number:
                return kind, body

    def until_end(self, seconds=30):
        """Reads until the ca ends the connection."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([self.socket], [], [], 1)[0]:
                try:
                    if not self.socket.recv(1 << 16):
                        return
                except ConnectionResetError:
                    return
        raise AssertionError("the ca did not end the connection")

    def policy(self, digest, what="tests"):
        self.send(POLICY, blob(digest) + blob(what))

    def enrol(self, body):
        """The certificate; raises Refused or Ended."""
        kind, body = self.answer(self.send(ENROL, body))
        if kind == REFUSED:
            name, rest = take(body)
            raise Refused(name.decode(), take(rest)[0].decode())
        serial, rest = take(body[1:])
        der, rest = take(rest)
        assert rest == b""
        certificate = x509.load_der_x509_certificate(der)
        assert element.serial_octets(certificate) == serial
        return certificate


def take(body):
    length = struct.unpack(">I", body[:4])[0]
    return body[4 : 4 + length], body[4 + length :]
