"""A private instance of Assay: a quickstart home of its own, its daemon and its PostgreSQL."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.request

from . import packages
from .machine import BUILD, TOP, Trouble, family_cpu_us, say

PROGRAMS = ("assayd", "assayctl", "assay-rig", "assay-ceremony", "assay-load", "assay-floor", "assay-sign", "assay_p11_shim")
START_S = 300  # with a million revoked, or on a slow machine
HOURLY_MAX = 10_000_000  # a bench issues more than quickstart's configuration allows


def kept_folder():
    """Where an instance stays with --keep: one a user and build folder."""
    name = hashlib.sha256(str(BUILD).encode()).hexdigest()[:8]
    return pathlib.Path(tempfile.gettempdir(), f"assay-bench-{os.getuid()}-{name}")


def build():
    """What is measured and what measures, before any clock starts."""
    say(f"building in {BUILD}")
    packages.install("build", "run")
    steps = [["ninja", "-C", BUILD, *PROGRAMS]]
    if not (BUILD / "build.ninja").exists():
        steps.insert(0, ["cmake", "-S", TOP, "-B", BUILD, "-G", "Ninja"])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"the build failed:\n{done.stdout}{done.stderr}")


class Instance:
    def __init__(self, keep):
        self.keep = keep
        self.folder = kept_folder() if keep else pathlib.Path(tempfile.mkdtemp(prefix="assay-bench-"))
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)  # PostgreSQL's user has to pass
        self.home = self.folder / "home"
        self.environ = {**os.environ, "ASSAY_HOME": str(self.home), "ASSAY_BUILD": str(BUILD)}
        if not (self.home / "port_base").exists():
            self.environ["ASSAY_PORT_BASE"] = str(packages.free_ports())
        else:
            self.environ.pop("ASSAY_PORT_BASE", None)
        self.child = None

    def quickstart(self, *arguments):
        done = subprocess.run([TOP / "deploy" / "quickstart", *arguments], env=self.environ, capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"quickstart failed:\n{done.stdout}{done.stderr}")

    def __enter__(self):
        say(f"starting a private instance in {self.home}")
        self.quickstart()
        shown = subprocess.run(
            ["bash", "-c", f"set -a; . {shlex.quote(str(self.home / 'env'))}; env -0"],
            env=self.environ, capture_output=True, text=True, check=True,
        ).stdout
        self.env = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
        self.config_file = self.home / "assay.json"
        self.config_text = self.config_file.read_text()
        self.restart()
        return self

    def __exit__(self, *_):
        if self.keep:
            say(f"the instance goes on; stop it with: ASSAY_HOME={self.home} {TOP / 'deploy' / 'quickstart'} stop")
            return
        self.quickstart("stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- processes ----

    def daemon_pid(self):
        return int((self.home / "assayd.pid").read_text())

    def postmaster_pid(self):
        return int((self.home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])

    def roles(self):
        """Process id by role."""
        found = {}
        children = pathlib.Path("/proc", str(self.daemon_pid()), "task", str(self.daemon_pid()), "children")
        for pid in children.read_text().split():
            words = pathlib.Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
            if b"--role" in words:
                found[words[words.index(b"--role") + 1].decode()] = int(pid)
        return found

    def cpu_us(self):
        """Per part, microseconds on a processor so far."""
        return {"assayd": family_cpu_us(self.daemon_pid()), "postgres": family_cpu_us(self.postmaster_pid())}

    def role_cpu_us(self):
        """The same by role."""
        return {role: family_cpu_us(pid) for role, pid in self.roles().items()}

    def connections(self):
        """That its listener of stations and devices has room for."""
        return json.loads(self.config_text)["est"]["listeners"][0]["connections"]

    # ---- the daemon under another configuration ----

    def stop_daemon(self):
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + START_S
        while pathlib.Path("/proc", str(pid), "exe").exists():
            if self.child is not None:
                self.child.poll()
            try:
                os.readlink(f"/proc/{pid}/exe")
            except OSError:
                break  # gone, or a zombie that nobody reaps
            if time.monotonic() > deadline:
                raise Trouble("assayd does not stop")
            time.sleep(0.05)

    def start_daemon(self, environ):
        with open(self.home / "log" / "assayd.log", "ab") as log:
            self.child = subprocess.Popen(
                [BUILD / "server" / "assayd", "--config", self.config_file], env={**self.env, **environ},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        (self.home / "assayd.pid").write_text(f"{self.child.pid}\n")
        deadline = time.monotonic() + START_S
        while not self.ready():
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"assayd does not start; its log: {self.home / 'log' / 'assayd.log'}")
            time.sleep(0.1)

    def admin(self, path):
        """What the admin listener says to the operator."""
        context = ssl.create_default_context(cafile=self.env["ASSAY_CACERT"])
        context.load_cert_chain(self.env["ASSAY_OPERATOR_CERT"], self.env["ASSAY_OPERATOR_KEY"])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        return opener.open(self.env["ASSAY_ADMIN_URL"] + path, timeout=5).read().decode()

    def ready(self):
        try:
            self.admin("/readyz")
            return True
        except OSError:
            return False

    def gauge(self, name, role):
        """One value of /metrics; None if it is not there."""
        found = re.search(rf'^{name}{{[^}}]*role="{role}"[^}}]*}} (\S+)', self.admin("/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def waiting_jobs(self):
        """At all stations of all roles."""
        return sum(map(float, re.findall(r"^assay_station_depth{[^}]*} (\S+)", self.admin("/metrics"), re.MULTILINE)))

    def restart(self, change=lambda config: None, environ={}):
        config = json.loads(self.config_text)
        for issuer in config["issuers"]:
            issuer["hourly_max"] = HOURLY_MAX
        config["multi_buffer"] = "off"
        change(config)
        self.stop_daemon()
        self.config_file.write_text(json.dumps(config, indent=2) + "\n")
        self.start_daemon(environ)

    @contextlib.contextmanager
    def altered(self, change=lambda config: None, environ={}):
        """The daemon with a changed configuration or environment, for a while."""
        try:
            self.restart(change, environ)
            yield
        finally:
            self.restart()
