"""The cost of an enrolment when the ledger has grown."""

import contextlib
import os
import pathlib
import time

from . import ledger, table
from .driver import enrol
from .instance import Instance
from .line import WARM_UP

COMMIT = 64  # rows in a commit's chain row, as at 64 stations
LOADERS = 2
PROCEDURE = pathlib.Path(__file__).with_name("growth.sql")


def load(instance, rows):
    each = rows // LOADERS
    ledger.run_all(instance, "assay_owner", [
        f"{PROCEDURE.read_text()}\ncall pg_temp.grow('bench-{i}', {each}, {COMMIT});" for i in range(LOADERS)
    ])


def grow(instance, rows):
    """The last checkpoint is before the last quarter: that has changed every page of the random indexes since."""
    load(instance, rows - rows // 4)
    ledger.run(instance, "checkpoint")
    load(instance, rows // 4)
    ledger.vacuum(instance)


@contextlib.contextmanager
def small_ledger(bench):
    """An empty one of its own; with --quick the one there is."""
    if bench.quick:
        yield bench.instance
    else:
        with Instance(False) as instance:
            ledger.wal_ahead(instance, bench.scale(*ledger.WAL_AHEAD))
            enrol(instance, WARM_UP, 64)
            yield instance


def point(bench, instance):
    rows = ledger.issuances(instance)
    enrol(instance, bench.scale(1000, 4000), 64)  # plans anew after the vacuum's analysis
    result = enrol(instance, bench.scale(2000, 15000), 64)
    table.row(f"{rows} issuances", result)
    bench.series["growth"].append({"rows": rows, **result})


def growth(bench):
    wanted = int(os.environ.get("ASSAY_BENCH_ROWS", bench.scale(20_000, 2_000_000)))
    steps = [wanted] if bench.quick else [wanted // 4, wanted]
    table.heading("growth: the line at 64 stations while the ledger grows")
    table.head()
    bench.series["growth"] = []
    with small_ledger(bench) as instance, ledger.checkpoints_by_hand(instance):
        ledger.vacuum(instance)
        point(bench, instance)
        loaded = 0
        for step in steps:
            began = time.monotonic()
            grow(instance, step - loaded)
            table.note(f"{step - loaded} rows loaded in {time.monotonic() - began:.0f} s")
            loaded = step
            point(bench, instance)
    first, last = bench.series["growth"][0], bench.series["growth"][-1]
    return {"growth_cpu_ratio": last["total_us"] / first["total_us"], "growth_rows": last["rows"],
            "growth_p99_ratio": last["whole_ms"]["p99"] / first["whole_ms"]["p99"]}
