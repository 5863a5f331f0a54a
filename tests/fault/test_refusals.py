"""What the ca refuses, or gives up, while a part of it cannot go on: always 503, nothing is lost, and it recovers by itself.

A token that hangs, a line that is full, a clock behind the ledger, an outage between the signature and its record, a
disk or a limit that keeps the anchors from being written.
"""

import resource
import threading
import time

import channel
import element
from plant import HELD_US, persist
from waiting import wait_until

POLICY = bytes(range(32))
LINE_MAX = 2048  # CA_LINE_MAX: certificates in the ca's hands


def asked(plant, csr):
    """A request in a thread of its own: (thread, list for the reply)."""
    replies = []
    thread = threading.Thread(target=lambda: replies.append(plant.rig().enrol(csr)))
    thread.start()
    return thread, replies


def events(plant, name):
    return [e for e in plant.log() if e.get("event") == name]


def assert_503(reply, reason):
    assert (reply.status, reply.reason) == (503, reason), reply.text
    assert int(reply.headers["Retry-After"]) >= 1


def test_a_token_that_hangs(plant):
    csr, _, chip = plant.request()
    ca, hangs, made = plant.pid("ca"), len(events(plant, "token_hangs")), plant.shim.signatures
    plant.shim.set(delay_us=3_600_000_000)
    thread, replies = asked(plant, csr)
    wait_until("the ca ends", lambda: len(events(plant, "token_hangs")) > hangs)
    plant.shim.set(delay_us=0)
    thread.join()
    assert replies[0].status == 503 and int(replies[0].headers["Retry-After"]) >= 1
    assert plant.wait_pid("ca", other_than=ca)
    reply = persist("the retry", lambda: plant.rig().enrol(csr))
    assert reply.status == 200, reply.text
    assert [(signed, void) for _, signed, void, _ in plant.certificates_of(chip)] == [(False, True), (True, False)]
    assert plant.shim.signatures > made
    plant.wait_ready()
    plant.account()


def test_a_line_that_is_full_refuses_one_more_and_keeps_the_rest(plant):
    beyond = 50
    grants = [channel.grant(element.new_key(), policy=POLICY) for _ in range(LINE_MAX + beyond)]
    with channel.Peer(plant.run_dir, "ra") as ra:
        ra.policy(POLICY)
        with plant.holding("claim"):
            numbers = {ra.send(channel.ENROL, grant) for grant in grants}
            refused = [answer(ra, numbers) for _ in range(beyond)]
            assert {kind for kind, _ in refused} == {channel.REFUSED}
            assert {channel.take(body)[0] for _, body in refused} == {b"overloaded"}
        kept = [answer(ra, numbers) for _ in range(LINE_MAX)]
    assert {kind for kind, _ in kept} == {channel.ENROLLED} and numbers == set()
    plant.enrol()
    plant.account()


def answer(peer, numbers):
    """The next answer to one of these, which it takes out."""
    while True:
        kind, number, body = peer.read()
        if number in numbers:
            numbers.remove(number)
            return kind, body


def test_a_clock_behind_the_ledger_issues_nothing(plant):
    csr, _, chip = plant.request()
    plant.superuser_sql(
        """insert into chain select 'future', stream, seq, prev_hash, op, n_rows, root, hash, now() + interval '1 hour'
        from chain order by at desc limit 1"""
    )
    try:
        plant.kill("ca")  # a new one looks at the newest row
        assert_503(wait_until("the reason", lambda: (r := plant.rig().enrol(csr)).reason == "clock_behind" and r), "clock_behind")
        status, text = plant.readyz()
        assert status == 503, text
        assert any("behind the ledger" in e.get("detail", "") for e in events(plant, "not_ready"))
        assert plant.certificates_of(chip) == []
    finally:
        plant.superuser_sql("set session_replication_role = replica; delete from chain where node = 'future'")
        plant.kill("ca")
    plant.wait_ready()
    plant.rig().enrol(csr).certificate()
    plant.account()


def test_who_waits_for_a_record_in_an_outage_is_told_at_once(plant):
    """And the signature that was made is recorded when PostgreSQL is back, though nobody waits for it."""
    csr, _, chip = plant.request()
    plant.shim.set(delay_us=HELD_US)
    thread, replies = asked(plant, csr)
    wait_until("the intent is recorded", lambda: plant.certificates_of(chip))
    intent = plant.certificates_of(chip)[0][0]
    plant.stop_postgres("immediate")
    plant.shim.set(delay_us=0)
    thread.join()
    plant.start_postgres()
    assert_503(replies[0], "ledger_away")  # not the deadline's
    wait_until("the certificate is recorded by itself", lambda: plant.valid_of(chip) == [intent])
    reply = persist("the retry", lambda: plant.rig().enrol(csr))
    assert f"{reply.certificate().serial_number:038x}".endswith(intent.lstrip("0"))
    assert [r[0] for r in plant.certificates_of(chip)] == [intent]
    plant.account()


def test_anchors_that_cannot_be_written_stop_the_line_before_the_ledger(plant):
    """A file size limit of nothing stands for a disk that takes no write: of the ca's files, the anchors and the log."""
    csr, _, chip = plant.request()
    ca = plant.pid("ca")
    before = resource.prlimit(ca, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        wait_until("the anchors are missed", lambda: plant.rig().enrol(csr).status == 503)
        rows = len(plant.certificates_of(chip))
        until = time.monotonic() + 2  # many connections to the ledger long
        while time.monotonic() < until:
            assert_503(plant.rig(patient=True).enrol(csr), "ledger_away")
        assert len(plant.certificates_of(chip)) == rows <= 1, "intents pile up"
        assert plant.valid_of(chip) == [] and plant.pid("ca") == ca
    finally:
        resource.prlimit(ca, resource.RLIMIT_FSIZE, before)
    reply = persist("the retry", lambda: plant.rig().enrol(csr))
    assert reply.status == 200 and len(plant.valid_of(chip)) == 1
    assert plant.pid("ca") == ca, "it should not have had to start again"
    plant.account()

