"""One running Assay in a temporary home on free ports: made by quickstart, known by its env, its log and its ledger.

For pytest layers: put tests/support on sys.path and import this. ASSAY_BUILD names the build to test (default: build).
"""

import json
import os
import pathlib
import re
import shlex
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import admin
import element
import est
from waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = TOP / "deploy" / "quickstart"


def run(*command, check=True, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Rigs:
    """A rig CA of the tests' own, beside the ceremony's: for certificates that no ceremony would make."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)  # a home that was kept
        self.key = element.new_key()
        self.ca = element.make_cert(
            element.common_name("Test rigs CA"), self.key, element.common_name("Test rigs CA"), self.key, ca=True
        )

    def pem(self):
        return self.ca.public_bytes(serialization.Encoding.PEM).decode()

    def make(self, cn, ekus=("1.3.6.1.5.5.7.3.2",), issuer=None, **options):
        """(certificate file, key file) of a rig that this CA, or `issuer` (certificate, key), vouches for."""
        key = element.new_key()
        ca, ca_key = issuer or (self.ca, self.key)
        cert = element.make_cert(element.common_name(cn), key, ca.subject, ca_key, ekus=ekus, **options)
        return self.write(cn, cert, key)

    def write(self, stem, cert, key):
        files = (str(self.folder / f"{stem}.pem"), str(self.folder / f"{stem}.key"))
        with open(files[0], "wb") as f:
            f.write(cert.public_bytes(serialization.Encoding.PEM))
        with open(files[1], "wb") as f:
            f.write(element.pem(key))
        return files


class Assay:
    """What the tests know of the running instance: its env, its log and its ledger."""

    patient = True  # its clients, est.py says how

    def __init__(self, home, port):
        self.home, self.port = pathlib.Path(home), port
        self.environ = {**os.environ, "ASSAY_HOME": str(home), "ASSAY_PORT_BASE": str(port)}
        self.rigs = Rigs(self.home / "test-rigs")
        self.extra = []

    def quickstart(self, *arguments, check=True):
        return run(QUICKSTART, *arguments, env=self.environ, check=check)

    def start(self):
        self.quickstart()
        self.look()

    def look(self):
        """What the home says of itself."""
        shown = run("bash", "-c", f"set -a; . {shlex.quote(str(self.home / 'env'))}; env -0").stdout
        self.env = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
        self.vendor = element.Vendor.load(self.env["ASSAY_VENDOR_DIR"])
        self.rig_identity = (self.env["ASSAY_RIG_CERT"], self.env["ASSAY_RIG_KEY"])
        self.cacert = self.env["ASSAY_CACERT"]
        self.url = self.env["ASSAY_EST_URL"]

    def with_test_rigs(self):
        """Trusts the tests' rig CA too, and registers a second rig under it."""
        with open(self.home / "trust" / "rigs.pem", "a") as f:
            f.write(self.rigs.pem())
        self.rig2_identity = self.rigs.make("rig-2")
        self.register("rig", "rig-2", self.rig2_identity[0])
        self.quickstart("stop")
        self.quickstart()

    def add_profile(self, label, like, **changes):
        """Another label, read at the next start."""
        profile = json.loads((TOP / "deploy" / "profiles" / f"{like}.json").read_text())
        (self.home / "profiles" / f"{label}.json").write_text(json.dumps({**profile, **changes}))

    def edit_config(self, issuer, **changes):
        """As an operator does; read at the next start."""
        file = self.home / "assay.json"
        config = json.loads(file.read_text())
        next(i for i in config["issuers"] if i["name"] == issuer).update(changes)
        file.write_text(json.dumps(config))

    def register(self, kind, name, cert_file):
        with open(cert_file, "rb") as f:
            cert = x509.load_pem_x509_certificate(f.read())
        self.owner_sql(
            f"SELECT register_requester('{kind}', '{name}', '\\x{self.spki_hash(cert)}'::bytea, '', '')"
        )

    def retire(self, cert_file):
        with open(cert_file, "rb") as f:
            cert = x509.load_pem_x509_certificate(f.read())
        self.owner_sql(f"SELECT retire_requester('\\x{self.spki_hash(cert)}'::bytea)")

    @staticmethod
    def spki_hash(cert):
        from hashlib import sha256

        der = cert.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return sha256(der).hexdigest()

    def client(self, identity=None, userpass=None, **options):
        return est.Client(self.url, self.cacert, identity, userpass, **{"patient": self.patient, **options})

    def rig(self, **options):
        return self.client(self.rig_identity, **options)

    def rig2(self):
        return self.client(self.rig2_identity)

    def legacy(self, **options):
        return self.client(userpass=self.env["ASSAY_USERPASS"], **options)

    def admin(self, who="operator"):
        """A connection to the admin API: "operator", "auditor", "rig", None, or (certificate file, key file)."""
        if isinstance(who, str):
            who = (self.env[f"ASSAY_{who.upper()}_CERT"], self.env[f"ASSAY_{who.upper()}_KEY"])
        return admin.Admin(self.env["ASSAY_ADMIN_URL"], self.cacert, who, self.patient)

    def new_administrator(self, name):
        """A connection of somebody new who may register others, once trust list and registry have reached the role."""
        identity = self.rigs.make(f"{name}-administrator")
        with open(self.home / "trust" / "operators.pem", "a") as f:
            f.write(self.rigs.pem())
        self.register("administrator", name, identity[0])
        client = self.admin(identity)
        wait_until("the administrator is known", lambda: client.get("status").status == 200)
        return client

    def identity(self, cert, key):
        """Files for a certificate that a test was given."""
        return self.rigs.write(f"{cert.serial_number:x}", cert, key)

    # The ledger and the log

    def sql(self, statement, url=None):
        return run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, url or self.env["ASSAY_DATABASE_URL"]).stdout.strip()

    def owner_sql(self, statement):
        return self.sql(statement, self.env["ASSAY_DATABASE_URL"].replace("assay_read", "assay_owner"))

    def owner_sql_file(self, statements):
        """Each in a transaction of its own."""
        url = self.env["ASSAY_DATABASE_URL"].replace("assay_read", "assay_owner")
        return run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, input=statements).stdout

    def issuances(self):
        return int(self.sql("SELECT count(*) FROM issuance"))

    def signatures(self):
        return int(self.sql("SELECT count(*) FROM signature"))

    def log(self):
        with open(self.home / "log" / "assayd.log", errors="replace") as f:
            for line in f:
                if line.startswith("{"):
                    try:
                        yield json.loads(line)
                    except ValueError:
                        pass  # the last line may be half written

    def log_event(self, request):
        """The EST event of one request. The line is written just after the reply: look until it is there."""
        mine = lambda event: event.get("event") == "est" and event.get("request") == request  # noqa: E731
        return wait_until(f"a log line for request {request}", lambda: next(filter(mine, self.log()), None))

    def sanitizer_complaints(self):
        """What ASan, LeakSanitizer, TSan and UBSan have written; with the daemon stopped, leaks at exit are in it."""
        with open(self.home / "log" / "assayd.log", errors="replace") as f:
            return [line.rstrip() for line in f if re.search(r"(Address|Leak|Thread)Sanitizer|runtime error:", line)]

    # The whole of an enrolment

    def enrol(self, client=None, label="line", key=None, chip=None):
        """(certificate, key, element) of a new device."""
        client = client or self.rig()
        chip = chip or self.vendor.element()
        key = key or element.new_key()
        nonce = client.nonce_of(self.answer(lambda: client.get("nonce", label)))
        request = element.csr(key, chip.evidence(key, nonce))
        return self.answer(lambda: client.enrol(request, label)).certificate(), key, chip

    @staticmethod
    def answer(ask):
        """To a request of an enrolment that is to succeed."""
        return ask()

    def device(self, **options):
        """A freshly enrolled device: (client with its certificate, certificate, key, element)."""
        cert, key, chip = self.enrol(**options)
        return self.client(self.identity(cert, key)), cert, key, chip

    def cacerts_file(self):
        """/cacerts as PEM, for programs that take files."""
        file = self.home / "cacerts.pem"
        certs = self.client().get("cacerts").certificates()
        file.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certs))
        return file
