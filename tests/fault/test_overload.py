"""More load than fits: memory and queues stay bounded, refusals say when to come back, rigs are served all the same.

The token is slowed by the shim so that what fits is known: so many sessions, so long a signature. OVERLOAD_CLIENTS is
how many field devices ask at once, four times the connections that their listener takes; OVERLOAD_S how long.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import threading

from plant import BUILD
from waiting import wait_until

CLIENTS = int(os.environ.get("OVERLOAD_CLIENTS", "400"))
SECONDS = float(os.environ.get("OVERLOAD_S", "3"))
STATIONS = 8  # of the rigs
SIGN_US = 20000  # four sessions: 200 signatures a second
PER_S = 250  # devices enough for a rig that has the token to itself
UNDER_WAY = 16  # of one rig
FULL, REQUESTS = "assay_connections_full", "assay_est_requests_total"
GROWTH_MIB = 64  # of a role, whatever comes
CAPS = {"password": 64, "assay": 2048 + 1024 + 128, "channel": 4096}  # ra_line[]
ROLES = ("ra", "ca", "va", "admin")


@contextlib.contextmanager
def configured(plant, change):
    """The common instance with another configuration, for a while."""
    file = plant.home / "assay.json"
    before = file.read_text()
    config = json.loads(before)
    change(config)
    file.write_text(json.dumps(config, indent=2))
    try:
        plant.restart_daemon()
        yield config
    finally:
        plant.shim.set(delay_us=0)
        file.write_text(before)
        plant.restart_daemon()


class Load:
    """assay-load: ready once made; go(), then result()."""

    def __init__(self, plant, url, *options, environ=()):
        self.process = subprocess.Popen(
            [BUILD / "bench" / "assay-load", "--url", url, *map(str, options)], env={**os.environ, **plant.env, **dict(environ)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stderr.read()

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self

    def result(self):
        """No further board is begun; those under way end."""
        out, complaint = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, complaint
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.communicate()


def sample(text, name, **labels):
    """A metric's value in Prometheus text; 0 where it has none yet."""
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.search(rf"^{name}{{{inside}}} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


def rss_mib(plant, role):
    text = pathlib.Path(f"/proc/{plant.wait_pid(role)}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


class Watch:
    """The highest that memory and queues ever were."""

    def __init__(self, plant):
        self.plant, self.over = plant, threading.Event()
        self.start = {role: rss_mib(plant, role) for role in ROLES}
        self.rss, self.depth, self.under_way = dict(self.start), dict.fromkeys(CAPS, 0.0), 0.0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.1):
            text = self.plant.metrics()
            self.under_way = max(self.under_way, sample(text, "assay_requests_under_way", role="ra"))
            for station in CAPS:
                depth = sample(text, "assay_station_depth", role="ra", station=station)
                self.depth[station] = max(self.depth[station], depth)
            for role in ROLES:
                self.rss[role] = max(self.rss[role], rss_mib(self.plant, role))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()

    @property
    def growth(self):
        return {role: self.rss[role] - self.start[role] for role in ROLES}


def rigs(plant, url, seconds):
    with Load(plant, url, "--stations", STATIONS, "--devices", int(PER_S * seconds), "--seconds", seconds) as load:
        result = load.go().result()
    assert result["failed"] == 0 and result["done"] == result["begun"] > STATIONS, result
    return result


def since(before, after, name, **labels):
    return sample(after, name, **labels) - sample(before, name, **labels)


def test_four_times_more_than_fits(plant, say):
    """Field devices storm their listener, four for each connection that it takes; a rig there sends four times as much
    as one requester may have under way; other rigs work on a listener of their own."""
    fits, rigs_port = CLIENTS // 4, plant.port + 3
    rigs_url = f"https://127.0.0.1:{rigs_port}"
    rig2 = dict(zip(("ASSAY_RIG_CERT", "ASSAY_RIG_KEY"), plant.rig2_identity))

    def change(config):
        free = {"per_address": 0, "handshakes_s": 0, "strangers_s": 0}
        config["est"]["rig_under_way"] = UNDER_WAY
        config["est"]["listeners"] = [
            {"name": "all", "port": plant.port, "threads": 4, "connections": fits + 4 * UNDER_WAY, **free},
            {"name": "rigs", "port": rigs_port, "clients": "rigs"},
        ]

    with configured(plant, change), contextlib.ExitStack() as loads:
        plenty = CLIENTS if SECONDS < 10 else CLIENTS * int(SECONDS)
        field = Load(plant, plant.url, "--work", "renew", "--stations", CLIENTS, "--devices", plenty, "--until-input")
        loads.enter_context(field)
        flood = Load(plant, plant.url, "--stations", 4 * UNDER_WAY, "--devices", int(PER_S * (2 * SECONDS + 5)), "--until-input", environ=rig2)
        loads.enter_context(flood)
        plant.shim.set(delay_us=SIGN_US)
        alone = rigs(plant, rigs_url, SECONDS / 2)
        before = plant.metrics()
        watch = loads.enter_context(Watch(plant))
        flood.go()
        field.go()
        wait_until("the listener is full", lambda: since(before, plant.metrics(), FULL, role="ra") > fits)
        under_load = rigs(plant, rigs_url, SECONDS)
        after = plant.metrics()
        plant.shim.set(delay_us=0)
        flooded = flood.result()
        field.process.kill()  # devices that hold on would take long
        wait_until("nothing is under way", lambda: sample(plant.metrics(), "assay_requests_under_way", role="ra") == 0)
    closed = since(before, after, FULL, role="ra")
    busy = since(before, after, REQUESTS, role="ra", op="simpleenroll", reason="requester_busy")
    renewed = since(before, after, REQUESTS, role="ra", op="simplereenroll", reason="ok")
    p99, p99_alone = under_load["request_ms"]["p99"], alone["request_ms"]["p99"]
    say(f"{CLIENTS} devices on {fits} connections: {renewed:.0f} renewed, {closed:.0f} connections closed before TLS")
    say(f"a rig with {4 * UNDER_WAY} stations where {UNDER_WAY} may be under way: {flooded['done']} certificates, {busy:.0f} times 503")
    say(f"rigs of their own listener: {under_load['done']} certificates, p99 {p99:.0f} ms, alone {p99_alone:.0f} ms ({p99 / p99_alone:.1f} times), {under_load['retried']} times 503")
    say(f"MiB grown: { {role: round(mib, 1) for role, mib in watch.growth.items()} }; deepest queues: {watch.depth}; under way: {watch.under_way:.0f}")
    assert closed > fits and busy > 0 and flooded["retry_after_min_s"] >= 1
    assert flooded["failed"] == 0 and flooded["without_retry_after"] == 0, flooded
    assert all(mib < GROWTH_MIB for mib in watch.growth.values()), watch.growth
    assert all(watch.depth[station] <= CAPS[station] for station in CAPS), watch.depth
    assert watch.under_way <= fits + 2 * UNDER_WAY  # connections of devices, and two rigs' own
    assert under_load["retried"] == 0 and p99 < 10 * p99_alone + 500
