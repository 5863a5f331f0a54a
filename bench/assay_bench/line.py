"""The floor of the cryptography, and the line on kept-alive connections."""

import json
import statistics
import subprocess

from . import table
from .driver import enrol
from .instance import BUILD
from .machine import Trouble

STATIONS = (1, 8, 64, 256)
BOARDS = {1: (150, 2000), 8: (500, 6000), 64: (3000, 10000), 256: (2000, 15000)}  # quick, full
LAPS = 3  # of what is compared with the floor
# Tables of multiples from the 512th verification by a key on, plans, pages and memory of the first use are not in the
# figures: the daemon's CPU of an enrolment falls by a tenth over its first thousands.
WARM_UP = 5000


def floor_parts(bench):
    """Microseconds of CPU of exactly the cryptographic operations that an enrolment demands."""
    home = bench.instance.home
    done = subprocess.run(
        [BUILD / "bench" / "assay-floor", bench.instance.env["PKCS11_MODULE"], home / "secrets" / "pin", "attested",
         str(bench.scale(1500, 10000))],
        env=bench.instance.env, capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise Trouble(done.stderr.strip())
    return json.loads(done.stdout)


def floor(bench):
    part = floor_parts(bench)
    bench.series["floor"] = part
    table.heading(f"floor: {part['floor_us']:.0f} us of CPU = 4 verifications of {part['verify_us']:.0f} "
                  f"+ the token's signature {part['token_sign_us']:.0f}")
    return {"floor_us": part["floor_us"]}


def against_floor(bench, what):
    """64 stations in laps, the floor before, between and after them, for a machine drifts. The lap of the median CPU, and
    its ratio to the median floor."""
    floors, laps = [floor_parts(bench)["floor_us"]], []
    for _ in range(LAPS):
        laps.append(enrol(bench.instance, bench.scale(*BOARDS[64]), 64))
        table.row(what, laps[-1])
        floors.append(floor_parts(bench)["floor_us"])
    table.note("floor before, between and after: " + " ".join(f"{us:.0f}" for us in floors) + " us")
    lap = sorted(laps, key=lambda lap: lap["total_us"])[LAPS // 2]
    floor_us = statistics.median(floors)
    return lap | {"floor_us": floor_us, "ratio_floor": lap["total_us"] / floor_us}


def line(bench):
    """Attested enrolments on kept-alive connections, closed loop."""
    table.heading("line: nonce and attested enrolment on kept-alive connections")
    table.head()
    enrol(bench.instance, WARM_UP, 64)
    bench.series["line"] = []
    for stations in STATIONS:
        what = f"{stations} stations"
        if stations == 64:
            result = at64 = against_floor(bench, what)
        else:
            result = enrol(bench.instance, bench.scale(*BOARDS[stations]), stations)
            table.row(what, result)
        bench.series["line"].append({"stations": stations, **result})
    return {
        "floor_us": at64["floor_us"],  # in the place of the one measured once
        "line64_rate": at64["rate"],
        "line64_p99_ms": at64["whole_ms"]["p99"],
        "line64_cpu_us": at64["total_us"],
        "line64_ratio_floor": at64["ratio_floor"],
    }
