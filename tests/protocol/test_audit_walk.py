"""One certificate of an export: the walk back to ceremony and vendor, and its proof in one file."""

import base64
import hashlib
import json
import pathlib
import subprocess

import check_proof
import pytest
from audit_export import assayctl, changed, columns
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from instance import TOP


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
