"""What each role may touch at all: database roles tried, roles as four users without a supervisor, systemd's sandbox."""

import json
import os
import pathlib
import pwd
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

import est
from instance import TOP

USERS = {"ca": "games", "ra": "news", "va": "uucp", "admin": "list"}  # users that every Debian has and nobody is


# The database


def try_sql(assay, role, statement):
    url = assay.env["ASSAY_DATABASE_URL"].replace("assay_read", role)
    return subprocess.run(
        ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-c", statement, url],
        capture_output=True, text=True, timeout=60,
    )


def refused(assay, role, statement):
    done = try_sql(assay, role, statement)
    # 42501 insufficient_privilege
    return done.returncode != 0 and ("42501" in done.stderr), f"{role}: {statement}: {done.stdout}{done.stderr}"


def tables(assay):
    return assay.owner_sql(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'work')"
    ).split()


@pytest.mark.parametrize("role", ["assay_read", "assay_ca"])
def test_no_database_role_writes_a_table(assay, role):
    """In one session, that goes on after each refusal: every statement has its own 42501."""
    names = tables(assay)
    assert len(names) > 20
    statements = [
        text.format(t=name)
        for name in names
        for text in ("INSERT INTO {t} DEFAULT VALUES", "DELETE FROM {t}", "TRUNCATE {t}",
                     "ALTER TABLE {t} ADD COLUMN x int", "DROP TABLE {t}")
    ] + assay.owner_sql(
        "SELECT format('UPDATE %s SET %I = %I', attrelid::regclass, attname, attname) FROM pg_attribute"
        f" WHERE attnum = 1 AND attrelid = ANY('{{{','.join(names)}}}'::regclass[])"
    ).splitlines()
    url = assay.env["ASSAY_DATABASE_URL"].replace("assay_read", role)
    script = "\\set VERBOSITY verbose\n" + "".join(f"\\warn {n}\n{text};\n" for n, text in enumerate(statements))
    done = subprocess.run(["psql", "-X", "-A", "-t", url], input=script, capture_output=True, text=True, timeout=120)
    said = done.stderr
    for n, text in enumerate(statements):
        start = said.index(f"{n}\n") + len(f"{n}\n")
        answer, said = said[start:].split(f"\n{n + 1}\n")[0], said[start:]
        assert "42501" in answer, f"{role}: {text}: {answer}"


@pytest.mark.parametrize("role", ["assay_read", "assay_ca"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (x int)", "CREATE TABLE work.mine (x int)", "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE SCHEMA mine", "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'select 1'",
        "SET ROLE assay_owner", "SET SESSION AUTHORIZATION assay_owner", "CREATE ROLE mine",
        "ALTER ROLE assay_read SUPERUSER", "COPY (SELECT 1) TO '/tmp/assay-copy'", "COPY chain FROM '/etc/passwd'",
        "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')",
        "SELECT pg_reload_conf()", "ALTER SYSTEM SET work_mem = '1MB'",
        "SELECT register_requester('rig', 'mine', sha256('x'), '', '')", "SELECT record_ceremony('{}')",
        "ALTER TABLE issuance DISABLE TRIGGER ALL", "SET session_replication_role = replica",
        "SELECT extend_partitions('2100-01-01')", "SELECT refuse_change()", "CREATE EXTENSION dblink",
        "SELECT retire_rows('n', 's', 1, '{}', '5', 'x')", "SELECT revoke_rows('n', 's', 1, '{}', '{}', '{}', '{}')",
        "UPDATE work.issuer_hour SET n = 0", "GRANT assay_owner TO assay_ca", "ALTER ROLE assay_ca PASSWORD NULL CREATEDB",
        "BEGIN; LOCK TABLE issuance IN ACCESS EXCLUSIVE MODE", "SELECT issuance FROM pg_authid, issuance",
    ],
)
def test_what_no_database_role_may(assay, role, statement):
    ok, said = refused(assay, role, statement)
    assert ok, said


def test_the_reading_role_may_not_issue(assay):
    names = assay.owner_sql(
        "SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname IN ('public', 'work') AND has_function_privilege('assay_ca', p.oid, 'execute')"
        " AND p.prosecdef AND has_function_privilege('assay_read', p.oid, 'execute')"
    )
    assert names == "", f"assay_read may call functions that write: {names}"


INSIDE = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build")) / "tests" / "integration" / "server" / "assay-inside"


def from_inside(assay, role, user):
    """What the ledger says to a process behind that role's fences that logs in as `user` as the ca does."""
    conninfo = json.loads((assay.home / "assay.json").read_text())["ledger"]["writer"].replace("assay_ca", user)
    done = subprocess.run([INSIDE, assay.home / "assay.json", role, conninfo], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if "landlock_off" in done.stderr:
        pytest.skip("this kernel has no Landlock")
    return done.stdout.strip()


@pytest.mark.parametrize("role", ["ra", "va", "admin"])
@pytest.mark.parametrize("user", ["assay_ca", "assay_read", "assay_owner", "postgres"])
def test_no_role_but_the_ca_gets_into_the_ledger(assay, role, user):
    """They share the ca's user here, and may knock at the socket; the password is behind the fence."""
    said = from_inside(assay, role, user)
    assert "no password supplied" in said or "could not" in said or "Operation not permitted" in said, said


def test_the_ca_gets_into_the_ledger_from_inside(assay):
    assert from_inside(assay, "ca", "assay_ca") == "in"


# Four roles, four users, no supervisor: as systemd starts them


class Apart:
    """The home's instance again with another node's name, each role under a user of its own."""

    def __init__(self, assay, folder):
        self.assay, self.folder, self.run_dir = assay, folder, folder / "run"
        config = json.loads((assay.home / "assay.json").read_text())
        port = assay.port + 5
        config.update(node="apart", run_dir=str(self.run_dir), state_dir=str(folder / "state"))
        config["roles"] = {role: {"user": user} for role, user in USERS.items()}
        config["est"]["listeners"][0]["port"] = port
        config["admin"]["port"], config["status"]["port"] = port + 1, port + 2
        self.config = assay.home / "apart.json"
        self.config.write_text(json.dumps(config))
        self.port, self.running = port, {}

    def folders(self):
        """What deploy/systemd/assay.tmpfiles makes."""
        self.folder.chmod(0o755)
        for name, mode in (("run", 0o711), ("state", 0o700)):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, pwd.getpwnam(USERS["ca"]).pw_uid, -1)
            (self.folder / name).chmod(mode)
        for role in ("ra", "va", "admin"):
            file = self.run_dir / f"metrics.{role}"
            file.write_bytes(b"")
            file.chmod(0o644)
            os.chown(file, pwd.getpwnam(USERS[role]).pw_uid, -1)

    def start(self, role):
        user = pwd.getpwnam(USERS[role])

        def become():
            os.setgroups([0])  # the home's files are root's, for its group in this test
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

        log = open(self.folder / f"log.{role}", "w")
        self.running[role] = subprocess.Popen(
            ["assayd", "--config", self.config, "--role", role], stderr=log, preexec_fn=become,
            env={**os.environ, **self.assay.env},
        )

    def log(self, role):
        return (self.folder / f"log.{role}").read_text()

    def stop(self):
        for role in ("ra", "va", "admin", "ca"):
            if role in self.running:
                self.running[role].terminate()
                assert self.running[role].wait(40) == 0, self.log(role)


@pytest.fixture(scope="module")
def apart(assay):
    if os.geteuid() != 0:
        pytest.skip("four users take root to become them")
    modes = {}
    for path in [assay.home, *assay.home.rglob("*")]:  # the group reads what the roles read
        # libpq takes no password file that a group may read
        if "postgres" not in path.parts and path.suffix != ".pgpass" and not path.is_symlink() and path.exists():
            modes[path] = path.stat().st_mode
    folder = pathlib.Path(tempfile.mkdtemp(prefix="assay-apart-"))
    instance = Apart(assay, folder)
    try:
        for path, mode in modes.items():
            path.chmod(mode | (0o070 if path.is_dir() and path.name == "token" or "token" in path.parts else 0o050 if path.is_dir() else 0o040))
        passfile = assay.home / "secrets" / "assay_ca.pgpass"
        os.chown(passfile, pwd.getpwnam(USERS["ca"]).pw_uid, -1)
        instance.folders()
        for role in ("ca", "va", "admin", "ra"):
            instance.start(role)
        yield instance
        instance.stop()
    finally:
        for process in instance.running.values():
            if process.poll() is None:
                process.kill()
        os.chown(assay.home / "secrets" / "assay_ca.pgpass", 0, -1)
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode & 0o7777)
        shutil.rmtree(folder, ignore_errors=True)


def ready(apart):
    context = ssl.create_default_context(cafile=apart.assay.cacert)
    try:
        return urllib.request.urlopen(f"https://127.0.0.1:{apart.port + 1}/readyz", context=context, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_four_roles_under_four_users_without_a_supervisor_issue(assay, apart):
    deadline = time.monotonic() + 120
    while not ready(apart):
        assert time.monotonic() < deadline, {role: apart.log(role) for role in USERS}
        for role, process in apart.running.items():
            assert process.poll() is None, apart.log(role)
        time.sleep(0.05)
    client = est.Client(f"https://127.0.0.1:{apart.port}", assay.cacert, assay.rig_identity)
    certificate, _, _ = assay.enrol(client=client)
    assert certificate.serial_number
    uids = {int(pathlib.Path(f"/proc/{p.pid}/status").read_text().split("Uid:")[1].split()[1]) for p in apart.running.values()}
    assert uids == {pwd.getpwnam(user).pw_uid for user in USERS.values()}


@pytest.mark.parametrize("role, user", [("ra", "va"), ("va", "ra"), ("admin", "ra"), ("ra", "admin")])
def test_a_role_under_its_own_user_does_not_get_onto_anothers_socket(apart, role, user):
    """A breached ra cannot be the admin: the ca looks at who has connected."""
    uid = pwd.getpwnam(USERS[user]).pw_uid
    script = (
        f"import sys; sys.path.insert(0, {str(TOP / 'tests' / 'support')!r}); import channel; import os; os.setuid({uid})\n"
        f"peer = channel.Peer({str(apart.run_dir)!r}, {role!r})\n"
        "peer.until_end(); print('ended')\n"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ended", done.stderr


@pytest.mark.parametrize("user", ["ra", "va", "admin"])
def test_no_other_role_makes_a_socket_in_the_run_folder(apart, user):
    script = f"import os, socket; os.setuid({pwd.getpwnam(USERS[user]).pw_uid}); socket.socket(socket.AF_UNIX).bind({str(apart.run_dir / 'x.sock')!r})"
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True)
    assert "PermissionError" in done.stderr
