"""Stations that begin a board every two seconds: how many does this machine serve with p99 under 50 ms?"""

from . import table
from .driver import enrol
from .machine import Trouble

TAKT_S = 2.0
P99_MS = 50.0


def trial(bench, stations):
    seconds = bench.scale(2, 12)
    boards = int(stations * (seconds / TAKT_S + 1))
    result = enrol(bench.instance, boards, stations, "--takt", TAKT_S, "--seconds", seconds)
    good = result["whole_ms"]["p99"] <= P99_MS and result["retried"] == 0
    table.row(f"{stations} stations{'' if good else ' (late)'}", result)
    bench.series["takt"].append({"stations": stations, "good": good, **result})
    return good


def takt(bench):
    """Down from the closed loop's rate until it is good, then half-way back up."""
    table.heading(f"takt: a board every {TAKT_S:.0f} s at each station, times from when it should have begun")
    table.head()
    bench.series["takt"] = []
    most = bench.figures["line64_rate"] * TAKT_S
    room = bench.instance.connections() - 100  # each station has one
    share, step, best = 0.8, bench.scale(0.3, 0.1), 0
    while share > 0.05 and not best:
        stations = max(8, int(min(most * share, room)) // 8 * 8)
        best = stations if trial(bench, stations) else 0
        share -= step
    if not best:
        raise Trouble("no number of stations had its p99 under 50 ms")
    return {"takt2s_stations": best}
