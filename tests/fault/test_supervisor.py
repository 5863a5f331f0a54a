"""kill -9 of the supervisor: its four roles end with it at once, whatever they are doing, and the next start needs no hand."""

import os
import pathlib
import signal
import threading

import pytest
from plant import HELD_US, ROLES, persist
from waiting import wait_until


def is_gone(pid):
    """Ended; a zombie that waits for its new parent has ended too."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("hung", [None, "ca"])
def test_the_supervisor_is_killed_and_started_at_once(plant, hung):
    """One role stands still: no signal that it could handle would end it."""
    csr, _, chip = plant.request()
    plant.shim.set(delay_us=HELD_US)
    replies = []

    def send():
        try:
            replies.append(plant.rig().enrol(csr))
        except OSError:
            replies.append(None)

    client = threading.Thread(target=send)
    client.start()
    wait_until("the intent is recorded", lambda: plant.certificates_of(chip))
    pids = [plant.wait_pid(role) for role in ROLES]
    if hung:
        os.kill(plant.pid(hung), signal.SIGSTOP)
    plant.kill_supervisor()
    plant.start_daemon(ready=False)
    client.join()
    assert replies[0] is None or replies[0].status == 503
    wait_until("the old roles are gone", lambda: all(is_gone(p) for p in pids))
    plant.shim.set(delay_us=0)
    plant.wait_ready()
    assert plant.daemon.poll() is None and not {plant.pid(r) for r in ROLES} & {None, *pids}
    reply = persist("the retry", lambda: plant.rig().enrol(csr))
    assert reply.status == 200, reply.text
    assert [(signed, void) for _, signed, void, _ in plant.certificates_of(chip)] == [(False, True), (True, False)]
    plant.account()
