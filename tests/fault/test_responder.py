"""The OCSP responder's certificate renews itself before it ends, and is used again after a restart."""

import json
import os
import time

from cryptography.hazmat.primitives import serialization
from instance import run
from waiting import wait_until
from status import ask_ocsp, ocsp_request


def made(plant):
    """Serials of one issuer's responder's certificates, of every key, oldest first."""
    return plant.sql(
        """select encode(i.serial, 'hex') from responder_intent i join responder_signature using (serial)
        where i.issuer = 'attested' order by i.at, i.serial"""
    ).split()


def hexed(cert):
    return f"{cert.serial_number:038x}"


def signer_now(plant, cert):
    """The certificate behind an answer made now: a nonce keeps it out of every memory."""
    der = ocsp_request(plant, cert, nonce=os.urandom(16))

    def answered():
        answer = ask_ocsp(plant, der)
        return answer if answer and answer.response_status.name == "SUCCESSFUL" else None

    answer = wait_until("OCSP answers", answered)
    assert answer.next_update <= answer.certificates[0].not_valid_after, "the answer would outlive its signer"
    return answer.certificates[0]


def openssl_verifies(plant, cert):
    """With an answer of its own. Only "try later" is asked again."""
    asked, issuer = plant.home / "asked.pem", plant.home / "ca" / "attested.pem"
    asked.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    line = ["openssl", "ocsp", "-issuer", issuer, "-cert", asked, "-nonce", "-CAfile", plant.cacert,
            "-url", plant.env["ASSAY_STATUS_URL"] + "/ocsp", "-verify_other", issuer]  # fmt: skip

    def said():
        done = run(*line, check=False)
        text = done.stdout + done.stderr
        return None if "trylater" in text else text

    text = wait_until("openssl has an answer", said)
    assert "Response verify OK" in text and "asked.pem: good" in text, text


def test_the_responder_renews_itself_and_serves_again_after_a_restart(brisk):
    usual, cert = made(brisk)[0], brisk.enrol()[0]
    ca, signers = brisk.pid("ca"), asks_until_the_second(brisk, cert)
    assert brisk.pid("ca") == ca
    in_order_and_in_time(brisk, signers)
    used_again_after_a_restart(brisk, cert, usual)
    brisk.account()


def asks_until_the_second(plant, cert):
    """The responder's certificates that signed, in their order, while somebody asks all the time."""
    signers, deadline = [], time.monotonic() + 120
    while len(signers) < 2:
        assert time.monotonic() < deadline, f"no second certificate; so far {[s.not_valid_after for s in signers]}"
        signer = signer_now(plant, cert)
        if signer not in signers:
            signers.append(signer)
            openssl_verifies(plant, cert)
    return signers


def in_order_and_in_time(plant, signers):
    first, second = [hexed(s) for s in signers]
    serials = made(plant)
    assert serials.index(first) < serials.index(second), "an older one is used again"
    before = plant.sql(
        f"""select later.at < own.not_after - interval '3660 s' from responder_intent own, responder_intent later
        where own.serial = '\\x{first}' and later.serial = '\\x{serials[serials.index(first) + 1]}'"""
    )
    assert before == "t", "made after the one before it could sign for the last time"


def used_again_after_a_restart(plant, cert, usual):
    """With the key and the time of the home's first start: its certificate serves, and no other is made."""
    plant.stop_daemon()
    serials = made(plant)
    file = plant.home / "assay.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "status": {**config["status"], "responder": "ocsp"}, "certificates": {}}, indent=2))
    plant.start_daemon()
    assert hexed(signer_now(plant, cert)) == usual
    assert made(plant) == serials, "a start makes one of its own"
