"""kill -9 at random moments under load: every signature is accounted for, every device gets its one certificate.

Promises 1, 2 and 4. The load: new devices; devices enrolled before that renew and rekey over connections of their own;
replies that are lost and asked for again through another rig. `--kills 200` is the long run; the seed is printed and
can be given.
"""

import base64
import collections
import http.client
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

from cryptography import x509

from plant import BUILD, ROLES, der_of, load_pem, persist
from waiting import wait_until

# Who is killed, and how often: the ca most, since what it holds is what can be lost.
VICTIMS = (("ca",), ("ca",), ("ra",), ("va",), ("admin",), ROLES, ("postgres",), ("supervisor",))
BUDGET_S = 2.5  # a kill, on average; when time runs out the rest is left
OLDER = 24  # devices that re-enrol


def rig(plant, out, command, *arguments):
    line = [BUILD / "assay-rig", command, "--out", out, "--patience", "120", "--quiet", *arguments]
    return subprocess.Popen(
        [str(word) for word in line], env={**os.environ, **plant.env}, stdout=subprocess.DEVNULL,
        stderr=open(out.parent / f"{command}.log", "a"), start_new_session=True,
    )  # fmt: skip


def over(process):
    """Whatever happened before."""
    if process.poll() is None:
        process.kill()
        process.wait()


class Again(threading.Thread):
    """Something that is done again and again until it is stopped; what went wrong ends it and is told."""

    def __init__(self, plant, *arguments):
        super().__init__()
        self.plant, self.arguments, self.stop, self.trouble = plant, arguments, threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.once(*self.arguments)
        except Exception as trouble:  # pylint: disable=broad-except
            self.trouble = trouble

    def end(self):
        self.stop.set()
        self.join()
        if self.trouble:
            raise self.trouble


class Renewals(Again):
    """Every older device re-enrols, in turn with the key it has and with a new one, a connection each."""

    rounds = 0

    def once(self, out):
        done = rig(self.plant, out, "reenrol", "--stations", "2", *(["--new-key"] if self.rounds % 2 else []))
        try:
            assert done.wait(300) == 0, (out.parent / "reenrol.log").read_text()[-2000:]
        finally:
            over(done)
        self.rounds += 1


class LostReplies(Again):
    """One rig asks and goes away, another gets the answer, the first comes back for it."""

    def __init__(self, plant):
        self.received, self.found = [], 0
        super().__init__(plant)

    def once(self):
        plant = self.plant
        try:
            first = plant.rig()
            request, key, chip = plant.request(first)
            first.connection.request("POST", first.path("simpleenroll", "line"), base64.b64encode(request), {"Content-Type": "application/pkcs10"})
            first.close()
        except (OSError, AssertionError, http.client.HTTPException):
            return  # not even asked
        other = persist("another rig's retry", lambda: plant.rig2().enrol(request), 60)
        if other.reason == "nonce_foreign":  # the request was lost too, and its nonce was the first rig's
            request = plant.request(plant.rig2(), key=key, chip=chip)[0]
            other = persist("another rig's own request", lambda: plant.rig2().enrol(request), 60)
        again = persist("the first rig's retry", lambda: plant.rig().enrol(request), 60)
        assert other.certificate() == again.certificate()
        self.found += 1
        self.received.append((chip, der_of(other.certificate())))
        self.stop.wait(0.1)


def strike(plant, victims):
    for victim in victims:
        if victim == "postgres":
            plant.kill_postgres()
            plant.start_postgres()
        elif victim == "supervisor":
            plant.kill_supervisor()
            plant.start_daemon(ready=False)
        else:
            pid = plant.pid(victim)
            if pid:
                os.kill(pid, signal.SIGKILL)


def kill_at_random(plant, kills, dice):
    """Figures: how often whom; and how often SoftHSM lost its token by it."""
    start, struck, lost = time.monotonic(), collections.Counter(), 0
    while struck.total() < kills and time.monotonic() - start < kills * BUDGET_S:
        victims = dice.choice(VICTIMS)
        if victims[0] in ROLES:
            wait_until(f"one of {victims} runs", lambda: any(plant.pid(v) for v in victims))
        lost += plant.mend_token()
        time.sleep(dice.uniform(0, 0.8))  # the random moment itself
        strike(plant, victims)
        assert plant.daemon.poll() is None, "assayd has ended"
        struck["all four" if len(victims) > 1 else victims[0]] += 1
    return struck, lost


def certificates(out):
    return list(pathlib.Path(out).glob("*/cert.pem"))


def finish(plant, enrolment, out):
    """Ctrl-C, then the boards that it met while they waited for a retry."""
    enrolment.send_signal(signal.SIGINT)
    assert enrolment.wait(150) == 130, (out.parent / "enrol.log").read_text()[-2000:]
    assert rig(plant, out, "enrol", "--resume").wait(120) == 0, (out.parent / "enrol.log").read_text()[-2000:]
    devices = [d for d in out.iterdir() if d.is_dir()]
    without = [d.name for d in devices if not (d / "cert.pem").exists()]
    assert not without, f"{len(without)} devices without a certificate: {without[:3]}"
    return len(devices)


def assert_still_good(plant, older):
    """Every re-enrolling device can present what it holds."""
    for pem in certificates(older):
        cert = x509.load_pem_x509_certificate(pem.read_bytes())
        serial = f"{cert.serial_number:038x}"
        assert plant.sql(f"select revoked('\\x{serial}'::bytea) is null") == "t", f"{pem} is revoked"


def test_killed_at_random_moments_under_load(plant, request, seed, say, tmp_path):
    kills, dice = request.config.getoption("--kills"), random.Random(seed)
    out, older = tmp_path / "devices", tmp_path / "older"
    assert rig(plant, older, "enrol", "--devices", str(OLDER), "--stations", "4").wait(120) == 0
    plant.shim.set(delay_us=20_000)  # most of the line stands between intent and record
    enrolment = rig(plant, out, "enrol", "--devices", "1000000", "--stations", "6")
    wait_until("the first certificates", lambda: len(certificates(out)) > 5)
    renewals, lost = Renewals(plant, older), LostReplies(plant)
    start = time.monotonic()
    try:
        struck, tokens = kill_at_random(plant, kills, dice)
        before = len(certificates(out))
        wait_until("the line goes on by itself", lambda: not plant.mend_token() and len(certificates(out)) > before)
        renewals.end()
        lost.end()
        devices = finish(plant, enrolment, out)
    finally:
        renewals.stop.set()
        lost.stop.set()
        over(enrolment)
    seconds = time.monotonic() - start
    plant.wait_ready()
    plant.shim.set(delay_us=0)

    plant.check_received(load_pem(c) for c in certificates(out) + certificates(older))
    plant.check_received(der for _, der in lost.received)
    assert_still_good(plant, older)
    for chip, _ in lost.received:
        assert len(plant.valid_of(chip)) == 1
    figures = plant.account()
    say(f"seed {seed}: {struck.total()} kills {dict(struck)} in {seconds:.0f} s; {devices} devices, {renewals.rounds * OLDER} re-enrolments, "
        f"{lost.found} lost replies found by another rig; {figures}; SoftHSM lost its token {tokens} times")  # fmt: skip
    assert struck.total() >= min(kills, 5) and renewals.rounds > 0 and lost.found > 0
