"""A vendor's batch CA is compromised: every certificate over one of its elements goes, and no other batch's."""

import json
import os
import subprocess

import element
import pytest
from cryptography.hazmat.primitives import serialization
from test_reload import Change


def serial_of(cert):
    return f"{cert.serial_number:038x}"


@pytest.fixture(scope="module")
def batches(assay):
    """Two batch CAs of a vendor that is trusted for as long as this lasts."""
    made, root = element.Vendor.batches(2)
    change = Change(assay)
    change.write("vendor/root.pem", (assay.home / "vendor" / "root.pem").read_bytes() + root.public_bytes(serialization.Encoding.PEM))
    change.reload()
    yield made
    change.undo()


def test_the_ledger_knows_the_batch_ca_of_each_attested_certificate(assay, batches):
    operator = assay.admin("operator")
    for batch in batches:
        device, cert, key, chip = assay.device(chip=batch.element())
        renewed = device.reenrol(element.csr(key)).certificate()  # brings no evidence: its level and its batch CA go on
        new_key = element.new_key()
        evidence = chip.evidence(new_key, device.nonce("field"))
        rekeyed = device.reenrol(element.csr(new_key, evidence)).certificate()
        for one in (cert, renewed, rekeyed):
            assert operator.get("certificates/" + serial_of(one)).json["batch_ca"] == batch.batch_ca()


def test_a_batch_ca_is_revoked_and_the_other_batch_is_left_alone(assay, batches):
    operator = assay.admin("operator")
    bad, good = batches
    mine = []
    for _ in range(2):
        device, cert, key, _ = assay.device(chip=bad.element())
        mine += [serial_of(cert), serial_of(device.reenrol(element.csr(key)).certificate())]
    others = [assay.device(chip=good.element()), assay.device()]

    plan = operator.plan({"batch_ca": bad.batch_ca().upper()}, "keyCompromise")
    assert plan.status == 200 and set(mine) <= {c["serial"] for c in plan.json["sample"]}, plan.body
    assert {c["batch_ca"] for c in plan.json["sample"]} == {bad.batch_ca()}
    unknown = assay.sql("select count(*) from issuance where batch_ca is null and level > 0 and not_after > now()")
    assert plan.json["unknown"] == int(unknown)  # operators' and rigs' are none of these
    done = operator.post("revocations/" + plan.json["plan"], {}).json
    assert done["changed"] == plan.json["n"] - plan.json["already"] and done["done"]
    assert {operator.get("certificates/" + serial).json["status"] for serial in mine} == {"revoked"}

    answer = device.reenrol(element.csr(key))
    assert answer.status == 403 and answer.reason in ("client_revoked", "claim_revoked"), answer.text
    for client, cert, key, _ in others:
        assert operator.get("certificates/" + serial_of(cert)).json["status"] == "valid"
        assert client.reenrol(element.csr(key)).status == 200


def test_assayctl_takes_the_batch_cas_certificate(assay, batches, tmp_path):
    _, batch = batches
    assay.enrol(chip=batch.element())
    (tmp_path / "batch.pem").write_bytes(batch.cert.public_bytes(serialization.Encoding.PEM))
    by = {}
    for what in (tmp_path / "batch.pem", batch.batch_ca()):
        done = subprocess.run(
            ["assayctl", "--json", "revoke", "--batch-ca", what, "--reason", "keyCompromise", "--note", "n"],
            env={**os.environ, **assay.env}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        by[what] = json.loads(done.stdout)
    first, second = by.values()
    assert first["n"] == second["n"] > 0 and {c["batch_ca"] for c in first["sample"]} == {batch.batch_ca()}


def test_what_is_no_hash_is_refused_by_name(assay):
    for value in ("ab", "zz" * 32, "ab" * 33, ""):
        answer = assay.admin("operator").plan({"batch_ca": value})
        assert (answer.status, answer.reason) == (400, "api_field") and "batch_ca" in answer.json["detail"], answer.body
