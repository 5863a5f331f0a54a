"""The cost of an enrolment when the ledger has grown."""

import contextlib
import os
import pathlib
import time

from . import ledger, table
from .driver import enrol
from .instance import Instance

BATCH = 64  # rows in a commit, as at 64 stations
LOADERS = 2
PROCEDURE = pathlib.Path(__file__).with_name("growth.sql")


def grow(instance, rows):
    batches = rows // BATCH // LOADERS
    ledger.run_all(instance, "assay_owner", [
        f"{PROCEDURE.read_text()}\ncall pg_temp.grow('bench-{i}', {batches}, {BATCH});" for i in range(LOADERS)
    ])
    ledger.settle(instance)


@contextlib.contextmanager
def small_ledger(bench):
    """An empty one of its own; with --quick the one there is."""
    if bench.quick:
        yield bench.instance
    else:
        with Instance(False) as instance:
            enrol(instance, 500, 8)
            yield instance


def growth(bench):
    wanted = int(os.environ.get("ASSAY_BENCH_ROWS", bench.scale(20_000, 2_000_000)))
    steps = [wanted] if bench.quick else [wanted // 4, wanted]
    table.heading("growth: the line at 64 stations while the ledger grows")
    table.head()
    bench.series["growth"] = points = []

    def point(instance):
        before = ledger.issuances(instance)
        # The first change of a page after a checkpoint writes the whole page: a cycle of 15 minutes spreads that thin,
        # a measurement of seconds right after one would see little else.
        enrol(instance, bench.scale(600, max(2000, min(30000, before // 20))), 64)
        result = enrol(instance, bench.scale(1000, 15000), 64)
        table.row(f"{before} issuances", result)
        points.append({"rows": before, **result})

    with small_ledger(bench) as instance:
        ledger.settle(instance)
        point(instance)
        loaded = 0
        for step in steps:
            began = time.monotonic()
            grow(instance, step - loaded)
            table.note(f"{step - loaded} rows loaded in {time.monotonic() - began:.0f} s")
            loaded = step
            point(instance)
    first, last = points[0], points[-1]
    return {"growth_cpu_ratio": last["total_us"] / first["total_us"], "growth_rows": last["rows"],
            "growth_p99_ratio": last["whole_ms"]["p99"] / first["whole_ms"]["p99"]}
