"""assayctl as an operator uses it: each verb, for people and for programs, and what it says when something is wrong."""

import json
import os
import pty
import re
import socket
import struct
import subprocess

import element
import pytest
from instance import TOP

VERBS = [
    "status", "cert list", "cert show", "cert pem", "device show", "revoke", "release", "requester list", "requester register",
    "requester retire", "actions", "audit export", "audit verify", "audit heads", "audit walk", "audit proof",
    "audit post", "crl publish",
]  # fmt: skip


def serial_of(cert):
    return f"{cert.serial_number:038x}"


@pytest.fixture
def ctl(assay):
    def run(*arguments, status=0, environ=None, stdin=None):
        done = subprocess.run(
            ["assayctl", *arguments], env={**os.environ, **assay.env, **(environ or {})}, input=stdin, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


# Help


def test_help_names_every_verb(ctl):
    text = ctl("--help").stdout
    assert set(VERBS) <= {" ".join(m).strip() for m in re.findall(r"^  ([a-z]+) +([a-z]+(?=  )|)", text, re.M)}
    assert ctl("cert", "--help").stdout.count("\n  cert") == 3


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_helps_without_asking_anybody(ctl, verb):
    done = ctl(*verb.split(), "--help", environ={"ASSAY_ADMIN_URL": ""})
    assert done.stdout.startswith(f"usage: assayctl [--json] {verb}") and done.stderr == ""


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["cert"], ["cert", "nothing"], ["cert", "show"], ["cert", "list", "--what"], ["status", "x"],
                  ["revoke", "--serial", "01"], ["revoke", "--serial", "01", "--rig", "r", "--reason", "superseded", "--note", "n"],
                  ["revoke", "--serial", "01", "--reason", "removeFromCRL", "--note", "n"], ["cert", "list", "--limit", "0"],
                  ["release", "--serial", "01", "--note", "n", "--reason", "keyCompromise"], ["release", "--serial", "01"]], ids=" ".join
)  # fmt: skip
def test_wrong_use_is_2_and_says_how(ctl, arguments):
    done = ctl(*arguments, status=2)
    assert done.stdout == ""
    if "nothing" in arguments:  # mistyped: one line that names it
        assert done.stderr == f"assayctl: '{' '.join(arguments)}' is no verb; assayctl --help lists them\n"
    else:
        assert "usage: assayctl" in done.stderr or "--limit" in done.stderr or f"assayctl {arguments[0]} --help" in done.stderr


def test_a_revocation_without_its_why_is_told_so(ctl):
    for verb, options, missing in (("revoke", ["--reason", "superseded"], "--note WHY"), ("revoke", ["--note", "n"], "--reason REASON"), ("release", [], "--note WHY")):
        assert ctl(verb, "--serial", "01", *options, status=2).stderr == f"assayctl: {verb}: {missing} is missing; assayctl {verb} --help tells more\n"


@pytest.mark.parametrize("name", ["ASSAY_ADMIN_URL", "ASSAY_CACERT", "ASSAY_OPERATOR_CERT", "ASSAY_OPERATOR_KEY"])
def test_a_missing_variable_is_named(ctl, name):
    done = ctl("status", status=1, environ={name: ""})
    assert done.stderr.startswith(f"assayctl: {name} is not set") and done.stdout == ""


def test_a_server_that_is_not_there(ctl):
    assert "https://127.0.0.1:9" in ctl("status", status=1, environ={"ASSAY_ADMIN_URL": "https://127.0.0.1:9"}).stderr


def test_a_server_that_cannot_be_believed(ctl, assay):
    """Another CA than the one its certificate leads to."""
    other = assay.rigs.write("other-ca", assay.rigs.ca, assay.rigs.key)[0]
    assert "certificate" in ctl("status", status=1, environ={"ASSAY_CACERT": other}).stderr


# Looking


def test_certificates_and_devices(ctl, assay):
    cert, key, chip = assay.enrol()
    serial = serial_of(cert)
    shown = ctl("cert", "show", serial.upper()).stdout
    assert serial in shown and chip.ueid.hex() in shown and "valid" in shown
    one = json.loads(ctl("cert", "show", serial, "--json").stdout)
    assert json.loads(ctl("--json", "cert", "show", serial).stdout) == one and one["serial"] == serial
    assert element.x509.load_pem_x509_certificate(ctl("cert", "pem", serial).stdout.encode()) == cert
    rows = json.loads(ctl("cert", "list", "--device", one["device"], "--json").stdout)
    assert rows == [one]
    table = ctl("cert", "list", "--requester", "rig:rig-1", "--limit", "1000").stdout.splitlines()
    assert table[0].split() == ["SERIAL", "STATUS", "PROFILE", "ELEMENT", "REQUESTER", "ISSUED", "EXPIRES"]
    assert any(line.startswith(serial) for line in table)
    for by in (one["device"], chip.ueid.hex()):
        assert serial in ctl("device", "show", by).stdout
    assert ctl("device", "show", "ab").stdout == "no device has this element\n"


def test_what_is_not_there_is_said_in_one_line(ctl):
    done = ctl("cert", "show", "00" * 16, status=1)
    assert re.fullmatch(r"assayctl: there is no such thing here: 0{32} \(not_found, request [0-9a-f]{16}\)\n", done.stderr)
    assert "/" not in ctl("cert", "show", "../status", status=1).stdout  # a segment, whatever is in it


def test_status_actions_and_registry(ctl, assay):
    status = json.loads(ctl("--json", "status").stdout)
    assert status["schema"] >= 14 and "operate" in ctl("status").stdout
    action = json.loads(ctl("actions", "--limit", "1", "--json").stdout)[0]
    assert (action["who"], action["call"], action["outcome"]) == ("operator:operator", "GET /v1/status", "ok")
    assert "operator:operator" in ctl("actions", "--who", "operator:operator").stdout
    assert "rig-1" in ctl("requester", "list").stdout
    assert {"rig-1", "operator", "auditor"} <= {r["name"] for r in json.loads(ctl("requester", "list", "--json").stdout)}
    refused = ctl("requester", "register", "--kind", "rig", "--name", "x", "--spki-hash", "00" * 32, "--note", "n", status=1)
    assert "(rights, " in refused.stderr
    assert "(rights, " in ctl("requester", "retire", "00" * 32, "--note", "n", status=1).stderr


def test_an_administrator_registers_and_retires(ctl, assay, administrator):
    cert, key = administrator.arguments[2]
    chief = {"ASSAY_OPERATOR_CERT": cert, "ASSAY_OPERATOR_KEY": key}
    rig = assay.rigs.make("rig-by-ctl")[0]
    assert "registered" in ctl("requester", "register", "--kind", "rig", "--name", "by-ctl", "--cert", rig, "--note", "n", environ=chief).stdout
    assert "retired" in ctl("requester", "retire", "--cert", rig, "--note", "n", environ=chief).stdout
    assert "no PEM certificate" in ctl("requester", "retire", "--cert", "/dev/null", "--note", "n", status=1).stderr


# Revoking


def test_without_yes_nothing_is_revoked(ctl, assay):
    serial = serial_of(assay.enrol()[0])
    shown = ctl("revoke", "--serial", serial, "--reason", "keyCompromise", "--note", "lost").stdout
    assert serial in shown and "dry run: 1 certificates" in shown and "--yes" in shown
    assert json.loads(ctl("cert", "show", serial, "--json").stdout)["status"] == "valid"
    done = ctl("revoke", "--serial", serial, "--reason", "keyCompromise", "--note", "lost", "--yes").stdout
    assert done.startswith("done: 1 changed of 1 certificates by serial")
    assert json.loads(ctl("cert", "show", serial, "--json").stdout)["status"] == "revoked"


def test_a_hold_and_its_release(ctl, assay):
    serial = serial_of(assay.enrol()[0])
    ctl("revoke", "--serial", serial, "--reason", "certificateHold", "--note", "is it lost?", "--yes")
    assert json.loads(ctl("cert", "show", serial, "--json").stdout)["status"] == "held"
    plan = json.loads(ctl("release", "--serial", serial, "--note", "found", "--yes", "--json").stdout)
    assert (plan["changed"], plan["done"], plan["reason"]) == (1, True, "removeFromCRL")
    assert json.loads(ctl("cert", "show", serial, "--json").stdout)["status"] == "valid"


def test_a_file_of_serials_says_which_it_did_not_know(ctl, assay):
    serials = [serial_of(assay.enrol()[0]) for _ in range(3)]
    text = "# a pallet\n\n" + "".join(f"{s}  # one\n" for s in [*serials, serials[0], "00" * 16])
    arguments = ("revoke", "--file", "-", "--reason", "superseded", "--note", "n", "--json", "--yes")
    done = ctl(*arguments, stdin=text)
    assert (json.loads(done.stdout)["n"], json.loads(done.stdout)["changed"]) == (4, 3)  # one stood there twice
    assert "1 of the 5 serials in - were not issued here" in done.stderr
    assert "no serials" in ctl(*arguments, stdin="# nothing\n", status=1).stderr
    assert "serials[0]" in ctl(*arguments, stdin="not hex\n", status=1).stderr
    assert "too long" in ctl(*arguments, stdin="0" * 400 + "\n", status=1).stderr


UNREADABLE = {
    "a NUL, behind which one stands": b"01\0 02\n03\n", "UTF-16": "01\n".encode("utf-16"), "a long line of NULs": b"01\n" + bytes(10000) + b"02\n",
    "a folder": None,
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_of_serials_that_cannot_be_read_whole_revokes_nothing(ctl, assay, tmp_path, what):
    file = tmp_path / "serials"
    file.mkdir() if what == "a folder" else file.write_bytes(UNREADABLE[what])
    done = ctl("revoke", "--file", str(file), "--reason", "superseded", "--note", "n", "--yes", status=1)
    assert done.stdout == "" and f"{file}: " in done.stderr, done.stderr


def test_a_list_that_ends_in_a_fault_of_reading_revokes_nothing(ctl, assay):
    """What was read before it is not all that is to be revoked. A connection that was reset gives what came, then a fault."""
    serial = serial_of(assay.enrol()[0])
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as end:
        far = server.accept()[0]
        far.sendall(f"{serial}\n".encode())
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        command = ["assayctl", "revoke", "--file", "-", "--reason", "superseded", "--note", "n", "--yes"]
        done = subprocess.run(command, env={**os.environ, **assay.env}, stdin=end, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == "" and "cannot be read to its end" in done.stderr, done
    assert assay.admin("operator").get("certificates/" + serial).json["status"] == "valid"


def test_selections_that_select_nothing(ctl):
    for selection in (["--rig", "nobody"], ["--profile", "none"], ["--order", "none"], ["--element", "ab"], ["--device", "ab"],
                      ["--key-hash", "ab"], ["--batch-ca", "ab" * 32], ["--issued-between", "2020-01-01T00:00:00Z,2020-01-02T00:00:00Z"]):
        assert "dry run: 0 certificates" in ctl("revoke", *selection, "--reason", "superseded", "--note", "n").stdout, selection
    assert "no PEM certificate" in ctl("revoke", "--batch-ca", "ab", "--reason", "superseded", "--note", "n", status=2).stderr


# Where it is shown


def terminal():
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine gives no pseudo-terminal ({error}): whether colours appear on one was not tested")


def test_colours_are_for_terminals_alone(ctl, assay):
    assay.enrol()
    assert "\033" not in ctl("cert", "list").stdout
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        master, slave = terminal()
        environ = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **assay.env, **environ}
        done = subprocess.Popen(["assayctl", "cert", "list", "--limit", "1"], env=environ, stdout=slave)
        os.close(slave)
        said = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other end is closed
                piece = b""
            if not piece:
                break
            said += piece
        os.close(master)
        assert done.wait(30) == 0 and (b"\033[" in said) == coloured


def complete(assay, *words):
    script = f'. {TOP}/deploy/completion/assayctl; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _assayctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "-", "assayctl", *words], env={**os.environ, **assay.env}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_knows_verbs_options_and_reasons(assay):
    assert set(complete(assay, "")) >= {verb.split()[0] for verb in VERBS}
    assert complete(assay, "cert", "") == ["list", "show", "pem"]
    assert {"--serial", "--rig", "--yes", "--file"} <= set(complete(assay, "revoke", "--"))
    assert complete(assay, "revoke", "--reason", "key") == ["keyCompromise"]


def test_the_manual_names_every_verb_and_is_well_formed():
    page = TOP / "deploy" / "man" / "assayctl.1"
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou", page], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    for verb in VERBS:
        assert re.search(rf"^\s+{verb}\b", done.stdout, re.M), verb
