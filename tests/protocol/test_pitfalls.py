"""What real clients stumble over: requests and replies as libest, strongSwan, BouncyCastle and others write and read them."""

import base64
import os
import re
import socket
import ssl
import subprocess

import pytest
from cryptography import x509

import der
import element
from element import csr, new_key
from test_certificate import issuer_of
from waiting import wait_until

LIBEST = "User-Agent: Cisco EST client 1.0\r\n"


class Raw:
    """A TLS connection for requests written by hand; read() gives (status line, header lines, body) of one reply."""

    def __init__(self, assay, identity=None):
        context = ssl.create_default_context(cafile=assay.cacert)
        if identity:
            context.load_cert_chain(*identity)
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", assay.port), timeout=30), server_hostname="127.0.0.1")
        self.seen = b""

    def send(self, head, body=b""):
        self.socket.sendall(head.encode() + b"\r\n" + body)
        return self

    def read(self):
        while b"\r\n\r\n" not in self.seen:
            self.more()
        head, self.seen = self.seen.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        length = int(next(re.match(r"Content-Length: (\d+)", line).group(1) for line in lines if line.startswith("Content-Length")))
        while len(self.seen) < length:
            self.more()
        body, self.seen = self.seen[:length], self.seen[length:]
        return first, lines, body

    def more(self):
        got = self.socket.recv(65536)
        assert got, "the connection ended in the middle of a reply"
        self.seen += got


def get(path, more=""):
    return f"GET /.well-known/est/{path} HTTP/1.1\r\nHost: x\r\n{more}"


def post(path, body, more="", version="1.1"):
    return f"POST /.well-known/est/{path} HTTP/{version}\r\nHost: x\r\nContent-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n{more}"


def columns(data, width=64, end=b"\n"):
    text = base64.b64encode(data)
    return b"".join(text[i : i + width] + end for i in range(0, len(text), width))


def legacy_request():
    return csr(new_key(), subject=der.name((der.CN, "legacy-" + os.urandom(6).hex())))


def basic(assay):
    return "Authorization: Basic " + base64.b64encode(assay.env["ASSAY_USERPASS"].encode()).decode() + "\r\n"


def test_pitfall_1_one_line_and_a_line_feed(assay):
    body = assay.client().get("cacerts").body
    assert body.endswith(b"\n") and body.count(b"\n") == 1 and b"\r" not in body


def test_pitfall_1_2_libest_gets_lines_that_openssl_can_read(assay):
    """OpenSSL's decoder, which libest uses, cuts a line of over 1,000 characters short without a word."""
    _, _, body = Raw(assay).send(get("cacerts", LIBEST)).read()
    assert max(map(len, body.split(b"\n"))) == 64 and body.endswith(b"\n")
    decoded = subprocess.run(["openssl", "base64", "-d"], input=body, capture_output=True, check=True).stdout
    assert decoded == base64.b64decode(assay.client().get("cacerts").body)
    request = columns(legacy_request())
    first, _, body = Raw(assay).send(post("unattested/simpleenroll", request, LIBEST + basic(assay)), request).read()
    assert " 200 " in first and max(map(len, body.split(b"\n"))) == 64
    assert subprocess.run(["openssl", "base64", "-d"], input=body, capture_output=True).stdout == base64.b64decode(body)


@pytest.mark.pitfall(3)
@pytest.mark.item(24)
def test_pitfall_10_13_libest_enrols(assay):
    """64 columns, no Content-Transfer-Encoding, a stray CRLF after the body, a new connection after the 401."""
    request = columns(legacy_request())
    line = Raw(assay).send(post("unattested/simpleenroll", request, LIBEST), request + b"\r\n")
    first, lines, _ = line.read()
    assert " 401 " in first and 'WWW-Authenticate: Basic realm="assay"' in lines
    line.socket.close()
    line = Raw(assay)
    first, lines, body = line.send(post("unattested/simpleenroll", request, LIBEST + basic(assay)), request + b"\r\n").read()
    assert " 200 " in first and "Content-Transfer-Encoding: base64" in lines
    first, _, again = line.send(get("unattested/cacerts", LIBEST)).read()  # the stray CRLF has not broken the connection
    assert " 200 " in first and again


def test_pitfall_10_expect_100_continue(assay):
    request = base64.b64encode(legacy_request())
    line = Raw(assay).send(post("unattested/simpleenroll", request, basic(assay) + "Expect: 100-continue\r\n"))
    while b"\r\n\r\n" not in line.seen:
        line.more()
    head, line.seen = line.seen.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 100")
    line.socket.sendall(request)
    assert " 200 " in line.read()[0]


def test_pitfall_10_http_1_0_post(assay):
    request = base64.b64encode(legacy_request())
    line = Raw(assay).send(post("unattested/simpleenroll", request, basic(assay), version="1.0"), request)
    assert " 200 " in line.read()[0]
    assert line.seen == b"" and line.socket.recv(1) == b""


def test_pitfall_4_content_types_to_the_letter(assay):
    assert assay.client().get("cacerts").headers["Content-Type"] == "application/pkcs7-mime"
    reply = assay.legacy().post("simpleenroll", legacy_request(), "unattested")
    assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert reply.headers["Content-Transfer-Encoding"] == "base64"


def test_pitfall_6_replies_are_pkcs7_and_nothing_else(assay):
    reply = assay.legacy().post("simpleenroll", legacy_request(), "unattested")
    assert b"BEGIN" not in reply.body and reply.headers["smime-type"] is None
    assert len(reply.certificates()) == 1


def test_pitfall_7_csrattrs_end_where_they_end(assay):
    first, lines, body = Raw(assay).send(get("csrattrs")).read()
    assert " 200 " in first and body.endswith(b"\n") and b"\0" not in body
    assert "Content-Type: application/csrattrs" in lines


@pytest.mark.pitfall(9)
@pytest.mark.parametrize("path", ["cacerts", "csrattrs", "nowhere/cacerts", "line/nonce"])
def test_pitfall_8_9_heads(assay, path):
    line = Raw(assay)
    first, lines, _ = line.send(get(path, "Connection: close\r\n")).read()
    assert first.startswith("HTTP/1.1 ") and sum(map(len, lines)) < 900
    assert not [h for h in lines if h.lower().startswith("transfer-encoding")]
    for header in lines:
        name = header.split(":")[0]
        assert name == "WWW-Authenticate" or name == "-".join(word.capitalize() for word in name.split("-")), name
    assert line.seen == b"" and line.socket.recv(1) == b""


def test_pitfall_13_credentials_sent_unasked_are_taken(assay):
    assert assay.legacy().post("simpleenroll", legacy_request(), "unattested").status == 200


def test_pitfall_14_errors_are_plain_text(assay):
    reply = assay.client().get("nowhere")
    assert reply.headers["Content-Type"] == "text/plain" and not reply.text.startswith("{")


def test_pitfall_15_bare_label_prefix_and_colon(assay):
    client = assay.client()
    assert client.get("cacerts").body == client.get("cacerts", "line").body  # the default label
    assert client.request("GET", "/line/.well-known/est/cacerts").status == 200
    assert client.get("cacerts", "ca:1").reason == "http_path"  # understood, and no label of ours


def test_pitfall_16_not_the_newest_certificate_renews_too(assay):
    client, cert, key, chip = assay.device()
    client.reenrol(csr(key)).certificate()
    fresh = new_key()
    client.reenrol(csr(fresh, chip.evidence(fresh, client.nonce("field")))).certificate()


def test_pitfall_17_extensions_that_are_the_cas_are_ignored_and_not_copied(assay):
    client, cert, key, _ = assay.device()
    from test_reenrol import san_of

    wish = element.extension_request(
        der.extension("2.5.29.17", san_of(cert)),
        der.extension("2.5.29.35", der.seq(der.context(0, b"\xee" * 20, constructed=False))),
        der.extension("2.5.29.14", der.octets(b"\xee" * 20)),
        der.extension("2.5.29.31", der.seq(der.seq(der.context(0, der.context(0, der.tlv(0x86, b"http://evil.example/x.crl")))))),
    )
    new = client.reenrol(csr(key, wish, subject=cert.subject.public_bytes())).certificate()
    assert b"\xee" * 20 not in element.cert_der(new) and b"evil" not in element.cert_der(new)
    aki = new.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert aki == issuer_of(assay, new).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_pitfall_18_refusals_name_what_is_refused(assay, nothing_issued):
    rig = assay.rig()

    def ask(extension):
        key, chip = new_key(), assay.vendor.element()
        return rig.enrol(csr(key, chip.evidence(key, rig.nonce()), element.extension_request(extension)))

    assert "subjectAltName" in ask(der.extension("2.5.29.17", der.seq(der.tlv(0x82, b"a.example")))).text
    assert "key usage" in ask(der.extension("2.5.29.15", der.bits(b"\x04", 2), True)).text


def test_pitfall_18_subjects_of_several_parts_are_fine(assay):
    client, cert, key, _ = assay.device()
    assert len(cert.subject.rdns) == 3
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    serial = element.ueid_text(chip.ueid)
    rig.enrol(csr(key, chip.evidence(key, rig.nonce()), subject=der.name((der.CN, serial), (der.SERIAL_NUMBER, serial)))).certificate()


@pytest.mark.parametrize("label", ["line", "unattested", "idevid"])
def test_pitfall_19_issuer_first_and_the_root_too(assay, label):
    certs = assay.client().get("cacerts", label).certificates()
    issued = {"line": lambda: assay.enrol()[0], "idevid": lambda: assay.enrol(label="idevid")[0],
              "unattested": lambda: assay.legacy().enrol(legacy_request(), "unattested").certificate()}[label]()  # fmt: skip
    assert certs[0].subject == issued.issuer and any(c.issuer == c.subject for c in certs)


def test_pitfall_20_grace_after_the_end_and_only_where_the_profile_has_it(assay):
    rig, key, chip = assay.rig(), new_key(), assay.vendor.element()
    cert = rig.enrol(csr(key, chip.evidence(key, rig.nonce("brief"))), "brief").certificate()
    identity = assay.identity(cert, key)
    wait_until("its two seconds are over", lambda: assay.client(identity).reenrol(csr(key), "field").reason == "chain_expired")
    late = assay.client(identity)
    assert late.reenrol(csr(key), "brief").status == 200
    fresh = new_key()  # and a new key, whose evidence takes a nonce
    late.reenrol(csr(fresh, chip.evidence(fresh, late.nonce("brief"))), "brief").certificate()
    assert late.get("nonce", "field").reason == "chain_expired"
    assert late.enrol(csr(fresh), "brief").reason in ("chain_expired", "client_kind")
    early = assay.client(assay.rigs.make("early", start=element.datetime.datetime.utcnow() + element.datetime.timedelta(days=1)))
    assert early.reenrol(csr(new_key()), "brief").reason == "chain_future"


def test_pitfall_21_a_foreign_certificate_gets_cacerts_in_one_handshake(assay):
    key = new_key()
    name = element.common_name("Foreign CA")
    foreign = element.make_cert(name, key, name, key, ca=True)
    line = Raw(assay, assay.rigs.make("foreign-21", issuer=(foreign, key)))
    assert " 200 " in line.send(get("cacerts")).read()[0]
    assert " 403 " in line.send(get("line/nonce")).read()[0]


def test_pitfall_22_cacerts_are_cached_bytes(assay):
    client = assay.client()
    assert len({client.get("cacerts", "line").body for _ in range(50)}) == 1
    for cert in client.get("cacerts").certificates():
        assert isinstance(cert.public_key(), element.ec.EllipticCurvePublicKey)


def test_pitfall_24_the_servers_certificate_names_no_crl(assay):
    leaf = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", assay.port)).encode())
    assert "2.5.29.31" not in {e.oid.dotted_string for e in leaf.extensions}


@pytest.mark.parametrize("media", ["text/plain", "application/octet-stream", ""])
def test_pitfall_25_other_content_types_are_415(assay, nothing_issued, media):
    reply = assay.legacy().post("simpleenroll", legacy_request(), "unattested", {"Content-Type": media})
    assert (reply.status, reply.reason) == (415, "http_media_type")
