"""Conformance A to I, what the other files leave: who may ask, request bodies, names, refusals, csrattrs."""

import base64
import contextlib
import json
import os
import signal
import subprocess

import pytest
from cryptography import x509

import der
import element
import est
from conftest import run
from waiting import wait_until
from element import csr, new_key
from test_csrattrs import attrs

SAN = "2.5.29.17"


def legacy_name():
    return "legacy-" + os.urandom(6).hex()


@pytest.mark.parametrize("suites", ["SRP", "PSK", "aNULL"])
def test_16_suites_without_certificates_are_refused(assay, suites):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{assay.port}", "-tls1_2", "-cipher", suites + ":@SECLEVEL=0",
         "-psk", "00112233", "-psk_identity", "x"],
        input="", capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "Cipher is (NONE)" in done.stdout or done.returncode != 0


def test_11_a_vendors_certificate_gives_nothing_where_vendors_are_not_trusted(assay, nothing_issued):
    """The quickstart's vendor is trusted for evidence; as a TLS client its chain leads nowhere."""
    chip = assay.vendor.element(ekus=("1.3.6.1.5.5.7.3.2",))
    client = assay.client(assay.rigs.write("vendor-" + chip.ueid.hex(), chip.cert, chip.key))
    assert client.get("cacerts").status == 200
    for reply in (client.enrol(csr(chip.key)), client.reenrol(csr(chip.key))):
        assert (reply.status, reply.reason) == (403, "chain_untrusted")


def test_12_a_right_certificate_is_not_yet_a_right(assay, nothing_issued):
    operator = assay.client((assay.env["ASSAY_OPERATOR_CERT"], assay.env["ASSAY_OPERATOR_KEY"]))
    key, chip = new_key(), assay.vendor.element()
    reply = operator.enrol(csr(key, chip.evidence(key, assay.rig().nonce())))
    assert reply.status == 403 and reply.text.strip()


def test_13_cmc_ra_of_a_registered_ra_gives_other_subjects_within_its_names(assay):
    """The same CSR with and without the purpose, both registered as an RA."""
    replies = {}
    for cn, ekus in (("gate-ra", ("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.28")), ("gate-plain", ("1.3.6.1.5.5.7.3.2",))):
        identity = assay.rigs.make(cn, ekus=ekus)
        with open(identity[0], "rb") as f:
            key_hash = assay.spki_hash(x509.load_pem_x509_certificate(f.read()))
        assay.owner_sql(f"SELECT register_requester('ra', '{cn}', '\\x{key_hash}'::bytea, 'gate-*', '')")
        replies[cn] = assay.client(identity)

    def ask(cn, subject):
        return replies[cn].enrol(csr(new_key(), subject=der.name((der.CN, subject))), "gate")

    wait_until("the registry is known", lambda: ask("gate-plain", "gate-x").reason == "client_kind")  # not requester_unknown
    names = ["gate-" + os.urandom(6).hex() for _ in range(2)]
    wait_until("it is registered", lambda: ask("gate-ra", "elsewhere-1").reason == "auth_name")
    for name in names:
        assert name in ask("gate-ra", name).certificate().subject.rfc4514_string()


def test_14_an_empty_user_name_is_a_wrong_password_not_a_fault(assay, nothing_issued):
    reply = assay.client(userpass=":secret").enrol(csr(new_key(), subject=der.name((der.CN, legacy_name()))), "unattested")
    assert (reply.status, reply.reason) == (401, "auth_password")


def test_22_every_reply_with_data_is_base64_of_der(assay):
    client = assay.client()
    for operation in ("cacerts", "csrattrs"):
        text = client.get(operation).body.replace(b"\n", b"")
        assert base64.b64decode(text, validate=True)[:1] == b"\x30"


@contextlib.contextmanager
def stopped(assay, role):
    """A role of the daemon that does not answer: stopped by a signal, continued afterwards."""
    top = (assay.home / "assayd.pid").read_text().strip()
    pids = run("pgrep", "-P", top, "-f", f"role {role}").stdout.split()
    assert len(pids) == 1
    os.kill(int(pids[0]), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(pids[0]), signal.SIGCONT)


@pytest.mark.item(30)
@pytest.mark.pitfall(12)
def test_43_without_the_ca_503_in_whole_seconds_and_cacerts_all_the_same(assay):
    rig = assay.rig(patient=False)
    key, chip = new_key(), assay.vendor.element()
    request = csr(key, chip.evidence(key, assay.rig().nonce()))
    before = assay.issuances()
    with stopped(assay, "ca"):
        wait_until("its view of the registry is old", lambda: rig.get("nonce", "line").status == 503)
        reply = rig.enrol(request)
        assert reply.status == 503 and reply.headers["Retry-After"].isdigit()
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert assay.client().get("cacerts").status == 200
    assay.rig().enrol(request).certificate()
    assert assay.issuances() == before + 1


def test_30_cacerts_is_never_a_redirect_nor_empty(assay):
    for label in (None, "line", "field", "unattested", "idevid"):
        reply = assay.client().get("cacerts", label)
        assert reply.status == 200 and reply.body and reply.headers["Location"] is None


def test_31_certificate_and_password_together(assay, nothing_issued):
    """A certificate beside the password must hold all the same."""
    key = new_key()
    name = element.common_name("Unknown CA")
    foreign = element.make_cert(name, key, name, key, ca=True)
    client = assay.client(assay.rigs.make("both", issuer=(foreign, key)), assay.env["ASSAY_USERPASS"])
    reply = client.enrol(csr(new_key(), subject=der.name((der.CN, legacy_name()))), "unattested")
    assert (reply.status, reply.reason) == (403, "chain_untrusted")


def test_33_a_key_that_may_not_sign_proves_possession_by_signing(assay):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    usage = element.extension_request(der.extension("2.5.29.15", der.bits(b"\x08", 3), True))
    rig.enrol(csr(key, chip.evidence(key, rig.nonce("agree")), usage), "agree").certificate()


def test_38_a_device_may_have_a_second_certificate(assay):
    """Enrolment with a device certificate, for another key and another profile."""
    client, cert, _, chip = assay.device()
    key = new_key()
    second = client.enrol(csr(key, chip.evidence(key, client.nonce("second"))), "second").certificate()
    assert second.subject == cert.subject and element.spki(key) != element.spki(client_key(assay, cert))


def client_key(assay, cert):
    from cryptography.hazmat.primitives import serialization

    with open(assay.rigs.folder / f"{cert.serial_number:x}.key", "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


def test_36_policy_may_refuse_the_same_key(assay, nothing_issued_after):
    client, cert, key, _ = assay.device()
    with nothing_issued_after():
        reply = client.reenrol(csr(key), "rekey")
        assert (reply.status, reply.reason) == (403, "key_same")


def test_36_policy_may_refuse_a_new_key(assay, nothing_issued_after):
    client, _, _, chip = assay.device()
    key = new_key()
    with nothing_issued_after():
        reply = client.reenrol(csr(key, chip.evidence(key, client.nonce("agree"))), "agree")
        assert (reply.status, reply.reason) == (403, "key_new")


@pytest.fixture
def nothing_issued_after(assay):
    @contextlib.contextmanager
    def block():
        before = assay.issuances()
        yield
        assert assay.issuances() == before

    return block


def test_35_reordered_names_are_the_same_dropped_ones_are_not(assay):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    cert = rig.enrol(csr(key, chip.evidence(key, rig.nonce("agree"))), "agree").certificate()
    client = assay.client(assay.identity(cert, key))
    uri = der.tlv(0x86, f"urn:assay:element:{chip.ueid.hex()}".encode())
    dns = der.tlv(0x82, f"{chip.ueid.hex()}.example.org".encode())
    subject = cert.subject.public_bytes()

    def wish(*names):
        return element.extension_request(der.extension(SAN, der.seq(*names)))

    for names in ((uri,), (dns,)):
        reply = client.reenrol(csr(key, wish(*names), subject=subject), "agree")
        assert (reply.status, reply.reason) == (403, "csr_san")
    assert client.reenrol(csr(key, subject=subject), "agree").reason == "csr_san"
    one = client.reenrol(csr(key, wish(uri, dns), subject=subject), "agree").certificate()
    assert client.reenrol(csr(key, wish(dns, uri), subject=subject), "agree").certificate() == one


@pytest.mark.parametrize("string", [der.printable, der.utf8], ids=["printable", "utf8"])
def test_35_string_types_are_not_told_apart_and_the_old_bytes_stay(assay, string):
    client, cert, key, _ = assay.device()
    values = [(der.CN, "2.5.4.3"), (der.SERIAL_NUMBER, "2.5.4.5")]
    subject = der.seq(*(der.set_of(der.seq(der.oid(a.oid.dotted_string), string(a.value))) for a in cert.subject))
    assert values and client.reenrol(csr(key, reuse_san(cert), subject=subject)).certificate().subject.public_bytes() == cert.subject.public_bytes()


def reuse_san(cert):
    from test_reenrol import san_of, san_wish

    return san_wish(san_of(cert))


def test_41_there_is_no_202(assay):
    assert not [e for e in assay.log() if e.get("event") == "est" and e["status"] == 202]


def test_a_nonce_given_has_no_log_line_and_one_refused_has(assay):
    """A connection's requests are counted, so that the one which gave it can be named."""
    rig = assay.rig()
    before = int(rig.post_raw("simpleenroll", b"?", "line").request, 16)
    assert rig.nonce()
    refused = rig.post_raw("nonce", b"?", "line")
    assert refused.status == 415 and int(refused.request, 16) == before + 2
    assert assay.log_event(refused.request)["op"] == "nonce"
    assert not [e for e in assay.log() if e.get("request") == f"{before + 1:016x}"]


def test_49_a_one_time_code_is_no_silent_pass(assay, nothing_issued):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    code = der.attribute("1.2.840.113549.1.9.7", der.printable("enrolment-code-1"))
    reply = rig.enrol(csr(key, chip.evidence(key, rig.nonce()), code))
    assert reply.status == 403 and reply.reason == "link_failed"


@pytest.mark.parametrize("body", [b"MAA=", base64.b64encode(csr(new_key())), b"garbage"])
def test_51_full_cmc_is_not_here(assay, nothing_issued, body):
    reply = assay.rig().request("POST", est.Client.path("fullcmc"), body, {"Content-Type": "application/pkcs7-mime"})
    assert reply.status in (404, 501)


def test_59_csrattrs_have_the_shape_of_a_csr(assay):
    given = attrs(assay, "line")
    oids = [a.chosen.dotted for a in given if a.name == "oid"]
    assert "1.2.840.10045.4.3.2" in oids  # ecdsa-with-SHA256
    keys = [a.chosen for a in given if a.name == "attribute" and a.chosen["type"].dotted == "1.2.840.10045.2.1"]
    assert len(keys) == 1 and len(keys[0]["values"]) == 1


def test_62_exactly_one_key_type(assay):
    for label in ("line", "field", "unattested", "idevid"):
        types = [a.chosen["type"].dotted for a in attrs(assay, label) if a.name == "attribute"]
        assert len([t for t in types if t in ("1.2.840.10045.2.1", "1.2.840.113549.1.1.1")]) == 1


def test_64_a_csr_that_fits_csrattrs_may_still_be_refused(assay, nothing_issued):
    assert assay.rig().enrol(csr(new_key())).status == 403


def test_40_refusals_are_short_plain_text_without_internals(assay, nothing_issued):
    client = assay.client()
    for reply in (client.enrol(b"x"), client.get("nowhere"), client.post_raw("simpleenroll", b"!", "unattested"), client.request("PUT", "/x")):
        assert reply.status >= 400
        assert reply.headers["Content-Type"] == "text/plain"
        assert 0 < len(reply.text) < 200 and "/" not in reply.text.replace("PKCS#10", "") and "{" not in reply.text


def test_18_a_label_named_as_an_operation_is_refused_at_the_start(assay):
    config = json.loads((assay.home / "assay.json").read_text())
    folder = assay.home / "bad-profiles"
    folder.mkdir()
    (folder / "cacerts.json").write_bytes((assay.home / "profiles" / "line.json").read_bytes())
    bad = assay.home / "bad.json"
    bad.write_text(json.dumps({**config, "profiles": str(folder)}))
    done = run(os.path.join(os.environ.get("ASSAY_BUILD", "build"), "server", "assayd"), "--config", bad, "--check", check=False)
    assert done.returncode != 0 and "cacerts" in done.stderr


@pytest.mark.parametrize("name", [
    der.tlv(0x82), der.tlv(0x82, b" "), der.tlv(0x87, b"\x7f\0\0\1\0"), der.tlv(0x86, b"relative/path"), der.tlv(0x86), der.tlv(0x81),
], ids=["no dns", "dns space", "ip of five", "relative uri", "no uri", "no mail"])  # fmt: skip
def test_81_malformed_alternative_names_are_refused(assay, nothing_issued, name):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    wish = element.extension_request(der.extension(SAN, der.seq(name)))
    assert rig.enrol(csr(key, chip.evidence(key, rig.nonce()), wish)).status in (400, 403)


@pytest.mark.parametrize("tag", [0x14, 0x1E], ids=["teletex", "bmp"])
def test_80_old_string_types_get_nowhere(assay, nothing_issued, tag):
    text = legacy_name()
    coded = text.encode("utf-16-be" if tag == 0x1E else "ascii")
    subject = der.name((der.CN, text), string=lambda _: der.tlv(tag, coded))
    assert assay.legacy().enrol(csr(new_key(), subject=subject), "unattested").status in (400, 403)
