"""The cost of an enrolment when the ledger has grown."""

import contextlib
import os
import pathlib
import subprocess
import time

from . import table
from .driver import enrol
from .instance import Instance
from .machine import Trouble

BATCH = 64  # rows in a commit, as at 64 stations
LOADERS = 2
PROCEDURE = pathlib.Path(__file__).with_name("growth.sql")


def psql(instance, role, sql):
    url = instance.env["ASSAY_DATABASE_URL"].replace("assay_read", role)
    return subprocess.Popen(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url], env=instance.env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ), sql


def run_all(processes):
    for process, sql in processes:
        process.stdin.write(sql)
        process.stdin.close()
    output = ""
    for process, _ in processes:
        output, error = process.stdout.read(), process.stderr.read()
        if process.wait() != 0:
            raise Trouble(f"psql: {error.strip()}")
    return output


def count(instance):
    return int(run_all([psql(instance, "assay_owner", "select count(*) from issuance")]))


def grow(instance, rows):
    batches = rows // BATCH // LOADERS
    run_all([
        psql(instance, "assay_owner", f"{PROCEDURE.read_text()}\ncall pg_temp.grow('bench-{i}', {batches}, {BATCH});")
        for i in range(LOADERS)
    ])
    # So that neither autovacuum nor a checkpoint of the load falls into what is measured.
    settle(instance)


def settle(instance):
    run_all([psql(instance, "postgres", "vacuum (freeze, analyze); checkpoint;")])


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
        before = count(instance)
        # The first change of a page after a checkpoint writes the whole page: a cycle of 15 minutes spreads that thin,
        # a measurement of seconds right after one would see little else.
        enrol(instance, bench.scale(600, max(2000, min(30000, before // 20))), 64)
        result = enrol(instance, bench.scale(1000, 15000), 64)
        table.row(f"{before} issuances", result)
        points.append({"rows": before, **result})

    with small_ledger(bench) as instance:
        settle(instance)
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
