"""What somebody gets who has taken over a role and speaks on its channel to the ca: nothing that promise 10 forbids.

A second ca runs beside the first, as another node of the same ledger and token, with an hourly limit of its own; we are
its ra, its va and its admin. BREACH_SEED repeats a run of hostile frames, BREACH_FRAMES makes it longer.
"""

import hashlib
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import time

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

import channel
import element
from channel import Ended, Refused, blob, grant
from instance import TOP
from waiting import PATIENCE_S, wait_running, wait_until

HOURLY = 40
POLICY = bytes(range(32))
FRAMES = int(os.environ.get("BREACH_FRAMES", "1500"))
YEAR_S = 365 * 86400
SHIM = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build")) / "tests" / "fault" / "shim" / "libassay_p11_shim.so"
SHIM_SIGNATURES = 3  # which word of the shim's control file counts what the token signed


class Node:
    """A ca of its own, `assayd --role ca`, with the shim before its token that counts what is really signed."""

    def __init__(self, assay, folder, hourly):
        self.assay, self.folder = assay, folder
        self.run_dir = folder / "run"
        self.log_file = folder / "log"
        config = json.loads((assay.home / "assay.json").read_text())
        self.name = f"breach-{folder.name[-6:]}"
        config.update(node=self.name, run_dir=str(self.run_dir), state_dir=str(folder / "state"))
        config["token"]["module"] = str(SHIM)
        config["heads"].update(file=str(folder / "heads.jsonl"), interval="1s")
        self.control, self.digest_log = folder / "shim.control", folder / "shim.log"
        for issuer in config["issuers"]:
            issuer["hourly_max"] = hourly
        self.config = assay.home / f"breach-{folder.name[-6:]}.json"  # in the home: its paths are relative
        self.config.write_text(json.dumps(config))
        self.run_dir.mkdir()

    def start(self):
        log = open(self.log_file, "a")
        environ = {
            **os.environ, **self.assay.env, "ASSAY_SHIM_MODULE": self.assay.env["PKCS11_MODULE"],
            "ASSAY_SHIM_CONTROL": str(self.control), "ASSAY_SHIM_LOG": str(self.digest_log),
        }
        self.process = subprocess.Popen(["assayd", "--config", self.config, "--role", "ca"], stderr=log, env=environ)
        wait_running(self.process, self.log_file, lambda: (self.run_dir / "ca-admin.sock").exists() and '"ready"' in self.log_file.read_text())

    def stop(self):
        self.process.terminate()
        assert self.process.wait(40) == 0, "the ca did not stop in order"

    def restart_after_a_crash(self):
        self.process.kill()
        self.process.wait()
        self.log_file.rename(self.log_file.with_suffix(".before"))
        for file in self.run_dir.glob("*.sock"):
            file.unlink()
        self.start()

    def digests(self):
        """What the token has signed for this node, once the shim's count and its log agree."""

        def agreed():
            log = self.digest_log.read_text().split() if self.digest_log.exists() else []
            return struct.unpack_from("<Q", self.control.read_bytes(), 8 * SHIM_SIGNATURES)[0] == len(log) and (log,)

        return wait_until("the shim counts what it logs", agreed)[0]

    def intended(self, table="issuance"):
        """Digests that the ledger has of this node's intents: of certificates, of CRLs, of OCSP answers, of heads."""
        digest = "tbs_hash" if table == "crl_intent" else "sha256(tbs)"
        if table == "head_intent":
            digest = "sha256(convert_to(text, 'UTF8'))"
        if table == "status_intent":
            digest, table = "substr(hashes, 32 * k + 1, 32)", "status_intent, generate_series(0, length(hashes) / 32 - 1) k"
        return set(self.assay.sql(f"SELECT encode({digest}, 'hex') FROM {table} WHERE node = '{self.name}'").split())

    def intended_for_status(self):
        return self.intended("crl_intent") | self.intended("status_intent") | self.intended("responder_intent") | self.intended("head_intent")

    def peer(self, role="ra"):
        return channel.Peer(self.run_dir, role)

    def ra(self):
        peer = self.peer()
        peer.policy(POLICY)
        return peer

    def enrol_patiently(self):
        """As an ra does that connects again when the ca ends the connection, having too much in hand."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self.ra() as peer:
                    return peer.enrol(grant_for())
            except Ended:
                assert time.monotonic() < deadline, "the ca takes no connection any more"

    def lines(self):
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]


def make_node(assay, hourly):
    node = Node(assay, pathlib.Path(tempfile.mkdtemp(prefix="assay-breach-")), hourly)
    node.start()
    return node


@pytest.fixture(scope="module")
def node(assay):
    node = make_node(assay, 100000)
    node.enrol_patiently()
    yield node
    assert node.process.poll() is None, "the ca has died"
    node.stop()


@pytest.fixture
def nothing_signed(assay, node):
    """Neither an intent nor a signature more, and the same process as before."""
    before = assay.issuances(), assay.signatures()
    yield
    assert (assay.issuances(), assay.signatures()) == before
    assert node.process.poll() is None


@pytest.fixture
def ra(node):
    with node.ra() as peer:
        yield peer


def grant_for(**changes):
    return grant(element.new_key(), **{"policy": POLICY, **changes})


def again(previous, key=None, **changes):
    return channel.again(key or element.new_key(), previous, **{"policy": POLICY, **changes})


def test_what_it_may_have_is_in_the_ledger(assay, ra):
    """The other side of the tests below: they do not fail because everything does."""
    certificate = ra.enrol(grant_for())
    serial = element.serial_octets(certificate).hex()
    row = assay.sql(f"SELECT encode(policy_hash, 'hex'), requester FROM issuance WHERE serial = '\\x{serial}'")
    assert row == f"{POLICY.hex()}|rig:rig-1"
    assert assay.sql(f"SELECT count(*) FROM signature WHERE serial = '\\x{serial}'") == "1"
    assert assay.sql(f"SELECT count(*) FROM policy WHERE hash = '\\x{POLICY.hex()}'") == "1"


CN, SERIAL_NUMBER, ORG = (channel.attribute(name) for name in ("AT_CN", "AT_SERIAL_NUMBER", "AT_ORG"))
BEYOND_RULES = {
    "keyCertSign": {"key_usage": channel.KEY_CERT_SIGN},
    "keyCertSign beside others": {"key_usage": channel.DIGITAL_SIGNATURE | channel.KEY_CERT_SIGN},
    "cRLSign": {"key_usage": channel.DIGITAL_SIGNATURE | channel.CRL_SIGN},
    "no key usage": {"key_usage": 0},
    "OCSPSigning": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.9")]},
    "cmcRA": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.28")]},
    "cmcCA": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.27")]},
    "codeSigning": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.3")]},
    "timeStamping": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.8")]},
    "any purpose": {"ekus": [channel.oid("2.5.29.37.0")]},
    "a padded OID": {"ekus": [b"\x2a\x80\x01"]},
    "an unfinished OID": {"ekus": [b"\x2a\x86"]},
    "the attested issuer without a level": {"level": 0, "level_needed": 0},
    "the attested issuer without evidence": {"evidence": b""},
    "evidence without a format": {"evidence_format": ""},
    "a level under the one needed": {"level": 1, "level_needed": 3},
    "a level at the unattested issuer": {"issuer": "unattested"},
    "vouched at the IDevID issuer": {"issuer": "idevid", "level": 1, "level_needed": 1, "validity": 0},
    "no expiry at an issuer with a cap": {"validity": 0},
    "a day over the cap": {"validity": 10 * YEAR_S + 3 * 86400},
    "a validity that overflows": {"validity": 2**64 - 1},
    "a validity up to the sign": {"validity": 2**63 - 1},
    "the root": {"issuer": "root"},
    "the CA of rigs": {"issuer": "rigs"},
    "an unknown issuer": {"issuer": "nobody"},
    "an unknown policy": {"policy": bytes(32)},
    "a policy that is one bit off": {"policy": bytes([POLICY[0] ^ 1]) + POLICY[1:]},
    "no subject": {"subject": []},
    "a newline in the name": {"subject": [(CN, "a\nb"), (SERIAL_NUMBER, "1")]},
    "an escape in the name": {"subject": [(CN, "a\x1b[2Jb"), (SERIAL_NUMBER, "1")]},
    "bytes that are no text": {"subject": [(CN, b"\xff\xfe"), (SERIAL_NUMBER, "1")]},
    "UTF-8 in the name": {"subject": [(CN, "ärger"), (SERIAL_NUMBER, "1")]},
    "a slash in the name": {"subject": [(CN, "../a"), (SERIAL_NUMBER, "1")]},
    "an empty name": {"subject": [(CN, ""), (SERIAL_NUMBER, "1")]},
    "two names": {"subject": [(CN, "a"), (CN, "b"), (SERIAL_NUMBER, "1")]},
    "a newline in the requester": {"requester": "rig:\nrig-1"},
    "no requester": {"requester": ""},
    "SQL in the profile": {"profile": "x'; drop table a;"},
    "bytes that are no text in the family": {"family": b"\xc3\x28"},
    "a wildcard in a DNS name": {"sans": [(channel.DNS, "*.example.com", b"")]},
    "a DNS name with a space": {"sans": [(channel.DNS, "a b.example", b"")]},
    "a URI without a scheme": {"sans": [(channel.URI, "nothing", b"")]},
    "a URI with a newline": {"sans": [(channel.URI, "urn:a\nb", b"")]},
    "a hardware type that is no OID": {"sans": [(channel.HW_MODULE, "0011", b"\x80")]},
    "a point off the curve": {"raw": b"\x04" + bytes(63) + b"\x05"},
    "a compressed point": {"raw": b"\x02" + bytes(32)},
    "P-521": {"key_type": channel.P521, "bits": 521, "raw": b"\x04" + bytes(132)},
    "RSA of 1024 bits": {"key_type": channel.RSA, "bits": 1024, "rsa_e": 65537, "raw": b"\xc1" + bytes(126) + b"\x01"},
    "RSA with exponent 1": {"key_type": channel.RSA, "bits": 2048, "rsa_e": 1, "raw": b"\xc1" + bytes(254) + b"\x01"},
    "an enrolment without a device": {"element": b""},
    "an enrolment with a previous serial": {"previous": b"\x01" * 16},
    "a stamp for a format that is no OID": {"stamp": 1, "evidence_format": "nothing"},
}


@pytest.mark.parametrize("changes", BEYOND_RULES.values(), ids=BEYOND_RULES.keys())
def test_a_grant_beyond_the_rules_is_refused(nothing_signed, ra, changes):
    with pytest.raises(Refused) as refused:
        ra.enrol(grant_for(**changes))
    assert refused.value.reason == "grant_refused", refused.value


MALFORMED = {
    "a subject over its length": {"subject": [(CN, "a" * 65)]},
    "a NUL in the name": {"subject": [(CN, "a\0b")]},
    "more names than there is room for": {"subject": [(CN, "a")] * 9},
    "a kind of name that is none": {"subject": [(channel.attribute("KP_CMC_RA"), "a")]},
    "a kind of name far outside": {"subject": [(0xFFFFFFFF, "a")]},
    "more SANs than there is room for": {"sans": [(channel.DNS, "a.b", b"")] * 9},
    "a SAN of an unknown type": {"sans": [(3, "a.b", b"")]},
    "more purposes than there is room for": {"ekus": [channel.oid("1.3.6.1.5.5.7.3.2")] * 9},
    "a key usage outside the nine": {"key_usage": 1 << 9},
    "a key longer than any": {"raw": bytes(513)},
    "a key type that is none": {"key_type": 9},
    "a key of more bits than any": {"bits": 1 << 30},
    "a level that is none": {"level": 4},
    "a kind that is none": {"kind": 3},
    "a truth that is neither": {"once": 2},
    "a freshness that is no reason": {"freshness": "fresh"},
    "a short policy hash": {"policy": POLICY[:31]},
    "a long vendor root": {"root": bytes(33)},
    "a long element": {"element": bytes(65)},
    "a long nonce": {"nonce": bytes(65)},
    "a long serial": {"previous": bytes(21)},
    "a long issuer": {"issuer": "a" * 33},
    "evidence over its limit": {"evidence": bytes(32 * 1024 + 1)},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_grant_ends_the_connection(nothing_signed, ra, changes):
    ra.send(channel.ENROL, grant_for(**changes))
    ra.until_end()


def test_bytes_after_a_grant_end_the_connection(nothing_signed, ra):
    ra.send(channel.ENROL, grant_for() + b"\0")
    ra.until_end()


POLICIES = {
    "a short hash": blob(POLICY[:31]) + blob("x"),
    "bytes left over": blob(POLICY) + blob("x") + b"\0",
    "a description without end": blob(POLICY) + blob("x" * 4000),
    "a description that is no text": blob(b"\x01" * 32) + blob(b"\xff\xfe\xfd"),
    "control characters": blob(b"\x02" * 32) + blob("a\x1b[2J\nb"),
    "a NUL": blob(b"\x03" * 32) + blob("a\0b"),
}


@pytest.mark.parametrize("body", POLICIES.values(), ids=POLICIES.keys())
def test_a_malformed_policy_ends_the_connection_and_stops_nobody(node, body):
    with node.peer() as peer:
        peer.send(channel.POLICY, body)
        peer.until_end()
    assert node.enrol_patiently()


def test_policies_without_end_do_not_fill_the_ledger(assay, node):
    before = int(assay.sql("SELECT count(*) FROM policy"))
    for _ in range(4):
        with node.peer() as peer:
            for _ in range(100):
                peer.policy(os.urandom(32))
            try:
                peer.enrol(grant_for())
            except (Ended, Refused):
                pass
    assert int(assay.sql("SELECT count(*) FROM policy")) - before <= 2 * 32  # an hour may begin meanwhile
    assert node.enrol_patiently()  # the one it knew before goes on


# Re-enrolment: what a breached ra does not have to show, the ledger knows.


def test_a_foreign_serial_is_not_renewed(nothing_signed, ra):
    with pytest.raises(Refused) as refused:
        ra.enrol(again(b"\x01" + os.urandom(15)))
    assert refused.value.reason == "previous_unknown"


@pytest.fixture
def device(ra):
    key = element.new_key()
    return ra.enrol(grant(key, policy=POLICY)), key


def test_the_same_key_is_renewed(ra, device):
    """The other side again."""
    certificate, key = device
    renewed = ra.enrol(again(element.serial_octets(certificate), key))
    assert renewed.subject == certificate.subject and renewed.serial_number != certificate.serial_number


def test_a_new_key_without_evidence_is_not_put_in_its_place(ra, device, assay):
    before = assay.issuances()
    with pytest.raises(Refused) as refused:
        ra.enrol(again(element.serial_octets(device[0]), rekey_needs_evidence=0))
    assert refused.value.reason == "evidence_missing"
    assert assay.issuances() == before


def test_evidence_of_another_element_does_not_put_a_new_key_in_its_place(ra, device, assay):
    before = assay.issuances()
    with pytest.raises(Refused) as refused:
        ra.enrol(again(element.serial_octets(device[0]), level=3, evidence=b"\x30\0", evidence_format="assay.1.1",
                       format="assay.1.1", element=os.urandom(17)))
    assert refused.value.reason == "evidence_identity"
    assert assay.issuances() == before


def test_names_do_not_change_on_the_way(ra, device, assay):
    certificate, key = device
    before = assay.issuances()
    with pytest.raises(Refused) as refused:
        ra.enrol(again(element.serial_octets(certificate), key, subject=[(CN, "other"), (SERIAL_NUMBER, "1")]))
    assert refused.value.reason == "grant_refused"
    assert assay.issuances() == before


def unattested_for(key):
    name = f"legacy-{os.urandom(6).hex()}"
    return grant(key, policy=POLICY, profile="unattested", family="legacy", issuer="unattested", level=0, level_needed=0,
                 format="name", element=name.encode(), subject=[(CN, name)], evidence=b"", evidence_format="", nonce=b"")


def test_the_class_does_not_change_on_the_way(ra, device, assay):
    """Not to the unattested issuer; and an unattested one not to the attested, whatever level is claimed."""
    certificate, key = device
    with pytest.raises(Refused):
        ra.enrol(again(element.serial_octets(certificate), key, issuer="unattested"))
    key = element.new_key()
    plain = ra.enrol(unattested_for(key))
    before = assay.issuances()
    for changes in ({}, {"level": 3, "evidence": b"\x30\0", "evidence_format": "assay.1.1"}):
        with pytest.raises(Refused):
            ra.enrol(again(element.serial_octets(plain), key, issuer="attested", **changes))
    assert assay.issuances() == before


def test_a_revoked_serial_is_not_renewed(ra, device, assay):
    """The second key of a board that lost power revokes its first certificate by the ledger's own rule."""
    board = os.urandom(17)
    lost = element.new_key()
    names = [(CN, board.hex()), (SERIAL_NUMBER, board.hex())]
    first = ra.enrol(grant(lost, policy=POLICY, element=board, subject=names))
    ra.enrol(grant(element.new_key(), policy=POLICY, element=board, subject=names))
    before = assay.issuances()
    with pytest.raises(Refused) as refused:
        ra.enrol(again(element.serial_octets(first), lost))
    assert refused.value.reason == "client_revoked"
    assert assay.issuances() == before


# More than the rules of one grant


def this_hour(assay):
    """The hour, and how many certificates the attested issuer has had in it, on all nodes."""
    hour = int(time.time()) // 3600
    return hour, int(assay.owner_sql(f"SELECT coalesce(sum(n), 0) FROM work.issuer_hour WHERE hour = {hour} AND issuer = 'attested'"))


def enrol_many(node, n):
    """How many were given, and why the others were not."""
    got, reasons = 0, set()
    with node.ra() as peer:
        for _ in range(n):
            try:
                peer.enrol(grant_for())
                got += 1
            except Refused as refused:
                reasons.add(refused.reason)
    return got, reasons


def test_no_more_than_the_hourly_count_over_a_crash_and_over_nodes(assay):
    """Neither a restart nor another node gives the hour again; a run that an hour's end falls into is made again."""
    for _ in range(3):
        hour, had = this_hour(assay)
        node = make_node(assay, had + HOURLY)
        try:
            first = enrol_many(node, HOURLY + 20)
            node.restart_after_a_crash()
            crashed = enrol_many(node, 5)
            other = make_node(assay, had + HOURLY)
            try:
                elsewhere = enrol_many(other, 5)
            finally:
                other.stop()
            signed = len(set(node.digests()) & node.intended())
        finally:
            node.stop()
        if int(time.time()) // 3600 == hour:
            break
    assert first == (HOURLY, {"issuer_limit"})
    assert signed == HOURLY, "the token signed otherwise than the answers say"
    assert crashed == (0, {"issuer_limit"}), "a crash gave the hour again"
    assert elsewhere == (0, {"issuer_limit"}), "another node gave the hour again"


def test_every_signature_of_a_breached_ra_is_accounted_for(assay, node):
    assert assay.sql("SELECT count(*) FROM signature s WHERE NOT EXISTS (SELECT FROM issuance i WHERE i.serial = s.serial)") == "0"


NOT_THEIRS = {
    "va: a grant": ("va", channel.ENROL), "va: a policy": ("va", channel.POLICY), "va: a view": ("va", channel.VIEW),
    "admin: a grant": ("admin", channel.ENROL), "admin: a policy": ("admin", channel.POLICY),
    "admin: a CRL": ("admin", channel.CRL_ASK), "ra: a CRL": ("ra", channel.CRL_ASK), "ra: a view": ("ra", channel.VIEW),
    "ra: an answer": ("ra", channel.ENROLLED), "ra: a type that is none": ("ra", 0), "ra: 255": ("ra", 255),
}


@pytest.mark.parametrize("role, kind", NOT_THEIRS.values(), ids=NOT_THEIRS.keys())
def test_a_frame_that_is_not_the_roles_ends_the_connection(nothing_signed, node, role, kind):
    body = {channel.ENROL: grant_for(), channel.POLICY: blob(POLICY) + blob("x"), channel.CRL_ASK: blob("attested")}
    with node.peer(role) as peer:
        peer.send(kind, body.get(kind, b""))
        peer.until_end()
    ended = [line for line in node.lines() if line["event"] == "channel_ended"][-1]
    assert ended["peer"] == role and ended["reason"] == "channel_frame"


def test_a_va_gets_crls_of_the_issuers_and_of_nobody_else(node):
    with node.peer("va") as peer:
        kind, _ = peer.answer(peer.send(channel.CRL_ASK, blob("attested")))
        assert kind == channel.CRL
        peer.send(channel.CRL_ASK, blob("root"))
        peer.until_end()


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        how = rng.randrange(5)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif how == 2:
            del data[at : at + rng.randint(1, 8)]
        elif how == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            data[at : at + 4] = rng.choice((0, 1, 0xFFFFFFFF, 0x80000000, 128 * 1024, 128 * 1024 + 1)).to_bytes(4, "big")
        if not data:
            return b"\0"
    return bytes(data)


def hostile(rng):
    """Some bytes for the ca, and whether what follows them could still be read as frames."""
    body = rng.choice((grant_for, lambda: again(rng.randbytes(16)), lambda: blob(POLICY) + blob("x"), lambda: blob("attested")))()
    how = rng.randrange(4)
    if how == 0:
        return rng.randbytes(rng.randint(1, 300))
    if how == 1:
        return channel.frame(rng.choice((channel.ENROL, channel.POLICY, rng.randrange(256))), rng.getrandbits(64), mutate(rng, body))
    if how == 2:
        return mutate(rng, channel.frame(channel.ENROL, rng.getrandbits(64), body))
    return channel.frame(channel.ENROL, 7, body, version=rng.randrange(256), length=rng.choice((0, 9, 10, 128 * 1024 + 1, 0xFFFFFFFF)))


def crl_patiently(node):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with node.peer("va") as peer:
                kind, body = peer.answer(peer.send(channel.CRL_ASK, blob("attested")))
                if kind == channel.CRL:
                    _, rest = channel.take(body)
                    return x509.load_der_x509_crl(channel.take(rest[8:])[0])
        except Ended:
            pass
        assert time.monotonic() < deadline, "the ca signs no CRL any more"


def settled(node):
    """Digests when what came before has been signed or refused: what is asked for now goes behind it. And which are ours."""
    tbs = (crl_patiently(node).tbs_certlist_bytes, node.enrol_patiently().tbs_certificate_bytes)
    return set(node.digests()), {hashlib.sha256(one).hexdigest() for one in tbs}


@pytest.fixture(scope="module")
def storm(assay, node):
    """Hostile frames from each role in turn: what the token signed meanwhile, by role, heads apart: the clock asks for those."""
    seed = int(os.environ.get("BREACH_SEED") or random.randrange(2**32))
    print(f"BREACH_SEED={seed}")
    rng = random.Random(seed)
    signed, ours = {}, set()
    for role, share in (("ra", 3), ("va", 1), ("admin", 1)):
        before, mine = settled(node)
        ours |= mine
        for _ in range(FRAMES * share // 5):
            with node.peer(role) as peer:
                if rng.random() < 0.5:
                    peer.send(*rng.choice(((channel.POLICY, blob(POLICY) + blob("x")), (channel.CRL_ASK, blob("attested")))))
                for _ in range(rng.randint(1, 4)):
                    if not peer.raw(hostile(rng)):
                        break
            assert node.process.poll() is None, f"the ca died; BREACH_SEED={seed}"
        after, mine = settled(node)
        ours |= mine
        signed[role] = after - before - ours
    heads = node.intended("head_intent")
    return {role: digests - heads for role, digests in signed.items()}


def test_random_frames_of_a_breached_ra_get_no_signature_that_the_ledger_lacks(node, storm):
    """Compared with what the token really signed, as the shim before it counted."""
    digests = node.digests()
    assert len(set(digests)) == len(digests), "something was signed twice"
    missing = set(digests) - node.intended() - node.intended_for_status()
    assert not missing, f"{len(missing)} signatures are in no intent"
    assert storm["ra"] <= node.intended(), "a breached ra had something signed that is no certificate"


def test_random_frames_of_a_breached_va_get_crls_and_nothing_else(node, storm):
    assert storm["va"] <= node.intended_for_status()


def test_random_frames_of_a_breached_admin_get_no_signature(storm):
    assert storm["admin"] == set()


def certificates_of(assay, node):
    rows = assay.sql(
        "SELECT i.issuer, i.level, coalesce(length(i.evidence), 0), i.kind, encode(certificate(i.serial), 'hex') FROM issuance i"
        f" JOIN signature s ON s.serial = i.serial WHERE i.node = '{node.name}'"
    ).splitlines()
    assert rows
    for row in rows:
        issuer, level, evidence, kind, der = row.split("|")
        yield issuer, int(level), int(evidence), int(kind), x509.load_der_x509_certificate(bytes.fromhex(der))


def test_no_certificate_of_a_breached_ra_is_a_cas(assay, node, storm):
    """Over all that this module has been given, hostile frames included."""
    for *_, certificate in certificates_of(assay, node):
        basic = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value
        usage = certificate.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE).value
        assert not basic.ca and not usage.key_cert_sign and not usage.crl_sign


def test_no_certificate_of_the_attested_class_is_without_level(assay, node, storm, ra):
    ra.enrol(unattested_for(element.new_key()))  # so that both classes are there
    classes = set()
    for issuer, level, evidence, kind, certificate in certificates_of(assay, node):
        classes.add(issuer)
        attested = certificate.issuer.rfc4514_string().count("unattested") == 0
        assert attested == (level > 0) == (issuer != "unattested")
        assert not attested or kind == 2 or evidence > 0
    assert {"attested", "unattested"} <= classes


def test_connections_without_end_leave_the_ra_its_place(node):
    """Eight places a socket: one that takes them all keeps itself out, and when it lets go all is as before."""
    peers = [node.peer() for _ in range(8)]
    try:
        with node.peer() as ninth:
            ninth.until_end()
    finally:
        for peer in peers:
            peer.close()
    assert node.enrol_patiently()
