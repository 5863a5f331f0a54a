"""CRLs come anew long before they run out; when they cannot, that is said before it hurts."""

import json
import urllib.request

import pytest
from cryptography import x509
from waiting import wait_until

VALIDITY_S = 16
CLOSE = "va: a CRL is close to its nextUpdate"


@pytest.fixture
def brief(plant):
    """The common instance with CRLs that are good for seconds."""
    file = plant.home / "assay.json"
    before = file.read_text()
    config = json.loads(before)
    config["status"]["crl_validity"] = f"{VALIDITY_S}s"
    file.write_text(json.dumps(config, indent=2))
    plant.restart_daemon()
    yield plant
    file.write_text(before)
    plant.restart_daemon()


def crl(plant):
    with urllib.request.urlopen(f"http://127.0.0.1:{plant.port + 2}/crl/attested.crl", timeout=30) as reply:
        found = x509.load_der_x509_crl(reply.read())
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return number, (found.next_update - found.last_update).total_seconds()


def gauge(plant, name):
    return next(float(line.split()[-1]) for line in plant.metrics().splitlines() if line.startswith(name + '{role="va"'))


def test_a_crl_comes_anew_before_the_last_one_ends(brief):
    first, lifetime_s = crl(brief)
    assert lifetime_s == VALIDITY_S + 300  # thisUpdate lies five minutes back
    wait_until("another CRL", lambda: crl(brief)[0] > first)
    assert gauge(brief, "assay_crl_left_seconds") > 0


def test_a_crl_that_is_close_to_its_end_makes_the_instance_not_ready(brief):
    wait_until("nothing is close", lambda: CLOSE not in brief.readyz()[1] and gauge(brief, "assay_crl_close") == 0)
    with brief.stopped("ca"):
        wait_until("it is said", lambda: CLOSE in brief.readyz()[1])
        assert gauge(brief, "assay_crl_close") == 1
        assert gauge(brief, "assay_crl_left_seconds") <= VALIDITY_S / 4 + 1
        assert crl(brief)[0] > 0  # served all the same
    wait_until("it is ready again", lambda: brief.readyz()[0] == 200, 120)
