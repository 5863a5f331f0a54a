"""A small EST client (RFC 7030, RFC 8951) on http.client and ssl: strict where the RFC is, and able to be wrong on purpose."""

import base64
import http.client
import json
import re
import ssl
import urllib.parse

from asn1crypto import cms
from cryptography import x509

from waiting import when_fresh

PKCS10 = "application/pkcs10"
NONCE = "application/est-attestation-freshness+json"


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.version = response.version
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def request(self):
        """The request id, which is in every refusal's text: "... (reason, request 7f3a)"."""
        found = re.search(r", request ([0-9a-f]+)\)", self.text)
        return found and found.group(1)

    @property
    def reason(self):
        found = re.search(r"\(([a-z0-9_]+), request ", self.text)
        return found and found.group(1)

    def certificates(self):
        """Of a certs-only Simple PKI Response; asserts that it is one."""
        info = cms.ContentInfo.load(base64.b64decode(self.body.replace(b"\n", b""), validate=True), strict=True)
        assert info["content_type"].native == "signed_data"
        data = info["content"]
        assert data["encap_content_info"]["content_type"].native == "data"
        assert data["encap_content_info"]["content"].native is None
        assert len(data["signer_infos"]) == 0 and len(data["digest_algorithms"]) == 0
        return [x509.load_der_x509_certificate(c.dump()) for c in data["certificates"]]

    def certificate(self):
        assert self.status == 200, f"{self.status} {self.text}"
        assert self.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
        certificates = self.certificates()
        assert len(certificates) == 1
        return certificates[0]


class Client:
    """One connection, kept alive. `identity` is (certificate file, key file), `userpass` is "user:password", `source` an
    address of ours to come from. A patient one asks again when the server knew nothing fresh of revocations, as every
    client has to that meets a machine which stood still for a second."""

    def __init__(self, url, cacert, identity=None, userpass=None, tls=None, source=None, patient=True):
        self.host = urllib.parse.urlsplit(url).hostname
        self.port = urllib.parse.urlsplit(url).port
        self.context = ssl.create_default_context(cafile=cacert)
        if tls:
            self.context.minimum_version = self.context.maximum_version = tls
        if identity:
            self.context.load_cert_chain(*identity)
        self.userpass = userpass
        self.source = (source, 0) if source else None
        self.patient = patient
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        return when_fresh(lambda: self.once(method, path, body, headers), self.patient)

    def once(self, method, path, body, headers):
        headers = dict(headers or {})
        if self.userpass is not None:
            headers.setdefault("Authorization", "Basic " + base64.b64encode(self.userpass.encode()).decode())
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=60, source_address=self.source)
        try:
            self.connection.request(method, path, body, headers)
            return Reply(self.connection.getresponse())
        except (http.client.HTTPException, ConnectionError, ssl.SSLError):
            self.close()
            raise

    @staticmethod
    def path(operation, label=None):
        return "/.well-known/est/" + (f"{label}/" if label else "") + operation

    def get(self, operation, label=None):
        return self.request("GET", self.path(operation, label))

    def post(self, operation, der, label=None, headers=None):
        return self.post_raw(operation, base64.b64encode(der), label, headers)

    def post_raw(self, operation, body, label=None, headers=None):
        return self.request("POST", self.path(operation, label), body, {"Content-Type": PKCS10, **(headers or {})})

    def nonce(self, label="line"):
        return self.nonce_of(self.get("nonce", label))

    @staticmethod
    def nonce_of(reply):
        assert reply.status == 200, reply.text
        text = json.loads(reply.body)["nonce"]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    def enrol(self, der, label="line"):
        return self.post("simpleenroll", der, label)

    def reenrol(self, der, label="field"):
        return self.post("simplereenroll", der, label)
