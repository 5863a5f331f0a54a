"""The rules "Identity, retry, renewal": lost replies, two connections, two rigs, new keys, revocation, windows, nonces."""

import base64
import ssl
import threading

import der
import element
import pytest
from plant import Plant, persist
from waiting import wait_until


def serial_of(cert):
    return cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big").hex()


def together(*asks):
    """All at once; the answers in order."""
    answers, barrier = [None] * len(asks), threading.Barrier(len(asks))

    def run(i):
        barrier.wait()
        answers[i] = asks[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(asks))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


def warm(*clients):
    for client in clients:
        client.get("cacerts")
    return clients


def test_a_lost_reply_is_found_by_the_retry(plant):
    request, _, chip = plant.request()
    client = plant.rig()
    client.get("cacerts")
    with plant.shim.in_mode(0, delay_us=300_000):
        client.connection.request("POST", client.path("simpleenroll", "line"), base64.b64encode(request), {"Content-Type": "application/pkcs10"})
        wait_until("the intent is recorded", lambda: plant.certificates_of(chip))
        client.close()  # before the answer
        wait_until("it is signed and recorded although nobody waits", lambda: plant.valid_of(chip))
        assert plant.signed_of(chip) == 1
    cert = plant.rig2().enrol(request).certificate()  # over another connection, through another rig
    assert plant.valid_of(chip) == [serial_of(cert)]


def test_the_same_request_over_many_connections_at_once(plant):
    request, _, chip = plant.request()
    clients = warm(*[plant.rig() for _ in range(8)])
    with plant.shim.in_mode(0, delay_us=50_000):
        replies = together(*[lambda c=c: c.enrol(request) for c in clients])
    certs = {r.certificate() for r in replies}
    assert len(certs) == 1 and len(plant.certificates_of(chip)) == 1


def test_two_rigs_with_one_board(plant):
    """Each with a nonce of its own, so with another request: same device, same key, one certificate."""
    key, chip = element.new_key(), plant.vendor.element()
    one, two = warm(plant.rig(), plant.rig2())
    requests = [element.csr(key, chip.evidence(key, c.nonce())) for c in (one, two)]
    replies = together(lambda: one.enrol(requests[0]), lambda: two.enrol(requests[1]))
    assert len({r.certificate() for r in replies}) == 1 and len(plant.certificates_of(chip)) == 1


def test_two_rigs_with_one_board_and_two_keys(plant):
    """One gives way to the other, or waits: never two valid ones."""
    chip = plant.vendor.element()
    one, two = warm(plant.rig(), plant.rig2())
    requests = [plant.request(c, chip=chip)[0] for c in (one, two)]
    replies = together(lambda: one.enrol(requests[0]), lambda: two.enrol(requests[1]))
    assert {r.status for r in replies} <= {200, 503} and 200 in {r.status for r in replies}
    assert len(plant.valid_of(chip)) == 1


def test_a_board_that_lost_power_gets_a_new_key_three_times(plant):
    chip, serials = plant.vendor.element(), []
    for _ in range(4):
        serials.append(serial_of(plant.rig().enrol(plant.request(chip=chip)[0]).certificate()))
    rows = plant.certificates_of(chip)
    assert [r[0] for r in rows] == serials and [r[3] for r in rows] == [4, 4, 4, None]
    reply = plant.rig().enrol(plant.request(chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "device_known") and len(plant.certificates_of(chip)) == 4


def rekeys_of(plant, chip):
    """What the ledger tells of the rule, a row each."""
    return int(plant.sql(
        f"""select count(*) from revocation r join issuance i on i.serial = r.serial
        where r.who = 'rule:rekey' and r.reason = 4 and i.element = '\\x{chip.ueid.hex()}'::bytea"""
    ))  # fmt: skip


def test_a_board_that_lost_power_again_and_again_through_two_rigs_at_once(plant):
    """Ten new keys, two at a time: never two valid certificates, never a fourth that gives way, each that does with its row."""
    chip, signed = plant.vendor.element(), []
    for _ in range(5):
        clients = warm(plant.rig(), plant.rig2())
        requests = [plant.request(c, chip=chip)[0] for c in clients]
        replies = together(*[lambda c=c, r=r: c.enrol(r) for c, r in zip(clients, requests)])
        assert {(r.status, r.reason) for r in replies} <= {(200, None), (503, "claim_pending"), (409, "device_known")}
        signed += [r for r in replies if r.status == 200]
        assert len(plant.valid_of(chip)) == 1
    rows = plant.certificates_of(chip)
    assert len(signed) == len(rows) == 4 and [r[3] for r in rows].count(4) == 3 == rekeys_of(plant, chip)
    reply = plant.rig().enrol(plant.request(chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "device_known")


def test_a_device_seen_in_use_gets_no_new_key_on_the_line(plant):
    client, _, key, chip = plant.device()
    client.reenrol(element.csr(key)).certificate()
    reply = plant.rig().enrol(plant.request(chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "device_known")


@pytest.mark.parametrize("reason", [1, 6])
def test_revoked_or_held_meanwhile(plant, reason):
    request, _, chip = plant.request()
    cert = plant.rig().enrol(request).certificate()
    plant.owner_sql(f"select revoke('\\x{serial_of(cert)}', {reason}, 'operator')")
    reply = plant.rig().enrol(request)
    assert (reply.status, reply.reason) == (403, "claim_revoked") and len(plant.certificates_of(chip)) == 1
    if reason == 6:
        plant.owner_sql(f"select revoke('\\x{serial_of(cert)}', 8, 'operator')")
        assert plant.rig().enrol(request).certificate() == cert


def revoke(plant, cert, reason=1):
    plant.owner_sql(f"select revoke('\\x{serial_of(cert)}', {reason}, 'operator')")


@pytest.mark.parametrize("reason", [1, 6])
def test_the_successor_revoked_between_renewal_and_retry(plant, reason):
    client, cert, key, chip = plant.device()
    request = element.csr(key)
    successor = client.reenrol(request).certificate()
    revoke(plant, successor, reason)
    reply = plant.client(plant.identity(cert, key)).reenrol(request)
    assert (reply.status, reply.reason) == (403, "claim_revoked") and len(plant.certificates_of(chip)) == 2
    if reason == 6:
        revoke(plant, successor, 8)
        assert client.reenrol(request).certificate() == successor


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_certificate_revoked_between_renewal_and_retry_on_one_connection(plant, version):
    """By its serial, which the connection has shown long before: the next request of it is refused."""
    cert, key, chip = plant.enrol()
    client = plant.client(plant.identity(cert, key), tls=version)
    request = element.csr(key)
    client.reenrol(request).certificate()
    socket = client.connection.sock
    revoke(plant, cert)
    reply = wait_until("the view has it", lambda: (r := client.reenrol(request)).status != 200 and r)
    assert (reply.status, reply.reason) == (403, "client_revoked") and client.connection.sock is socket
    assert len(plant.certificates_of(chip)) == 2


def test_released_for_rework_a_device_gets_a_new_key(plant):
    client, cert, key, chip = plant.device()
    successor = client.reenrol(element.csr(key)).certificate()
    for c in (cert, successor):
        plant.owner_sql(f"select revoke('\\x{serial_of(c)}', 4, 'operator')")
    plant.rig().enrol(plant.request(chip=chip)[0]).certificate()


def test_a_renewal_with_the_same_key_twice_at_once(plant):
    client, cert, key, chip = plant.device()
    identity = plant.identity(cert, key)
    clients = warm(*[plant.client(identity) for _ in range(8)])
    with plant.shim.in_mode(0, delay_us=50_000):
        # a device may have only so many requests under way: the rest are told to come back
        replies = together(*[lambda c=c: persist("a renewal", lambda: c.reenrol(element.csr(key))) for c in clients])
    assert len({r.certificate() for r in replies}) == 1 and len(plant.certificates_of(chip)) == 2


# A nonce that issued for one claim issues for no other


def refused(plant, reply, *reasons):
    assert (reply.status, reply.reason in reasons) == (403, True), reply.text


def test_a_reused_nonce_for_the_same_claim_is_no_obstacle(plant):
    key, chip, client = element.new_key(), plant.vendor.element(), plant.rig()
    nonce = client.nonce()
    cert = client.enrol(element.csr(key, chip.evidence(key, nonce))).certificate()
    assert client.enrol(element.csr(key, chip.evidence(key, nonce))).certificate() == cert


@pytest.mark.parametrize("other", ["key", "device"])
def test_a_reused_nonce_for_another(plant, other):
    key, chip, client = element.new_key(), plant.vendor.element(), plant.rig()
    nonce = client.nonce()
    client.enrol(element.csr(key, chip.evidence(key, nonce))).certificate()
    key, chip = element.new_key(), plant.vendor.element() if other == "device" else chip
    refused(plant, client.enrol(element.csr(key, chip.evidence(key, nonce))), "nonce_reused")


def test_one_nonce_for_two_devices_at_once(plant):
    client, chips, keys = plant.rig(), [plant.vendor.element() for _ in range(2)], [element.new_key() for _ in range(2)]
    nonce = client.nonce()
    requests = [element.csr(k, c.evidence(k, nonce)) for k, c in zip(keys, chips)]
    clients = warm(plant.rig(), plant.rig())
    replies = together(lambda: clients[0].enrol(requests[0]), lambda: clients[1].enrol(requests[1]))
    assert sorted(r.status for r in replies) == [200, 403]
    assert sum(len(plant.certificates_of(c)) for c in chips) == 1


def test_a_nonce_of_another_label_or_requester(plant):
    key, chip, client = element.new_key(), plant.vendor.element(), plant.rig()
    refused(plant, client.enrol(element.csr(key, chip.evidence(key, client.nonce("idevid")))), "nonce_foreign")
    refused(plant, client.enrol(element.csr(key, chip.evidence(key, plant.rig2().nonce()))), "nonce_foreign")
    assert plant.certificates_of(chip) == []


# With the shortest retry window that the configuration takes


@pytest.fixture(scope="module")
def short(request):
    if request.config.getoption("--outage-s") < 30:
        pytest.skip("takes two minutes: the long run (--outage-s 30) does it")
    made = Plant(lambda config: config["ledger"].update(retry_window="60s"))
    yield made
    made.close()


def test_past_the_window(short):
    request, key, chip = short.request()
    first = short.rig().enrol(request).certificate()
    assert short.rig().enrol(request).certificate() == first
    age = f"select now() - at > interval '61 s' from issuance where serial = '\\x{serial_of(first)}'::bytea"
    wait_until("the window is over", lambda: short.sql(age) == "t", 90)
    reply = short.rig().enrol(request)  # never seen in use
    second = reply.certificate()
    assert second != first
    assert [r[3] for r in short.certificates_of(chip)] == [4, None]
    client = short.client(short.identity(second, key))
    client.reenrol(element.csr(key)).certificate()  # seen in use
    age = age.replace(serial_of(first), serial_of(second))
    wait_until("the window is over", lambda: short.sql(age) == "t", 90)
    reply = short.rig().enrol(short.request(key=key, chip=chip)[0])
    assert (reply.status, reply.reason) == (409, "claim_past")


def test_der_is_what_the_ledger_holds(plant):
    cert, _, _ = plant.enrol()
    held = plant.sql(f"select encode(certificate('\\x{serial_of(cert)}'), 'hex')")
    assert bytes.fromhex(held) == element.cert_der(cert) and der
