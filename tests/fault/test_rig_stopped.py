"""Ctrl-C in the middle of a shift: boards in hand are finished or told apart as not enrolled, and a later run goes on."""

import contextlib
import json
import os
import signal
import subprocess

import pytest
from plant import BUILD
from waiting import wait_until


def rig(plant, out, *arguments):
    line = [BUILD / "assay-rig", "enrol", "--out", out, "--mes", out.parent / "mes.log", "--stations", "4", "--quiet", *arguments]
    return subprocess.Popen([str(w) for w in line], env={**os.environ, **plant.env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def records(out):
    file = out.parent / "mes.log"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def refusals(plant):
    return len([e for e in plant.log() if e.get("event") == "est" and e["status"] == 503])


def certificates(out):
    return {cert.parent.name for cert in out.glob("*/cert.pem")}


@pytest.mark.parametrize("when", ["while the token signs", "while all wait for a ca that stands still"])
def test_ctrl_c(plant, tmp_path, when):
    out, waiting = tmp_path / "devices", when != "while the token signs"
    plant.shim.set(delay_us=300_000)
    first = rig(plant, out, "--devices", "400", "--patience", "60")
    try:
        wait_until("some have their certificate", lambda: len(certificates(out)) >= 2)
        with plant.stopped("ca") if waiting else contextlib.nullcontext():
            before = refusals(plant)
            wait_until("they wait", lambda: not waiting or refusals(plant) >= before + 4)
            first.send_signal(signal.SIGINT)
            said = first.communicate(timeout=60)[1]
    finally:
        first.kill()
    assert first.returncode == 130, said
    devices = {d.name for d in out.iterdir() if d.is_dir()}
    without = devices - certificates(out)
    assert 2 < len(devices) < 400 and bool(without) == waiting
    assert f"stopped: {len(devices)} of 400 devices were begun, {len(without)} of them have no certificate" in said
    assert ("--resume --out" in said) == waiting
    assert {r["ueid"] for r in records(out) if r["result"] == "failed"} == without
    assert {r["ueid"] for r in records(out) if r["result"] == "ok"} == certificates(out)

    again = rig(plant, out, "--resume", "--patience", "60")
    said = again.communicate(timeout=120)[1]
    assert again.returncode == 0, said
    assert certificates(out) == devices
    for device in devices:
        valid = plant.sql(
            f"""select count(*) from issuance i join signature s on s.serial = i.serial
            where i.element = '\\x{device}'::bytea and revoked(i.serial) is null"""
        )
        assert valid == "1", device
