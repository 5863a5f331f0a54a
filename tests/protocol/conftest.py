"""One running Assay for the whole session: a quickstart of its own in a temporary home, on free ports.

ASSAY_BUILD names the build to test (default: build). KEEP_HOME=1 leaves the home for a look.
"""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import audit_export  # noqa: E402
import conformance  # noqa: E402
from instance import TOP, Assay, run  # noqa: E402, F401 (tests take these from here)
from ports import free_ports  # noqa: E402

DEVICE = {"who": ["device"], "new_key": "evidence", "same_key": True}
ELEMENT = "urn:assay:element:{element}"

# Labels that no quickstart has, for what the shipped ones cannot show.
PROFILES = {
    "agree": ("line", {
        "family": "agree", "key_usage": ["digitalSignature", "keyAgreement"],
        "san": [{"uri": ELEMENT}, {"dns": "{element}.example.org"}], "reenrol": {**DEVICE, "new_key": "no"},
    }),
    "brief": ("line", {"family": "brief", "validity": "2s", "reenrol": {**DEVICE, "expired_grace": "1d"}}),
    "gate": ("unattested", {"family": "gate", "enrol": {"who": ["ra"], "evidence": False}}),
    "fleeting": ("line", {"family": "fleeting", "validity": "24h", "crl": "none"}),
    "long": ("idevid", {"family": "long", "validity": "30y"}),
    "rekey": ("field", {"reenrol": {**DEVICE, "same_key": False}}),
    "server": ("line", {"family": "server", "eku": ["serverAuth"], "san": [{"dns": "{element}.example.org"}]}),
    "sharded": ("line", {"family": "sharded", "crl": "shard"}),
    "second": ("line", {"family": "second", "enrol": {"who": ["device"], "evidence": True}}),
}  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--write-conformance", action="store_true", help="write tests/conformance.md anew")


def pytest_configure(config):
    config.pluginmanager.register(conformance.Results(), "conformance")


def pytest_collection_modifyitems(items):
    """The table comes when everything else has been."""
    items.sort(key=lambda item: item.path.name == "test_conformance_table.py")


@pytest.fixture(scope="session")
def assay():
    home = tempfile.mkdtemp(prefix="assay-test-")
    os.chmod(home, 0o755)  # the user postgres has to reach it
    instance = Assay(home, free_ports())
    try:
        try:
            instance.start()
            instance.edit_config("idevid", hourly_max=90_000)
            instance.edit_config("attested", device_hourly=60)
            instance.add_profile("bound", "line", binding="required")
            for label, (like, changes) in PROFILES.items():
                instance.add_profile(label, like, **changes)
            instance.with_test_rigs()
        except AssertionError as e:
            pytest.exit(f"no instance to test: {e}", returncode=1)  # once, not once a test
        yield instance
    finally:
        instance.quickstart("stop", check=False)
        complaints = instance.sanitizer_complaints()
        if os.environ.get("KEEP_HOME"):
            print(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def administrator(assay):
    """A connection to the admin API of somebody who may do everything."""
    return assay.new_administrator("chief")


@pytest.fixture(scope="module")
def operator(assay):
    """A connection to the admin API."""
    return assay.admin("operator")


@pytest.fixture
def device(assay):
    """Makes devices: (serial in hex, their identity's files)."""
    def make():
        cert, key, _ = assay.enrol()
        return f"{cert.serial_number:038x}", assay.identity(cert, key)

    return make


@pytest.fixture
def state(tmp_path):
    """The empty folder of an agent at a relying party."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def nothing_issued(assay):
    """The ledger holds the same issuances after the test as before it."""
    before = assay.issuances()
    yield
    assert assay.issuances() == before, "a refused request left an issuance in the ledger"


@pytest.fixture
def one_issued(assay):
    before = assay.issuances()
    yield
    assert assay.issuances() == before + 1


@pytest.fixture(scope="session")
def exported(assay, tmp_path_factory):
    """An export with something in every table, and the heads that its auditor keeps elsewhere."""
    return audit_export.take(assay, tmp_path_factory.mktemp("audit"))


@pytest.fixture
def tampered(exported, tmp_path):
    return exported.copy(tmp_path)
