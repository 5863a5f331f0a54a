"""Many at once: a storm of devices beside working stations, connections that wait, four times the load that fits."""

import contextlib
import threading
import time

from . import table
from .driver import driver, enrol
from .line import WARM_UP
from .machine import Trouble, family_memory_kib

STATIONS = 16


@contextlib.contextmanager
def working(bench, devices):
    """16 stations at work until the block ends; yields a list that then holds their result."""
    results = []
    with driver(bench.instance, "--stations", STATIONS, "--devices", devices, "--until-input") as run:
        run.say_go()
        yield results
        run.say_stop()
        results.append(run.result())


def storm(bench):
    """Thousands of devices re-enrol at once, each over its own connection."""
    devices = bench.scale(250, 3000)
    alone_s = bench.scale(1, 8)
    enrol(bench.instance, bench.scale(2000, WARM_UP), 64)  # a daemon just started is slow alone, and flatters the ratio
    with working(bench, bench.scale(2500, 30000)) as alone:
        time.sleep(alone_s)  # the measuring time itself
    with driver(bench.instance, "--work", "renew", "--stations", devices, "--devices", devices) as run:
        with working(bench, bench.scale(2500, 40000)) as during:
            run.say_go()
            stormed = run.result()
    alone, during = alone[0], during[0]
    bench.series["storm"] = {"alone": alone, "during": during, "devices": stormed}
    table.heading(f"storm: {devices} devices re-enrol at once while {STATIONS} stations work")
    table.note(f"stations alone: {alone['rate']:.0f}/s, p99 {alone['whole_ms']['p99']:.1f} ms; "
               f"during the storm: {during['rate']:.0f}/s, p99 {during['whole_ms']['p99']:.1f} ms")
    table.note(f"devices: all {stormed['done']} through after {stormed['seconds']:.1f} s, p99 "
               f"{stormed['whole_ms']['p99']:.0f} ms; refused for now {stormed['retried']} times "
               f"({stormed['without_retry_after']} without Retry-After), connections lost {stormed['lost']}")
    return {
        "storm_p99_ratio": during["whole_ms"]["p99"] / alone["whole_ms"]["p99"],
        "storm_devices": stormed["done"],
        "storm_without_retry_after": stormed["without_retry_after"],
    }


def idle(bench):
    """Memory of all roles for each connection that waits."""
    count = bench.scale(1000, 5000)
    bench.instance.restart()  # what earlier connections left behind would be used again and not be seen
    enrol(bench.instance, 100, 8)
    pid = bench.instance.daemon_pid()
    with driver(bench.instance, "--work", "hold", "--stations", count, "--devices", count, "--takt", count / 500) as run:
        before = family_memory_kib(pid)
        run.say_go()
        result = run.result()
        after = family_memory_kib(pid)
        run.say_stop()
    each = (after - before) / result["done"]
    bench.series["idle"] = {"connections": result["done"], "before_kib": before, "after_kib": after}
    table.heading(f"idle: {result['done']} connections, {each:.1f} KiB each")
    return {"idle_conn_kib": each}


class Watch:
    """Memory of the daemon and jobs that wait at its stations, twice a second while the block runs."""

    def __init__(self, instance):
        self.instance, self.over = instance, threading.Event()
        self.memory_kib, self.waiting = [], []

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        pid = self.instance.daemon_pid()
        while not self.over.wait(0.5):
            self.memory_kib.append(family_memory_kib(pid))
            with contextlib.suppress(OSError):  # a reading that overload delays too long is one less
                self.waiting.append(self.instance.waiting_jobs())

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def offered(bench, stations, seconds):
    """Four times what fits, for so long, all connections open before; what the driver says, and what was seen."""
    rate = bench.figures["line64_rate"]
    devices = int(rate * seconds * 1.3) + stations
    with driver(bench.instance, "--stations", stations, "--devices", devices, "--takt", stations / (4 * rate),
                "--until-input") as run:
        with Watch(bench.instance) as watch:
            run.say_go()
            time.sleep(seconds)  # the measuring time itself
        run.say_stop()
        result = run.result()
    if result["begun"] == devices:
        raise Trouble(f"its {devices} devices were through before the {seconds} s were over")
    return result, watch


def growth_of(samples):
    """Highest of the last 3/8 less highest of the 3/8 before them, and the swing of these; the first quarter is for
    queues and heaps to reach their level."""
    steady = samples[len(samples) // 4 :]
    half = len(steady) // 2
    if half < 2:
        raise Trouble(f"only {len(samples)} readings of it")
    before, after = steady[:half], steady[half:]
    return max(after) - max(before), max(before) - min(before)


def overload(bench):
    """More boards at once than the queues admit, four times the rate that fits: refused, never piled up."""
    stations, seconds = bench.scale(800, 4000), bench.scale(5, 40)
    result, watch = offered(bench, stations, seconds)
    growth, swing = growth_of(watch.memory_kib)
    more, _ = growth_of(watch.waiting)
    bench.series["overload"] = {"stations": stations, "memory_kib": watch.memory_kib, "waiting": watch.waiting, **result}
    table.heading(f"overload: {stations} stations offer {4 * bench.figures['line64_rate']:.0f}/s, four times what fits, "
                  f"for {seconds} s")
    table.note(f"done {result['done']}, {result['rate']:.0f}/s; refused for now {result['retried']} times "
               f"({result['without_retry_after']} without Retry-After), connections lost {result['lost']}")
    table.note(f"jobs that wait: at most {max(watch.waiting):.0f}, later against before {more:+.0f}")
    table.note(f"memory of the roles: at most {max(watch.memory_kib) / 1024:.0f} MiB, up and down by {swing / 1024:.1f} "
               f"MiB; highest later against highest before {growth / 1024:+.1f} MiB")
    figures = {
        "overload_swing_kib": swing,
        "overload_waiting_max": max(watch.waiting),
        "overload_without_retry_after": result["without_retry_after"],
    }
    # heaps take longer than --quick's seconds to reach their level: what still grows then says nothing
    return figures if bench.quick else figures | {"overload_growth_kib": growth}
