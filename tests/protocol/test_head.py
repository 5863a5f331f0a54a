"""HEAD is answered wherever GET is, with the same headers and no body (RFC 9110 sections 9.1 and 9.3.2); the rest is 405."""

import base64
import http.client
import ssl
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from instance import run
from waiting import wait_until

EST = "/.well-known/est/"
STATUS = (
    "/crl/attested.crl", "/crl/attested-delta.crl", "/crl/attested/0.crl", "/ca/attested.cer", "/feed/attested.crl?after=0", "OCSP", "/nothing",
    "/ocsp/MA=",
)  # fmt: skip
ROUTES = (
    *(("STATUS", path, None) for path in STATUS),
    *(("EST", EST + path, None) for path in ("cacerts", "line/cacerts", "line/csrattrs", "nowhere/cacerts")),
    ("EST", EST + "line/nonce", "RIG"), ("EST", EST + "line/nonce", None),
    ("ADMIN", "/livez", None), ("ADMIN", "/v1/openapi.json", "OPERATOR"), ("ADMIN", "/v1/openapi.json", None),
)  # fmt: skip
POST_ONLY = (("EST", EST + "line/simpleenroll", None), ("EST", EST + "simplereenroll", None), ("ADMIN", "/v1/renewal", "OPERATOR"))
PASSING = ("Date", "ETag", "Last-Modified", "Expires")  # of the moment


class Plain:
    """One kept-alive connection, and nothing that knows what is asked: a body behind a HEAD would be the next answer."""

    def __init__(self, assay, what, who):
        parts = urllib.parse.urlsplit(assay.env[f"ASSAY_{what}_URL"])
        if parts.scheme == "http":
            self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
            return
        context = ssl.create_default_context(cafile=assay.cacert)
        if who:
            context.load_cert_chain(assay.env[f"ASSAY_{who}_CERT"], assay.env[f"ASSAY_{who}_KEY"])
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=context)

    def ask(self, method, path):
        self.connection.request(method, path, **({"body": b"{}"} if method in ("POST", "PUT") else {}))
        response = self.connection.getresponse()
        return response, response.read()


@pytest.fixture
def plain(assay):
    made = []

    def make(what, who=None):
        made.append(Plain(assay, what, who))
        return made[-1]

    yield make
    for one in made:
        one.connection.close()


@pytest.fixture(scope="module")
def ocsp_path(assay):
    cert, _, _ = assay.enrol()
    ca = x509.load_pem_x509_certificate((assay.home / "ca" / "attested.pem").read_bytes())
    der = ocsp.OCSPRequestBuilder().add_certificate(cert, ca, hashes.SHA1()).build().public_bytes(serialization.Encoding.DER)
    return "/ocsp/" + urllib.parse.quote(base64.b64encode(der).decode(), safe="")


def lasting(response):
    return {name: value for name, value in response.getheaders() if name not in PASSING}


def asked_between(client, path):
    """(HEAD, GET, GET's body) while what is there stays as it is: lists are signed anew, the ca has just started."""

    def ask():
        before, _ = client.ask("GET", path)
        head, nothing = client.ask("HEAD", path)
        after, body = client.ask("GET", path)
        assert nothing == b""
        return before.status == after.status != 503 and lasting(before) == lasting(after) and (head, after, body)

    return wait_until(f"{path} stays as it is", ask)


@pytest.mark.parametrize("what, path, who", ROUTES)
def test_20_head_is_answered_as_get_without_the_body(plain, ocsp_path, what, path, who):
    head, get, body = asked_between(plain(what, who), ocsp_path if path == "OCSP" else path)
    assert head.status == get.status != 405
    assert lasting(head) == lasting(get)
    assert head.getheader("Content-Length") == (str(len(body)) if get.status != 204 else None)


@pytest.mark.parametrize("what, path, who", POST_ONLY)
def test_20_head_is_405_where_get_is(plain, what, path, who):
    client = plain(what, who)
    for method in ("HEAD", "GET"):
        response, body = client.ask(method, path)
        assert (response.status, response.getheader("Allow")) == (405, "POST")
        assert (body == b"") == (method == "HEAD") and int(response.getheader("Content-Length")) > 0


@pytest.mark.parametrize("what, path, who", ROUTES)
def test_20_what_takes_get_alone_names_both_and_no_more(plain, ocsp_path, what, path, who):
    response, _ = plain(what, who).ask("DELETE", ocsp_path if path == "OCSP" else path)
    if response.status == 405:
        posts = "/ocsp" in path or path == "OCSP" or path.endswith("/nonce")
        assert response.getheader("Allow") == ("GET, HEAD, POST" if posts else "GET, HEAD")
    else:
        assert response.status in (401, 403, 404) and response.getheader("Allow") is None


def test_20_a_head_with_the_validator_is_not_modified(plain):
    client = plain("STATUS")
    head, _ = client.ask("HEAD", "/ca/attested.cer")
    client.connection.request("HEAD", "/ca/attested.cer", headers={"If-None-Match": head.getheader("ETag")})
    response = client.connection.getresponse()
    assert (response.status, response.read()) == (304, b"")


def test_20_curl_is_content(assay):
    said = run("curl", "-sfI", "--max-time", "60", assay.env["ASSAY_STATUS_URL"] + "/ca/attested.cer").stdout
    assert said.startswith("HTTP/1.1 200") and "Content-Type: application/pkix-cert" in said


def test_20_the_record_has_the_method_as_it_came(assay, plain):
    noted = lambda: int(assay.sql("select count(*) from operator_action where call = 'HEAD /v1/openapi.json'"))  # noqa: E731
    before = noted()
    response, _ = plain("ADMIN", "OPERATOR").ask("HEAD", "/v1/openapi.json")
    assert response.status == 200 and noted() == before + 1
