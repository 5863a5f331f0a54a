"""Two nodes on one ledger: a revocation that one is told of is in force on both within a second.

BITES=100 measures a hundred times.
"""

import os
import subprocess
import time

import element
import pytest
from second_node import SecondNode

BITES = int(os.environ.get("BITES", 20))
REFUSED = ("client_revoked", "claim_revoked")


def serial_of(cert):
    return f"{cert.serial_number:032x}"


@pytest.fixture(scope="module")
def second(assay):
    node = SecondNode(assay).start()
    yield node
    node.stop()


def until_refused(client, request, told):
    """Seconds from the API's answer until an open connection is refused."""
    while (answer := client.reenrol(request)).status == 200:
        assert time.monotonic() < told + 30, "still taken"
    assert answer.status == 403 and answer.reason in REFUSED, answer.text
    return time.monotonic() - told


def test_a_revocation_bites_on_both_nodes(assay, second, capfd):
    operators = [assay.admin("operator"), second.admin("operator")]
    took = {"the node that was told": [], "the other node": []}
    for i in range(BITES):
        cert, key, _ = assay.enrol()
        identity, request = assay.identity(cert, key), element.csr(key)
        here = [assay.client(identity), second.client(identity)]
        for client in here:
            assert client.reenrol(request).status == 200  # both connections are open, and good
        plan = operators[i % 2].plan({"serial": serial_of(cert)}).json["plan"]
        done = operators[i % 2].post("revocations/" + plan, {})
        told = time.monotonic()
        assert done.status == 200 and done.json["done"]
        took["the other node"].append(until_refused(here[1 - i % 2], request, told))
        took["the node that was told"].append(until_refused(here[i % 2], request, told))
        for client in here:
            client.close()
    with capfd.disabled():
        for where, seconds in took.items():
            seconds.sort()
            print(
                f"\n  revoked, then refused on an open connection by {where}: median {seconds[len(seconds) // 2] * 1000:.0f} ms, "
                f"p99 {seconds[int(len(seconds) * 0.99)] * 1000:.0f} ms of {len(seconds)}", end="",
            )  # fmt: skip
    for where, seconds in took.items():
        # few tell of the median alone: a machine that is busy with something else must not fail it
        judged = seconds[int(len(seconds) * 0.99)] if len(seconds) >= 100 else seconds[len(seconds) // 2]
        assert judged < 1, (where, seconds[-5:])


def test_a_commit_that_revokes_notifies_and_one_that_does_not_is_silent(assay):
    """What the nodes listen to, seen by a listener of PostgreSQL's own."""
    url = assay.env["ASSAY_DATABASE_URL"]
    listener = subprocess.Popen(["psql", "-X", "-A", "-t", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(statement, end):
        """psql prints notices after the answer to a statement."""
        listener.stdin.write(f"{statement};\n\\echo {end}\n")
        listener.stdin.flush()
        lines = []
        while (line := listener.stdout.readline().strip()) != end:
            assert line or listener.poll() is None
            lines.append(line)
        return [line for line in lines if "assay_news" in line]

    operator = assay.admin("operator")
    try:
        ask("listen assay_news", "listening")
        cert, _, _ = assay.enrol()
        plan = operator.plan({"serial": serial_of(cert)}).json["plan"]
        assert ask("select 1", "nothing-yet") == []
        operator.post("revocations/" + plan, {})
        assert len(ask("select 1", "told")) == 1
    finally:
        listener.stdin.close()
        listener.wait(20)
        listener.stdout.close()
