"""The registry without its ledger: 503 that says so, and nobody is in or out of it when the ledger is back."""

import element
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

SEEN = """select (select count(*) from requester), (select count(*) from requester where not active),
    (select count(*) from issuance), (select count(*) from revocation)"""


def pem_csr():
    builder = x509.CertificateSigningRequestBuilder().subject_name(element.common_name("late"))
    return builder.sign(element.new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def calls(plant):
    with open(plant.rig2_identity[0], "rb") as f:
        rig2 = plant.spki_hash(x509.load_pem_x509_certificate(f.read()))
    late = {"kind": "rig", "name": "late", "note": "while the ledger is away"}
    return {
        "register": ("requesters", {**late, "spki_hash": "ab" * 32}),
        "enrol": ("requesters", {**late, "csr": pem_csr()}),
        "retire": (f"requesters/{rig2}/retire", {"note": "while the ledger is away"}),
    }


@pytest.fixture
def away(plant):
    plant.stop_postgres("immediate")
    yield plant
    if not plant.pg_runs():
        plant.start_postgres()


@pytest.fixture
def administrator(plant):
    return plant.new_administrator("fault")


def test_registry_calls_without_the_ledger(plant, administrator, request):
    before = plant.sql(SEEN)
    assert administrator.get("requesters").status == 200  # and this connection stays
    request.getfixturevalue("away")
    for name, (path, body) in calls(plant).items():
        for client in (administrator, administrator.fresh()):
            answer = client.post(path, body)
            assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, (name, answer.body)
            assert "nothing was" in answer.json["detail"], (name, answer.body)
    plant.start_postgres()
    plant.wait_ready(60)
    assert plant.sql(SEEN) == before
    assert plant.rig2().get("cacerts").status == 200
    for name, (path, body) in calls(plant).items():
        if name == "register":  # the same call is good once the ledger is there
            assert administrator.fresh().post(path, body).status == 200
    assert plant.sql("select count(*) from requester where name = 'late'") == "1"
