"""The units as they are installed: into a folder of their own, looked at with systemd's own programs."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess

import pytest

from instance import TOP

BUILD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build"))
ROLES = ("admin", "ca", "ra", "va")
UNITS = (*ROLES, "agent")  # a relying party has the agent alone
EXPOSURE_MAX = 20  # tenths of systemd's points out of 10.0

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here (deploy/packages lists it)")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """What `cmake --install` puts under /, as a package or an image would take it."""
    root = tmp_path_factory.mktemp("root")
    environ = {**os.environ, "DESTDIR": str(root)}
    done = subprocess.run(["cmake", "--install", str(BUILD), "--prefix", "/usr"], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (root / "etc").mkdir(exist_ok=True)
    (root / "bin").mkdir()
    shutil.copy("/bin/true", root / "bin" / "kill")  # the one program of the system that a unit names
    return root


def unit(root, role):
    return root / "usr" / "lib" / "systemd" / "system" / f"assay-{role}.service"


def test_everything_is_installed(root):
    for name in ("bin/assayd", "lib/systemd/system/assay.target", "lib/sysusers.d/assay.conf", "lib/tmpfiles.d/assay.conf",
                 "share/assay/assay.json", "share/assay/profiles/line.json", "share/assay/sql/migrate",
                 "share/assay/sql/migrations/0001_tables.sql", "bin/assay-agent", "bin/assay-ceremony",
                 "share/assay/ceremony/guide", "share/assay/lib/say.sh", "share/assay/relying/mosquitto.conf",
                 "share/assay/relying/nginx.conf", "share/man/man1/assayctl.1", "share/man/man1/assay-agent.1"):
        assert (root / "usr" / name).is_file(), name
    assert os.access(root / "usr/bin/assayd", os.X_OK) and os.access(root / "usr/share/assay/sql/migrate", os.X_OK)
    for name in ("backup", "restore", "wal-ahead"):
        done = subprocess.run([root / "usr/share/assay/database" / name, "--help"], capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith(f"{name} ") and done.returncode == 0, done
    assert "$here/../sql/migrate" in (root / "usr/share/assay/database/restore").read_text()
    started = re.search(r"^Wants=(.*)$", (unit(root, "ca").parent / "assay.target").read_text(), re.M)[1].split()
    assert sorted(started) == [f"assay-{role}.service" for role in ROLES]


def test_the_agents_manual_has_every_option_that_its_help_has(root):
    told = subprocess.run([root / "usr" / "bin" / "assay-agent", "--help"], capture_output=True, text=True, check=True).stdout
    manual = (root / "usr" / "share" / "man" / "man1" / "assay-agent.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"^  (--[a-z-]+)", told, re.M))
    assert len(options) > 7 and options <= set(re.findall(r"^\.TP\n\.BI? \"?(--[a-z-]+)", manual, re.M))


@pytest.mark.parametrize("role", UNITS)
def test_the_installed_unit_verifies(root, role):
    """Every line is one that systemd knows, and what it starts is there."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", unit(root, role)],
                          capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "assay" in line]
    assert ours == [], done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_the_installed_unit_tunes_memory_as_the_supervisor_does(root, role):
    told = re.search(r'setenv\("(\w+)", "([^"]+)"', (TOP / "server" / "supervise.c").read_text())
    assert f"\nEnvironment={told[1]}={told[2]}\n" in unit(root, role).read_text()


def test_a_line_that_systemd_does_not_know_is_found(root, tmp_path):
    """The other side of the test above."""
    wrong = tmp_path / "assay-wrong.service"
    wrong.write_text(unit(root, "ra").read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", wrong], capture_output=True, text=True)
    assert "NoNewPrivilege" in done.stderr


@pytest.mark.parametrize("role", UNITS)
def test_the_installed_unit_leaves_little_exposed(root, role):
    said = run("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit(root, role))
    print(said.splitlines()[-1])


def test_an_open_unit_is_over_the_threshold(tmp_path):
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", bare], capture_output=True)
    assert done.returncode != 0


def test_users_and_folders_are_made(root):
    """With systemd's own two programs, under the same root: each role its user, only the ca's folders writable by it."""
    if os.geteuid() != 0:
        pytest.skip("making users takes root")
    run("systemd-sysusers", f"--root={root}", root / "usr/lib/sysusers.d/assay.conf")
    users = dict(line.split(":")[0:3:2] for line in (root / "etc/passwd").read_text().splitlines())
    assert {f"assay-{role}" for role in ROLES} <= users.keys()
    assert len({users[f"assay-{role}"] for role in ROLES}) == 4
    members = [line for line in (root / "etc/group").read_text().splitlines() if line.startswith("assay:")][0].split(":")[3]
    assert set(members.split(",")) == {f"assay-{role}" for role in ROLES}
    run("systemd-tmpfiles", f"--root={root}", "--create", root / "usr/lib/tmpfiles.d/assay.conf")
    ca = int(users["assay-ca"])
    for name, mode in (("run/assay", 0o711), ("var/lib/assay", 0o700)):
        status = (root / name).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (ca, mode), name
    for role in ("ra", "va", "admin"):
        status = (root / "run" / "assay" / f"metrics.{role}").stat()
        assert (status.st_uid, status.st_mode & 0o777) == (int(users[f"assay-{role}"]), 0o644)
    assert not any(entry.pw_name.startswith("assay-") for entry in pwd.getpwall()), "it made users of this machine"


# What each unit has to take away, said once, so that a lost line is seen although the points stay under the threshold.
EVERY_UNIT = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
    "CapabilityBoundingSet": "", "RestrictNamespaces": "yes", "MemoryDenyWriteExecute": "yes", "LockPersonality": "yes",
    "SystemCallArchitectures": "native", "ProtectProc": "invisible", "UMask": "0077",
}


@pytest.mark.parametrize("role", ROLES)
def test_the_unit_is_started_again_however_often_its_role_dies(root, role):
    """By default systemd gives up after five times in ten seconds."""
    section = unit(root, role).read_text().split("[Service]")[0]
    assert "\nStartLimitIntervalSec=0\n" in section


@pytest.mark.parametrize("role", ROLES)
def test_the_unit_takes_away_what_every_role_can_do_without(root, role):
    lines = dict(line.split("=", 1) for line in unit(root, role).read_text().splitlines() if re.match(r"[A-Z]\w+=", line))
    assert {key: lines.get(key) for key in EVERY_UNIT} == EVERY_UNIT
    text = unit(root, role).read_text()
    assert f"--role {role}" in text and f"User=assay-{role}" in text
    if role != "ca":
        hidden = lines["InaccessiblePaths"]
        for path in ("/var/lib/assay", "/var/lib/softhsm", "/etc/assay/secrets"):
            assert f"-{path}" in hidden, path
        assert ("-/run/postgresql" in hidden) == (role != "admin"), "the admin reads the ledger, and nobody else does"
