"""The line with Intel's multi-buffer library: eight signatures verified at once, below the floor of one at a time."""

import ctypes.util
import subprocess

from . import table
from .driver import enrol
from .instance import BUILD, TOP
from .line import WARM_UP, against_floor
from .machine import Trouble


def library():
    """The system's, or the one that the tests fetch from Debian trixie; its path or name."""
    name = ctypes.util.find_library("crypto_mb")
    if name:
        return name
    done = subprocess.run([TOP / "tests" / "support" / "fetch-crypto-mb", BUILD / "trixie"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble((done.stderr.strip() or "the multi-buffer library cannot be had").splitlines()[-1])
    return done.stdout.strip()


def multibuffer(bench):
    path = library()
    with bench.instance.altered(lambda config: config.update(multi_buffer=path)):
        if bench.instance.gauge("assay_multi_buffer", "ra") != 1:
            raise Trouble(f"the daemon does not use {path}: see multi_buffer_off in its log")
        table.heading("multi-buffer: the same line, signatures verified eight at once")
        table.head()
        enrol(bench.instance, WARM_UP, 64)
        result = against_floor(bench, "64 stations")
    bench.series["multi_buffer"] = result
    return {"line64_mb_cpu_us": result["total_us"], "line64_mb_rate": result["rate"],
            "line64_mb_ratio_floor": result["ratio_floor"]}


def against_peer(bench):
    return {"mb_ratio_cfssl": bench.figures["line64_mb_cpu_us"] / bench.figures["cfssl_cpu_us"]}
