"""Signed heads that are not made, or not written to their file: the metric and /readyz say so until they are again."""

import contextlib
import json

from waiting import wait_until

LATE = ("assay_heads_late", "no signed head of the ledger for long")
UNEXPORTED = ("assay_heads_unexported", "signed heads cannot be written to heads.file")
LIMIT_S = 90  # said after ten seconds


def says(plant, alarm):
    """By the metric and in /readyz; the two are looked at one after the other, and may differ for a moment."""
    name, text = alarm
    metric = next(line for line in plant.metrics().splitlines() if line.startswith(name + '{role="ca"}')).split()[-1]
    said = text in plant.readyz()[1]
    return None if said != (metric == "1") else "yes" if said else "no"


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


def newest(plant):
    return int(plant.sql("select coalesce(max(number), 0) from head_signature"))


def test_heads_not_written_and_not_made_are_said_until_they_are(brisk):
    plant = brisk
    file = plant.home / "state" / "heads.jsonl"
    wait_until("heads are written", lambda: file.exists() and newest(plant) in in_file(file), LIMIT_S)
    assert says(plant, LATE) == says(plant, UNEXPORTED) == "no"
    with unwritable(file):
        before = newest(plant)
        plant.enrol()
        wait_until("a head that cannot be written", lambda: newest(plant) > before, LIMIT_S)
        with plant.failing("head_intent"):
            plant.enrol()
            wait_until("both are said", lambda: says(plant, LATE) == says(plant, UNEXPORTED) == "yes", LIMIT_S)
            assert plant.readyz()[0] == 503
        wait_until("heads are made again", lambda: says(plant, LATE) == "no", LIMIT_S)
        assert says(plant, UNEXPORTED) == "yes"
    wait_until("all is well", lambda: says(plant, UNEXPORTED) == "no" and plant.readyz()[0] == 200, LIMIT_S)
    wait_until("none is left out", lambda: in_file(file) == set(range(1, newest(plant) + 1)), LIMIT_S)
    plant.account()
