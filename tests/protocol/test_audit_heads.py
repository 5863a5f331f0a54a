"""Signed heads kept elsewhere, against an export that a keeper of the ledger has tampered with."""

import json
import subprocess

import element
from audit_export import assayctl, columns, heads_options, newest
from cryptography.hazmat.primitives import serialization


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
