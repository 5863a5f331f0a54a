#!/usr/bin/python3
"""Checks a ledger offline, with nothing of Assay's: the hash chain over every row, and what follows from the rows.

    verify_chain.py CONNINFO [--heads FILE]

Reads through psql as any role that may SELECT. FILE holds heads exported earlier, one "node stream seq hash" a line:
they must still be there, which is how a ledger that was cut short is found. Prints what is wrong, one line each, and
exits 1; or a summary with the present heads, and exits 0. The bytes are described in sql/README.md.
"""
import argparse
import hashlib
import json
import struct
import subprocess
import sys
from collections import defaultdict

POSTGRES_EPOCH_US = 946684800 * 1000000  # 2000-01-01, from which timestamptz counts

# PostgreSQL's binary form of each type, from the text that COPY gives.
TYPES = {
    "bytea": (17, lambda v: v),
    "text": (25, lambda v: v),
    "int8": (20, lambda v: struct.pack(">q", int(v))),
    "int4": (23, lambda v: struct.pack(">i", int(v))),
    "int2": (21, lambda v: struct.pack(">h", int(v))),
    "bool": (16, lambda v: struct.pack(">?", v == "t")),
    "time": (1184, lambda v: struct.pack(">q", int(v) - POSTGRES_EPOCH_US)),
}
COMMIT = [("node", "text"), ("stream", "text"), ("seq", "int8"), ("at", "time")]
# The columns of each chained table in the order in which they are hashed.
TABLES = {
    "issuance": [("serial", "bytea")] + COMMIT + [
        ("kind", "int2"), ("issuer", "text"), ("profile", "text"), ("family", "text"), ("policy_hash", "bytea"),
        ("requester", "text"), ("device", "bytea"), ("device_format", "text"), ("vendor_root", "bytea"), ("element", "bytea"),
        ("key_hash", "bytea"), ("level", "int2"), ("nonce", "bytea"), ("evidence", "bytea"), ("evidence_format", "text"),
        ("continuity", "bytea"), ("previous", "bytea"), ("unit_serial", "text"), ("order_id", "text"),
        ("not_before", "time"), ("not_after", "time"), ("tbs", "bytea"), ("batch_ca", "bytea")],
    "signature": [("serial", "bytea")] + COMMIT + [("tail", "bytea")],
    "void": [("serial", "bytea")] + COMMIT + [("why", "text")],
    "revocation": [("number", "int8")] + COMMIT + [("serial", "bytea"), ("issuer", "text"), ("reason", "int2"), ("who", "text")],
    "requester": [("number", "int8")] + COMMIT + [("kind", "text"), ("name", "text"), ("spki_hash", "bytea"), ("names", "text"),
                                                  ("labels", "text"), ("active", "bool")],
    "policy": [("hash", "bytea")] + COMMIT + [("what", "text")],
    "ceremony": [("hash", "bytea")] + COMMIT + [("transcript", "text")],
    "crl_number": [("issuer", "text"), ("number", "int8")] + COMMIT,
    "operator_action": [("number", "int8")] + COMMIT + [("who", "text"), ("call", "text"), ("request", "text"), ("outcome", "text"),
                                                        ("note", "text"), ("detail", "text"), ("n", "int8")],
    "responder_intent": [("serial", "bytea"), ("issuer", "text")] + COMMIT + [
        ("key_hash", "bytea"), ("not_before", "time"), ("not_after", "time"), ("tbs", "bytea")],
    "responder_signature": [("serial", "bytea")] + COMMIT + [("tail", "bytea")],
    "status_intent": COMMIT + [("hashes", "bytea")],
    "head_intent": [("number", "int8")] + COMMIT + [("text", "text")],
    "head_signature": [("number", "int8")] + COMMIT + [("signature", "bytea")],
    "crl_intent": [("issuer", "text"), ("number", "int8")] + COMMIT + [("tbs_hash", "bytea")],
}
# So many of the last columns came later: a row in which they are NULL is hashed as it was before them.
LATE = {"issuance": 1}
CHAIN = [("node", "text"), ("stream", "text"), ("seq", "int8"), ("prev_hash", "bytea"), ("op", "text"), ("n_rows", "int4"),
         ("root", "bytea"), ("hash", "bytea"), ("at", "time")]
DERIVED = {
    "claim": [("device", "bytea"), ("purpose", "bytea"), ("generation", "int4"), ("key_hash", "bytea"), ("serial", "bytea")],
    "device_key": [("key_hash", "bytea"), ("device", "bytea")],
    "nonce_used": [("nonce", "bytea"), ("device", "bytea"), ("purpose", "bytea"), ("key_hash", "bytea")],
    "in_use": [("serial", "bytea")],
    "unit": [("unit_serial", "text"), ("device", "bytea")],
}


def select_list(columns):
    form = {"bytea": "encode({0}, 'hex')", "text": "encode(convert_to({0}, 'UTF8'), 'hex')",
            "time": "(extract(epoch from {0}) * 1000000)::bigint"}
    return ", ".join(form.get(kind, "{0}").format(name) for name, kind in columns)


def read_tables(conninfo):
    """All tables of one moment, each a list of dicts: bytes for bytea and text, the printed form for the rest."""
    wanted = {**TABLES, **DERIVED, "chain": CHAIN}
    script = "begin isolation level repeatable read read only;\n"
    for table, columns in wanted.items():
        script += f"\\echo @{table}\ncopy (select {select_list(columns)} from public.{table}) to stdout;\n"
    psql = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo], input=script, text=True,
                          stdout=subprocess.PIPE, check=False)
    if psql.returncode != 0:
        sys.exit("cannot read the ledger")
    tables = {table: [] for table in wanted}
    for line in psql.stdout.splitlines():
        if line.startswith("@"):
            table = line[1:]
            continue
        row = {}
        for (name, kind), value in zip(wanted[table], line.split("\t")):
            if value == "\\N":
                row[name] = None
            else:
                row[name] = bytes.fromhex(value) if kind in ("bytea", "text") else value
        tables[table].append(row)
    return tables


def record(values):
    """What record_send() gives: the number of fields, then type, length and bytes of each."""
    out = struct.pack(">i", len(values))
    for kind, value in values:
        oid, encode = TYPES[kind]
        out += struct.pack(">I", oid)
        if value is None:
            out += struct.pack(">i", -1)
        else:
            data = encode(value)
            out += struct.pack(">i", len(data)) + data
    return out


def leaf(table, row):
    fields = [("text", table.encode())] + [(kind, row[name]) for name, kind in TABLES[table]]
    for _ in range(LATE.get(table, 0)):
        if fields[-1][1] is None:
            fields.pop()
    return hashlib.sha256(record(fields)).digest()


class Verifier:
    def __init__(self, conninfo):
        self.wrong = []
        self.leaves = defaultdict(list)  # (node, stream, seq) -> leaves
        self.times = {}
        self.table = read_tables(conninfo)

    def say(self, text):
        self.wrong.append(text)

    def hash_rows(self):
        for table in TABLES:
            for row in self.table[table]:
                commit = (row["node"], row["stream"], int(row["seq"]))
                self.leaves[commit].append(leaf(table, row))
                if self.times.setdefault(commit, row["at"]) != row["at"]:
                    self.say(f"{name_of(commit)}: a row of {table} has another time than the rest of its commit")

    def check_chain(self):
        heads = {}
        hashes = set()
        chain = sorted(self.table["chain"], key=lambda r: (r["node"], r["stream"], int(r["seq"])))
        for row in chain:
            stream = (row["node"], row["stream"])
            seq = int(row["seq"])
            commit = stream + (seq,)
            last_seq, last_hash = heads.get(stream, (0, bytes(32)))
            if seq != last_seq + 1:
                self.say(f"{name_of(commit)}: row {last_seq + 1} is missing")
            elif row["prev_hash"] != last_hash:
                self.say(f"{name_of(commit)}: does not follow from the row before")
            leaves = sorted(self.leaves.pop(commit, []))
            if len(leaves) != int(row["n_rows"]):
                self.say(f"{name_of(commit)}: {len(leaves)} rows, {row['n_rows']} were written")
            if hashlib.sha256(b"".join(leaves)).digest() != row["root"]:
                self.say(f"{name_of(commit)}: its rows are not what was written")
            if self.times.get(commit, row["at"]) != row["at"]:
                self.say(f"{name_of(commit)}: its rows have another time")
            if hashlib.sha256(record([
                    ("bytea", row["prev_hash"]), ("text", row["node"]), ("text", row["stream"]), ("int8", seq),
                    ("text", row["op"]), ("int4", row["n_rows"]), ("bytea", row["root"]), ("time", row["at"])])).digest() != row["hash"]:
                self.say(f"{name_of(commit)}: its hash is not that of its contents")
            heads[stream] = (seq, row["hash"])
            hashes.add(commit + (row["hash"],))
        for commit in self.leaves:
            self.say(f"{name_of(commit)}: rows without a chain row")
        return heads, hashes

    def check_gapless(self, table):
        numbers = sorted(int(r["number"]) for r in self.table[table])
        if numbers != list(range(1, len(numbers) + 1)):
            self.say(f"{table}: numbers have a gap")

    def check_heads(self, hashes):
        """Every head says where the chains stood and how many signatures had an intent; and which head came before."""
        signed = {(r["node"], int(r["number"])) for r in self.table["head_signature"]}
        intents = {"certificates": ("issuance", 1), "crls": ("crl_intent", 1), "responders": ("responder_intent", 1),
                   "heads": ("head_intent", 1), "ocsp": ("status_intent", None)}  # fmt: skip
        previous = {}
        for row in sorted(self.table["head_intent"], key=lambda r: (r["node"], int(r["number"]))):
            node, number, head = row["node"], int(row["number"]), json.loads(row["text"])
            name = f"head {number} of {node.decode()}"
            positions = {(p[0].encode(), p[1].encode()): p[2] for p in head["positions"]}
            for p in head["positions"]:
                if (p[0].encode(), p[1].encode(), p[2], bytes.fromhex(p[3])) not in hashes:
                    self.say(f"{name}: chain {p[0]}/{p[1]} row {p[2]} is not the one it names")
            for kind, (table, each) in intents.items():
                there = sum(each or len(r["hashes"]) // 32 for r in self.table[table]
                            if int(r["seq"]) <= positions.get((r["node"], r["stream"]), 0))  # fmt: skip
                if there != head["intents"][kind]:
                    self.say(f"{name}: says {head['intents'][kind]} intents of {kind}, there are {there}")
            if head["previous"] != previous.get(node, "00" * 32) or (head["node"].encode(), head["number"]) != (node, number):
                self.say(f"{name}: does not follow from the head before")
            if (node, number) in signed:
                previous[node] = hashlib.sha256(row["text"]).hexdigest()

    def check_same(self, what, derived, stored):
        for row in derived - stored:
            self.say(f"{what}: missing {show(row)}")
        for row in stored - derived:
            self.say(f"{what}: {show(row)} follows from no issuance")

    def check_rules(self):
        issued = {r["serial"]: r for r in self.table["issuance"]}
        signed = {r["serial"] for r in self.table["signature"]}
        void = {r["serial"] for r in self.table["void"]}
        for serial in (signed | void) - set(issued):
            self.say(f"serial {serial.hex()}: signed or void without an intent")
        for serial, r in issued.items():
            if (r["kind"] not in ("1", "2") or (r["previous"] is not None) != (r["kind"] == "2") or r["level"] not in "0123"
                    or any(len(r[c]) != 32 for c in ("policy_hash", "device", "vendor_root", "key_hash"))
                    or (r["batch_ca"] is not None and (len(r["batch_ca"]) != 32 or r["device_format"] == b"name"))
                    or not r["tbs"] or not r["requester"]):
                self.say(f"serial {serial.hex()}: no such row can follow from a grant")
        for r in self.table["signature"]:
            if not r["tail"]:
                self.say(f"serial {r['serial'].hex()}: an empty signature")
        for serial in signed & void:
            self.say(f"serial {serial.hex()}: signed and void")
        for serial in void - {r["serial"] for r in self.table["revocation"]}:
            self.say(f"serial {serial.hex()}: void but not revoked")
        numbered = {(r["issuer"], r["number"]) for r in self.table["crl_number"]}
        for r in self.table["crl_intent"]:
            if (r["issuer"], r["number"]) not in numbered:
                self.say(f"CRL {r['number']} of {r['issuer'].decode()}: intended without a number")
        self.check_gapless("revocation")
        self.check_gapless("requester")
        self.check_gapless("operator_action")

        def purpose(r):
            return r["family"] if r["kind"] == "1" else r["previous"]
        everything = list(issued.values())
        stored = {name: {tuple(r[c] for c, _ in columns if c != "generation") for r in self.table[name]}
                  for name, columns in DERIVED.items()}
        self.check_same("claim", {(r["device"], purpose(r), r["key_hash"], r["serial"]) for r in everything}, stored["claim"])
        self.check_same("device_key", {(r["key_hash"], r["device"]) for r in everything}, stored["device_key"])
        self.check_same("nonce_used", {(r["nonce"], r["device"], purpose(r), r["key_hash"]) for r in everything if r["nonce"]},
                        stored["nonce_used"])
        self.check_same("in_use", {(r["previous"],) for r in everything if r["kind"] == "2"}, stored["in_use"])
        self.check_same("unit", {(r["unit_serial"], r["device"]) for r in everything if r["unit_serial"]}, stored["unit"])
        generations = defaultdict(list)
        for r in self.table["claim"]:
            generations[(r["device"], r["purpose"])].append(int(r["generation"]))
        for claim, numbers in generations.items():
            if sorted(numbers) != list(range(1, len(numbers) + 1)):
                self.say(f"claim: generations of {show(claim)} have a gap")


def name_of(commit):
    return f"chain {commit[0].decode()}/{commit[1].decode()} row {commit[2]}"


def show(row):
    return "(" + ", ".join(v.hex() for v in row) + ")"


def main():
    parser = argparse.ArgumentParser(description="check a ledger offline")
    parser.add_argument("conninfo")
    parser.add_argument("--heads")
    args = parser.parse_args()
    verifier = Verifier(args.conninfo)
    verifier.hash_rows()
    heads, hashes = verifier.check_chain()
    verifier.check_rules()
    verifier.check_heads(hashes)
    if args.heads:
        for line in open(args.heads, encoding="ascii"):
            node, stream, seq, digest = line.split()
            commit = (node.encode(), stream.encode(), int(seq))
            if commit + (bytes.fromhex(digest),) not in hashes:
                verifier.say(f"{name_of(commit)}: exported as a head, not there any more")
    for line in verifier.wrong:
        print(line)
    if verifier.wrong:
        return 1
    for (node, stream), (seq, digest) in sorted(heads.items()):
        print(node.decode(), stream.decode(), seq, digest.hex())
    return 0


if __name__ == "__main__":
    sys.exit(main())
