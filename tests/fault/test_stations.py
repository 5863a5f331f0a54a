"""A death or a failure between any two stations: the client sees 503 and nothing else, a retry gets one certificate.

Promises 1, 2, 4 and 5. One case a place: an insert that fails, a token that fails, lies, dies or loses its session, a
role that stops or is killed while something stands at a known station.
"""

import threading

import pytest
from plant import CRASH_AFTER, CRASH_BEFORE, FAIL_AFTER, FAIL_BEFORE, GARBAGE, HELD_US, SESSION_LOST, persist
from waiting import wait_until

MODES = {
    "fails before it signs": FAIL_BEFORE,
    "fails after it signed": FAIL_AFTER,
    "dies before it signs": CRASH_BEFORE,
    "dies after it signed": CRASH_AFTER,
    "answers another signature": GARBAGE,
    "lost its session": SESSION_LOST,
}
# Every table that an enrolment's two commits write.
INTENDED = ("claim", "device_key", "nonce_used", "issuance", "chain")
RECORDED = ("signature",)


def send(plant, csr, **options):
    """One request on a connection of its own; None if the connection broke."""
    client = plant.rig(**options)
    try:
        return client.enrol(csr)
    except OSError:
        return None
    finally:
        client.close()


def assert_refused(reply):
    """503 with Retry-After, or no answer at all: never a certificate, never another refusal."""
    if reply is not None:
        assert reply.status == 503, (reply.status, reply.text)
        assert int(reply.headers["Retry-After"]) >= 1


def assert_one_in_the_end(plant, csr, chip):
    """The same request again, until it is answered: one valid certificate, and nothing unaccounted for."""
    reply = persist("the retry", lambda: plant.rig().enrol(csr))
    assert reply.status == 200, reply.text
    again = persist("the retry's retry", lambda: plant.rig().enrol(csr))
    assert again.body == reply.body, "the same request gave two certificates"
    assert len(plant.valid_of(chip)) == 1, plant.certificates_of(chip)
    return plant.certificates_of(chip)


def intents_of(plant, chip):
    return len(plant.certificates_of(chip))


@pytest.mark.parametrize("table", INTENDED)
def test_an_insert_of_the_intent_fails(plant, table):
    csr, _, chip = plant.request()
    with plant.failing(table):
        assert_refused(send(plant, csr))
        assert intents_of(plant, chip) == 0
    plant.account()  # signed without an intent?
    assert len(assert_one_in_the_end(plant, csr, chip)) == 1
    plant.account()


@pytest.mark.parametrize("table", RECORDED)
def test_an_insert_of_the_record_fails(plant, table):
    csr, _, chip = plant.request()
    with plant.failing(table, times=1):
        assert_refused(send(plant, csr))
        assert [(signed, void) for _, signed, void, _ in plant.certificates_of(chip)] == [(False, True)], "void at once"
    rows = assert_one_in_the_end(plant, csr, chip)
    assert [void for _, signed, void, _ in rows if not signed] == [True] * (len(rows) - 1), rows
    plant.account()


@pytest.mark.parametrize("what", MODES)
def test_a_token_that(plant, what):
    csr, _, chip = plant.request()
    with plant.shim.in_mode(MODES[what]):
        assert_refused(send(plant, csr))
        assert plant.valid_of(chip) == []
    rows = assert_one_in_the_end(plant, csr, chip)
    assert all(void for _, signed, void, _ in rows if not signed), rows
    plant.wait_ready()
    plant.account()


@pytest.mark.parametrize("role", ["ca", "ra"])
def test_killed_while_the_token_signs(plant, role):
    """The intent is durable, the signature is not: what the death of either end of the channel leaves behind."""
    csr, _, chip = plant.request()
    plant.shim.set(delay_us=HELD_US)
    answers = []
    client = threading.Thread(target=lambda: answers.append(send(plant, csr)))
    client.start()
    wait_until("the intent is recorded", lambda: intents_of(plant, chip) == 1)
    assert plant.valid_of(chip) == []
    plant.kill(role)
    plant.shim.set(delay_us=0)
    client.join()
    assert_refused(answers[0])
    rows = assert_one_in_the_end(plant, csr, chip)
    # a ca that died voids its intent at the next start; one that lived went on and recorded it
    assert [(signed, void) for _, signed, void, _ in rows] == ([(False, True), (True, False)] if role == "ca" else [(True, False)])
    plant.account()


def test_a_ca_that_stands_still(plant):
    """Its view grows old within a second, and who had asked before gets the deadline's answer."""
    csr, _, chip = plant.request()
    with plant.stopped("ca"):
        assert_refused(send(plant, csr))
        stale = wait_until("a stale view", lambda: (r := send(plant, csr)) and r.reason == "view_stale" and r)
        assert_refused(stale)
    assert_one_in_the_end(plant, csr, chip)
    plant.account()
