"""Fault tests: what if it dies here? One instance with the shim before its token for all that leaves it whole again.

Options (or environment): --kills N (FAULT_KILLS), --outage-s N (FAULT_OUTAGE_S), --seed N (FAULT_SEED).
KEEP_HOME=1 leaves the homes for a look.
"""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import plant as plant_module  # noqa: E402
import syslogd as syslogd_module  # noqa: E402

OPTIONS = {
    "--kills": ("FAULT_KILLS", 40, "moments at which something is killed"),
    "--outage-s": ("FAULT_OUTAGE_S", 5, "how long PostgreSQL and the token stay away"),
    "--seed": ("FAULT_SEED", 0, "of what is random; 0: another one each time"),
}


def pytest_addoption(parser):
    for name, (variable, default, text) in OPTIONS.items():
        parser.addoption(name, type=int, default=int(os.environ.get(variable, default)), help=f"{text} (default {default})")


@pytest.fixture
def seed(request):
    """Printed, so that a run can be made again."""
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(1, 1 << 31)
    print(f"\nseed {seed}")
    return seed


@pytest.fixture
def say(capfd):
    """Prints a figure although output is captured."""

    def out(text):
        with capfd.disabled():
            print(f"\n  {text}", end="", flush=True)

    return out


@pytest.fixture(scope="session")
def whole():
    made = plant_module.Plant()
    yield made
    made.close()


@pytest.fixture
def plant(whole):
    """The common instance, whole before and after."""
    whole.shim.set(mode=plant_module.PASS, delay_us=0, skip=0)
    whole.keep_daemon()
    if not whole.pg_runs():
        whole.start_postgres()
    whole.wait_ready()
    yield whole
    whole.shim.set(mode=plant_module.PASS, delay_us=0, skip=0)


def in_seconds(config):
    config["heads"] |= {"interval": "1s", "syslog": True, "syslog_socket": "syslog"}
    # the home's first start has certificates of the usual time made for the key "ocsp": here is one that has none
    config["status"]["responder"] = "heads"
    config["certificates"] = {"responder": f"{plant_module.RESPONDER_SHORTEST_S}s"}


@pytest.fixture(scope="session")
def brisk():
    """Another one, in which what usually takes minutes or weeks comes after seconds."""
    made = plant_module.Plant(in_seconds)
    made.syslogd = syslogd_module.Syslogd(made.home / "syslog")
    yield made
    made.syslogd.stop()
    made.close()
