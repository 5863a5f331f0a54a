"""bench/run - what an attested enrolment costs on this machine, measured on a private instance that it makes itself.

CPU is the operating system's own account (nanoseconds on a processor) of all roles of assayd and of every PostgreSQL
process; the load driver's is apart. The database is as durable as in production: fsync and synchronous_commit on.
"""

import argparse
import dataclasses
import datetime
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

from . import bite, crl, crowd, draw, growth, handshake, ledger, line, multibuffer, ocsp, peer, publish, table, takt, token
from .instance import TOP, Instance, build
from .machine import Trouble, describe, say


@dataclasses.dataclass(frozen=True)
class Measurement:
    name: str
    measure: callable  # bench -> figures
    gives: tuple  # names of figures
    quick_s: int  # what it takes with --quick on a quiet machine of two cores
    needs: tuple = ()  # measurements whose figures it uses


MEASUREMENTS = (
    Measurement("floor", line.floor, ("floor_us",), 1),
    Measurement("line", line.line, ("line64_rate", "line64_p99_ms", "line64_cpu_us", "line64_ratio_floor"), 12, ("floor",)),
    Measurement("multibuffer", multibuffer.multibuffer, ("line64_mb_ratio_floor",), 9, ("floor",)),
    Measurement("peer", peer.peer, ("cfssl_cpu_us", "ratio_cfssl"), 1, ("line",)),
    Measurement("mb-peer", multibuffer.against_peer, ("mb_ratio_cfssl",), 0, ("multibuffer", "peer")),
    Measurement("connect", handshake.connect, ("connect_full_cpu_us", "connect_resumed_cpu_us"), 5),
    Measurement("handshake", handshake.handshake, ("handshake_ratio_openssl",), 5, ("connect",)),
    Measurement("storm", crowd.storm, ("storm_p99_ratio",), 6),
    Measurement("idle", crowd.idle, ("idle_conn_kib",), 3),
    Measurement("hsm", token.hsm, ("hsm5ms_32_efficiency",), 6),
    Measurement("growth", growth.growth, ("growth_cpu_ratio", "growth_rows"), 8),
    Measurement("ocsp", ocsp.ocsp, ("ocsp_get_per_s_core", "ocsp_nonce_per_s_core"), 5),
    Measurement("flood", ocsp.flood, ("flood_p99_ratio", "flood_signed_per_s"), 5),
    Measurement("bite", bite.bite, bite.NAMES, 5),
    Measurement("crl", crl.crl, tuple(f"crl_{kind}_{name}{unit}" for kind, name in crl.SHOWN for unit in ("_ms", "_cpu_ms")), 8),
    Measurement("overload", crowd.overload, ("overload_growth_kib",), 9, ("line",)),
    Measurement("takt", takt.takt, ("takt2s_stations",), 12, ("line",)),
)
QUICK_S = 87  # what would end later with --quick is not begun; the instance goes within three more seconds
NAMES = [m.name for m in MEASUREMENTS]
# One figure less, and the reason said; the tests' clients complain by AssertionError.
GOES_ON = (Trouble, AssertionError, OSError, http.client.HTTPException, subprocess.SubprocessError)


class Bench:
    """What the measurements share."""

    def __init__(self, instance, quick, began):
        self.instance, self.quick, self.began = instance, quick, began
        self.figures, self.series, self.absent, self.seconds = {}, {}, {}, {}

    def scale(self, quick, full):
        return quick if self.quick else full

    def run(self, measurement):
        missing = [name for name in measurement.needs if name in self.absent_measurements()]
        began = time.monotonic()
        try:
            if self.quick and began - self.began + measurement.quick_s > QUICK_S:
                raise Trouble(f"at its turn, after {began - self.began:.0f} s, it would not have ended within those of --quick")
            if missing:
                raise Trouble(f"it needs {', '.join(missing)}")
            self.figures |= measurement.measure(self)
            self.leave_out(measurement, "not with the numbers of --quick")
        except GOES_ON as trouble:
            table.heading(f"{measurement.name}: not measured: {trouble}")
            self.leave_out(measurement, str(trouble))
        self.seconds[measurement.name] = time.monotonic() - began

    def leave_out(self, measurement, why):
        for name in measurement.gives:
            if name not in self.figures:
                self.absent.setdefault(name, why)

    def absent_measurements(self):
        return {m.name for m in MEASUREMENTS if any(name in self.absent for name in m.gives)}


def wanted(only):
    """In the order of the table, with what they need."""
    names = set(only or NAMES)
    for m in reversed(MEASUREMENTS):
        if m.name in names:
            names |= set(m.needs)
    return [m for m in MEASUREMENTS if m.name in names]


def parse_options():
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller numbers, under 90 s once it is built")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(NAMES)} (and what they need)")
    parser.add_argument("--keep", action="store_true", help="use the instance that the last run with --keep left "
                        "(started again if the daemon has been rebuilt), and leave it running")
    parser.add_argument("--pictures", metavar="FOLDER", help="draw the pictures there, as SVG")
    parser.add_argument("--publish", action="store_true", help="put table and pictures into bench/")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else None
    unknown = set(options.only or ()) - set(NAMES)
    if unknown:
        parser.error(f"--only takes names of {', '.join(NAMES)}; not known: {', '.join(sorted(unknown))}")
    if options.json and not pathlib.Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: its folder is not there")  # now, and not when all has been measured
    return options


def report(bench):
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "machine": describe(),
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "quick": bench.quick,
        "load_average": os.getloadavg()[1],
        "figures": bench.figures,
        "absent": bench.absent,
        "seconds": bench.seconds,
        "series": bench.series,
    }


def write(options, result):
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
        say(f"written: {options.json}")
    folder = TOP / "bench" / "pictures" if options.publish else options.pictures and pathlib.Path(options.pictures)
    if folder:
        say(f"drawn in {folder}: {', '.join(draw.draw(result['series'], folder))}")
    if options.publish:
        publish.publish(result)


def interrupt(*_):
    raise KeyboardInterrupt


def measure(options, instance, began):
    bench = Bench(instance, options.quick, began)
    ledger.wal_ahead(instance, bench.scale(*ledger.WAL_AHEAD))
    try:
        for measurement in wanted(options.only):
            bench.run(measurement)
    except KeyboardInterrupt:
        say("interrupted: what has been measured is reported, the rest is absent")
    table.figures(bench.figures, bench.absent)
    write(options, report(bench))


def main():
    options = parse_options()
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        build()
        began = time.monotonic()
        with Instance(options.keep) as instance:
            measure(options, instance, began)
    except Trouble as trouble:
        raise SystemExit(f"bench/run: {trouble}") from trouble
    return 0
