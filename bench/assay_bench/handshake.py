"""A new connection for each enrolment, full and resumed, and what `openssl s_server` takes for the same handshakes."""

import contextlib
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from . import packages, table
from .driver import Driver, enrol
from .line import WARM_UP
from .machine import Trouble, family_cpu_us

LAPS = (1, 9)  # quick, full
# For two seconds after a request over a connection that lasts, the daemon lets newcomers in one by one (anteroom.h): it
# then waits more than it works, each commit has one row, and what is measured is not the handshake.
AT_WORK_S = 2.5


def newcomers_alone(since):
    """Returns when nobody has been at work over a lasting connection for long enough, counted from then."""
    time.sleep(max(0.0, since + AT_WORK_S - time.monotonic()))


def connect(bench):
    table.heading("connect: a new connection for each enrolment, 64 stations")
    table.head()
    enrol(bench.instance, bench.scale(1000, WARM_UP), 64)  # the daemon may have just been started again
    newcomers_alone(time.monotonic())
    bench.series["connect"] = {}
    for kind in ("full", "resumed"):
        result = enrol(bench.instance, bench.scale(500, 6000), 64, "--connect", kind)
        table.row(kind, result)
        bench.series["connect"][kind] = result
    return {f"connect_{kind}_cpu_us": result["total_us"] for kind, result in bench.series["connect"].items()}


@contextlib.contextmanager
def s_server(instance, arguments):
    """openssl s_server with the instance's certificate, demanding the rig's."""
    port = packages.free_ports(1)
    home = instance.home
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-cert", home / "tls" / "est.pem",
         "-cert_chain", home / "tls" / "est.pem", "-key", home / "tls" / "est.key", "-Verify", "4",
         "-verify_return_error", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if process.poll() is not None:
            raise Trouble("openssl s_server does not start")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def s_server_us(bench, trust_arguments, tls):
    """CPU of one full mutual handshake there, with the version, suite and group that our server chose."""
    version, suite, group = tls.split()
    count = bench.scale(300, 1500)
    with s_server(bench.instance, trust_arguments) as (pid, port):
        driver = Driver(bench.instance, "--work", "handshake", "--connect", "full", "--stations", 8, "--devices", count,
                        "--url", f"https://127.0.0.1:{port}", "--tls", version.removeprefix("TLSv"), "--suite", suite,
                        "--group", group)
        try:
            driver.wait_ready()
            before = family_cpu_us(pid)
            driver.say_go()
            result = driver.result()
            spent = family_cpu_us(pid) - before
        finally:
            driver.end()
    if result["tls"] != tls:
        raise Trouble(f"s_server agreed to {result['tls']}, our server to {tls}")
    return spent / result["done"]


def lap_us(bench, trust, tls):
    """What a new connection adds to an enrolment at 64 stations, and s_server's handshake, all at one time of the
    machine: s_server's between the two, in which the daemon forgets that somebody was at work."""
    boards = bench.scale(500, 2000)
    kept = enrol(bench.instance, 2 * boards, 64)["total_us"]
    over = time.monotonic()
    theirs = s_server_us(bench, trust, tls)
    newcomers_alone(over)
    fresh = enrol(bench.instance, boards, 64, "--connect", "full")["total_us"]
    return fresh - kept, theirs


def handshake(bench):
    """The daemon's fresh handshake is what a new connection adds to an enrolment. The machine drifts by more from one
    minute to the next than from one lap to the next: many short laps, each with its ratio, and the median of these."""
    if shutil.which("openssl") is None:
        raise Trouble("there is no openssl command")
    tls = bench.series["connect"]["full"]["tls"]
    home = bench.instance.home
    # Both check the rig's certificate against the same anchor, the CA of the rigs.
    trust = ["-partial_chain", "-CAfile", home / "trust" / "rigs.pem"]
    laps = [lap_us(bench, trust, tls) for _ in range(bench.scale(*LAPS))]
    ratios = [mine / other for mine, other in laps]
    ours, theirs = (statistics.median(side) for side in zip(*laps))
    with tempfile.TemporaryDirectory() as folder:
        both = pathlib.Path(folder, "chain.pem")
        both.write_text((home / "ca" / "root.pem").read_text() + (home / "ca" / "rigs.pem").read_text())
        to_root = s_server_us(bench, ["-CAfile", both], tls)
    bench.series["handshake"] = {"tls": tls, "assayd_us": ours, "s_server_us": theirs, "s_server_to_root_us": to_root,
                                 "laps_us": laps}
    table.heading(f"handshake: {tls}, both sides with certificates")
    table.note(f"assayd {ours:.0f} us; openssl s_server {theirs:.0f} us with the same trust anchor "
               f"({to_root:.0f} us where it goes on to the P-384 root)")
    if len(laps) > 1:
        table.note("ratios of the laps: " + " ".join(f"{ratio:.2f}" for ratio in ratios))
    return {"handshake_ratio_openssl": statistics.median(ratios)}
