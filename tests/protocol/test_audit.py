"""The auditor's walk: an export of the ledger, taken with an auditor's certificate, is checked offline by assayctl.

Each test tampers with a copy of one export as a keeper of the ledger could, and sees it found and named; also one who
computes every hash anew, whom only heads kept elsewhere betray.
"""

import base64
import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import check_proof
import der
import element
import pytest
import test_reenrol
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
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


@pytest.fixture(scope="module")
def exported(assay, tmp_path_factory):
    """An export with something in every table, and the heads that its auditor keeps elsewhere."""
    for _ in range(4):
        cert, key, _ = assay.enrol()
    name = der.name((der.CN, "legacy-audit-" + uuid.uuid4().hex[:8]))
    assert assay.legacy().enrol(element.csr(element.new_key(), subject=name), "unattested").status == 200
    assert assay.admin("operator").revoke({"serial": f"{cert.serial_number:032x}"})["done"]
    device, cert, key, _ = assay.device()
    renewed = device.reenrol(element.csr(key)).certificate()
    other, cert, old_key, chip = assay.device()
    new_key = element.new_key()
    word = test_reenrol.continuity(old_key, cert, new_key)
    rekeyed = other.reenrol(test_reenrol.csr(new_key, chip.evidence(new_key, other.nonce("field")), word)).certificate()
    folder = tmp_path_factory.mktemp("audit")
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
    export.renewed = f"{renewed.serial_number:032x}"
    export.rekeyed = f"{rekeyed.serial_number:032x}"
    return export


@pytest.fixture
def tampered(exported, tmp_path):
    return exported.copy(tmp_path)


def test_an_export_verifies_and_says_what_is_not_proven(exported):
    said = exported.passes()
    assert said["rows"] == len(exported.rows) - len(exported.of("chain")) and said["commits"] == len(exported.of("chain"))
    assert any("--heads" in text for text in said["unproven"])
    assert exported.passes("--heads", exported.heads)["unproven"] == []
    exported.passes("--heads", exported.file.with_name("kept"))  # taken a moment before
    assert {row[0] for row in exported.rows} >= {
        "chain", "issuance", "signature", "revocation", "requester", "policy", "ceremony", "crl_number", "crl_intent",
        "operator_action", "head_intent", "head_signature"}  # fmt: skip


def test_the_export_is_what_the_ledger_holds(assay, exported):
    last = exported.of("issuance")[-1]
    assert assay.sql(f"select encode(tbs, 'hex') from issuance where serial = '\\x{last[1]}'").strip() == last[1 + columns("issuance").index("tbs")]
    assert assay.issuances() >= len(exported.of("issuance"))


def test_every_altered_value_of_every_table_is_found_and_its_row_named(exported, tampered):
    for table in sorted({row[0] for row in exported.rows} - {"chain"}):
        row = tampered.of(table)[-1]
        for i, name in enumerate(columns(table), 1):
            before, row[i] = row[i], changed(row[i])
            found = tampered.finds()
            if name not in ("node", "stream", "seq"):  # then the row is named at the commit it claims
                where = place(tampered, row)
                assert any(text.startswith("altered: ") and where in text and label(row)[:60] in text for text in found) or (
                    len([r for r in tampered.rows if r[0] != "chain" and tampered.commit_of(r) == tampered.commit_of(row)]) > 3
                    and any(where in text for text in found)
                ), (table, name, found)
            row[i] = before
    tampered.passes()


def test_a_name_that_is_cut_amid_a_character_hides_nothing(exported, tampered):
    """What a forger puts in a row's place: each finding would name it, and names are cut to a length."""
    gone = tampered.of("issuance")[-1][1]
    for row in tampered.rows:
        row[1:] = ["f" * 99 + "\u00e9\u001b[2J" if value == gone else value for value in row[1:]]
    issuance = tampered.of("issuance")[-1]
    found = tampered.finds()
    for what in ("altered: issuance ffff", f"altered: {place(tampered, issuance)}: not what was written: issuance ffff"):
        assert any(text.startswith(what) and text.isascii() and text.isprintable() for text in found), (what, found)


def test_a_row_without_a_batch_ca_is_hashed_as_before_there_was_one(exported, tampered):
    batch_ca = 1 + columns("issuance").index("batch_ca")
    bare = next(row for row in tampered.of("issuance") if row[batch_ca] is None)
    del bare[batch_ca]  # an export from before
    tampered.passes()
    attested = next(row for row in tampered.of("issuance") if row[batch_ca:] not in ([], [None]))
    attested[batch_ca] = None
    assert any(text.startswith("altered: " + place(tampered, attested)) for text in tampered.finds())
    del attested[batch_ca]
    assert any(text.startswith("altered: " + place(tampered, attested)) for text in tampered.finds())


def test_every_altered_value_of_the_chain_is_found(exported, tampered):
    row = tampered.of("chain")[-1]
    where = place(tampered, row)
    for i in range(1, len(row)):
        before, row[i] = row[i], changed(row[i])
        assert any("chain" in text for text in tampered.finds()), CHAIN[i - 1]
        row[i] = before
        assert where == place(tampered, row)
    tampered.passes()


def test_a_dropped_row_of_each_table_is_found_and_its_commit_named(exported, tampered):
    everything = list(tampered.rows)
    for table in sorted({row[0] for row in everything}):
        row = next(r for r in everything if r[0] == table)
        tampered.rows = [r for r in everything if r is not row]
        found = tampered.finds()
        assert any(text.startswith("dropped: ") and (place(tampered, row) in text or "is missing" in text) for text in found), found


def test_an_added_row_is_found_and_named(exported, tampered):
    row = list(tampered.of("signature")[-1])
    row[1] = "01ffff" + row[1][6:]
    tampered.rows.insert(tampered.rows.index(tampered.of("signature")[-1]) + 1, row)
    found = tampered.finds()
    assert any(text.startswith("added: " + place(tampered, row)) and label(row) in text for text in found), found
    assert f"contradiction: {label(row)} is signed without an intent" in found


def test_rows_in_another_order_are_found(exported, tampered):
    for table in ("chain", "issuance", "operator_action"):
        first, second = (tampered.rows.index(row) for row in tampered.of(table)[:2])
        rows = list(tampered.rows)
        tampered.rows[first], tampered.rows[second] = rows[second], rows[first]
        found = tampered.finds()
        assert any(text.startswith("reordered: ") for text in found), found
        tampered.rows = rows


def test_rows_moved_to_another_commit_are_found(exported, tampered):
    one, other = tampered.of("signature")[:1] + tampered.of("signature")[-1:]
    assert tampered.commit_of(one) != tampered.commit_of(other)
    one[2:6], other[2:6] = other[2:6], one[2:6]
    found = tampered.finds()
    for row in (one, other):
        assert any(text.startswith("altered: " + place(tampered, row)) for text in found), found


def test_a_chain_computed_anew_is_betrayed_by_heads_kept_elsewhere(exported, tampered):
    row = tampered.of("operator_action")[0]
    row[1 + columns("operator_action").index("who")] = "operator:somebody-else"
    tampered.rehash()
    assert any("--heads" in text for text in tampered.passes()["unproven"])
    node, stream, _ = tampered.commit_of(row)
    found = tampered.finds("--heads", exported.heads)
    assert [text for text in found if text.startswith(f"forged: chain {node}/{stream} row ")], found


def test_a_tail_that_was_cut_is_found_by_heads_kept_elsewhere(exported, tampered):
    last = tampered.commit_of(tampered.of("operator_action")[-1])
    tampered.rows = [row for row in tampered.rows if tampered.commit_of(row) != last]
    assert any(text.startswith(f"dropped: chain {last[0]}/{last[1]} row {last[2]}") for text in tampered.finds())
    tampered.rehash()
    tampered.passes()
    found = tampered.finds("--heads", exported.heads)
    assert any(text.startswith(f"dropped: chain {last[0]}/{last[1]} row {last[2]}: a head that was kept names it") for text in found), found


def test_what_cannot_follow_is_found_even_if_every_hash_fits(exported, tampered):
    """A ledger that lies from the start: its hashes are right, its rows contradict each other."""
    intent = tampered.of("issuance")[-1]
    tampered.rows.remove(intent)
    tampered.rehash()
    assert f"contradiction: signature {intent[1]} is signed without an intent" in tampered.finds()

    tampered.rows.insert(tampered.rows.index(tampered.of("issuance")[-1]) + 1, intent)
    device = 1 + columns("issuance").index("device")
    other = next(row for row in tampered.of("issuance") if row[device] != intent[device])
    key = 1 + columns("issuance").index("key_hash")
    intent[key] = other[key]
    tampered.rehash()
    assert any("gives a key of one element to another" in text for text in tampered.finds())


def test_an_old_head_proves_what_came_before_it_only(exported, tampered):
    node, stream, seq = tampered.commit_of(tampered.of("chain")[-1])
    heads = tampered.file.with_name("old-heads")
    row = next(r for r in tampered.of("chain") if r[1:3] == [node, stream])
    heads.write_text(f"{node} {stream} {row[3]} {row[8]}\n")
    said = tampered.passes("--heads", heads)
    if seq > 1:
        assert any(f"{node}/{stream}: rows 2 to {seq}" in text for text in said["unproven"]), said


def test_refuses_what_is_no_export(tmp_path):
    for text in ("", "{}\n", "[]\n", '{"assay_audit":1}\n["issuance"]\n', "\x00\n"):
        (tmp_path / "x").write_text(text)
        done = assayctl("audit", "verify", tmp_path / "x")
        assert done.returncode == 1 and done.stderr == "", (text, done)


def test_the_pages_of_the_api_refuse_what_is_none_of_them(assay):
    auditor = assay.admin("auditor")
    assert auditor.get("audit/chain", after="owner/sql/1", limit=1).json["rows"][0][:3] == ["owner", "sql", 2]
    for path in ("audit/nothing", "audit/schema_version", "audit/chain?after=x", "audit/chain?limit=501", "audit/chain?after=a/b/c",
                 "audit/issuance?after=zz", "audit/issuance?after=01%00", "audit/revocation?after=1%27", "audit/chain?offset=1"):  # fmt: skip
        answer = auditor.get(path)
        assert (answer.status, answer.reason) == (400, "api_field"), (path, answer.body)


# The walk, and the proof of one certificate


@pytest.fixture(scope="module")
def walked(assay, exported):
    """The serial of a re-enrolled certificate, and the options that bring everything along."""
    cas = exported.file.with_name("cas.pem")
    cas.write_text("".join(file.read_text() for file in sorted((assay.home / "ca").glob("*.pem"))))
    return exported.renewed, {
        "--export": exported.file, "--heads": exported.heads, "--cas": cas,
        "--vendors": pathlib.Path(assay.env["ASSAY_VENDOR_DIR"]) / "root.pem"}  # fmt: skip


def walk(serial, options):
    done = assayctl("--json", "audit", "walk", serial, *(text for pair in options.items() for text in pair))
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["ok"] else 1), done
    return said


def test_the_walk_goes_from_a_reenrolled_certificate_to_ceremony_and_vendor(walked):
    serial, options = walked
    said = walk(":".join(serial[i : i + 2] for i in range(0, len(serial), 2)).upper(), options)
    assert said["ok"] and said["complete"], said
    links = [step["link"] for step in said["walk"]]
    one = ["intent", "issuing CA", "ceremony", "root", "ceremony"]
    assert links == ["ledger", "status", *one, "continuity", *one, "evidence", "element", "batch CA", "vendor root"]


def test_the_old_keys_word_for_the_new_one_is_checked(assay, exported, walked, tampered, tmp_path):
    options = walked[1]
    said = walk(exported.rekeyed, options)
    assert said["ok"] and said["complete"], said
    assert ["signed for the new one" in step["detail"] for step in said["walk"] if step["link"] == "continuity"] == [True]
    out = tmp_path / "proof.json"

    def proof(export):
        assert assayctl("audit", "proof", exported.rekeyed, "--export", export, "--cas", options["--cas"], "--out", out).returncode == 0
        command = ["/usr/bin/python3", TOP / "tests" / "support" / "check_proof.py", out, "--root", assay.home / "ca" / "root.pem"]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = proof(exported.file)
    assert done.returncode == 0 and "signed for by the key of certificate" in done.stdout, done.stdout + done.stderr
    row = next(row for row in tampered.of("issuance") if row[1] == exported.rekeyed)
    row[1 + columns("issuance").index("continuity")] = changed(row[1 + columns("issuance").index("continuity")])
    tampered.rehash()
    tampered.passes()
    unseen = {k: v for k, v in options.items() if k != "--heads"} | {"--export": tampered.file}
    assert wrong_links(exported.rekeyed, unseen) == {"continuity"}
    assert proof(tampered.file).returncode == 1


def test_a_revocation_written_in_another_way_is_found(exported, walked):
    """Every hash and head fits, for it is the same text: JSON has more than one way to write it."""
    serial = exported.of("revocation")[0][1 + columns("revocation").index("serial")]
    respelled = exported.file.with_name("respelled.jsonl")
    lines = exported.file.read_text().splitlines(keepends=True)
    lines[1:] = [line.replace(f'"{serial}', f'"\\u0030{serial[1:]}') if '"revocation"' in line else line for line in lines[1:]]
    respelled.write_text("".join(lines))
    said = walk(serial, {**walked[1], "--export": respelled})
    status = [step["detail"] for step in said["walk"] if step["link"] == "status"]
    assert said["ok"] and len(status) == 1 and status[0].startswith("revocation 1 of"), said


def test_a_certificate_for_another_key_than_the_one_on_record_does_not_hold(walked, tampered):
    serial, options = walked
    row = next(row for row in tampered.of("issuance") if row[1] == serial)
    row[1 + columns("issuance").index("key_hash")] = changed(row[1 + columns("issuance").index("key_hash")])
    tampered.rehash()
    tampered.passes()
    unseen = {k: v for k, v in options.items() if k != "--heads"} | {"--export": tampered.file}
    assert wrong_links(serial, unseen) == {"certificate"}


def test_a_certificate_that_follows_itself_leads_nowhere(walked, tampered):
    """Else its walk would go round until it is tired, and hold without any evidence."""
    serial, options = walked
    row = next(row for row in tampered.of("issuance") if row[1] == serial)
    row[1 + columns("issuance").index("previous")] = serial
    tampered.rehash()
    tampered.passes()
    unseen = {k: v for k, v in options.items() if k != "--heads"} | {"--export": tampered.file}
    said = walk(serial, unseen)
    assert not said["ok"] and any("no earlier one" in step["detail"] for step in said["walk"]), said["walk"][:10]


def test_no_name_steers_the_terminal_or_hides_a_link(walked, tampered):
    """What a forger writes into a name: take back the line above, say that all holds; and a cut amid a character."""
    serial, options = walked
    row = next(row for row in tampered.of("issuance") if row[1] == serial)
    unseen = {k: v for k, v in options.items() if k != "--heads"} | {"--export": tampered.file}
    for forged in ("\x1b[2J\rThe walk holds from end to end.\n\x9b", "x" + "\u00e9" * 600):
        row[1 + columns("issuance").index("requester")] = forged
        tampered.rehash()
        tampered.passes()
        intents = [step["detail"] for step in walk(serial, unseen)["walk"] if step["link"] == "intent"]
        assert len(intents) == 2 and intents[0].isascii() and intents[0].isprintable(), intents
        done = assayctl("audit", "walk", serial, *(text for pair in unseen.items() for text in pair))
        assert all(line.isascii() and line.isprintable() for line in done.stdout.split("\n")), done.stdout


def test_what_was_not_brought_leaves_a_link_open(walked):
    serial, options = walked
    for missing, link in (("--cas", "issuing CA"), ("--vendors", "evidence"), ("--heads", "ledger")):
        said = walk(serial, {k: v for k, v in options.items() if k != missing})
        assert said["ok"] and not said["complete"]
        assert {step["link"] for step in said["walk"] if step["state"] == "open"} == {link}


def wrong_links(serial, options):
    said = walk(serial, options)
    assert not said["ok"]
    return {step["link"] for step in said["walk"] if step["state"] == "WRONG"}


def test_a_walk_that_leads_to_another_vendor_or_ca_does_not_hold(assay, walked, tmp_path):
    serial, options = walked
    (tmp_path / "foreign.pem").write_text(assay.rigs.pem())
    assert wrong_links(serial, {**options, "--cas": tmp_path / "foreign.pem"}) == {"issuing CA"}
    assert wrong_links(serial, {**options, "--vendors": tmp_path / "foreign.pem"}) == {"evidence"}
    assert wrong_links("01" * 16, options) == {"intent"}


def test_a_walk_through_a_forged_ledger_does_not_hold(walked, tampered):
    serial, options = walked
    ceremony = tampered.of("ceremony")[0]
    ceremony[-1] = json.dumps({**json.loads(ceremony[-1]), "certificates": []})
    ceremony[1] = hashlib.sha256(ceremony[-1].encode()).hexdigest()
    tampered.rehash()
    tampered.passes()
    assert wrong_links(serial, {**options, "--export": tampered.file}) == {"ledger", "ceremony"}
    unseen = {k: v for k, v in options.items() if k != "--heads"}
    assert wrong_links(serial, {**unseen, "--export": tampered.file}) == {"ceremony"}


def seal(transcript, signers, keys, quorum=2):
    """A transcript that asks for custodians, with some of their signatures."""
    pem = lambda key: key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()  # noqa: E731, E501
    text = json.dumps({**json.loads(transcript), "quorum": quorum, "custodians": [{"name": n, "key": pem(k)} for n, k in keys.items()]})
    sign = lambda who: base64.b64encode(keys[who].sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()  # noqa: E731
    return json.dumps({
        "what": "assay key ceremony, sealed", "version": 1, "transcript": text,
        "signatures": [{"custodian": as_whom, "signature": sign(who)} for as_whom, who in signers]})  # fmt: skip


SEALS = {
    "two of three": ([("alice", "alice"), ("bob", "bob")], True),
    "one of three": ([("alice", "alice")], False),
    "one, twice": ([("alice", "alice"), ("alice", "alice")], False),
    "one in another's name": ([("alice", "alice"), ("bob", "alice")], False),
    "a stranger": ([("alice", "alice"), ("mallory", "alice")], False),
    "one with two names": ([("alice", "alice"), ("alias", "alias")], False),
}


@pytest.mark.parametrize("what", SEALS)
def test_a_ceremony_stands_with_its_quorum_and_not_without(assay, walked, tampered, tmp_path, what):
    serial, options = walked
    signers, holds = SEALS[what]
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("alice", "bob", "carol")}
    if what == "one with two names":
        keys = {"alice": keys["alice"], "alias": keys["alice"], "carol": keys["carol"]}
    row = tampered.of("ceremony")[0]
    row[-1] = seal(row[-1], signers, keys)
    row[1] = hashlib.sha256(row[-1].encode()).hexdigest()
    tampered.rehash()
    tampered.passes()
    unseen = {k: v for k, v in options.items() if k != "--heads"} | {"--export": tampered.file}
    assert walk(serial, unseen)["ok"] == holds
    if holds:
        step = next(s for s in walk(serial, unseen)["walk"] if s["link"] == "ceremony")
        assert "signed by alice, bob (2 of 3 custodians, quorum 2)" in step["detail"]
    else:
        assert wrong_links(serial, unseen) == {"ceremony"}
    out = tmp_path / "proof.json"
    assert assayctl("audit", "proof", serial, "--export", tampered.file, "--cas", options["--cas"], "--out", out).returncode == 0
    command = ["/usr/bin/python3", TOP / "tests" / "support" / "check_proof.py", out, "--root", assay.home / "ca" / "root.pem"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) == holds, done.stdout + done.stderr
    assert not holds or "of a ceremony on record signed by alice, bob" in done.stdout


def test_a_walk_to_another_batch_ca_than_the_evidence_names_does_not_hold(walked, tampered):
    serial, options = walked
    for row in tampered.of("issuance"):
        row[1 + columns("issuance").index("batch_ca")] = "ab" * 32
    tampered.rehash()
    tampered.passes()
    assert wrong_links(serial, {**options, "--export": tampered.file}) == {"ledger", "batch CA"}


@pytest.fixture(scope="module")
def proof(walked):
    serial, options = walked
    out = options["--export"].with_name("proof.json")
    done = assayctl("audit", "proof", serial, "--export", options["--export"], "--cas", options["--cas"], "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def check(assay, options, proof, **instead):
    brought = {"root": assay.home / "ca" / "root.pem", "vendor-root": options["--vendors"], "heads": options["--heads"], **instead}
    command = ["/usr/bin/python3", TOP / "tests" / "support" / "check_proof.py", proof]
    return subprocess.run(
        [*command, *(t for k, v in brought.items() for t in ("--" + k, v))], capture_output=True, text=True, timeout=300
    )


def test_a_proof_is_checked_by_an_independent_program(assay, walked, proof, tmp_path):
    done = check(assay, walked[1], proof)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("certificate ") == 2 and "evidence of element" in done.stdout and "vendor" in done.stdout
    (tmp_path / "foreign.pem").write_text(assay.rigs.pem())
    for name in ("root", "vendor-root"):
        assert check(assay, walked[1], proof, **{name: tmp_path / "foreign.pem"}).returncode == 1


def test_a_proof_stands_on_a_signed_head(assay, exported, walked, proof, tmp_path):
    brought = {"heads-key": exported.file.with_name("heads.pem")}
    done = check(assay, walked[1], proof, **brought)
    assert done.returncode == 0, done.stdout
    assert check(assay, walked[1], proof, **{"heads-key": exported.file.with_name("other.pem")}).returncode == 1
    whole = json.loads(proof.read_text())
    for changed in (whole["signed_head"].replace('"number":', '"number":1', 1), ""):
        (tmp_path / "changed").write_text(json.dumps({**whole, "signed_head": changed}))
        assert check(assay, walked[1], tmp_path / "changed", **brought).returncode == 1


def test_a_proof_takes_the_newest_head_that_covers_it_of_those_that_were_kept(exported, walked, tmp_path):
    serial, options = walked
    kept = exported.file.with_name("kept.jsonl")
    command = ("audit", "proof", serial, "--export", options["--export"], "--cas", options["--cas"], "--out", tmp_path / "proof")
    assert assayctl(*command, "--heads", kept).stderr == ""
    assert json.loads((tmp_path / "proof").read_text())["signed_head"] == kept.read_text().splitlines()[-1]
    (tmp_path / "first").write_text(kept.read_text().splitlines()[0] + "\n")
    assert "no signed head covers" in assayctl(*command, "--heads", tmp_path / "first").stderr


def test_a_proof_that_was_tampered_with_does_not_hold(assay, walked, proof):
    """Every value of every row and of the chain, every leaf and every head."""
    root, vendor = (
        check_proof.x509.load_pem_x509_certificate(pathlib.Path(p).read_bytes())
        for p in (assay.home / "ca" / "root.pem", walked[1]["--vendors"])
    )
    whole = json.loads(proof.read_text())
    outside = check_proof.read_heads(walked[1]["--heads"])
    assert check_proof.check(whole, root, vendor, outside)

    def refused():
        with pytest.raises((check_proof.Wrong, check_proof.InvalidSignature, KeyError, ValueError, IndexError, TypeError)):
            check_proof.check(whole, root, vendor, outside)

    lists = [row for row in whole["rows"]] + whole["chain"][-3:] + list(whole["leaves"].values())
    for one in lists:
        for i in range(0 if one[0] not in check_proof.COLUMNS else 1, len(one)):
            before, one[i] = one[i], changed(one[i])
            refused()
            one[i] = before
    for (node, stream), (seq, digest) in list(outside.items()):
        if any(row[1:3] == [node.decode(), stream.decode()] for row in whole["chain"]):
            outside[node, stream] = (seq, bytes(32))
            refused()
            outside[node, stream] = (seq, digest)
    assert check_proof.check(whole, root, vendor, outside)


# Signed heads


def newest(exported, kept="kept.jsonl"):
    return json.loads(exported.file.with_name(kept).read_text().splitlines()[-1])


def heads_options(exported, file=None):
    return "--heads", file or exported.file.with_name("kept.jsonl"), "--heads-key", exported.file.with_name("heads.pem")


def test_signed_heads_kept_elsewhere_prove_what_they_cover(exported):
    said = exported.passes(*heads_options(exported))
    assert not any("--heads" in text for text in said["unproven"])
    syslog = exported.file.with_name("syslog")
    lines = exported.file.with_name("kept.jsonl").read_text().splitlines()
    syslog.write_text("".join(f"Nov 21 09:00:00 ca assay-heads: {line}\n" for line in lines))
    exported.passes(*heads_options(exported, syslog))


def test_a_signed_head_without_its_key_is_not_believed(exported):
    done = assayctl("audit", "verify", exported.file, "--heads", exported.file.with_name("kept.jsonl"))
    assert done.returncode == 1 and "--heads-key" in done.stderr
    wrong = heads_options(exported)[:3] + (exported.file.with_name("other.pem"),)
    assert any("forged: head 1 of quickstart: its signature" in text for text in exported.finds(*wrong))


def test_openssl_verifies_a_head(exported, tmp_path):
    """As the header of the format says it."""
    (tmp_path / "line").write_text(exported.file.with_name("kept.jsonl").read_text().splitlines()[-1] + "\n")
    script = f"""set -e; cd {tmp_path}
        sed 's/^{{"head":\\(.*\\),"signature":"[^"]*"}}$/\\1/' line | tr -d '\\n' > text
        sed 's/.*,"signature":"\\([^"]*\\)"}}$/\\1/' line | base64 -d > signature
        openssl x509 -in {exported.file.with_name("heads.pem")} -noout -pubkey > key
        openssl dgst -sha256 -verify key -signature signature text"""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n", done


def test_a_forged_head_is_named(exported, tampered, tmp_path):
    """One that says something else, one cut short, one that another key has signed."""
    line = exported.file.with_name("kept.jsonl").read_text().splitlines()[-1]
    number = json.loads(line)["head"]["number"]
    for forged, what in (
        (line.replace('"revocations":', '"revocations":1', 1), "its signature"), (line[:-30], "no whole signed head"),
        (line.replace('"assay_head":1', '"assay_head":2'), "no whole signed head"),
    ):  # fmt: skip
        (tmp_path / "forged").write_text(line + "\n" + forged + "\n")
        found = tampered.finds(*heads_options(exported, tmp_path / "forged"))
        assert len(found) == 1 and found[0].startswith(f"forged: {tmp_path}/forged line 2") and what in found[0], found
        assert what != "its signature" or f"head {number} of quickstart" in found[0]


def test_heads_that_cannot_be_read_prove_nothing(exported, tmp_path):
    done = assayctl("audit", "verify", exported.file, "--heads", tmp_path)
    assert done.returncode not in (0, 1) or "verified" not in done.stdout, done
    assert f"{tmp_path}: cannot be read to its end" in done.stderr, done
    (tmp_path / "empty").touch()
    done = assayctl("audit", "verify", exported.file, "--heads", tmp_path / "empty")
    assert done.returncode == 1 and "no head in it" in done.stderr and "verified" not in done.stdout, done


@pytest.fixture
def endless(tmp_path):
    """A pipe into which somebody writes for ever; who reads to its end is never done."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"exec yes 'node stream 1 {'ab' * 32}' 1<>{pipe}"])
    yield pipe
    writer.kill()
    writer.wait()


@pytest.mark.parametrize("what", ["device", "pipe"])
def test_what_never_ends_is_refused_wherever_a_file_is_read(assay, exported, endless, tmp_path, what):
    never = "/dev/zero" if what == "device" else endless
    cas, out, serial = exported.file.with_name("heads.pem"), tmp_path / "out", exported.renewed
    export, heads = ("--export", exported.file), ("--heads", exported.file.with_name("kept.jsonl"))
    for said, arguments in (
        ("must be a file", ("verify", never)),
        ("must be a file", ("walk", serial, "--export", never)),
        ("must be a file", ("proof", serial, "--export", never, "--cas", cas, "--out", out)),
        ("is longer than 262144 bytes", ("verify", exported.file, *heads, "--heads-key", never)),
        ("is longer than 262144 bytes", ("walk", serial, *export, "--cas", never)),
        ("larger than", ("walk", serial, *export, "--cas", cas, "--vendors", never)),
        ("is longer than 262144 bytes", ("proof", serial, *export, "--cas", never, "--out", out)),
        ("is longer than 262144 bytes", ("post", "http://127.0.0.1:9/", "--state", out, "--header-file", never)),
    ):  # fmt: skip
        done = assayctl("audit", *arguments, env=assay.env)
        assert done.returncode == 1 and said in done.stderr + done.stdout and str(never) in done.stderr + done.stdout, (arguments, done)
    assert not out.exists()


def test_heads_that_never_end_prove_nothing(exported, endless, tmp_path):
    """A device has no line; a pipe's are forged, and nobody reads more than some thousands of findings."""
    done = assayctl("audit", "verify", exported.file, "--heads", "/dev/zero")
    assert done.returncode == 1 and "a line is longer than 1048576 bytes" in done.stderr and "verified" not in done.stdout, done
    done = assayctl("--json", "audit", "verify", exported.file, "--heads", endless)
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == 1 and len(findings) == 10000 and findings[-1].startswith("and more"), findings[-2:]
    whole = tmp_path / "whole"
    os.mkfifo(whole)
    with subprocess.Popen(["sh", "-c", f"cat {exported.file.with_name('kept.jsonl')} >{whole}"]):
        exported.passes(*heads_options(exported, whole))


def test_an_export_that_nobody_writes_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = assayctl("audit", "verify", tmp_path / "pipe")
    assert done.returncode == 1 and "must be a file" in done.stderr, done


def test_a_header_that_is_no_line_is_not_sent(assay, tmp_path):
    for text in (b"Authorization: " + b"x" * 5000, b"Authorization: \0Bearer\n"):
        (tmp_path / "header").write_bytes(text)
        done = assayctl("audit", "post", "http://127.0.0.1:9/", "--state", tmp_path / "sent", "--header-file", tmp_path / "header", env=assay.env)
        assert done.returncode == 1 and f"{tmp_path}/header: a line is longer than 4094 bytes, or no text" in done.stderr, done


def test_a_walk_names_the_file_of_cas_that_cannot_be_read(exported, tmp_path):
    done = assayctl("audit", "walk", exported.renewed, "--export", exported.file, "--cas", tmp_path / "none.pem")
    assert done.returncode == 1 and f"{tmp_path}/none.pem: no PEM certificate" in done.stderr and done.stdout == "", done


def test_a_ledger_made_anew_is_betrayed_by_a_signed_head(exported, tampered):
    """The forger computes every hash anew, and what each head in the ledger says; its signature betrays that."""
    issuance = min(tampered.of("issuance"), key=lambda row: tampered.commit_of(row)[2])
    issuance[1 + columns("issuance").index("order_id")] = "another"
    tampered.rehash()
    tampered.passes()
    found = tampered.finds(*heads_options(exported))
    assert any("is not the one that head" in text for text in found), found
    found = tampered.finds("--heads-key", exported.file.with_name("heads.pem"))
    assert found and all(text.startswith("forged: head ") and "its signature" in text for text in found), found


def test_a_tail_cut_off_is_named_by_a_signed_head(exported, tampered):
    position = next(p for p in newest(exported)["head"]["positions"] if p[1] == "intend")
    tampered.rows = [r for r in tampered.rows if tampered.commit_of(r)[1] != "intend" or tampered.commit_of(r)[2] < position[2] - 1]
    gone = {r[1] for r in exported.of("issuance")} - {r[1] for r in tampered.of("issuance")}
    tampered.rows = [r for r in tampered.rows if r[0] != "signature" or r[1] not in gone]
    tampered.rehash()
    found = tampered.finds(*heads_options(exported))
    assert any(text.startswith("dropped: chain quickstart/intend row") and "of quickstart names it" in text for text in found), found


def test_a_head_that_miscounts_is_named(exported, tampered):
    row = tampered.of("head_intent")[-1]
    head = json.loads(row[-1])
    head["intents"]["ocsp"] += 1
    row[-1] = json.dumps(head, separators=(",", ":"))
    found = tampered.finds()
    assert any(f"head {row[1]} of quickstart counts" in text and "intents of ocsp" in text for text in found), found


def test_a_head_that_follows_another_is_named(exported, tampered):
    """Every hash of the chain fits; between the two another head could have been."""
    row = tampered.of("head_intent")[-1]
    head = json.loads(row[-1])
    head["previous"] = "11" * 32
    row[-1] = json.dumps(head, separators=(",", ":"))
    tampered.rehash_once()
    assert tampered.finds() == [f"forged: head {row[1]} of {row[2]}: does not follow from the signed head before"]


def test_a_key_for_heads_that_no_ceremony_made_is_named(exported, tmp_path):
    """The very key, in a certificate that somebody else made for it: another key could have been put into one as well."""
    real = element.x509.load_pem_x509_certificate(exported.file.with_name("heads.pem").read_bytes())
    cert = element.make_cert(real.subject, real, real.issuer, element.new_key())
    (tmp_path / "other.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    found = exported.finds("--heads-key", tmp_path / "other.pem")
    assert found == ["forged: the certificate of the key that signs heads is of no ceremony on record"]


def test_a_head_taken_out_of_the_ledger_is_named(exported, tampered):
    number = newest(exported)["head"]["number"]
    tampered.rows = [r for r in tampered.rows if not (r[0] in ("head_intent", "head_signature") and r[1] == number)]
    found = tampered.finds(*heads_options(exported))
    assert any(f"dropped: head {number} of quickstart was signed and kept" in text for text in found), found
