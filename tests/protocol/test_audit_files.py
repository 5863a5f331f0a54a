"""Files that an auditor brings: one without an end, or that cannot be read, is told and not waited for."""

import json
import os
import subprocess

import pytest
from audit_export import assayctl, heads_options


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
