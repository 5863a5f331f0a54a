#!/usr/bin/python3
"""Checks a proof that `assayctl audit proof` wrote, offline, with nothing of Assay's C.

    check_proof.py PROOF --root ROOT.pem [--vendor-root ROOT.pem] [--heads FILE] [--heads-key HEADS.pem]

Row -> its hash among those of its commit -> the commit's root -> the chain -> the head; intent and signature -> the
certificate -> issuing CA -> ROOT, which the checker brings; each CA -> a ceremony on record; evidence -> the element's key
and nonce -> the vendor's root, which the checker brings. FILE: heads kept elsewhere, "node stream seq hash" a line: one of
them must be at or behind each commit. HEADS.pem: certificate of the key that signs heads: the proof's signed head counts then,
and its certificate has to lead to ROOT and to stand in a ceremony. Prints the walk and exits 0, or what does not hold and exits 1.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys

from asn1crypto import parser
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration" / "sql"))
import verify_chain  # noqa: E402

COLUMNS = {**verify_chain.TABLES, "chain": verify_chain.CHAIN}
EPOCH_2000_US = verify_chain.POSTGRES_EPOCH_US


class Wrong(Exception):
    pass


def need(holds, what):
    if not holds:
        raise Wrong(what)


def fields(row):
    """A row's columns by name, bytes as bytes."""
    columns = COLUMNS[row[0]]
    row = row + [None] * min(len(columns) + 1 - len(row), verify_chain.LATE.get(row[0], 0))  # an export from before them
    need(len(row) == len(columns) + 1, f"a row of {row[0]} has {len(row) - 1} columns")
    read = {"bytea": bytes.fromhex, "text": str.encode, "time": lambda v: v + EPOCH_2000_US, "bool": lambda v: "t" if v else "f"}
    return {name: None if v is None else read.get(kind, int)(v) for (name, kind), v in zip(columns, row[1:])}


def commit_of(row):
    return f"{row['node'].decode()}/{row['stream'].decode()}/{row['seq']}"


# The ledger


def chain_hash(c):
    return hashlib.sha256(verify_chain.record([
        ("bytea", c["prev_hash"]), ("text", c["node"]), ("text", c["stream"]), ("int8", c["seq"]), ("text", c["op"]),
        ("int4", c["n_rows"]), ("bytea", c["root"]), ("time", c["at"])])).digest()  # fmt: skip


def check_ledger(proof, outside):
    chain = [fields(row) for row in proof["chain"]]
    commits = {commit_of(c): c for c in chain}
    last = {}
    for c in chain:
        stream = (c["node"], c["stream"])
        need(chain_hash(c) == c["hash"], f"chain {commit_of(c)}: its hash is not that of its contents")
        if stream in last:
            need(c["seq"] == last[stream]["seq"] + 1 and c["prev_hash"] == last[stream]["hash"], f"chain {commit_of(c)}: does not follow")
        last[stream] = c
    for row in proof["rows"]:
        table, row_fields = row[0], fields(row)
        place = commit_of(row_fields)
        leaves = [bytes.fromhex(leaf) for leaf in proof["leaves"].get(place, [])]
        need(place in commits, f"{table}: its commit {place} is not in the chain")
        need(verify_chain.leaf(table, row_fields) in leaves, f"{table}: not among the rows of {place}")
        need(len(leaves) == commits[place]["n_rows"], f"{place}: not all of its rows")
        need(hashlib.sha256(b"".join(sorted(leaves))).digest() == commits[place]["root"], f"{place}: another root")
        stream = (row_fields["node"], row_fields["stream"])
        heads = outside if outside is not None else {
            (h["node"].encode(), h["stream"].encode()): (h["seq"], bytes.fromhex(h["hash"])) for h in proof["heads"]}  # fmt: skip
        need(stream in heads, f"{place}: no head of its stream")
        seq, digest = heads[stream]
        need(seq >= row_fields["seq"], f"{place}: newer than the head of its stream")
        head = commits.get(f"{stream[0].decode()}/{stream[1].decode()}/{seq}")
        need(head is not None and head["hash"] == digest, f"{place}: does not lead to the head of its stream")


def signed_heads(proof, certs, root):
    """Positions of the proof's signed head, once its signature and the key's certificate hold."""
    need("signed_head" in proof, "the proof has no signed head")
    line = re.fullmatch(r'\{"head":(.*),"signature":"([A-Za-z0-9+/=]+)"\}', proof["signed_head"])
    need(line is not None, "the signed head is none")
    certs[0].public_key().verify(base64.b64decode(line[2]), line[1].encode(), ec.ECDSA(hashes.SHA256()))
    path_to(certs[0], certs[1:], root)
    transcripts = [json.loads(fields(row)["transcript"]) for row in proof["rows"] if row[0] == "ceremony"]
    made = certs[0].fingerprint(hashes.SHA256()).hex()
    need(any(c["sha256"] == made for t in transcripts for c in t.get("certificates", [])), "no ceremony made the key that signs heads")
    return {(p[0].encode(), p[1].encode()): (p[2], bytes.fromhex(p[3])) for p in json.loads(line[1])["positions"]}


def read_heads(path):
    heads = {}
    for line in open(path, encoding="ascii"):
        node, stream, seq, digest = line.split()
        heads[node.encode(), stream.encode()] = (int(seq), bytes.fromhex(digest))
    return heads


# Certificates


def signed_by(cert, ca):
    try:
        ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
        return cert.issuer == ca.subject
    except InvalidSignature:
        return False


def spki_hash(cert):
    spki = cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def pem_certs(text):
    return [x509.load_pem_x509_certificate(pem.encode()) for pem in
            re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", text, re.DOTALL)]  # fmt: skip


def path_to(cert, between, root):
    """CA certificates from the issuer up to the root that was brought."""
    path = []
    while not path or path[-1] != root:
        need(len(path) < 8, "the path does not end")
        issuer = next((ca for ca in [root, *between] if signed_by(path[-1] if path else cert, ca)), None)
        need(issuer is not None, f"nobody signed {(path[-1] if path else cert).subject.rfc4514_string()}")
        need(issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, "its issuer is no CA")
        path.append(issuer)
    return path


def unseal(transcript):
    """A transcript, after its custodians' signatures: (transcript, who signed). Unsealed ones name who was there."""
    outer = json.loads(transcript)
    if outer.get("what") != "assay key ceremony, sealed":
        return outer, []
    inner, signers = json.loads(outer["transcript"]), []
    keys = {custodian["name"]: serialization.load_pem_public_key(custodian["key"].encode()) for custodian in inner["custodians"]}
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    need(len({key.public_bytes(*spki) for key in keys.values()}) == len(inner["custodians"]), "two custodians with one name or key")
    for entry in outer["signatures"]:
        key = keys[entry["custodian"]]
        kind = (ec.ECDSA(hashes.SHA256()),) if isinstance(key, ec.EllipticCurvePublicKey) else (padding.PKCS1v15(), hashes.SHA256())
        key.verify(base64.b64decode(entry["signature"]), outer["transcript"].encode(), *kind)
        signers.append(entry["custodian"])
    return inner, sorted(set(signers))


def ceremony_of(ca, transcripts):
    """Who stands for a CA: the transcript that names its certificate, signed by the quorum that it asks for."""
    made = ca.fingerprint(hashes.SHA256()).hex()
    found = [(t, signers) for t, signers in transcripts if any(c["sha256"] == made for c in t.get("certificates", []))]
    need(found, f"no ceremony made {ca.subject.rfc4514_string()}")
    transcript, signers = max(found, key=lambda one: len(one[1]))
    need(len(signers) >= transcript.get("quorum", 0), f"the ceremony of {ca.subject.rfc4514_string()} lacks its quorum")
    return f"signed by {', '.join(signers)}" if signers else "without custodians' signatures"


def der_length(n):
    return bytes([n]) if n < 128 else (lambda b: bytes([128 | len(b)]) + b)(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def certificate_of(intent, signature):
    body = intent["tbs"] + signature["tail"]
    return x509.load_der_x509_certificate(b"\x30" + der_length(len(body)) + body)


def check_continuity(intent, previous):
    """The old key's signature over the old serial and the new key: assay.4.1."""
    key = previous.public_key()
    digest = hashes.SHA384() if getattr(key, "key_size", 0) == 384 else hashes.SHA256()
    kind = (ec.ECDSA(digest),) if isinstance(key, ec.EllipticCurvePublicKey) else (padding.PKCS1v15(), digest)
    key.verify(intent["continuity"], b"assay-continuity-v1" + intent["previous"] + intent["key_hash"], *kind)


def check_certificate(intent, signature, cas, root, transcripts):
    cert = certificate_of(intent, signature)
    need(cert.serial_number == int.from_bytes(intent["serial"], "big"), "the certificate has another serial")
    need(spki_hash(cert) == intent["key_hash"], "the certificate has another key than its intent")
    path = path_to(cert, cas, root)
    return cert, [(ca, ceremony_of(ca, transcripts)) for ca in path]


# Evidence: an AttestationBundle with an EAT, signed by the element (COSE_Sign1)


def children(der):
    out, rest = [], parser.parse(der, strict=False)[4]
    while rest:
        one = parser.parse(rest, strict=False)
        size = len(one[3]) + len(one[4]) + len(one[5])
        out.append(rest[:size])
        rest = rest[size:]
    return out


def cbor(data):
    """(value, rest)."""
    major, low, at = data[0] >> 5, data[0] & 31, 1
    if low >= 24:
        size = 1 << (low - 24)
        low, at = int.from_bytes(data[1 : 1 + size], "big"), 1 + size
    rest = data[at:]
    if major in (0, 1):
        return (low if major == 0 else -1 - low), rest
    if major in (2, 3):
        return (rest[:low] if major == 2 else rest[:low].decode()), rest[low:]
    if major == 6:
        return cbor(rest)
    need(major in (4, 5), "CBOR of another kind")
    items = []
    for _ in range(low * (major - 3)):
        value, rest = cbor(rest)
        items.append(value)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), rest


def check_evidence(intent, cert, vendor_root):
    statements, *others = children(intent["evidence"])
    certs = [x509.load_der_x509_certificate(c) for c in children(others[0])]
    quote = parser.parse(children(children(statements)[0])[1])[4]
    protected, _, payload, signature = cbor(quote)[0]
    half = len(signature) // 2
    message = cbor_encode(["Signature1", protected, b"", payload])
    digest = {-7: hashes.SHA256(), -35: hashes.SHA384()}[cbor(protected)[0][1]]
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    certs[0].public_key().verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))
    path = path_to(certs[0], certs[1:], vendor_root)
    need(intent["batch_ca"] in (None, spki_hash(path[0])), "the intent names another batch CA than the evidence")
    claims = cbor(payload)[0]
    key, point = claims[8][1], cert.public_key().public_numbers()
    need(claims[256] == intent["element"], "the evidence names another element")
    need(claims[10] == intent["nonce"], "the evidence has another nonce")
    need((int.from_bytes(key[-2], "big"), int.from_bytes(key[-3], "big")) == (point.x, point.y), "the evidence vouches for another key")
    return path


def cbor_encode(value):
    head = lambda major, n: bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else bytes([major << 5 | 25]) + n.to_bytes(2, "big")  # noqa: E731, E501
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor_encode, value))
    data = value.encode() if isinstance(value, str) else value
    return head(3 if isinstance(value, str) else 2, len(data)) + data


def check(proof, root, vendor_root, outside):
    walk = []
    check_ledger(proof, outside)
    rows = [(row[0], fields(row)) for row in proof["rows"]]
    transcripts = []
    for table, row in rows:
        if table == "ceremony":
            need(hashlib.sha256(row["transcript"]).digest() == row["hash"], "a ceremony is not the hash of its transcript")
            transcripts.append(unseal(row["transcript"]))
    intents = {row["serial"]: row for table, row in rows if table == "issuance"}
    signatures = {row["serial"]: row for table, row in rows if table == "signature"}
    cas = pem_certs(proof["cas"])
    serial = bytes.fromhex(proof["serial"])
    device = intents[serial]["device"]
    while True:
        need(serial in intents and serial in signatures, f"{serial.hex()}: not there, or never signed")
        intent = intents[serial]
        need(intent["device"] == device, "the previous certificate belongs to another device")
        cert, path = check_certificate(intent, signatures[serial], cas, root, transcripts)
        walk.append(f"certificate {serial.hex()} {cert.subject.rfc4514_string()}")
        walk += [f"CA {ca.subject.rfc4514_string()}, of a ceremony on record {signed}" for ca, signed in path]
        if intent["evidence"] and vendor_root:
            walk.append(f"evidence of element {intent['element'].hex()}")
            walk += [f"vendor {ca.subject.rfc4514_string()}" for ca in check_evidence(intent, cert, vendor_root)]
        if not intent["previous"] or intent["evidence"] and not intent["continuity"]:
            break
        if intent["continuity"]:
            need(intent["previous"] in intents and intent["previous"] in signatures, "the previous certificate is not there")
            old = certificate_of(intents[intent["previous"]], signatures[intent["previous"]])
            check_continuity(intent, old)
            walk.append(f"signed for by the key of certificate {intent['previous'].hex()}")
        serial = intent["previous"]
    return walk


def main():
    arguments = argparse.ArgumentParser(description="check a proof offline")
    arguments.add_argument("proof")
    arguments.add_argument("--root", required=True)
    arguments.add_argument("--vendor-root")
    arguments.add_argument("--heads")
    arguments.add_argument("--heads-key")
    args = arguments.parse_args()

    def one(path):
        return x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())

    try:
        proof = json.loads(pathlib.Path(args.proof).read_text())
        outside = read_heads(args.heads) if args.heads else None
        if args.heads_key:
            outside = signed_heads(proof, pem_certs(pathlib.Path(args.heads_key).read_text()), one(args.root))
        walk = check(proof, one(args.root), args.vendor_root and one(args.vendor_root), outside)
    except (Wrong, InvalidSignature, KeyError, ValueError, IndexError, TypeError) as e:
        print(f"does not hold: {type(e).__name__}: {e}")
        return 1
    print("\n".join(walk))
    return 0


if __name__ == "__main__":
    sys.exit(main())
