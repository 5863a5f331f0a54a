"""A relying party on this machine: assay-agent, a real mosquitto and a real nginx, configured as deploy/relying says."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

from cryptography.hazmat.primitives import serialization

from instance import TOP, run
from ports import free_ports
from waiting import wait_until

FOLDER = TOP / "deploy" / "relying"
BUILD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build"))
AGENT = BUILD / "deploy" / "relying" / "assay-agent"
PLUGIN = BUILD / "deploy" / "relying" / "assay_mosquitto.so"
MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
ISSUERS = ("attested", "unattested")


def root_crl(assay, file, *options, days=30):
    """The root's CRL, as the ceremony makes it; in a quickstart home the root's key is in the only token."""
    run("assay-ceremony", "crl", "--spec", TOP / "deploy" / "ceremony" / "quickstart.json", "--home", assay.home, "--out", file,
        "--days", str(days), *options, env={**os.environ, **assay.env, "SOFTHSM2_CONF": assay.env["SOFTHSM2_CONF"]})  # fmt: skip


def put_root_crl(assay, party, *options):
    """A new one in the place of an agent's. The home forgets it again: whoever was revoked once stays on all later ones."""
    folder = assay.home / "crl"
    before = set(folder.iterdir())
    root_crl(assay, party.folder / "next.pem", *options)
    for file in set(folder.iterdir()) - before:
        file.unlink()
    (party.folder / "next.pem").rename(party.folder / "root-crl.pem")


def plugin_environ():
    """A plugin with a sanitizer needs its library in a mosquitto that was built without; mosquitto's leaks are its own."""
    needs = [line.split()[2] for line in run("ldd", PLUGIN).stdout.splitlines() if "san.so" in line]
    options = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "").replace("detect_leaks=1", "detect_leaks=0")
    return {**os.environ, "LD_PRELOAD": ":".join(needs), "ASAN_OPTIONS": options} if needs else dict(os.environ)


def agent_command(va, root, state, issuers):
    command = [AGENT, "--va", va, "--root", root, "--state", state]
    for issuer in issuers:
        command += ["--issuer", issuer]
    return command


def serials(state):
    """What an agent's list holds, which is of one issuer."""
    text = (state / "revoked").read_bytes()
    assert text[:12] == b"ASSAYRL1\0\0\0\1"
    body = text[12 + 56 :]
    found = [int.from_bytes(body[i : i + 20], "big") for i in range(0, len(body), 20)]
    assert found == sorted(set(found)) and len(found) == int.from_bytes(text[60:68], "big")
    return set(found)


class Program:
    """One program in the foreground, its output in a file."""

    def __init__(self, log, *command, environ=None):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ)

    def text(self):
        return self.log.read_text(errors="replace")

    def says(self, text, limit_s=60):
        wait_until(f"{text!r} in {self.text()}", lambda: text in self.text() or self.process.poll() is not None, limit_s)
        assert text in self.text(), f"ended without {text!r}: {self.text()}"

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)


class Relying:
    def __init__(self, assay, folder):
        self.assay, self.folder = assay, folder
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.port = free_ports()
        self.programs = {}
        self.material()

    def material(self):
        home = self.assay.home
        names = ("root", "attested", "unattested", "idevid")
        (self.folder / "cas.pem").write_text("".join((home / "ca" / f"{n}.pem").read_text() for n in names))
        shutil.copy(home / "tls" / "est.pem", self.folder / "server.pem")
        shutil.copy(home / "tls" / "est.key", self.folder / "server.key")
        root_crl(self.assay, self.folder / "root-crl.pem")

    def start_agent(self):
        command = agent_command(self.assay.env["ASSAY_STATUS_URL"], self.assay.cacert, self.state, ISSUERS)
        command += ["--root-crl", self.folder / "root-crl.pem", "--nginx-pid", self.folder / "nginx.pid"]
        self.programs["agent"] = agent = Program(self.folder / "agent.log", *command)
        wait_until("crl.pem", lambda: (self.state / "crl.pem").exists())
        return agent

    def configuration(self, name, changes):
        """The shipped file with this machine's places in it."""
        text = (FOLDER / name).read_text()
        for old, new in {"/var/lib/assay-agent": self.state, "/etc/assay-agent": self.folder, **changes}.items():
            assert str(old) in text, f"{name} has no {old}"
            text = text.replace(str(old), str(new))
        file = self.folder / name
        file.write_text(text)
        return file

    def start_mosquitto(self, change=lambda text: text):
        file = self.configuration("mosquitto.conf", {"/usr/lib/assay/assay_mosquitto.so": PLUGIN, "listener 8883": f"listener {self.port} 127.0.0.1"})
        file.write_text(change(file.read_text()))
        with open(file, "a") as f:  # started by root it would become another user, who may not enter the test's folders
            f.write("\nuser root\n" if os.geteuid() == 0 else "")
        self.programs["mosquitto"] = program = Program(self.folder / "mosquitto.log", MOSQUITTO, "-c", file, environ=plugin_environ())
        wait_until("mosquitto", lambda: listening(self.port))
        return program

    def start_nginx(self):
        file = self.configuration("nginx.conf", {"listen 443 ssl": f"listen 127.0.0.1:{self.port + 1} ssl"})
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = "".join(f"{path}_temp_path {self.folder}/{path};" for path in paths) + f"access_log {self.folder}/access.log;"
        file.write_text(file.read_text().replace("http {", "http {" + text, 1))
        pid = f"daemon off; pid {self.folder}/nginx.pid; error_log stderr;"
        self.programs["nginx"] = program = Program(self.folder / "nginx.log", NGINX, "-p", self.folder, "-e", "stderr", "-c", file, "-g", pid)
        wait_until("nginx", lambda: listening(self.port + 1))
        return program

    def stop(self):
        for program in self.programs.values():
            program.stop()

    def mqtt(self, identity, name, user=None):
        return Mqtt(self.assay.cacert, self.port, identity, name, user)

    def https(self, identity, session=None):
        return Https(self.assay.cacert, self.port + 1, identity, session)

    def status(self):
        import json

        return json.loads(run(AGENT, "--status", "--json", "--state", self.state).stdout)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def tls_context(cacert, identity):
    context = ssl.create_default_context(cafile=cacert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refused certificate shows in the handshake; sessions can be taken up
    context.load_cert_chain(*identity)
    return context


def connect(context, port, session=None):
    raw = socket.create_connection(("127.0.0.1", port), timeout=120)
    return context.wrap_socket(raw, server_hostname="localhost", session=session)


class Mqtt:
    """MQTT 3.1.1, as much as it takes to stay connected. `code`: what CONNACK says; None: the connection was ended."""

    def __init__(self, cacert, port, identity, name, user=None):
        self.sock, self.code = None, None
        try:
            self.sock = connect(tls_context(cacert, identity), port)
            body = b"\0\4MQTT\4" + (b"\x82" if user else b"\2") + b"\0\0"
            body += b"".join(struct.pack(">H", len(text)) + text.encode() for text in (name, user) if text)
            self.sock.sendall(bytes([0x10, len(body)]) + body)
            answer = self.sock.recv(4)
            self.code = answer[3] if len(answer) == 4 else None
        except (ssl.SSLError, OSError):
            pass

    def publish(self, topic):
        self.sock.sendall(bytes([0x30, 2 + len(topic), 0, len(topic)]) + topic.encode())

    def alive(self):
        try:
            self.sock.sendall(b"\xc0\0")  # PINGREQ
            return self.sock.recv(2) == b"\xd0\0"
        except OSError:
            return False

    def ended_at(self):
        """Waits for the end of the connection."""
        try:
            while self.sock.recv(64):
                pass
        except OSError:
            pass
        return time.monotonic()

    def close(self):
        if self.sock is not None:
            self.sock.close()


class Https:
    """A kept-alive connection. `session`: what another one's session() gave."""

    def __init__(self, cacert, port, identity, session=None):
        self.context, ticket = session or (tls_context(cacert, identity), None)
        self.connection = http.client.HTTPConnection("localhost", port)
        self.connection.sock = connect(self.context, port, ticket)
        self.resumed = self.connection.sock.session_reused

    def session(self):
        return self.context, self.connection.sock.session

    def get(self):
        """Status and body; None: the connection was ended."""
        try:
            self.connection.auto_open = 0
            self.connection.request("GET", "/")
            response = self.connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return None

    def close(self):
        self.connection.close()


def https_status(relying, identity, session=None):
    """What a new connection gets."""
    try:
        client = relying.https(identity, session)
    except OSError:
        return None
    answer = client.get()
    client.close()
    return answer and answer[0]


def der(crl):
    return crl.public_bytes(serialization.Encoding.DER)
