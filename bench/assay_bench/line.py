"""The floor of the cryptography, and the line on kept-alive connections."""

import json
import subprocess

from . import table
from .driver import enrol
from .instance import BUILD
from .machine import Trouble

STATIONS = (1, 8, 64, 256)
BOARDS = {1: (150, 2000), 8: (500, 6000), 64: (1200, 15000), 256: (1200, 15000)}  # quick, full


def floor(bench):
    """Microseconds of CPU of exactly the cryptographic operations that an enrolment demands."""
    home = bench.instance.home
    done = subprocess.run(
        [BUILD / "bench" / "assay-floor", bench.instance.env["PKCS11_MODULE"], home / "secrets" / "pin", "attested",
         str(bench.scale(2000, 20000))],
        env=bench.instance.env, capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise Trouble(done.stderr.strip())
    part = json.loads(done.stdout)
    bench.series["floor"] = part
    table.heading(f"floor: {part['floor_us']:.0f} us of CPU = 4 verifications of {part['verify_us']:.0f} "
                  f"+ the token's signature {part['token_sign_us']:.0f}")
    return {"floor_us": part["floor_us"]}


def line(bench):
    """Attested enrolments on kept-alive connections, closed loop."""
    table.heading("line: nonce and attested enrolment on kept-alive connections")
    table.head()
    enrol(bench.instance, 200, 8)  # the first after a start pays for plans and pages
    bench.series["line"] = []
    for stations in STATIONS:
        result = enrol(bench.instance, bench.scale(*BOARDS[stations]), stations)
        table.row(f"{stations} stations", result)
        bench.series["line"].append({"stations": stations, **result})
        if stations == 64:
            at64 = result
    return {
        "line64_rate": at64["rate"],
        "line64_p99_ms": at64["whole_ms"]["p99"],
        "line64_cpu_us": at64["total_us"],
        "line64_ratio_floor": at64["total_us"] / bench.figures["floor_us"],
    }
