"""The machine: what it is, who takes how much of its processors."""

import mmap
import os
import pathlib
import platform
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build")).resolve()
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
FETCHED_MIB = 256  # ten times what the ledger's files grow by in a measurement
CPUCLOCK_SCHED = 2  # of the kernel's clock ids: exact time on a processor, all threads, ended ones too


class Trouble(Exception):
    """A figure cannot be measured; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def describe():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.platform()}"


def fetch_pages():
    """Takes memory and gives it back, so that the ledger's files grow into pages that this machine has. A virtual machine's
    host takes back what lies free; to get a page again costs 10 to 15 us, to whoever touches it first, instead of 2, and
    an enrolment fills one. Microseconds of CPU a page."""
    began = time.process_time()
    with mmap.mmap(-1, FETCHED_MIB << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1
    return (time.process_time() - began) * 1e6 / (FETCHED_MIB << 20) * mmap.PAGESIZE


def stat_fields(pid):
    """What follows the name in /proc/<pid>/stat: state, parent, ..."""
    return pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()


def family(root):
    """The process and all below it."""
    parent_of = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent_of[int(entry)] = int(stat_fields(entry)[1])
        except OSError:
            continue  # it has ended
    found = {root}
    while True:
        more = {pid for pid, parent in parent_of.items() if parent in found} - found
        if not more:
            return found
        found |= more


def process_cpu_us(pid):
    """Its own, to the nanosecond, and its ended children's, to the tick."""
    try:
        own = time.clock_gettime_ns(~pid << 3 | CPUCLOCK_SCHED) / 1000
        fields = stat_fields(pid)
        return own + (int(fields[13]) + int(fields[14])) * TICK_US
    except OSError:
        return 0.0


def family_cpu_us(root):
    """A child that ends goes over into its parent's account, so that nothing is lost between two readings."""
    return sum(map(process_cpu_us, family(root)))


def memory_kib(pid):
    """Proportional set size: what processes share counts once. Only root reads that of a role, which nobody may trace:
    for others what belongs to it alone. A process that has ended has none."""
    for file, name in (("smaps_rollup", "Pss:"), ("status", "RssAnon:")):
        try:
            for line in pathlib.Path("/proc", str(pid), file).read_text().splitlines():
                if line.startswith(name):
                    return int(line.split()[1])
        except OSError:
            continue
    return 0


def family_memory_kib(root):
    return sum(map(memory_kib, family(root)))
