"""An instance that a fault test may take apart: its token stands behind the shim, its processes are the test's own.

The test is the init system here: it starts PostgreSQL and assayd, and starts again what it killed. What a promise says
recovers by itself (the roles) it leaves alone.
"""

import collections
import contextlib
import hashlib
import http.client
import json
import mmap
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile

import element
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from instance import TOP, Assay
from ports import free_ports
from waiting import PATIENCE_S, wait_until

BUILD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build"))
ASSAYD = BUILD / "server" / "assayd"
SHIM = BUILD / "tests" / "fault" / "shim" / "libassay_p11_shim.so"
VERIFY_CHAIN = TOP / "tests" / "integration" / "sql" / "verify_chain.py"
ROLES = ("ra", "ca", "va", "admin")
DEADLINE_MS = 4000
SIGN_TIMEOUT_MS = 8000  # of the token; longer than what a test lets it take
HELD_US = 6_000_000  # a signature that stands still until a test has seen enough and lets it go, or until then
RESPONDER_SHORTEST_S = 3672  # answers are good for an hour: 12 s in which it signs, and after half of them comes the next

# Modes of the shim, in the order of its enum.
PASS, FAIL_BEFORE, FAIL_AFTER, CRASH_BEFORE, CRASH_AFTER, GARBAGE, SESSION_LOST = range(7)
WORDS = ("mode", "delay_us", "skip", "signatures", "refused", "sessions", "logins", "spare")


class Shim:
    """The control file of p11_shim.c and its log of digests."""

    def __init__(self, folder):
        self.control, self.log = folder / "shim.control", folder / "shim.log"
        self.control.write_bytes(bytes(8 * len(WORDS)))
        with open(self.control, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8 * len(WORDS))

    def __getattr__(self, word):
        if word not in WORDS:
            raise AttributeError(word)
        return struct.unpack_from("<Q", self.map, 8 * WORDS.index(word))[0]

    def set(self, **words):
        # mode last: what it skips must stand before it counts
        for word in sorted(words, key=lambda w: w == "mode"):
            struct.pack_into("<Q", self.map, 8 * WORDS.index(word), words[word])

    @contextlib.contextmanager
    def in_mode(self, mode, **words):
        self.set(mode=mode, **words)
        try:
            yield self
        finally:
            self.set(mode=PASS, delay_us=0, skip=0)

    def digests(self):
        return self.log.read_text().split() if self.log.exists() else []

    def counted_digests(self):
        """The log when it and the count agree: a CRL may be signed between a look at one and a look at the other."""

        def agreed():
            log = self.digests()
            return len(log) == self.signatures and (log,)

        return wait_until("the shim counts what it logs", agreed)[0]


class Plant(Assay):
    """`changes` alters the configuration before the start."""

    patient = False  # refusals are what is looked at here

    def __init__(self, changes=None):
        home = pathlib.Path(tempfile.mkdtemp(prefix="assay-fault-"))
        os.chmod(home, 0o755)  # the user postgres has to reach it
        super().__init__(home, free_ports())
        self.daemon, self.program = None, ASSAYD
        try:
            self.set_up(changes)
        except BaseException:
            self.close()
            raise

    def set_up(self, changes):
        self.start()
        self.quickstart("stop")
        self.shim = Shim(self.home)
        self.token_file = next((self.home / "token").glob("*/token.object"))
        self.token_bytes = self.token_file.read_bytes()
        self.configure(changes)
        with open(self.home / "trust" / "rigs.pem", "a") as f:
            f.write(self.rigs.pem())
        self.rig2_identity = self.rigs.make("rig-2")
        self.start_postgres()
        self.register("rig", "rig-2", self.rig2_identity[0])
        self.start_daemon()
        # signed in the background, once: tests count what the token signs
        wait_until("the OCSP responder has its certificates", lambda: self.sql("select count(distinct issuer) from responder_intent join responder_signature using (serial)") == "5")

    def configure(self, changes):
        file = self.home / "assay.json"
        config = json.loads(file.read_text())
        config["token"]["module"] = str(SHIM)
        config["est"]["deadline_ms"] = DEADLINE_MS
        for issuer in config["issuers"]:
            issuer["device_hourly"] = 0  # devices renew as long as they are watched
        config["token"]["sign_timeout_ms"] = SIGN_TIMEOUT_MS
        if changes:
            changes(config)
        file.write_text(json.dumps(config, indent=2))
        self.run_dir = pathlib.Path(config["run_dir"])

    def close(self):
        with contextlib.suppress(Exception):
            self.stop_daemon()
        with contextlib.suppress(Exception):
            self.stop_postgres("immediate")
        if os.environ.get("KEEP_HOME"):
            print(f"kept: {self.home}")
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    # assayd

    def start_daemon(self, ready=True, log=None):
        environ = {
            **os.environ,
            "SOFTHSM2_CONF": str(self.home / "softhsm2.conf"),
            "ASSAY_SHIM_MODULE": self.env["PKCS11_MODULE"],
            "ASSAY_SHIM_CONTROL": str(self.shim.control),
            "ASSAY_SHIM_LOG": str(self.shim.log),
        }
        with open(self.home / "log" / "assayd.log", "ab") as own:
            self.daemon = subprocess.Popen(
                [self.program, "--config", self.home / "assay.json"],
                stdin=subprocess.DEVNULL, stdout=own if log is None else log, stderr=own if log is None else log, env=environ,
                start_new_session=True,
            )  # fmt: skip
        (self.home / "assayd.pid").write_text(f"{self.daemon.pid}\n")
        if ready:
            self.wait_ready()

    def stop_daemon(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(PATIENCE_S)

    def restart_daemon(self):
        self.stop_daemon()
        self.start_daemon()

    def keep_daemon(self):
        """As an init system does: started again if it has ended."""
        if self.daemon.poll() is not None:
            self.start_daemon(ready=False)

    def pid(self, role):
        """Of a running role, None while it is away."""
        try:
            children = pathlib.Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text().split()
            for child in children:
                words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                state = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
                if role.encode() in words and state != "Z":
                    return int(child)
        except OSError:
            pass
        return None

    def wait_pid(self, role, other_than=None):
        return wait_until(f"role {role} runs", lambda: (p := self.pid(role)) != other_than and p)

    def kill(self, role):
        """kill -9; gives the pid that is no more."""
        pid = self.wait_pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def mend_token(self):
        """SoftHSM writes token.object anew at each login, emptied first: who is killed in between leaves it empty. That is
        SoftHSM's loss, which an HSM does not know, so it gets its file back. True if it was lost."""
        if self.token_file.stat().st_size > 0:
            return False
        self.token_file.write_bytes(self.token_bytes)
        return True

    def kill_supervisor(self):
        self.daemon.kill()
        self.daemon.wait()

    @contextlib.contextmanager
    def stopped(self, role):
        pid = self.wait_pid(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)

    def readyz(self):
        """(status, text); (0, "") while nobody answers."""
        client = self.client()
        client.port = self.port + 1
        try:
            reply = client.request("GET", "/readyz")
            return reply.status, reply.text
        except OSError:
            return 0, ""
        finally:
            client.close()

    def metrics(self):
        client = self.client()
        client.port = self.port + 1
        try:
            return client.request("GET", "/metrics").text
        finally:
            client.close()

    def wait_ready(self, seconds=PATIENCE_S):
        try:
            wait_until("ready", lambda: self.readyz()[0] == 200, seconds)
        except AssertionError:
            lines = (self.home / "log" / "assayd.log").read_text().splitlines()[-15:]
            raise AssertionError("\n".join(["not ready:", str(self.readyz()), *lines])) from None

    # PostgreSQL

    @property
    def data(self):
        return (self.home / "postgres").resolve() / "data"

    def pg_ctl(self, *arguments, check=True):
        command = ["/usr/lib/postgresql/15/bin/pg_ctl", "-D", self.data, "-l", self.data.parent / "postgres.log", *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", *command]
        return run_quiet(command, check)

    def start_postgres(self):
        """Tried again while processes of a killed postmaster go away."""
        wait_until("PostgreSQL runs", lambda: self.pg_ctl("-w", "-t", "60", "start", check=False) == 0)

    def stop_postgres(self, mode="fast"):
        self.pg_ctl("-m", mode, "-w", "stop")

    def kill_postgres(self):
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def pg_runs(self):
        return self.pg_ctl("status", check=False) == 0

    @contextlib.contextmanager
    def failing(self, table, times=None):
        """Every insert into one table fails (or the first few), as a constraint of the operator's would make it."""
        condition = f"if nextval('fault_seq') <= {times} then" if times else "if true then"
        self.superuser_sql(
            f"""create sequence if not exists fault_seq; alter sequence fault_seq restart;
            create or replace function fault() returns trigger language plpgsql security definer as $$
            begin {condition} raise exception 'fault injected into {table}'; end if; return new; end $$;
            create trigger fault before insert on {table} for each row execute function fault()"""
        )
        try:
            yield
        finally:
            self.superuser_sql(f"drop trigger fault on {table}")

    @contextlib.contextmanager
    def holding(self, table):
        """Every insert into one table waits until this ends, without a lock that could time out."""
        self.superuser_sql(
            f"""create table if not exists fault_hold (); create or replace function fault_held() returns trigger
            language plpgsql security definer as $$ begin
            while exists (select from pg_class where relname = 'fault_hold') loop perform pg_sleep(0.01); end loop;
            return null; end $$;
            create trigger fault_held before insert on {table} for each statement execute function fault_held()"""
        )
        try:
            yield
        finally:
            self.superuser_sql("drop table fault_hold")
            self.superuser_sql(f"drop trigger fault_held on {table}")

    def superuser_sql(self, statement):
        return self.sql(statement, self.env["ASSAY_DATABASE_URL"].replace("assay_read", "postgres"))

    # Enrolments

    @staticmethod
    def answer(ask):
        """Of a machine that is busy, however short the deadline of this instance."""
        return persist("an enrolment", ask)

    def request(self, client=None, label="line", key=None, chip=None, nonce=None):
        """(CSR, key, element) with fresh evidence."""
        client = client or self.rig()
        chip, key = chip or self.vendor.element(), key or element.new_key()
        nonce = nonce or client.nonce_of(persist("a nonce", lambda: client.get("nonce", label)))
        return element.csr(key, chip.evidence(key, nonce)), key, chip

    def certificates_of(self, chip):
        """Rows of one device: (serial, signed, void, reason of revocation), oldest first."""
        text = self.sql(
            f"""select encode(i.serial, 'hex'), s.serial is not null, v.serial is not null, revoked(i.serial)
            from issuance i left join signature s on s.serial = i.serial left join void v on v.serial = i.serial
            where i.element = '\\x{chip.ueid.hex()}'::bytea order by i.at, i.seq"""
        )
        rows = [line.split("|") for line in text.splitlines()]
        return [(r[0], r[1] == "t", r[2] == "t", int(r[3]) if r[3] else None) for r in rows]

    def signed_of(self, chip):
        """How often the token has signed a certificate of this device; CRLs and heads may come at any time."""
        wanted = set(self.sql(f"select encode(sha256(tbs), 'hex') from issuance where element = '\\x{chip.ueid.hex()}'::bytea").split())
        return sum(digest in wanted for digest in self.shim.counted_digests())

    def valid_of(self, chip):
        return [serial for serial, signed, void, revoked in self.certificates_of(chip) if signed and not void and revoked is None]

    # What must hold whatever happened

    def account(self):
        """Every signature of the token is accounted for, nothing is signed twice, the chain verifies. Gives figures."""
        digests = self.shim.counted_digests()
        wanted = self.sql(
            """select encode(d, 'hex') from (select tbs from issuance union all select tbs from responder_intent) i,
                lateral (values (sha256(i.tbs)), (sha384(i.tbs))) x(d)
            union all select encode(tbs_hash, 'hex') from crl_intent
            union all select encode(substr(hashes, 32 * k + 1, 32), 'hex')
                from status_intent, lateral generate_series(0, length(hashes) / 32 - 1) k
            union all select encode(sha256(convert_to(text, 'UTF8')), 'hex') from head_intent"""
        ).split()
        # two answers of one second about one certificate are the same bytes, and are recorded twice to be signed twice
        missing = list((collections.Counter(digests) - collections.Counter(wanted)).elements())
        assert not missing, f"{len(missing)} of {len(digests)} signatures are in no intent, or signed twice: {missing[:3]}"
        two = self.sql(
            """select encode(c.device, 'hex') from claim c join signature s on s.serial = c.serial
            where revoked(c.serial) is null group by c.device, c.purpose having count(*) > 1"""
        )
        assert two == "", f"claims with two valid certificates: {two.split()[:3]}"
        verify_chain(self.env["ASSAY_DATABASE_URL"])
        counts = self.sql(
            "select (select count(*) from issuance), (select count(*) from signature), (select count(*) from void), "
            "(select count(*) from crl_intent), (select count(*) from head_intent)"
        ).split("|")
        return dict(zip(("intents", "recorded", "void", "crls", "heads"), map(int, counts)), signatures=len(digests))

    def check_received(self, certificates):
        """Certificates (DER) that clients hold are in the ledger byte for byte, and valid."""
        held = dict(
            line.split("|")
            for line in self.sql(
                "select encode(sha256(certificate(serial)), 'hex'), coalesce(revoked(serial)::text, '') from signature"
            ).splitlines()
        )
        for der in certificates:
            digest = hashlib.sha256(der).hexdigest()
            assert digest in held, "a certificate that was given out is not in the ledger"
            assert held[digest] in ("", "4"), f"a certificate that was given out is revoked: {held[digest]}"


def verify_chain(url):
    done = subprocess.run(["/usr/bin/python3", VERIFY_CHAIN, url], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def run_quiet(command, check):
    # no pipes: pg_ctl's child would keep them open
    done = subprocess.run(
        [str(c) for c in command], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120
    )
    assert not check or done.returncode == 0, f"{command}: exit {done.returncode}"
    return done.returncode


def persist(what, ask, seconds=PATIENCE_S, refusals=None):
    """Asks again while parts are away, as a rig would; gives the first answer that is not 503. `refusals` takes the rest."""

    def once():
        try:
            reply = ask()
        except (OSError, http.client.HTTPException):
            return None
        if reply.status != 503:
            return reply
        assert int(reply.headers["Retry-After"]) >= 1, "503 without Retry-After"
        if refusals is not None:
            refusals.append(reply)
        return None

    return wait_until(f"{what} is answered", once, seconds)


def der_of(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def load_pem(file):
    return der_of(x509.load_pem_x509_certificate(pathlib.Path(file).read_bytes()))


__all__ = ["Plant", "persist", "run", "wait_until"]
