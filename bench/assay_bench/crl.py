"""What it takes to sign a list when many are revoked: complete, and one of many shards.

We stand in the place of the va and ask the ca for one list after the other: its state from the ledger, its hash on
record, its signature by the token. The rows are put into the ledger as if they had been revoked.
"""

import contextlib
import json
import statistics
import time

from . import ledger, packages, table
from .instance import Instance
from .machine import Trouble

SHARDS = 64
ISSUER = "attested"
STEPS = ((1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1m"))  # of them revoked, in a figure's name
QUICK_STEPS = STEPS[1:2]
SHOWN = (("complete", "1k"), ("complete", "10k"), ("complete", "100k"), ("shard", "1m"))
QUIET_S = 0.5  # without a list signed: what the start wants has been done
START_S = 600
ROWS = """set synchronous_commit = off;
insert into revocation (number, node, stream, seq, at, serial, issuer, reason, who)
select (select coalesce(max(number), 0) from revocation) + g, 'bench', 'bench', 1, now(),
       '\\x01'::bytea || substr(sha256(int8send({base} + g)), 1, 15), '{issuer}', 1, 'bench' from generate_series(1, {n}) g"""


def revoke(instance, total):
    """Rows until so many are revoked; the daemon finds them when it starts."""
    there = int(ledger.ask(instance, f"select count(*) from revocation where issuer = '{ISSUER}'")[0])
    statement = ROWS.format(base=there, issuer=ISSUER, n=total - there)
    ledger.run(instance, statement)
    # the instance began with another number of shards, which no certificate of its has baked in
    ledger.run(instance, "delete from work.crl_shards")
    ledger.vacuum(instance)


def shards(config):
    config["issuers"][0]["crl_shards"] = SHARDS


def wait_quiet(instance):
    """Until the daemon's own va has all its lists."""
    deadline, before = time.monotonic() + START_S, None
    while (now := instance.gauge("assay_signatures", "ca")) != before or instance.gauge("assay_ready", "va") != 1:
        if time.monotonic() > deadline:
            raise Trouble(f"the lists are not signed within {START_S} s")
        before = now
        time.sleep(QUIET_S)


def one(instance, peer, frames, name, times):
    """Of one list: milliseconds from question to signed list, CPU of all roles and PostgreSQL, bytes."""
    took_ms, cpu_ms, body = [], [], b""
    for _ in range(times + 1):
        before, began = sum(instance.cpu_us().values()), time.monotonic()
        kind, body = peer.answer(peer.send(frames.CRL_ASK, frames.blob(name)))
        took_ms.append((time.monotonic() - began) * 1000)
        cpu_ms.append((sum(instance.cpu_us().values()) - before) / 1000)
        if kind != frames.CRL:
            raise Trouble(f"the ca refuses {name}: {body[4:80]!r}")
    # the first pays for pages and plans
    return {"ms": statistics.median(took_ms[1:]), "cpu_ms": statistics.median(cpu_ms[1:]), "bytes": len(body)}


def at(instance, frames, revoked):
    revoke(instance, revoked)
    instance.restart(shards)
    wait_quiet(instance)
    run_dir = json.loads(instance.config_text)["run_dir"]
    times = 20 if revoked <= 10_000 else 5
    with contextlib.closing(frames.Peer(run_dir, "va")) as peer:
        return {"revoked": revoked, "complete": one(instance, peer, frames, ISSUER, times),
                "shard": one(instance, peer, frames, f"{ISSUER}/0", 20)}


def crl(bench):
    (frames,) = packages.of_the_tests("channel")
    table.heading(f"crl: signing a list, complete and one of {SHARDS} shards, against the number revoked")
    bench.series["crl"] = points = []
    figures = {}
    with Instance(False) as instance:
        for revoked, name in bench.scale(QUICK_STEPS, STEPS):
            point = at(instance, frames, revoked)
            points.append(point)
            for kind in ("complete", "shard"):
                figures |= {f"crl_{kind}_{name}_ms": point[kind]["ms"], f"crl_{kind}_{name}_cpu_ms": point[kind]["cpu_ms"]}
            table.note(f"{revoked} revoked: " + "; ".join(
                f"{kind} {point[kind]['ms']:.1f} ms, {point[kind]['cpu_ms']:.1f} ms of CPU, {point[kind]['bytes'] / 1024:.0f} KiB"
                for kind in ("complete", "shard")))
    return figures
