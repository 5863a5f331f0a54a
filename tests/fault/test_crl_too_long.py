"""A complete CRL longer than one may be is refused with a reason; the last good one stays, deltas and shards go on. A va
that starts then has none, says why, and gives deltas all the same.

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
SHARD_NAMES = [f"attested/{shard}" for shard in range(4)]
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


def base(delta):
    return delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number


def too_long(plant):
    """As the metric has it: which issuer, 0: none."""
    return next(int(line.split()[-1]) for line in plant.metrics().splitlines() if line.startswith('assay_crl_too_long{role="va"}'))


def says_why(plant):
    """In /readyz, and to who asks for the list."""
    status, text = plant.readyz()
    why = "va: the complete CRL of attested would be longer than one may be, and there is none to serve: its shards and OCSP go on"
    return status == 503 and why in text and "crl_too_long" in refusal(plant, "attested")


def refusal(plant, name):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plant.port + 2}/crl/{name}.crl", timeout=30):
            return ""
    except urllib.error.HTTPError as e:
        return e.read().decode()
    except OSError:
        return ""  # not there yet


def until_taken(call):
    """While the disk is slow views grow stale, and what is asked for is refused with nothing changed."""
    answers = []

    def taken():
        answers.append(call())
        return answers[-1].status != 503

    wait_until("it is taken", taken, LIMIT_S)
    assert answers[-1].status == 200, answers[-1].body
    return answers[-1]


def revoke(plant, devices):
    rig, operator = plant.rig(), plant.admin()
    revoked = [plant.enrol(client=rig)[0].serial_number for _ in range(devices)]
    for serial in revoked:
        plan = until_taken(lambda: operator.plan({"serial": f"{serial:038x}"}))  # noqa: B023
        until_taken(lambda: operator.post("revocations/" + plan.json["plan"], {}))  # noqa: B023
    return set(revoked)


def publish(plant):
    return run("assayctl", "crl", "publish", "--issuer", "attested", env={**os.environ, **plant.env}, check=False)


def restarted_while_too_long(plant, revoked, served):
    """A va that starts has no complete list; relying parties have the last one, which the ca knows for as long as it runs."""
    plant.wait_pid("va", other_than=plant.kill("va"))
    wait_until("it is said why there is no complete list", lambda: says_why(plant) and too_long(plant) == 1, LIMIT_S)
    assert crl(plant, "attested") is None
    revoked |= revoke(plant, 3)
    have = {entry.serial_number for entry in served}
    wait_until("a delta", lambda: revoked <= have | serials(plant, "attested-delta"), LIMIT_S)
    assert base(crl(plant, "attested-delta")) <= number(served)
    serial = plant.enrol()[0].serial_number
    plant.wait_pid("ca", other_than=plant.kill("ca"))
    plant.mend_token()
    wait_until("the ca takes revocations", lambda: plant.admin().plan({"serial": f"{serial:038x}"}).status == 200, LIMIT_S)
    plant.admin().revoke({"serial": f"{serial:038x}"})
    wait_until("it is said after a restart of the ca too", lambda: says_why(plant), LIMIT_S)
    wait_until("shards", lambda: revoked | {serial} <= serials(plant, *SHARD_NAMES), LIMIT_S)
    return revoked | {serial}


def test_a_complete_list_that_is_too_long_is_refused_and_the_others_go_on(brisk):
    first = revoke(brisk, FIT)
    with short_lists(brisk):
        wait_until("the complete list", lambda: first <= serials(brisk, "attested"), LIMIT_S)
        both = first | revoke(brisk, MORE)
        wait_until("shards", lambda: both <= serials(brisk, *SHARD_NAMES), LIMIT_S)
        wait_until("delta", lambda: both <= serials(brisk, "attested", "attested-delta"), LIMIT_S)
        wait_until("the complete list is refused", lambda: too_long(brisk) == 1, LIMIT_S)
        served = crl(brisk, "attested")
        done = publish(brisk)
        assert done.returncode == 1 and "crl_too_long" in done.stderr and "issuers.crl_shards" in done.stderr, done
        assert number(served) == number(crl(brisk, "attested")) and not both <= serials(brisk, "attested")
        assert {e["list"] for e in brisk.log() if e.get("event") == "crl_refused" and e["reason"] == "crl_too_long"} == {"attested"}
        assert brisk.readyz()[0] == 200  # the last good one is served
        all_of_them = restarted_while_too_long(brisk, both, served)
    wait_until("the complete list again", lambda: all_of_them <= serials(brisk, "attested") and too_long(brisk) == 0, LIMIT_S)
    brisk.account()
