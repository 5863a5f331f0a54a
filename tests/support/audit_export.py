"""An auditor's export of the ledger, and what a keeper of the ledger could make of a copy of it."""

import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import der
import element
from instance import TOP
from waiting import wait_until

sys.path.insert(0, str(TOP / "tests" / "integration" / "sql"))
import verify_chain  # noqa: E402

BUILD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build"))
CHAIN = [name for name, _ in verify_chain.CHAIN]


def columns(table):
    return CHAIN if table == "chain" else [name for name, _ in verify_chain.TABLES[table]]


class Export:
    """The lines of an export; rows are lists, the table's name first."""

    def __init__(self, file):
        self.file = pathlib.Path(file)
        lines = self.file.read_text().splitlines()
        self.head, self.rows = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]

    def copy(self, folder):
        other = copy.deepcopy(self)
        other.file = folder / "tampered.jsonl"
        return other

    def of(self, table):
        return [row for row in self.rows if row[0] == table]

    def commit_of(self, row):
        at = 1 + columns(row[0]).index("node")
        return tuple(row[at : at + 3])

    def verify(self, *options):
        """(exit code, what it says), of the lines as they are now."""
        self.file.write_text("".join(json.dumps(line) + "\n" for line in [self.head, *self.rows]))
        done = assayctl("--json", "audit", "verify", self.file, *options)
        return done.returncode, json.loads(done.stdout)

    def finds(self, *options):
        code, said = self.verify(*options)
        assert code == 1 and not said["ok"] and said["findings"], said
        return said["findings"]

    def passes(self, *options):
        code, said = self.verify(*options)
        assert code == 0 and said["ok"] and not said["findings"], said["findings"]
        return said

    def rehash(self):
        """What a forger does: every root and hash computed anew, and what the heads in the ledger say. Not their signatures."""
        before = None
        while before != (before := self.rehash_once()):
            self.rewrite_heads()

    def rewrite_heads(self):
        hashes = {tuple(r[1:4]): r[8] for r in self.of("chain")}
        signed, previous = {(r[2], r[1]) for r in self.of("head_signature")}, {}
        tables = {"certificates": "issuance", "crls": "crl_intent", "ocsp": "status_intent", "responders": "responder_intent",
                  "heads": "head_intent"}  # fmt: skip
        for row in self.of("head_intent"):
            head, node = json.loads(row[-1]), row[2]
            head["previous"] = previous.get(node, "00" * 32)
            head["positions"] = [[*p[:3], hashes[tuple(p[:3])]] for p in head["positions"] if tuple(p[:3]) in hashes]
            until = {tuple(p[:2]): p[2] for p in head["positions"]}
            for kind, table in tables.items():
                head["intents"][kind] = sum(len(r[-1]) // 64 if table == "status_intent" else 1 for r in self.of(table)
                                            if self.commit_of(r)[2] <= until.get(self.commit_of(r)[:2], 0))  # fmt: skip
            row[-1] = json.dumps(head, separators=(",", ":"))
            if (node, row[1]) in signed:
                previous[node] = hashlib.sha256(row[-1].encode()).hexdigest()

    def rehash_once(self):
        leaves = {}
        for row in self.rows:
            if row[0] != "chain":
                leaves.setdefault(self.commit_of(row), []).append(leaf(row))
        heads = {}
        for row in sorted(self.of("chain"), key=lambda r: r[1:4]):
            node, stream, seq, at = row[1], row[2], row[3], row[9]
            row[4] = heads.get((node, stream), (0, "00" * 32))[1]
            row[6] = len(leaves.get((node, stream, seq), []))
            root = hashlib.sha256(b"".join(sorted(leaves.get((node, stream, seq), [])))).digest()
            row[7] = root.hex()
            row[8] = hashlib.sha256(verify_chain.record([
                ("bytea", bytes.fromhex(row[4])), ("text", node.encode()), ("text", stream.encode()), ("int8", seq),
                ("text", row[5].encode()), ("int4", row[6]), ("bytea", root), ("time", unix_us(at))])).hexdigest()  # fmt: skip
            heads[node, stream] = (seq, row[8])
        self.head["heads"] = [
            {"node": node, "stream": stream, "seq": seq, "hash": digest} for (node, stream), (seq, digest) in heads.items()
        ]
        return self.head["heads"]


def unix_us(us):
    return us + verify_chain.POSTGRES_EPOCH_US


def leaf(row):
    fields = {}
    for (name, kind), value in zip(verify_chain.TABLES[row[0]], row[1:]):
        if value is not None and kind in ("text", "bytea"):
            value = bytes.fromhex(value) if kind == "bytea" else value.encode()
        elif kind == "time":
            value = unix_us(value)
        elif kind == "bool":
            value = "t" if value else "f"
        fields[name] = value
    return verify_chain.leaf(row[0], fields)


def label(row):
    """How a row is named in a finding."""
    key = {"crl_number": "number", "crl_intent": "number", "status_intent": "seq"}.get(row[0], columns(row[0])[0])
    of = row[1] + " " if row[0].startswith("crl_") else row[2] + " " if row[0].startswith("head_") else ""
    return f"{row[0]} {of}{row[1 + columns(row[0]).index(key)]}"


def place(export, row):
    node, stream, seq = export.commit_of(row)
    return f"chain {node}/{stream} row {seq}"


def assayctl(*arguments, env=None):
    command = [BUILD / "server" / "assayctl", *map(str, arguments)]
    return subprocess.run(command, env=env or {}, capture_output=True, text=True, timeout=300)


def changed(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1
    if value and all(c in "0123456789abcdef" for c in value) and len(value) % 2 == 0:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return (value or "") + "x"


def keep_heads(assay, folder):
    """The file that the ca writes, once it has a head that covers every enrolment so far, and one before it."""
    enough = assay.issuances()
    file = pathlib.Path(assay.env["ASSAY_HOME"]) / "state" / "heads.jsonl"

    def kept():
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return len({line["head"]["number"] for line in lines}) > 1 and lines[-1]["head"]["intents"]["certificates"] >= enough

    wait_until("a signed head", kept)
    (folder / "kept.jsonl").write_text(file.read_text())
    shutil.copy(pathlib.Path(assay.env["ASSAY_HOME"]) / "ca" / "heads.pem", folder / "heads.pem")
    shutil.copy(pathlib.Path(assay.env["ASSAY_HOME"]) / "ca" / "attested.pem", folder / "other.pem")


def newest(exported, kept="kept.jsonl"):
    return json.loads(exported.file.with_name(kept).read_text().splitlines()[-1])


def heads_options(exported, file=None):
    return "--heads", file or exported.file.with_name("kept.jsonl"), "--heads-key", exported.file.with_name("heads.pem")


def take(assay, folder):
    """An export with something in every table, and the heads that its auditor keeps elsewhere."""
    for _ in range(4):
        cert, key, _ = assay.enrol()
    name = der.name((der.CN, "legacy-audit-" + uuid.uuid4().hex[:8]))
    assert assay.legacy().enrol(element.csr(element.new_key(), subject=name), "unattested").status == 200
    assert assay.admin("operator").revoke({"serial": f"{cert.serial_number:038x}"})["done"]
    device, cert, key, _ = assay.device()
    renewed = device.reenrol(element.csr(key)).certificate()
    other, cert, old_key, chip = assay.device()
    new_key = element.new_key()
    word = element.continuity(old_key, cert, new_key)
    rekeyed = other.reenrol(element.csr(new_key, chip.evidence(new_key, other.nonce("field")), word)).certificate()
    keep_heads(assay, folder)
    env = {**os.environ, **assay.env,
           "ASSAY_OPERATOR_CERT": assay.env["ASSAY_AUDITOR_CERT"], "ASSAY_OPERATOR_KEY": assay.env["ASSAY_AUDITOR_KEY"]}  # fmt: skip
    kept = assayctl("audit", "heads", env=env)
    assert kept.returncode == 0 and kept.stdout.count("\n") >= 4, kept
    (folder / "kept").write_text(kept.stdout)
    done = assayctl("audit", "export", folder / "ledger.jsonl", env=env)
    assert done.returncode == 0, done.stderr
    done = assayctl("audit", "verify", folder / "ledger.jsonl", "--save-heads", folder / "heads")
    assert done.returncode == 0, done.stdout
    export = Export(folder / "ledger.jsonl")
    export.heads = folder / "heads"
    export.renewed = f"{renewed.serial_number:038x}"
    export.rekeyed = f"{rekeyed.serial_number:038x}"
    return export
