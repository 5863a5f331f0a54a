"""An EST client that believes nothing: every reply is held to the letter of RFC 7030, 8951, 5652 and 9110.

It reads the bytes itself where a library would be lenient, and checks every reply, refusals too, before anybody sees it.
"""

import base64
import pathlib
import re

from asn1crypto import cms
from cryptography import x509

import est

REASONS = pathlib.Path(__file__).resolve().parents[2] / "ca-core" / "base" / "reason.def"
ROW = re.compile(r'REASON\([A-Z0-9_]+,\s*"([a-z0-9_]+)",\s*(\d+),\s*([A-Z]+),\s*"([^"]*)"\)')
TABLE = {name: (int(status), kind, text) for name, status, kind, text in ROW.findall(REASONS.read_text())}
TYPES = {
    "cacerts": "application/pkcs7-mime",  # RFC 7030 section 4.1.3
    "simpleenroll": "application/pkcs7-mime; smime-type=certs-only",  # 4.2.3
    "simplereenroll": "application/pkcs7-mime; smime-type=certs-only",
    "csrattrs": "application/csrattrs",  # 4.5.2
    "nonce": est.NONCE,
}
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")


def element_at(der, at):
    """(tag, start and end of the content) of the DER element there; lengths in their shortest form."""
    tag, length, start = der[at], der[at + 1], at + 2
    assert tag & 0x1F != 0x1F and length != 0x80, "no low tag, or an indefinite length"
    if length > 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
        assert length >= 0x80 and (size == 1 or length >> 8 * (size - 1)), "a length longer than it must be"
    assert start + length <= len(der)
    return tag, start, start + length


def parts(der, tag):
    """The elements inside the one element that `der` is."""
    got, at, end = element_at(der, 0)
    assert got == tag and end == len(der), f"tag {got:#x}, {len(der) - end} bytes behind it"
    while at < end:
        _, _, after = element_at(der, at)
        yield der[at:after]
        at = after


def certs_only(der):
    """The certificates of a degenerate SignedData (RFC 5652 section 5.2), each as DER, octet for octet."""
    kind, explicit = parts(der, 0x30)
    assert kind == SIGNED_DATA
    (signed,) = parts(explicit, 0xA0)
    version, digests, content, certificates, signers = parts(signed, 0x30)  # no crls: that would be one more
    assert version == b"\x02\x01\x01" and digests == b"\x31\x00" and signers == b"\x31\x00"
    assert list(parts(content, 0x30)) == [DATA]  # no content
    assert cms.ContentInfo.load(der, strict=True)["content_type"].native == "signed_data"
    return list(parts(certificates, 0xA0))


def unbase64(body):
    """RFC 4648 section 4, white space between at most."""
    text = re.sub(rb"[\r\n\t ]", b"", body)
    der = base64.b64decode(text, validate=True)
    assert base64.b64encode(der) == text
    return der


def check_head(reply):
    length = reply.headers.get_all("Content-Length")
    if reply.status in (204, 304):
        assert reply.body == b"" and not length
    else:
        assert length == [str(len(reply.body))]
    assert reply.version == 11 and "Transfer-Encoding" not in reply.headers and "Content-Encoding" not in reply.headers
    assert not 300 <= reply.status < 400 and "Location" not in reply.headers
    assert reply.status != 202
    assert len(reply.headers.get_all("Date")) == 1  # RFC 9110 section 6.6.1


def check_refusal(reply):
    """RFC 7030 section 4.2.3: a suitable status and, in plain text, why; what the log alone knows is not in it."""
    assert re.fullmatch(r"text/plain(; *charset=us-ascii|; *charset=utf-8)?", reply.headers["Content-Type"].lower())
    status, kind, text = TABLE[reply.reason]
    assert reply.status == status
    assert re.fullmatch(re.escape(text) + rf" \({reply.reason}, request [0-9a-f]{{16}}\)\n", reply.text)
    assert (reply.headers.get("WWW-Authenticate", "").startswith('Basic realm="')) == (status == 401)
    assert bool(reply.headers.get("Allow")) == (status == 405)
    assert ("Retry-After" in reply.headers) == (kind == "RETRY")
    if kind == "RETRY":
        assert status == 503 and reply.headers["Retry-After"].isdigit()


def check_success(reply, operation):
    if reply.status == 204:
        assert operation == "csrattrs"
        return
    assert reply.status == 200 and reply.headers["Content-Type"] == TYPES[operation]
    assert not {"WWW-Authenticate", "Retry-After", "Allow"} & set(reply.headers)
    if operation == "nonce":
        assert reply.headers["Cache-Control"] == "no-store"
        return
    assert reply.headers["Content-Transfer-Encoding"] == "base64"
    der = unbase64(reply.body)
    if operation == "csrattrs":
        assert list(parts(der, 0x30))
        return
    certificates = [x509.load_der_x509_certificate(one) for one in certs_only(der)]
    assert len(certificates) == 1 or operation == "cacerts"
    assert len({*map(bytes, certs_only(der))}) == len(certificates)


class Client(est.Client):
    """est.Client, but a reply that is not to the letter is an AssertionError."""

    def request(self, method, path, body=None, headers=None):
        reply = super().request(method, path, body, headers)
        operation = path.rsplit("/", 1)[-1]
        check_head(reply)
        if reply.status >= 400:
            check_refusal(reply)
        else:
            check_success(reply, operation)
        return reply
