"""Signed heads of two nodes on one ledger: each signs its own, each covers both, in a file and over syslog.

The syslogd is a socket of the test's, where a daemon's would be.
"""

import base64
import hashlib
import json
import os
import re
import socket

import pytest
from audit_export import Export, assayctl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from second_node import SecondNode
from waiting import wait_until

FIRST, SECOND = "quickstart", "witness"


class Syslogd:
    def __init__(self, path):
        self.path, self.got, self.socket = path, [], None
        self.start()

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(self.path))

    def stop(self):
        self.read()
        self.socket.close()
        self.path.unlink()

    def read(self):
        """Every message so far, as a syslogd would write it down; what it does not take waits with the sender."""
        try:
            while True:
                self.got.append(self.socket.recv(1 << 20).decode())
        except BlockingIOError:
            return self.got

    def heads(self):
        """The lines in the messages; a restart of the ca may say its last one again."""
        messages = [re.fullmatch(r"<85>[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d assay-heads: (.*)", text) for text in self.read()]
        assert all(messages), self.got
        return [message[1] for message in messages]


@pytest.fixture(scope="module")
def syslogd(tmp_path_factory):
    one = Syslogd(tmp_path_factory.mktemp("syslog") / "log")
    yield one
    one.socket.close()


@pytest.fixture(scope="module")
def second(assay, syslogd):
    node = SecondNode(assay, SECOND, interval="1s", syslog=True, syslog_socket=str(syslogd.path)).start()
    node.heads = node.folder / "heads.jsonl"
    yield node
    node.stop()


def lines_of(file):
    """The whole ones: the last may be half written."""
    return file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []


def heads_of(file):
    return [json.loads(line)["head"] for line in lines_of(file)]


def covering(file, n):
    """The heads of a file once the newest counts as many certificates."""
    return wait_until(f"a head that counts {n} certificates", lambda: (h := heads_of(file)) and h[-1]["intents"]["certificates"] >= n and h)


def positions(head):
    return {(node, stream): (seq, digest) for node, stream, seq, digest in head["positions"]}


def first_file(assay):
    return assay.home / "state" / "heads.jsonl"


@pytest.fixture(scope="module")
def both(assay, second):
    """Both nodes have issued, and each has a head that counts it."""
    for client in (assay.rig(), second.client(assay.rig_identity), assay.rig(), second.client(assay.rig_identity)):
        assay.enrol(client)
    enough = assay.issuances()
    return covering(first_file(assay), enough), covering(second.heads, enough)


def test_each_node_signs_its_own_and_each_covers_both(assay, second, both):
    key = x509.load_pem_x509_certificate((assay.home / "ca" / "heads.pem").read_bytes()).public_key()
    for file, node in ((first_file(assay), FIRST), (second.heads, SECOND)):
        lines, previous = lines_of(file), {}
        for line in dict.fromkeys(lines):
            text = re.fullmatch(r'\{"head":(.*),"signature":"([^"]*)"\}', line)
            key.verify(base64.b64decode(text[2]), text[1].encode(), ec.ECDSA(hashes.SHA256()))
            head = json.loads(text[1])
            assert head["node"] == node
            before = previous.get("head")
            if before:
                assert head["number"] == before["number"] + 1 and head["previous"] == previous["hash"]
                now = positions(head)
                assert all(now[chain][0] >= seq for chain, (seq, _) in positions(before).items())
            previous = {"head": head, "hash": hashlib.sha256(text[1].encode()).hexdigest()}
    assert both[1][0]["number"] == 1 and both[1][0]["previous"] == "00" * 32, "the second node counts for itself"
    for heads in both:
        assert {FIRST, SECOND} <= {node for node, _ in positions(heads[-1])}
        assert positions(heads[-1])[SECOND, "intend"][0] >= 1


def test_syslog_gets_each_head_once_and_in_order(second, both, syslogd):
    wait_until("syslog has what the file has", lambda: syslogd.heads() == lines_of(second.heads))
    assert len(syslogd.heads()) >= len(both[1])


def test_heads_wait_for_a_syslogd_that_is_away(assay, second, both, syslogd):
    wait_until("syslog has what the file has", lambda: syslogd.heads() == lines_of(second.heads))
    syslogd.stop()
    before = len(lines_of(second.heads))
    for n in (1, 2):
        assay.enrol()
        wait_until("the next head is in the file", lambda n=n: len(lines_of(second.heads)) >= before + n)
    wait_until("it is said", lambda: f"heads.syslog: {syslogd.path} takes no head" in second.log_file.read_text())
    assert len(syslogd.got) <= before
    syslogd.start()
    wait_until("none is missing, and none comes twice", lambda: syslogd.heads() == lines_of(second.heads))


@pytest.fixture(scope="module")
def exported(assay, second, both, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-heads")
    env = {**os.environ, **assay.env,
           "ASSAY_OPERATOR_CERT": assay.env["ASSAY_AUDITOR_CERT"], "ASSAY_OPERATOR_KEY": assay.env["ASSAY_AUDITOR_KEY"]}  # fmt: skip
    (folder / "first").write_text("\n".join(lines_of(first_file(assay))) + "\n")
    (folder / "second").write_text("\n".join(lines_of(second.heads)) + "\n")
    done = assayctl("audit", "export", folder / "ledger.jsonl", env=env)
    assert done.returncode == 0, done.stderr
    return Export(folder / "ledger.jsonl")


def test_an_auditor_checks_with_the_heads_of_both(assay, exported, syslogd, tmp_path):
    said = tmp_path / "syslog"
    said.write_text("".join(text + "\n" for text in syslogd.read() if exported.file.with_name("second").read_text().find(text.partition(": ")[2]) >= 0))
    key = "--heads-key", assay.home / "ca" / "heads.pem"
    heads = [option for file in (exported.file.with_name("first"), exported.file.with_name("second"), said) for option in ("--heads", file)]
    assert said.read_text() and not any("--heads" in text for text in exported.passes(*heads, *key)["unproven"])


def test_what_one_node_lost_is_named_by_the_heads_of_the_other(assay, exported, tmp_path):
    key = "--heads-key", assay.home / "ca" / "heads.pem"
    cut = exported.copy(tmp_path)
    seq = positions(heads_of(exported.file.with_name("first"))[-1])[SECOND, "intend"][0]
    kept = lambda row: cut.commit_of(row)[:2] != (SECOND, "intend") or cut.commit_of(row)[2] < seq  # noqa: E731
    gone = {row[1] for row in cut.of("issuance") if not kept(row)}
    cut.rows = [row for row in cut.rows if kept(row) and (row[0] != "signature" or row[1] not in gone)]
    cut.rehash()
    found = cut.finds("--heads", exported.file.with_name("first"), *key)
    assert any(text.startswith(f"dropped: chain {SECOND}/intend row {seq}") and f"of {FIRST} names it" in text for text in found), found
