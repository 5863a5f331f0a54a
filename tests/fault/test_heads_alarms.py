"""Signed heads that are not made, or reach nobody: metrics, /readyz and log say so until they are and do again. While file
or syslog takes them what happened is known outside, and Assay stays ready."""

import contextlib
import json

from waiting import wait_until

LATE, UNEXPORTED, NOWHERE = "assay_heads_late", "assay_heads_unexported", "assay_heads_nowhere"
READYZ = {
    LATE: "no signed head of the ledger for long",
    UNEXPORTED: "signed heads cannot be written to heads.file, or syslog does not take them",
    NOWHERE: "signed heads cannot be written to heads.file, and syslog does not take them",
}
LIMIT_S = 240  # said after ten seconds; machines differ


def alarms(plant):
    lines = plant.metrics().splitlines()
    return {name for name in READYZ if next(line for line in lines if line.startswith(name + '{role="ca"}')).endswith(" 1")}


def looks_like(plant, status, *names, readyz):
    """Metrics and /readyz are looked at one after the other: wait for both."""

    def so():
        got, text = plant.readyz()
        return alarms(plant) == set(names) and got == status and {name for name in READYZ if READYZ[name] in text} == set(readyz)

    wait_until(f"{status} with {names}", so, LIMIT_S)


@contextlib.contextmanager
def unwritable(file):
    """Also to root: a folder in its place."""
    aside = file.with_suffix(".aside")
    file.rename(aside)
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        aside.rename(file)


def in_file(file):
    return {json.loads(line)["head"]["number"] for line in file.read_text().splitlines()}


def in_syslog(plant):
    return {json.loads(line.split(" assay-heads: ")[1])["head"]["number"] for line in plant.syslogd.lines}


def newest(plant):
    return int(plant.sql("select coalesce(max(number), 0) from head_signature"))


def enrol_until_heads(plant, n):
    """Each for something that has moved."""
    for _ in range(n):
        before = newest(plant)
        plant.enrol()
        wait_until("a head", lambda: newest(plant) > before, LIMIT_S)


def said_of_syslog(plant):
    return [event for event in plant.log() if event.get("event") == "heads" and "heads.syslog: " in event.get("detail", "")]


def test_heads_that_reach_nobody_or_are_not_made_are_said_until_they_do_and_are(brisk):
    plant = brisk
    file = plant.home / "state" / "heads.jsonl"
    wait_until("heads are written", lambda: file.exists() and newest(plant) in in_file(file) & in_syslog(plant), LIMIT_S)
    looks_like(plant, 200, readyz=[])
    before = len(said_of_syslog(plant))
    with plant.syslogd.away():
        enrol_until_heads(plant, 3)
        looks_like(plant, 200, UNEXPORTED, readyz=[UNEXPORTED])
        said = said_of_syslog(plant)[before:]
        assert len(said) == 1 and "No such file or directory; start a syslogd" in said[0]["detail"], said
        with unwritable(file):
            enrol_until_heads(plant, 1)
            with plant.failing("head_intent"):
                plant.enrol()
                looks_like(plant, 503, LATE, UNEXPORTED, NOWHERE, readyz=[LATE, NOWHERE])
            looks_like(plant, 503, UNEXPORTED, NOWHERE, readyz=[NOWHERE])
            plant.syslogd.start()
            looks_like(plant, 200, UNEXPORTED, readyz=[UNEXPORTED])
            plant.syslogd.stop()
        wait_until("the file has all", lambda: in_file(file) == set(range(1, newest(plant) + 1)), LIMIT_S)
    looks_like(plant, 200, readyz=[])
    wait_until("syslog has those since the start", lambda: in_syslog(plant) >= set(range(min(in_syslog(plant)), newest(plant) + 1)), LIMIT_S)
    wait_until("none is left out", lambda: in_file(file) == set(range(1, newest(plant) + 1)), LIMIT_S)
    plant.account()
