"""The cost of an enrolment when the ledger has grown."""

import contextlib
import os
import pathlib
import statistics
import time

from . import ledger, table
from .driver import enrol
from .instance import Instance
from .line import WARM_UP

COMMIT = 64  # rows in a commit's chain row, as at 64 stations
LOADERS = 2
LAPS = 3  # of each ledger, in turns
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
        with ledger.checkpoints_by_hand(bench.instance):
            ledger.vacuum(bench.instance)
            yield bench.instance
        return
    with Instance(False) as instance:
        ledger.wal_ahead(instance, bench.scale(*ledger.WAL_AHEAD))
        enrol(instance, WARM_UP, 64)
        with ledger.checkpoints_by_hand(instance):
            ledger.vacuum(instance)
            yield instance


def point(bench, instance):
    rows = ledger.issuances(instance)
    enrol(instance, bench.scale(1000, 4000), 64)  # plans anew after the vacuum's analysis
    result = {"rows": rows, **enrol(instance, bench.scale(2000, 15000), 64)}
    table.row(f"{rows} issuances", result)
    return result


def load_in_steps(bench, large):
    """Points of the curve on the way."""
    wanted = int(os.environ.get("ASSAY_BENCH_ROWS", bench.scale(20_000, 2_000_000)))
    loaded = 0
    for step in [wanted] if bench.quick else [wanted // 4, wanted]:
        began = time.monotonic()
        grow(large, step - loaded)
        table.note(f"{step - loaded} rows loaded in {time.monotonic() - began:.0f} s")
        loaded = step
        bench.series["growth"].append(point(bench, large))


def in_turns(bench, small, large):
    """The empty ledger, left as it was, and the grown one in laps that take turns, for a machine drifts in the minutes that
    the load takes."""
    return [(point(bench, small), point(bench, large)) for _ in range(LAPS)]


def growth(bench):
    table.heading("growth: the line at 64 stations while the ledger grows")
    table.head()
    with small_ledger(bench) as small, contextlib.nullcontext(small) if bench.quick else small_ledger(bench) as large:
        bench.series["growth"] = [point(bench, small)]
        load_in_steps(bench, large)
        pairs = [(bench.series["growth"][0], bench.series["growth"][-1])] if bench.quick else in_turns(bench, small, large)
    bench.series["growth_pairs"] = [[lap["total_us"] for lap in pair] for pair in pairs]

    def ratio(figure):
        return statistics.median(figure(then) / figure(empty) for empty, then in pairs)

    return {"growth_cpu_ratio": ratio(lambda lap: lap["total_us"]), "growth_rows": bench.series["growth"][-1]["rows"],
            "growth_p99_ratio": ratio(lambda lap: lap["whole_ms"]["p99"])}
