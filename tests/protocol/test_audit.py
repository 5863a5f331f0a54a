"""An export of the ledger, taken with an auditor's certificate, is checked offline by assayctl.

Each test tampers with a copy of one export as a keeper of the ledger could, and sees it found and named; also one who
computes every hash anew, whom only heads kept elsewhere betray.
"""

from audit_export import CHAIN, assayctl, changed, columns, label, place


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
