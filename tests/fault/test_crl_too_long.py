"""A complete CRL longer than one may be is refused with a reason; the last good one stays, deltas and shards go on.

The ca under test takes lists of 4,000 bytes instead of 56 MiB (tests/fault/short_lists): some 75 entries.
"""

import contextlib
import os
import urllib.error
import urllib.request

from cryptography import x509
from instance import run
from plant import ASSAYD, BUILD
from waiting import wait_until

FIT, MORE = 50, 40
SHARDS = 4
LIMIT_S = 60


@contextlib.contextmanager
def short_lists(plant):
    """Whole again afterwards."""
    plant.stop_daemon()
    plant.program = BUILD / "tests" / "fault" / "short_lists" / "assayd_short_lists"
    plant.start_daemon()
    yield
    plant.program = ASSAYD
    plant.restart_daemon()


def crl(plant, name):
    """None while there is none. Whatever is served is signed by the issuer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plant.port + 2}/crl/{name}.crl", timeout=30) as reply:
            found = x509.load_der_x509_crl(reply.read())
    except urllib.error.HTTPError as e:
        assert e.code == 503
        return None
    issuer = x509.load_pem_x509_certificate((plant.home / "ca" / "attested.pem").read_bytes())
    assert found.is_signature_valid(issuer.public_key())
    return found


def serials(plant, *names):
    return {entry.serial_number for name in names for entry in crl(plant, name) or ()}


def number(found):
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def revoke(plant, devices):
    rig, operator = plant.rig(), plant.admin()
    revoked = [plant.enrol(client=rig)[0].serial_number for _ in range(devices)]
    for serial in revoked:
        operator.revoke({"serial": f"{serial:032x}"})
    return set(revoked)


def publish(plant):
    return run("assayctl", "crl", "publish", "--issuer", "attested", env={**os.environ, **plant.env}, check=False)


def test_a_complete_list_that_is_too_long_is_refused_and_the_others_go_on(brisk):
    shards = [f"attested/{shard}" for shard in range(SHARDS)]
    first = revoke(brisk, FIT)
    with short_lists(brisk):
        wait_until("the complete list", lambda: first <= serials(brisk, "attested"), LIMIT_S)
        served = number(crl(brisk, "attested"))
        both = first | revoke(brisk, MORE)
        wait_until("shards", lambda: both <= serials(brisk, *shards), LIMIT_S)
        wait_until("delta", lambda: both <= serials(brisk, "attested", "attested-delta"), LIMIT_S)
        done = publish(brisk)
        assert done.returncode == 1 and "crl_too_long" in done.stderr and "issuers.crl_shards" in done.stderr, done
        assert served <= number(crl(brisk, "attested")) and not both <= serials(brisk, "attested")
        assert {e["list"] for e in brisk.log() if e.get("event") == "crl_refused" and e["reason"] == "crl_too_long"} == {"attested"}
    wait_until("the complete list again", lambda: both <= serials(brisk, "attested"), LIMIT_S)
    brisk.account()
