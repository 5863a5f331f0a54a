"""A production line: many devices on many stations through assay-rig, every certificate verified by openssl."""

import json
import os
import subprocess
import time

from conftest import run

DEVICES = int(os.environ.get("LINE_DEVICES", "1000"))
STATIONS = 16
RENEWED = DEVICES // 10


def rig(assay, *arguments, check=True):
    return run("assay-rig", *arguments, env={**os.environ, **assay.env}, check=check)


def verify_all(assay, folder, pattern="*/cert.pem"):
    """Number of certificates in the folder; all of them verify with what /cacerts gives."""
    files = sorted(folder.glob(pattern))
    cacerts = assay.cacerts_file()
    for at in range(0, len(files), 200):
        chunk = files[at : at + 200]
        done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", cacerts, *chunk], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(": OK") == len(chunk)
    return len(files)


def test_a_line_of_devices_and_a_tenth_renewed(assay, tmp_path, capsys):
    out = tmp_path / "devices"
    before = assay.issuances()

    start = time.monotonic()
    rig(assay, "enrol", "--devices", DEVICES, "--stations", STATIONS, "--out", out)
    enrolled_s = time.monotonic() - start
    assert assay.issuances() == before + DEVICES
    assert verify_all(assay, out) == DEVICES

    start = time.monotonic()
    rig(assay, "reenrol", "--devices", RENEWED, "--stations", STATIONS, "--out", out)
    renewed_s = time.monotonic() - start
    assert assay.issuances() == before + DEVICES + RENEWED
    verify_all(assay, out)
    with capsys.disabled():
        print(
            f"\n{DEVICES} devices on {STATIONS} stations enrolled in {enrolled_s:.1f} s, {RENEWED} renewed in "
            f"{renewed_s:.1f} s; every certificate verifies with openssl -x509_strict"
        )


def test_exit_status_tells_when_a_device_got_nothing(assay, tmp_path):
    env = {**assay.env, "ASSAY_RIG_CERT": assay.env["ASSAY_AUDITOR_CERT"], "ASSAY_RIG_KEY": assay.env["ASSAY_AUDITOR_KEY"]}
    before = assay.issuances()
    done = run("assay-rig", "enrol", "--devices", 1, "--out", tmp_path / "none", env={**os.environ, **env}, check=False)
    assert done.returncode != 0
    assert assay.issuances() == before


def test_the_mes_log_is_json_lines(assay, tmp_path):
    log = tmp_path / "mes.jsonl"
    rig(assay, "enrol", "--devices", 3, "--out", tmp_path / "devices", "--mes", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= 3
