"""PostgreSQL and the token go away under load and come back: 503 with Retry-After at once, recovery by itself.

Promise 5. `--outage-s 30` is the long run.
"""

import threading
import time

import pytest
from plant import CRASH_BEFORE, Plant, SESSION_LOST, persist
from waiting import wait_until


class Load:
    """Rigs that enrol and keep asking, each answer timed."""

    def __init__(self, plant, rigs=4):
        self.plant, self.stop, self.answers, self.odd = plant, threading.Event(), [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(rigs)]
        for t in self.threads:
            t.start()

    def run(self):
        client, request = self.plant.rig(), None
        while not self.stop.is_set():
            try:
                if request is None:
                    nonce = client.get("nonce", "line")
                    if nonce.status != 200:
                        continue
                    request = self.plant.request(client)[0]
                start = time.monotonic()
                reply = client.enrol(request)
                self.answers.append((start, time.monotonic() - start, reply.status))
                if reply.status == 200:
                    request = None
                elif reply.status != 503 or int(reply.headers["Retry-After"]) < 1:
                    self.odd.append((reply.status, reply.text))
            except (OSError, AssertionError, IndexError) as e:
                self.odd.append(repr(e))
                client.close()
            self.stop.wait(0.02)

    def done(self):
        self.stop.set()
        for t in self.threads:
            t.join()

    def successes(self, since=0.0):
        return [a for a in self.answers if a[0] >= since and a[2] == 200]


def outage(plant, seconds, away, back):
    """Figures: refusals while away, their p99 in ms, first success after the return in s."""
    load = Load(plant)
    try:
        wait_until("load runs", lambda: len(load.successes()) > 10)
        away()
        gone = time.monotonic()
        wait_until("a refusal", lambda: any(a[2] == 503 for a in load.answers))
        threading.Event().wait(seconds)  # the outage itself
        back()
        returned = time.monotonic()
        first = wait_until("a success after the return", lambda: load.successes(returned))[0]
    finally:
        load.done()
    took = sorted(a[1] * 1000 for a in load.answers if gone <= a[0] < returned and a[2] == 503)
    assert load.odd == [], load.odd[:3]
    plant.account()
    return len(took), took[int(len(took) * 0.99)], took[-1], first[0] + first[1] - returned


def check(say, what, an_outage, limit_ms=100):
    """The best of three: one slow moment of a busy machine is not the service's."""
    for _ in range(3):
        n, p99, longest, back_s = an_outage()
        say(f"{what}: {n} refusals, p99 {p99:.1f} ms, longest {longest:.1f} ms, first success {back_s:.2f} s after the return")
        if p99 < limit_ms and back_s < 5:
            return
    raise AssertionError(f"p99 {p99:.1f} ms of {limit_ms}, {back_s:.2f} s of 5")


def test_postgresql_away(plant, request, say):
    seconds = request.config.getoption("--outage-s")
    pids = [plant.pid(r) for r in ("ra", "ca", "va", "admin")]
    check(say, "PostgreSQL", lambda: outage(plant, seconds, lambda: plant.stop_postgres("immediate"), plant.start_postgres))
    assert [plant.pid(r) for r in ("ra", "ca", "va", "admin")] == pids, "a role had to start again"


def test_token_folder_away(plant, request, say):
    token, hidden, seconds = plant.home / "token", plant.home / "token.away", request.config.getoption("--outage-s")
    check(say, "token folder", lambda: outage(plant, seconds, lambda: token.rename(hidden), lambda: hidden.rename(token)))


@pytest.mark.parametrize("mode", [SESSION_LOST, CRASH_BEFORE])
def test_token_loses_its_sessions(plant, say, mode):
    # a ca that dies in its token starts again and again, on the processors that answer; 100 ms are for what is away
    limit_ms = 1000 if mode == CRASH_BEFORE else 100
    check(say, f"shim mode {mode}", lambda: outage(plant, 2, lambda: plant.shim.set(mode=mode), lambda: plant.shim.set(mode=0)), limit_ms)


def test_a_wrong_pin_is_tried_once(say):
    plant = Plant()
    try:
        pin = plant.home / "secrets" / "pin"
        right = pin.read_text()
        pin.write_text("999999")
        logins, ready_made = plant.shim.logins, plant.request()[0]
        plant.kill("ca")
        wait_until("the role stays down", lambda: any(e.get("event") == "role_stays_down" for e in plant.log()))
        assert plant.shim.logins == logins + 1
        status, text = plant.readyz()
        assert status == 503 and "PIN" in text, text
        reply = plant.rig().enrol(ready_made)
        assert reply.status == 503 and int(reply.headers["Retry-After"]) >= 1
        assert plant.pid("ca") is None and plant.shim.logins == logins + 1
        pin.write_text(right)
        plant.restart_daemon()
        persist("an enrolment", lambda: plant.rig().enrol(plant.request()[0]))
        say(f"wrong PIN: {text.strip()[:120]}")
    finally:
        plant.close()
