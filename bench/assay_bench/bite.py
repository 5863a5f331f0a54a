"""From an operator's revocation to its effects, on two nodes: the tests' own measurement, more often."""

import contextlib
import os

from . import packages, table
from .instance import BUILD

SHARES = ((0.5, "p50"), (0.99, "p99"))
NAMES = tuple(f"revoked_{effect}_{where}_{name}_ms" for effect in ("ocsp", "reenrol", "crl") for where in ("told", "other")
              for _, name in SHARES)


@contextlib.contextmanager
def two_nodes(instance):
    """The private instance as the tests see it, and a second node on its ledger and token."""
    seen, second_node = packages.of_the_tests("instance", "second_node")
    os.environ["PATH"] = f"{BUILD / 'server'}:{os.environ['PATH']}"  # where the tests look for assayd
    assay = seen.Assay(instance.home, int((instance.home / "port_base").read_text()))
    assay.look()
    second = second_node.SecondNode(assay)
    try:
        yield assay, second.start()
    finally:
        second.stop()


def bite(bench):
    (bites,) = packages.of_the_tests("bites")
    with two_nodes(bench.instance) as (assay, second):
        times = bench.scale(10, 100)
        took = bites.bites(assay, bites.nodes_of(assay, second), times)
    bench.series["bite"] = [{"where": where, "effect": effect, "ms": [s * 1000 for s in seconds]}
                            for (where, effect), seconds in took.items()]
    table.heading(f"bite: from the API's answer to a revocation's effects, {times} times")
    figures = {}
    for (where, effect), seconds in took.items():
        shown = {name: bites.quantile(seconds, share) * 1000 for share, name in SHARES}
        figures |= {f"revoked_{effect}_{where}_{name}_ms": ms for name, ms in shown.items()}
        table.note(f"{effect}, {where} node: p50 {shown['p50']:.0f} ms, p99 {shown['p99']:.0f} ms")
    return figures
