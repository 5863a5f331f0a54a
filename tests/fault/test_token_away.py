"""Revoking while the token is away: recorded and in force at once where nothing has to be signed; CRL and OCSP follow."""

import contextlib
import http.client
import os

import element
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from instance import run
from plant import persist
from waiting import wait_until

FOLLOWS = "CRL and OCSP follow"


def serial_of(cert):
    return f"{cert.serial_number:038x}"


@contextlib.contextmanager
def hidden_token(plant):
    token, hidden = plant.home / "token", plant.home / "token.away"
    token.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(token)


def notice_that_it_is_away(plant):
    """The ca learns of it from the next signature; a CRL or an OCSP answer would do as well."""
    wait_until("a refusal", lambda: plant.rig().enrol(plant.request()[0]).status == 503)  # a copy signs for 5 ms more
    wait_until("it is said", lambda: "the token is away" in plant.readyz()[1])


def ocsp_of(plant, cert):
    """Status as openssl names it, or the response's own status where there is no answer."""
    issuer = x509.load_pem_x509_certificate((plant.home / "ca" / "attested.pem").read_bytes())
    der = ocsp.OCSPRequestBuilder().add_certificate(cert, issuer, hashes.SHA1()).build().public_bytes(serialization.Encoding.DER)
    connection = http.client.HTTPConnection("127.0.0.1", plant.port + 2, timeout=30)
    connection.request("POST", "/ocsp", der, {"Content-Type": "application/ocsp-request"})
    answer = ocsp.load_der_ocsp_response(connection.getresponse().read())
    connection.close()
    good = answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
    return answer.certificate_status.name if good else answer.response_status.name


def on_crl(plant, cert):
    connection = http.client.HTTPConnection("127.0.0.1", plant.port + 2, timeout=30)
    connection.request("GET", "/crl/attested.crl")
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status == 200 and x509.load_der_x509_crl(body).get_revoked_certificate_by_serial_number(cert.serial_number) is not None


def test_of_a_ca_that_stands_still_no_answer_is_given_from_memory(plant):
    """Somebody may have revoked it on another node: a view older than a second knows nothing of that."""
    cert = Device(plant).cert
    assert ocsp_of(plant, cert) == "GOOD" and ocsp_of(plant, cert) == "GOOD"
    with plant.stopped("ca"):
        wait_until("a stale view", lambda: ocsp_of(plant, cert) == "TRY_LATER")
        assert ocsp_of(plant, cert) == "TRY_LATER"
    wait_until("it is back", lambda: ocsp_of(plant, cert) == "GOOD")


def token_up(plant):
    return next(line for line in plant.metrics().splitlines() if line.startswith('assay_token_up{role="ca"}')).split()[-1]


class Device:
    """With a connection that is open before anything happens."""

    def __init__(self, plant):
        self.client, self.cert, self.key, _ = plant.device()
        assert self.client.get("cacerts").status == 200

    def reenrol(self):
        return self.client.reenrol(element.csr(self.key))


def dry_run(plant, cert):
    return plant.admin("operator").plan({"serial": serial_of(cert)})


def revoke_by_api(plant, cert):
    done = plant.admin("operator").revoke({"serial": serial_of(cert)}, note="while the token is away")
    assert done["changed"] == 1 and done["done"]
    assert FOLLOWS in done["notice"] and "in force now" in done["notice"], done["notice"]


def revoke_by_assayctl(plant, cert):
    done = run("assayctl", "revoke", "--serial", serial_of(cert), "--reason", "keyCompromise", "--note", "away", "--yes",
               env={**os.environ, **plant.env})  # fmt: skip
    assert "done: 1 changed" in done.stdout and FOLLOWS in done.stdout, done.stdout


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "started without it"])
def test_revoked_while_the_token_is_away(plant, restarted):
    lost, stolen, other = Device(plant), Device(plant), Device(plant)
    assert ocsp_of(plant, lost.cert) == "GOOD"
    with hidden_token(plant):
        notice_that_it_is_away(plant)
        ca = plant.pid("ca")
        if restarted:
            gone = plant.kill("ca")
            ca = plant.wait_pid("ca", other_than=gone)
            wait_until("the ca is there without its token", lambda: dry_run(plant, lost.cert).status == 200)
        revoke_by_api(plant, lost.cert)
        revoke_by_assayctl(plant, stolen.cert)
        for device in (lost, stolen):
            answer = persist("a re-enrolment", device.reenrol)
            assert answer.status == 403 and answer.reason == "client_revoked", answer.text
        assert other.reenrol().status == 503
        assert not on_crl(plant, lost.cert) and ocsp_of(plant, lost.cert) == "TRY_LATER"
        assert token_up(plant) == "0" and plant.pid("ca") == ca
    for device in (lost, stolen):
        wait_until("OCSP says so", lambda: ocsp_of(plant, device.cert) == "REVOKED")
        wait_until("the CRL says so", lambda: on_crl(plant, device.cert))
    assert persist("the other's renewal", other.reenrol).status == 200
    wait_until("ready", lambda: plant.readyz()[0] == 200)
    assert token_up(plant) == "1" and plant.pid("ca") == ca
    assert "notice" not in plant.admin("operator").revoke({"serial": serial_of(other.cert)})
    plant.account()
