"""A disk that is full: of PostgreSQL, of the anchors, of the log. 503 where nothing else is safe, and on by itself with room.

Without room for rows PostgreSQL refuses; without room for its write-ahead log it panics, and whoever keeps it starts it
again: here, the test.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

import pytest
from plant import Plant
from waiting import wait_until
from test_outage import Load

ROOM = 1 << 30


class SmallDisk:
    """A file system whose size is what is on it, when it has to be full."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="assay-small-"))
        os.chmod(self.folder, 0o755)
        if self.mount(f"size={ROOM},mode=0755") != 0:
            self.folder.rmdir()
            pytest.skip("may not mount a small file system: needs root")

    def mount(self, options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], capture_output=True).returncode

    def fill(self):
        """Again, when something has been given back."""
        disk = os.statvfs(self.folder)
        self.mount(f"remount,size={max(disk.f_blocks - disk.f_bfree, 1) * disk.f_frsize}")

    def room(self):
        assert self.mount(f"remount,size={ROOM}") == 0

    def close(self):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()


@pytest.fixture(scope="module")
def disk():
    made = SmallDisk()
    yield made
    made.close()


@pytest.fixture(scope="module")
def small(disk):
    """An instance whose PostgreSQL keeps its data there; its own log is elsewhere."""
    plant = Plant()
    plant.stop_postgres()
    data = plant.data
    subprocess.run(["cp", "-a", data, disk.folder / "data"], check=True)
    data.rename(data.with_name("moved"))
    data.symlink_to(disk.folder / "data")
    plant.start_postgres()
    plant.wait_ready()
    yield plant
    disk.room()
    plant.close()


def postgres_log(plant):
    return (plant.home / "postgres" / "postgres.log").read_text(errors="replace")


def complaints(plant):
    return postgres_log(plant).count("No space left on device")


@pytest.mark.parametrize("what", ["rows", "write-ahead log"])
def test_the_disk_of_postgresql_fills_under_load(small, disk, say, what):
    before, load = complaints(small), Load(small)

    def no_room():
        disk.fill()
        if what == "write-ahead log":
            with contextlib.suppress(AssertionError):
                small.superuser_sql("select pg_switch_wal()")  # on to a segment that may have to be made
            return "PANIC" in postgres_log(small)
        return complaints(small) > before and len(load.answers) > 4 and {a[2] for a in load.answers[-4:]} == {503}

    try:
        wait_until("load runs", lambda: len(load.successes()) > 10)
        wait_until("there is no room", no_room)
        wait_until("a refusal", lambda: load.answers[-1][2] == 503)
        disk.room()
        wait_until("PostgreSQL runs", lambda: small.pg_runs() or small.start_postgres() or True)
        wait_until("load goes on", lambda: load.answers[-1][2] == 200)
    finally:
        disk.room()
        load.done()
    small.wait_ready()
    assert load.odd == [] and complaints(small) > before, load.odd[:3]
    refused = len([a for a in load.answers if a[2] == 503])
    say(f"no room for {what}: {refused} of {len(load.answers)} refused; {small.account()}")


def test_anchors_on_a_full_disk(small, disk):
    """What is there is written where it lies; a node that has none yet waits for room."""
    folder, file = disk.folder / "state", small.home / "assay.json"
    config = json.loads(file.read_text())
    small.stop_daemon()
    file.write_text(json.dumps({**config, "state_dir": str(folder)}))
    other = SmallDisk()  # PostgreSQL's must have room
    folder.symlink_to(other.folder)
    try:
        other.fill()
        started = len(list(small.log()))
        small.start_daemon(ready=False)
        failed = lambda: [e for e in list(small.log())[started:] if e["event"] == "start_failed" and "anchor" in e["detail"]]  # noqa: E731
        wait_until("the ca says what it lacks", failed)
        assert small.readyz()[0] in (0, 503)
        other.room()
        small.wait_ready()
        other.fill()
        for _ in range(3):
            small.enrol()
        small.account()
    finally:
        small.stop_daemon()
        file.write_text(json.dumps(config))
        folder.unlink()
        other.close()
    small.start_daemon()


@pytest.mark.parametrize("log", ["a full disk", "a pipe that nobody reads any more"])
def test_a_log_that_takes_nothing_stops_nothing(plant, log):
    plant.stop_daemon()
    if log == "a full disk":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, out = os.pipe()
        os.close(reader)
    try:
        plant.start_daemon(log=out)
        plant.enrol()
        for role in ("ra", "ca"):
            pid = plant.kill(role)
            plant.wait_pid(role, other_than=pid)
        plant.wait_ready()
        plant.enrol()
        assert plant.daemon.poll() is None
    finally:
        os.close(out)
        plant.restart_daemon()
    plant.account()
