"""A token that is slow, like a network HSM: each signature takes 5 ms longer."""

import json
import struct
import subprocess

from . import table
from .driver import enrol
from .instance import BUILD
from .machine import Trouble

DELAY_US = 5000
SESSIONS = (1, 8, 32)
SHIM = BUILD / "tests" / "fault" / "shim" / "libassay_p11_shim.so"


def shim_environment(bench):
    """The fault tests' module: its second word of control is the delay, see tests/fault/shim/p11_shim.c."""
    control = bench.instance.home / "state" / "slow-token"
    control.write_bytes(struct.pack("<8Q", 0, DELAY_US, 0, 0, 0, 0, 0, 0))
    return {"ASSAY_SHIM_MODULE": bench.instance.env["PKCS11_MODULE"], "ASSAY_SHIM_CONTROL": str(control)}


def slow(sessions):
    def change(config):
        config["token"] |= {"module": str(SHIM), "sessions": sessions}

    return change


def station_alone(bench, sessions, environ):
    """The daemon's own station, fed with prepared intents, in a process of its own."""
    config = json.loads(bench.instance.config_text)
    slow(sessions)(config)
    path = bench.instance.home / "sign.json"
    path.write_text(json.dumps(config))
    count = int(sessions / DELAY_US * 1e6 * bench.scale(1, 5))
    done = subprocess.run([BUILD / "bench" / "assay-sign", path, str(count)],
                          env={**bench.instance.env, **environ}, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(done.stderr.strip() or "assay-sign failed")
    result = json.loads(done.stdout)
    return result["done"] / result["seconds"]


def hsm(bench):
    environ = shim_environment(bench)
    table.heading("hsm: a token that takes 5 ms longer for each signature")
    bench.series["hsm5ms"] = []
    for sessions in SESSIONS:
        most = sessions / DELAY_US * 1e6
        rate = station_alone(bench, sessions, environ)
        bench.series["hsm5ms"].append({"sessions": sessions, "station_rate": rate, "efficiency": rate / most})
        table.note(f"sign station, {sessions} sessions: {rate:.0f}/s of {most:.0f}: {rate / most:.2f}")
    table.head()
    for entry in bench.series["hsm5ms"][-1 if bench.quick else 0:]:
        with bench.instance.altered(slow(entry["sessions"]), environ):
            boards = min(bench.scale(1000, 5000), int(entry["sessions"] / DELAY_US * 1e6 * bench.scale(2, 5)))
            entry["line"] = enrol(bench.instance, boards, 64)
        table.row(f"line, {entry['sessions']} sessions", entry["line"])
    return {"hsm5ms_32_efficiency": bench.series["hsm5ms"][-1]["efficiency"]}
