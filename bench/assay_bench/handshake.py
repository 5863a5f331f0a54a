"""A new connection for each enrolment, full and resumed, and what `openssl s_server` takes for the same handshakes."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from . import packages, table
from .driver import Driver, enrol
from .machine import Trouble, family_cpu_us


def connect(bench):
    table.heading("connect: a new connection for each enrolment, 64 stations")
    table.head()
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
    count = bench.scale(300, 4000)
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


def round_us(bench, trust, tls):
    """Both at one time of the machine: what a new connection adds to an enrolment at 64 stations, and s_server's."""
    boards = bench.scale(500, 4000)
    kept = enrol(bench.instance, 2 * boards, 64)["total_us"]
    fresh = enrol(bench.instance, boards, 64, "--connect", "full")["total_us"]
    return fresh - kept, s_server_us(bench, trust, tls)


def handshake(bench):
    """The daemon's fresh handshake is what a new connection adds to an enrolment. Both vary with the machine's minutes,
    and the difference of two figures more than either: rounds of all three, and the median of their ratios."""
    if shutil.which("openssl") is None:
        raise Trouble("there is no openssl command")
    tls = bench.series["connect"]["full"]["tls"]
    home = bench.instance.home
    # Both check the rig's certificate against the same anchor, the CA of the rigs.
    trust = ["-partial_chain", "-CAfile", home / "trust" / "rigs.pem"]
    ours = bench.figures["connect_full_cpu_us"] - bench.figures["line64_cpu_us"]
    rounds = [(ours, s_server_us(bench, trust, tls))]
    rounds += [round_us(bench, trust, tls) for _ in range(bench.scale(0, 4))]
    rounds.sort(key=lambda one: one[0] / one[1])
    ours, theirs = rounds[len(rounds) // 2]
    with tempfile.TemporaryDirectory() as folder:
        both = pathlib.Path(folder, "chain.pem")
        both.write_text((home / "ca" / "root.pem").read_text() + (home / "ca" / "rigs.pem").read_text())
        to_root = s_server_us(bench, ["-CAfile", both], tls)
    bench.series["handshake"] = {"tls": tls, "assayd_us": ours, "s_server_us": theirs, "s_server_to_root_us": to_root,
                                 "rounds_us": rounds}
    table.heading(f"handshake: {tls}, both sides with certificates")
    table.note(f"assayd {ours:.0f} us; openssl s_server {theirs:.0f} us with the same trust anchor "
               f"({to_root:.0f} us where it goes on to the P-384 root)")
    if len(rounds) > 1:
        table.note("ratios of the rounds: " + " ".join(f"{mine / other:.2f}" for mine, other in rounds))
    return {"handshake_ratio_openssl": ours / theirs}
