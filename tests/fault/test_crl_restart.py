"""CRLs across a restart of the ca: deltas go on from a base that relying parties can have; shards stay what they were."""

import json
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from waiting import wait_until


def fetch(plant, name):
    """None while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plant.port + 2}/crl/{name}.crl", timeout=30) as reply:
            return x509.load_der_x509_crl(reply.read())
    except urllib.error.HTTPError as e:
        assert e.code == 503
        return None


def number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base(delta):
    return delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number


def serials(crl):
    return {entry.serial_number for entry in crl}


def revoke(plant):
    cert, _, _ = plant.enrol()
    plant.admin().revoke({"serial": f"{cert.serial_number:038x}"})
    return cert.serial_number


def shows(plant, name, serial):
    return lambda: (crl := fetch(plant, name)) is not None and serial in serials(crl) and crl


def test_deltas_go_on_after_a_restart_of_the_ca(plant):
    before = revoke(plant)
    old = wait_until("the complete list", shows(plant, "attested", before))
    plant.wait_pid("ca", other_than=plant.kill("ca"))
    plant.mend_token()
    # a CRL without entries is false for Python
    first = wait_until("a delta of the new process", lambda: (crl := fetch(plant, "attested-delta")) is not None and base(crl) > number(old) and [crl], 120)[0]
    assert number(first) > base(first)
    after = revoke(plant)
    delta = wait_until("the delta", shows(plant, "attested-delta", after), 120)
    assert number(delta) > number(first) and base(delta) == base(first)
    complete = wait_until("a complete list that it adds to", lambda: (crl := fetch(plant, "attested")) is not None and number(crl) >= base(delta) and crl)
    together = serials(complete) | serials(delta)
    assert {before, after} <= together
    assert together == serials(wait_until("the next complete list", shows(plant, "attested", after)))


@pytest.fixture
def sharded(plant):
    """The common instance, which has 4 shards, with another number; as it was afterwards."""
    file = plant.home / "assay.json"
    before = file.read_text()

    def configure(shards):
        config = json.loads(before)
        config["issuers"][0]["crl_shards"] = shards
        file.write_text(json.dumps(config, indent=2))

    yield configure
    plant.stop_daemon()
    file.write_text(before)
    plant.start_daemon()


def test_another_number_of_shards_is_refused_at_the_start(plant, sharded):
    plant.stop_daemon()
    for shards in (2, 8, 0):
        sharded(shards)
        plant.start_daemon(ready=False)
        assert plant.daemon.wait(60) != 0
        said = [e["detail"] for e in plant.log() if e.get("event") == "not_ready" and f"crl_shards is {shards}," in e.get("detail", "")]
        assert said and "out of 4: set it to 4 again" in said[-1]
