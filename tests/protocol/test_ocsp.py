"""OCSP as relying parties meet it: openssl's client over POST, curl over GET; RFC 6960, RFC 5019, RFC 9654."""

import base64
import concurrent.futures
import datetime
import http.client
import os
import re
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from instance import run
from waiting import wait_until

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
OK, MALFORMED = ocsp.OCSPResponseStatus.SUCCESSFUL, ocsp.OCSPResponseStatus.MALFORMED_REQUEST
LATER, UNAUTHORIZED = ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.UNAUTHORIZED
DER = serialization.Encoding.DER


class Responder:
    """One kept-alive connection to the status listener."""

    def __init__(self, assay):
        self.assay = assay
        parts = urllib.parse.urlsplit(assay.env["ASSAY_STATUS_URL"])
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.used = time.monotonic()

    def ask(self, method, path, body=None, headers=None):
        """(HTTP response, OCSP response or None). Who is told to try later does: the va may know nothing fresh for a moment."""

        def answered():
            response, answer = self.once(method, path, body, headers)
            return None if answer and answer.response_status == LATER else (response, answer)

        return wait_until("an answer", answered)

    def once(self, method, path, body, headers):
        if time.monotonic() - self.used > 10:
            self.connection.close()  # the server lets idle ones go; the request opens another
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        self.used = time.monotonic()
        text = response.read()
        if response.getheader("Content-Type") != "application/ocsp-response":
            return response, None
        return response, ocsp.load_der_ocsp_response(text)

    def post(self, der):
        return self.ask("POST", "/ocsp", der, {"Content-Type": "application/ocsp-request"})

    def get(self, der, quote=lambda text: urllib.parse.quote(text, safe=""), headers=None):
        return self.ask("GET", "/ocsp/" + quote(base64.b64encode(der).decode()), None, headers)


@pytest.fixture
def responder(assay):
    """Once the ca has made itself the certificates to answer with."""
    client = Responder(assay)
    cert, _, _ = assay.enrol()
    wait_until("an answer", lambda: client.post(request(cert, issuer_of(assay, cert)))[1].response_status == OK)
    return client


def issuer_of(assay, cert):
    name = cert.issuer.rfc4514_string()
    for file in ("attested", "unattested", "idevid", "services"):
        ca = x509.load_pem_x509_certificate((assay.home / "ca" / f"{file}.pem").read_bytes())
        if ca.subject.rfc4514_string() == name:
            return ca
    raise AssertionError(name)


def request(cert, ca, algorithm=hashes.SHA1, nonce=None, serial=None):
    """`serial`: as many bytes in the place of the certificate's own."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(cert, ca, algorithm())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    der = builder.build().public_bytes(DER)
    return der if serial is None else der.replace(cert.serial_number.to_bytes(len(serial), "big"), serial)


def openssl(assay, folder, certs, *arguments):
    """What openssl says of some certificates: it checks the responder's delegation and the signature itself."""
    ca = issuer_of(assay, certs[0])
    (folder / "issuer.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    line = ["openssl", "ocsp", "-issuer", folder / "issuer.pem", "-url", assay.env["ASSAY_STATUS_URL"] + "/ocsp",
            "-CAfile", assay.cacert, "-verify_other", folder / "issuer.pem", *arguments]  # fmt: skip
    files = []
    for i, cert in enumerate(certs):
        files.append(folder / f"cert{i}.pem")
        files[-1].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        line += ["-cert", files[-1]]
    done = run(*line)
    assert "Response verify OK" in done.stdout + done.stderr, done.stdout + done.stderr
    found = dict(re.findall(r"^(\S+\.pem): (\w+)$", done.stdout, re.M))
    return [found[str(file)] for file in files], done.stdout + done.stderr


@pytest.mark.parametrize("algorithm", ["-sha1", "-sha256"])
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
def test_99_openssl_is_content(assay, responder, tmp_path, algorithm, nonce):
    cert, _, _ = assay.enrol()
    # the digest counts for the certificates that follow it
    states, said = openssl(assay, tmp_path, [cert], algorithm, nonce)
    assert states == ["good"]
    assert "WARNING" not in said  # "no nonce in response"


def test_94_several_certificates_in_one_request(assay, responder, tmp_path):
    certs = [assay.enrol()[0] for _ in range(3)]
    assay.admin().revoke({"serial": f"{certs[1].serial_number:038x}"}, "superseded")
    states, said = openssl(assay, tmp_path, certs)
    assert states == ["good", "revoked", "good"] and "Reason: superseded" in said


def test_93_the_responder_is_delegated(assay, responder):
    """RFC 6960 section 4.2.2.2: issued by the CA itself, OCSPSigning, ocsp-nocheck, and nothing else."""
    cert, _, _ = assay.enrol()
    ca = issuer_of(assay, cert)
    _, answer = responder.post(request(cert, ca))
    (own,) = answer.certificates
    assert own.issuer == ca.subject
    ca.public_key().verify(own.signature, own.tbs_certificate_bytes, x509_algorithm(own))
    own.public_key().verify(answer.signature, answer.tbs_response_bytes, x509_algorithm(answer))
    assert list(own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert own.extensions.get_extension_for_class(x509.OCSPNoCheck)
    usage = own.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign
    assert own.not_valid_after - own.not_valid_before <= datetime.timedelta(days=31)
    assert answer.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(own.public_key()).digest
    in_ledger = assay.sql(
        f"select count(*) from responder_intent i join responder_signature s on s.serial = i.serial where i.serial = '\\x{own.serial_number:038x}'"
    )
    assert in_ledger == "1"


def x509_algorithm(signed):
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(signed.signature_hash_algorithm)


def test_certificates_say_where(assay, responder):
    cert, _, _ = assay.enrol()
    access = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = [d.access_location.value for d in access if d.access_method == AuthorityInformationAccessOID.OCSP]
    assert urls == [assay.env["ASSAY_STATUS_URL"] + "/ocsp"]


@pytest.mark.parametrize("algorithm", [hashes.SHA1, hashes.SHA256])
def test_98_get(assay, responder, algorithm):
    """RFC 5019 sections 5 and 6, however the client encodes what base64 and URLs both use."""
    cert, _, _ = assay.enrol()
    der = request(cert, issuer_of(assay, cert), algorithm)
    for quote in (
        lambda text: urllib.parse.quote(text, safe=""),
        lambda text: urllib.parse.quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
        lambda text: text,
        lambda text: "/" + text,
    ):
        response, answer = responder.get(der, quote)
        assert response.status == 200 and answer.certificate_status == GOOD and answer.serial_number == cert.serial_number
        assert answer.hash_algorithm.name == algorithm.name
    now = datetime.datetime.utcnow()
    assert answer.this_update - datetime.timedelta(minutes=1) < now < answer.next_update
    assert response.getheader("ETag") and "max-age=" in response.getheader("Cache-Control")
    assert response.getheader("Last-Modified") == http_date(answer.this_update)
    assert response.getheader("Expires") == http_date(answer.next_update)
    response, answer = responder.get(der, headers={"If-None-Match": response.getheader("ETag")})
    assert response.status == 304 and answer is None


def http_date(at):
    return at.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_curl_fetches_what_openssl_accepts(assay, responder, tmp_path):
    cert, _, _ = assay.enrol()
    der = request(cert, issuer_of(assay, cert))
    url = assay.env["ASSAY_STATUS_URL"] + "/ocsp/" + urllib.parse.quote(base64.b64encode(der).decode(), safe="")
    run("curl", "-sSf", "-o", tmp_path / "answer", url)
    (tmp_path / "issuer.pem").write_bytes(issuer_of(assay, cert).public_bytes(serialization.Encoding.PEM))
    done = run("openssl", "ocsp", "-respin", tmp_path / "answer", "-issuer", tmp_path / "issuer.pem", "-CAfile", assay.cacert,
               "-verify_other", tmp_path / "issuer.pem", "-serial", hex(cert.serial_number))  # fmt: skip
    assert "Response verify OK" in done.stdout + done.stderr and ": good" in done.stdout


def test_96_an_answer_says_until_when(assay, responder):
    cert, _, _ = assay.enrol()
    _, answer = responder.post(request(cert, issuer_of(assay, cert)))
    assert answer.this_update < answer.next_update
    assert answer.next_update > datetime.datetime.utcnow()


def test_98_answers_without_nonce_are_kept(assay, responder):
    cert, _, _ = assay.enrol()
    der = request(cert, issuer_of(assay, cert))
    _, first = responder.post(der)
    recorded = assay.sql("select count(*) from status_intent")
    for _ in range(50):
        _, again = responder.post(der)
        assert again.signature == first.signature
    assert assay.sql("select count(*) from status_intent") == recorded, "nothing was signed"


@pytest.mark.parametrize("length", [1, 32, 128])
def test_97_nonce(assay, responder, length):
    cert, _, _ = assay.enrol()
    nonce = bytes(range(length))
    response, answer = responder.post(request(cert, issuer_of(assay, cert), nonce=nonce))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce in (nonce, b"\x04\x81\x80" + nonce, bytes([4, length]) + nonce)
    assert response.getheader("Cache-Control") == "no-store"


RATION = 500  # the configuration's status.ocsp_s, which the instance leaves as it comes


def test_a_flood_of_nonces_does_not_take_the_token_from_the_line(assay, responder):
    """Beyond the ration answers come without nonce, as they are kept; who enrols meanwhile gets a certificate."""
    cert, _, _ = assay.enrol()
    template = request(cert, issuer_of(assay, cert), nonce=b"n" * 16)
    responder.get(request(cert, issuer_of(assay, cert)))  # one is kept now

    def flood(_):
        client, signed = Responder(assay), 0
        for _ in range(200):
            nonce = os.urandom(16)
            answer = client.post(template.replace(b"n" * 16, nonce))[1]
            assert answer.certificate_status == GOOD
            signed += any(isinstance(extension.value, x509.OCSPNonce) for extension in answer.extensions)
        client.connection.close()
        return signed

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        askers = [pool.submit(flood, i) for i in range(16)]
        enrolled = 0
        while enrolled < 3 or not all(asker.done() for asker in askers):
            assay.enrol()
            enrolled += 1
        signed = sum(asker.result() for asker in askers)
    seconds = time.monotonic() - began
    assert 0 < signed <= RATION * (seconds + 1), (signed, seconds)
    assert signed < 16 * 200 or seconds > 16 * 200 / RATION - 1, "a ration that nobody meets"


def test_every_answer_is_on_record_before_it_is_signed(assay, responder):
    cert, _, _ = assay.enrol()
    _, answer = responder.post(request(cert, issuer_of(assay, cert), nonce=b"n" * 16))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(answer.tbs_response_bytes)
    found = assay.sql(f"select count(*) from status_intent where position('\\x{digest.finalize().hex()}'::bytea in hashes) > 0")
    assert found == "1"


def test_revoked_within_a_second(assay, responder):
    """From the admin API's answer, also for an answer that was kept; and a released one is good again."""
    admin = assay.admin()
    cert, _, _ = assay.enrol()
    serial = f"{cert.serial_number:038x}"
    der = request(cert, issuer_of(assay, cert), hashes.SHA256)

    def becomes(state):
        began = time.monotonic()
        while responder.post(der)[1].certificate_status != state:
            assert time.monotonic() < began + 120, f"never {state}"
        return time.monotonic() - began

    becomes(GOOD)
    admin.revoke({"serial": serial}, "certificateHold", "lost?")
    took = [becomes(REVOKED)]
    assert responder.post(der)[1].revocation_reason == x509.ReasonFlags.certificate_hold
    admin.revoke({"serial": serial}, "removeFromCRL", "found")
    took.append(becomes(GOOD))
    admin.revoke({"serial": serial}, "keyCompromise", "lost")
    took.append(becomes(REVOKED))
    answer = responder.post(der)[1]
    assert answer.revocation_reason == x509.ReasonFlags.key_compromise
    assert abs(answer.revocation_time - datetime.datetime.utcnow()) < datetime.timedelta(minutes=2)
    print(f"seen after {[round(t * 1000) for t in took]} ms")
    assert min(took) < 1.0, took


def request_of(assay, folder, *pairs):
    """A request by openssl for (issuer's name, serial)s, whoever issued those."""
    line = ["openssl", "ocsp", "-no_nonce", "-reqout", folder / "request"]
    for issuer, serial in pairs:
        line += ["-issuer", assay.home / "ca" / f"{issuer}.pem", "-serial", hex(serial)]
    run(*line)
    return (folder / "request").read_bytes()


def test_95_unknown(assay, responder, tmp_path):
    """Never issued: unknown, and neither good nor kept. So is a certificate of another issuer."""
    cert, _, _ = assay.enrol()
    ca = issuer_of(assay, cert)
    n = (cert.serial_number.bit_length() + 7) // 8
    for serial in (bytes([1]) * n, bytes([127]) * n, (cert.serial_number ^ 1).to_bytes(n, "big"), b"\x80" + bytes(n - 1)):
        assert responder.post(request(cert, ca, serial=serial))[1].certificate_status == UNKNOWN
    assert responder.post(request_of(assay, tmp_path, ("idevid", cert.serial_number)))[1].certificate_status == UNKNOWN


def test_other_issuers(assay, responder, tmp_path):
    """Not ours, or several at once, which one responder could not sign for: unauthorized."""
    cert, _, _ = assay.enrol()
    response, answer = responder.post(request_of(assay, tmp_path, ("root", cert.serial_number)))
    assert response.status == 200 and answer.response_status == UNAUTHORIZED
    assert response.getheader("Cache-Control") == "no-store"
    two = request_of(assay, tmp_path, ("attested", cert.serial_number), ("idevid", 0x1234))
    assert responder.post(two)[1].response_status == UNAUTHORIZED


def test_94_malformed(assay, responder):
    cert, _, _ = assay.enrol()
    good = request(cert, issuer_of(assay, cert))
    for der in (b"\x30\x00", good[:-1], good + b"\0", b"x" * 300, b"\x30" * 9000):
        response, answer = responder.post(der)
        assert response.status == 200 and answer.response_status == MALFORMED, der[:20]
    for path in ("/ocsp", "/ocsp/", "/ocsp/%", "/ocsp/%zz", "/ocsp/MA=", "/ocsp/" + "A" * 4000):
        response, answer = responder.ask("GET", path)
        assert response.status == 200 and answer.response_status == MALFORMED, path
    response, answer = responder.ask("POST", "/ocsp", good, {"Content-Type": "text/plain"})
    assert response.status == 415 and answer is None
    response, answer = responder.ask("PUT", "/ocsp", good, {"Content-Type": "application/ocsp-request"})
    assert response.status == 405 and response.getheader("Allow") == "GET, HEAD, POST"
    assert responder.ask("GET", "/ocspx")[0].status == 404
    assert responder.post(good)[1].certificate_status == GOOD
