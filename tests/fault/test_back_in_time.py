"""PostgreSQL restarted with an older copy of its data: nothing is signed, and the alarm says which chain row is missing."""

import re
import subprocess

import pytest
from plant import Plant
from waiting import wait_until


@pytest.fixture
def old_ledger():
    plant = Plant()
    yield plant
    plant.close()


def test_a_ledger_put_back_in_time_signs_nothing(old_ledger, say):
    plant = old_ledger
    plant.enrol()
    plant.stop_postgres()
    copy = plant.data.with_name("older")
    subprocess.run(["cp", "-a", plant.data, copy], check=True)
    plant.start_postgres()
    plant.wait_ready()
    for _ in range(3):
        plant.enrol()
    request, _, chip = plant.request()

    plant.stop_postgres()
    plant.data.rename(plant.data.with_name("newer"))
    copy.rename(plant.home / "postgres" / "data")
    plant.start_postgres()
    made = plant.shim.signatures

    def refused():
        reply = plant.rig().enrol(request)
        assert reply.status == 503 and int(reply.headers["Retry-After"]) >= 1, reply.text
        # no views come from such a ledger: once the last is a second old, the ra does not even ask the ca
        return reply.reason in ("ledger_behind", "view_stale")

    wait_until("it says why", refused)
    found = wait_until("readyz names the row", lambda: re.search(r"back in time.*row (\d+)", plant.readyz()[1]))
    assert plant.readyz()[0] == 503
    row = int(found.group(1))
    event = [e for e in plant.log() if e.get("event") == "ledger_behind"]
    assert event and str(row) in event[0]["detail"] and event[0]["level"] == "error"
    assert re.search(rf'assay_ledger_missing_row{{role="ca"}} {row}\b', plant.metrics())
    plant.kill("ca")  # a start anew changes nothing: the anchor is on disk
    wait_until("the new ca says so too", lambda: len([e for e in plant.log() if e.get("event") == "ledger_behind"]) > len(event))
    assert plant.rig().enrol(request).status == 503
    assert plant.shim.signatures == made and plant.certificates_of(chip) == []
    say(f"row {row} is missing: {event[0]['detail']}")

    # the right database again, and an operator who starts the ca anew
    plant.stop_postgres()
    (plant.home / "postgres" / "data").rename(plant.home / "postgres" / "older")
    plant.data.with_name("newer").rename(plant.data)
    plant.start_postgres()
    plant.restart_daemon()
    plant.rig().enrol(request).certificate()
    assert len(plant.valid_of(chip)) == 1
    plant.account()
