#!/usr/bin/python3
"""What one revocation costs when many stand on the lists already.

Starts an instance of its own, puts rows into the revocation table as if they had been revoked, revokes one certificate
more by the admin API, and looks when its shard, the delta and the complete list show it.

    ASSAY_BUILD=build bench/crl_cost.py [--revoked 1000000] [--shards 64] [--times 5]
"""

import argparse
import os
import pathlib
import statistics
import sys
import time
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("ASSAY_BUILD", str(TOP / "build"))
sys.path[:0] = [str(TOP / "tests" / "support"), str(TOP / "tests" / "fault")]

from plant import Plant, wait_until  # noqa: E402

ROWS = """insert into revocation (number, node, stream, seq, at, serial, issuer, reason, who)
select (select coalesce(max(number), 0) from revocation) + g, 'bench', 'bench', 1, now(),
       '\\x01'::bytea || substr(sha256(int8send(g)), 1, 15), 'attested', 1, 'bench' from generate_series(1, {n}) g"""


def fetch(plant, name):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plant.port + 2}/crl/{name}.crl", timeout=60) as reply:
            return reply.read()
    except urllib.error.HTTPError as e:
        assert e.code == 503, e
        return b""


def shows(plant, name, serial):
    began = time.monotonic()
    return lambda: (serial in fetch(plant, name)) and time.monotonic() - began


def one_more(plant, shards):
    """Seconds from the API's answer until (shard, delta) show a certificate."""
    cert, _, _ = plant.enrol(label="sharded")
    serial = cert.serial_number.to_bytes(16, "big")
    plant.admin().revoke({"serial": serial.hex()})
    shard = wait_until("the shard", shows(plant, f"attested/{serial[-1] & (shards - 1)}", serial), 120)
    return shard, serial


def signed(plant, name):
    """Of the last "crl" event of a list: (number, bytes)."""
    events = [e for e in plant.log() if e.get("event") == "crl" and e.get("list") == name]
    return events and (events[-1]["number"], events[-1]["bytes"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revoked", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()

    def changes(config):
        config["issuers"][0]["crl_shards"] = options.shards

    plant = Plant(changes)
    try:
        plant.add_profile("sharded", "line", family="sharded", crl="shard")
        plant.stop_daemon()
        plant.superuser_sql(ROWS.format(n=options.revoked))
        plant.superuser_sql("vacuum analyze revocation")
        began = time.monotonic()
        plant.start_daemon(ready=False)
        plant.wait_ready(900)
        print(f"{options.revoked} revoked, {options.shards} shards: ready after {time.monotonic() - began:.1f} s")
        wait_until("the complete list", lambda: signed(plant, "attested"), 300)
        before = {e["list"]: e["number"] for e in plant.log() if e.get("event") == "crl"}
        shard_s = []
        for _ in range(options.times):
            took, serial = one_more(plant, options.shards)
            shard_s.append(took)
            time.sleep(1)
        name = f"attested/{serial[-1] & (options.shards - 1)}"
        print(f"one more: on its shard after {statistics.median(shard_s) * 1000:.0f} ms (median of {options.times}, "
              f"worst {max(shard_s) * 1000:.0f} ms); the shard has {len(fetch(plant, name)) / 1024:.0f} KiB")  # fmt: skip
        began = time.monotonic()
        wait_until("the complete list", shows(plant, "attested", serial), 300)
        print(f"complete list: {len(fetch(plant, 'attested')) / 1048576:.1f} MiB, shows it {time.monotonic() - began:.1f} s later")
        after = {e["list"]: e["number"] for e in plant.log() if e.get("event") == "crl"}
        again = sorted(k for k in after if k.startswith("attested/") and after[k] != before.get(k))
        print(f"shards signed again for {options.times} revocations: {len(again)}")
    finally:
        plant.close()


if __name__ == "__main__":
    main()
