"""The load driver, and what the instance spends on what it drives."""

import contextlib
import json
import subprocess

from .instance import BUILD
from .machine import Trouble, family_memory_kib, fetch_pages


class Driver:
    """One run of assay-load: prepared on entry, the clock starts with go()."""

    def __init__(self, instance, *options):
        self.instance = instance
        self.process = subprocess.Popen(
            [BUILD / "bench" / "assay-load", *map(str, options)],
            env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def wait_ready(self):
        if self.process.stdout.readline() != "ready\n":
            raise Trouble(f"the load driver does not start: {self.process.communicate()[1].strip()}")

    def say_go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    say_stop = say_go

    def result(self):
        """Waits for it; assay-load's JSON."""
        line = self.process.stdout.readline()
        if not line:
            told = self.process.communicate()[1].strip()
            raise Trouble(f"the load driver ended ({self.process.returncode}): {told}")
        result = json.loads(line)
        if result["failed"]:
            raise Trouble(f"{result['failed']} of {result['begun']} failed, the first: {result['first_failure']}")
        return result

    def end(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


@contextlib.contextmanager
def driver(instance, *options):
    run = Driver(instance, *options)
    try:
        run.wait_ready()
        yield run
    finally:
        run.end()


def load(instance, *options):
    """A whole run: the driver's figures, CPU per done piece of work by part, memory of the roles at its end."""
    with driver(instance, *options) as run:
        page_us = fetch_pages()
        before = instance.cpu_us() | instance.role_cpu_us()
        run.say_go()
        result = run.result()
        after = instance.cpu_us() | instance.role_cpu_us()
    each = {part: (after[part] - before[part]) / result["done"] for part in after}
    result["cpu_us"] = {"assayd": each["assayd"], "postgres": each["postgres"]}
    result["total_us"] = each["assayd"] + each["postgres"]
    result["parts_us"] = {"ra": each["ra"], "ca": each["ca"], "other roles": each["assayd"] - each["ra"] - each["ca"],
                          "PostgreSQL": each["postgres"]}
    result["page_us"] = page_us
    result["memory_kib"] = family_memory_kib(instance.daemon_pid())
    return result


def enrol(instance, devices, stations, *options):
    return load(instance, "--devices", devices, "--stations", stations, *options)
