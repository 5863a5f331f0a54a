"""conformance.md: which test answers for which requirement of EST and its neighbours, and what came out.

A test answers for requirement 42 by its name (test_42_..., test_44_45_...), by test_pitfall_5_... or by the marks
item(42, ...) and pitfall(5, ...). What no test answers for has an explanation here: it does not apply, or is not built.
The table in the tree is compared with what a run gives (test_conformance_table.py); to write it anew after a complete
and successful run: /usr/bin/python3 -m pytest -m 'not heavy' --write-conformance
"""

import ast
import functools
import pathlib
import re

HERE = pathlib.Path(__file__).parent
TABLE = HERE.parent / "conformance.md"

SECTIONS = [
    ("A. TLS and who asks", 1),
    ("B. HTTP and paths", 17),
    ("C. Base64 and bodies", 22),
    ("D. /cacerts", 26),
    ("E. Enrolment and re-enrolment", 31),
    ("F. Linking identity and proof of possession", 44),
    ("G. /fullcmc", 51),
    ("H. /serverkeygen", 52),
    ("I. /csrattrs", 57),
    ("J. EST over CoAP", 65),
    ("K. Certificates", 76),
    ("L. CRLs", 89),
    ("M. OCSP", 93),
    ("N. Renewal hints", 100),
]

ITEMS = {
    1: "HTTPS only (RFC 7030 3.3)",
    2: "TLS 1.2 and 1.3, 1.3 preferred, nothing older (RFC 9325 3.1.1)",
    3: "No NULL, anonymous, static RSA, DHE or CBC suites (RFC 9325 4.1, 4.2)",
    4: "P-256 and X25519; AES-128-GCM preferred on 1.2 (RFC 9325 4.2)",
    5: "Secure renegotiation signalled, renegotiation refused, extended master secret offered (RFC 9325 3.5)",
    6: "No TLS compression (RFC 9325 3.3)",
    7: "Sessions resume; tickets encrypted, their keys rotated (RFC 9325 3.4)",
    8: "ALPN without overlap is refused; server names (RFC 9325 3.7, 3.8)",
    9: "Server certificate: names, serverAuth and cmcRA (RFC 7030 3.6.1)",
    10: "Client certificates and their paths are checked (RFC 7030 3.3.2)",
    11: "Trust lists of our own and of vendors are distinct; vendors' can be off (RFC 7030 3.1)",
    12: "TLS success is not authorisation (RFC 7030 3.7)",
    13: "cmcRA of our own CA gives RA rights, a foreign one none (RFC 7030 3.7)",
    14: "HTTP authentication is optional; 401 with a challenge; empty user name (RFC 7030 3.2.3)",
    15: "Revocation counts on kept-alive connections and resumed sessions",
    16: "No suites without certificates (RFC 7030 3.3.3)",
    17: "/.well-known/est/ with cacerts, simpleenroll, simplereenroll (RFC 7030 3.2.2)",
    18: "With and without a label; a label is no operation's name (RFC 7030 3.2.2)",
    19: "Media types in both directions (RFC 7030 3.2.4)",
    20: "The HTTP status tells: 405 with Allow, 413, no redirects (RFC 7030 3.2.1)",
    21: "Persistent connections, Connection: close, HTTP/1.0 (RFC 7030 3.2)",
    22: "Bodies are base64 over DER (RFC 8951 3)",
    23: "Content-Transfer-Encoding is ignored (RFC 8951 3)",
    24: "White space in base64 is tolerated, other characters are not (RFC 8951 3.1)",
    25: "Replies that real clients can read",
    26: "/cacerts without any authentication (RFC 7030 4.1.2)",
    27: "/cacerts: 200, certs-only, application/pkcs7-mime (RFC 7030 4.1.3)",
    28: "/cacerts holds the root and all that a chain needs (RFC 7030 4.1.3)",
    29: "Old and new roots with each other during a root's change (RFC 7030 4.1.3)",
    30: "/cacerts has no status but 200, or 503 while not ready (RFC 7030 4.1.3)",
    31: "Enrolment authenticates and authorises (RFC 7030 4.2)",
    32: "The body is one well-formed PKCS#10 (RFC 7030 4.2.1, RFC 2986)",
    33: "A signature is proof of possession whatever key usage is asked for (RFC 7030 4.2.1)",
    34: "Key policy: P-256, P-384, RSA from 2048; no weak hashes",
    35: "Re-enrolment keeps subject and SAN (RFC 7030 4.2.2)",
    36: "Same key renews, new key rekeys; policy may refuse either (RFC 7030 4.2.2)",
    37: "No re-enrolment without the certificate (RFC 7030 3.3.2)",
    38: "A device may enrol for further certificates (RFC 7030 4.2.1)",
    39: "200 with exactly the issued certificate (RFC 7030 4.2.3)",
    40: "Refusals: a suitable status and a short plain text (RFC 7030 4.2.3, RFC 8951 5.1)",
    41: "202 with Retry-After and kept state (RFC 7030 4.2.3)",
    42: "A repeated request gets the same certificate",
    43: "Overload and absence: 503 with Retry-After",
    44: "A challengePassword is verified (RFC 7030 3.5)",
    45: "It is base64 of the binding, at most 255 octets (RFC 7030 3.5)",
    46: "Where required it is listed in csrattrs (RFC 7030 4.5.2)",
    47: "tls-exporter on TLS 1.3 (RFC 9266)",
    48: "Bindings only of unique master secrets; one per connection (RFC 9266 2, 4)",
    49: "challengePassword has one meaning, never a silent pass",
    50: "Behind an RA the binding is the RA's to check",
    51: "Full CMC requests",
    52: "Authenticates and authorises",
    53: "Ignores the request's key",
    54: "Two parts, key and certificate",
    55: "Encrypted keys",
    56: "Refusals",
    57: "GET without authentication (RFC 7030 4.5)",
    58: "200 with application/csrattrs, or 204 (RFC 8951 4)",
    59: "Shaped like a CSR: signature algorithm as OID, key type as attribute (RFC 8951 4)",
    60: "What is required is listed: a CSR made from it is taken",
    61: "At most one extension request, of one value (RFC 9908 3.2)",
    62: "Exactly one key type (RFC 9908 3.2)",
    63: "Template for the request (RFC 9908 3.4)",
    64: "A CSR may still be refused",
    **{n: text for n, text in zip(range(65, 76), [
        "Paths", "Client certificates", "DTLS and its suites", "Content-Formats", "Codes", "Block-wise transfer",
        "Slow answers", "Discovery", "Server-side keys", "Expired IDevIDs", "Registrar",
    ])},
    76: "Version 3; inner and outer algorithm equal (RFC 5280 4.1.1.2)",
    77: "Serials positive, unique, at most 20 octets (RFC 5280 4.1.2.2)",
    78: "UTCTime to 2049, GeneralizedTime from 2050; no expiry (RFC 5280 4.1.2.5)",
    79: "Not beyond the issuer's end (RFC 5280 4.1.2.5)",
    80: "Issuer equals the CA's subject; UTF8String or PrintableString (RFC 5280 4.1.2.4)",
    81: "Subject not empty, names in the SAN well-formed (RFC 5280 4.2.1.6)",
    82: "No unique identifiers, no extension twice (RFC 5280 4.2)",
    83: "Key identifiers, never the CSR's (RFC 5280 4.2.1.1, 4.2.1.2)",
    84: "keyUsage critical; never a CA (RFC 5280 4.2.1.3, 4.2.1.9)",
    85: "Purposes fit; no cmcRA, no OCSPSigning for devices (RFC 5280 4.2.1.12)",
    86: "CRL and issuer URLs lead to DER with the right types (RFC 5280 4.2.1.13, 4.2.2.1)",
    87: "Policies not repeated (RFC 6818 3)",
    88: "CA certificates: critical basicConstraints, SKI (RFC 5280 4.2.1.9)",
    89: "v2, nextUpdate, AKI, number that grows (RFC 5280 5.1, 5.2)",
    90: "Nothing revoked: no list, not an empty one (RFC 5280 5.1.2.6)",
    91: "Times, reasons left out rather than unspecified (RFC 5280 5.3.1)",
    92: "Served as application/pkix-crl; deltas and partitions",
    **{n: text for n, text in zip(range(93, 102), [
        "Signer", "One answer per certificate", "Unknown serials", "nextUpdate", "Nonce", "GET and POST, cache headers",
        "Unsigned requests, SHA-1 and SHA-256 ids", "renewal-info", "Window",
    ])},
}  # fmt: skip

PITFALLS = {
    1: "Line breaks: libest needs them, strongSwan refuses them",
    2: "OpenSSL and Azure wrap at 64 columns",
    3: "Content-Transfer-Encoding is sent and not asked for",
    4: "Content-Types to the letter: BouncyCastle, libest",
    5: "PEM and raw DER CSRs from scripts",
    6: "Bare certificates or PEM instead of PKCS#7",
    7: "/csrattrs: length without a NUL, no body on 204",
    8: "Content-Length always, chunked never",
    9: "Header names in canonical case, short heads, nothing after the body",
    10: "Chunked uploads, Expect, HTTP/1.0, a stray CRLF",
    11: "Lengths of /serverkeygen's parts",
    12: "Retry-After in whole seconds; 202",
    13: "After 401: a new connection, or credentials sent unasked",
    14: "Errors as plain text, not JSON",
    15: "Labels: bare path, colon, label before .well-known",
    16: "Re-enrolment with another than the newest certificate",
    17: "libest repeats AKI, SKI and CRL URLs in the CSR",
    18: "Refused names and usages are named, not dropped silently",
    19: "/cacerts: issuer first, root in it",
    20: "Expired at renewal: a grace that keeps the look at notBefore",
    21: "An untrusted client certificate does not break /cacerts; no second handshake",
    22: "/cacerts before every enrolment, ECDSA under ECDSA",
    23: "tls-exporter of OpenSSL peers: context given, of length 0",
    24: "A CRL URL in the server's certificate makes strongSwan fetch it",
    25: "CSRs sent as text/plain",
}

EXPLAINED = {
    50: "the binding of devices behind an RA is its own to check; `tests/unit/server/test_linking.c`",
    **dict.fromkeys(range(52, 57), "not offered: keys are made in secure elements; `/serverkeygen` is 404 (17)"),
    63: "not offered, and optional: a template tells values that the CA wants repeated, and here names come from the evidence "
    "or the credential and extensions from the profile, whatever the request leaves out; what is required is listed in the "
    "form that every client reads (59, 60)",
    **dict.fromkeys(range(65, 76), "not offered: HTTPS only"),
    **dict.fromkeys(range(100, 102), "not offered: an early individual draft without implementations; `/renewal-info` is 404, and no label can take its "
        "name. A device may renew at any time, and for as long after its end as its profile's grace (P20)"),
    "P11": "not offered: no `/serverkeygen`",
}

# What a reader may stumble over although a test answers for it.
REMARKS = {
    8: "any server name is served: devices connect by address, and by names that are a plant's own",
    11: "`trust.vendors` is off where it is left out, as here; with a list: `tests/unit/server/test_who.c`",
    33: "usages that the profile does not give are refused by name",
    35: "string types are not told apart (RFC 5280 7.1: strongSwan writes PrintableString, OpenSSL UTF8String); the new "
    "certificate copies the old one's bytes",
    37: "403, not 401: there is no challenge that would help",
    41: "never given: whoever must wait gets 503 with Retry-After, and the same request later finds its certificate (42)",
    49: "no label takes one-time codes there: whatever is no binding is refused. A code for one device is a user with one name, "
    "by Basic (RFC 7030 3.2.3), good for that name once",
    51: "not offered: 404",
    77: "100,000 serials at once: `tests/unit/ca-core/test_serial.c`",
    "P1": "one line and a line feed; clients that say they are libest get lines of 64, since OpenSSL cuts lines of over 1,000",
    "P16": "an RA cannot renew for others: the certificate presented is what is renewed",
    "P25": "415: a type that is not the RFC's is refused (19)",
}


def _numbers(name):
    pitfall = re.match(r"test_pitfall_((?:\d+_)+)", name)
    item = re.match(r"test_((?:\d+_)+)", name)
    found = pitfall or item
    numbers = [int(n) for n in found.group(1).strip("_").split("_")] if found else []
    return [f"P{n}" for n in numbers] if pitfall else numbers


def _marks(function):
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr in ("item", "pitfall"):
            for argument in mark.args:
                yield argument.value if mark.func.attr == "item" else f"P{argument.value}"


@functools.cache
def answers():
    """{requirement: ["test_file.py::test_name"]} of all files here, run or not."""
    found = {}
    for file in sorted(HERE.glob("test_*.py")):
        for function in ast.parse(file.read_text()).body:
            if not isinstance(function, ast.FunctionDef) or not function.name.startswith("test_"):
                continue
            for number in sorted({*_numbers(function.name), *_marks(function)}, key=str):
                found.setdefault(number, []).append(f"{file.name}::{function.name}")
    return found


def _row(number, words, tests, results):
    title = str(number).removeprefix("P")
    if not tests:
        return f"| {title} | {words} | {EXPLAINED.get(number, '')} | |"
    seen = {results.get(test, "passed") for test in tests}
    result = next((bad for bad in ("failed", "skipped") if bad in seen), "passed")
    names = "<br>".join("`" + test.replace("::", "` `") + "`" for test in tests)
    remark = f"<br>{REMARKS[number]}" if number in REMARKS else ""
    return f"| {title} | {words} | {names}{remark} | {result} |"


HEAD = """# Conformance

Generated by `tests/protocol/conformance.py` from a run of the protocol tests: what is asked of an EST server (RFC 7030,
8951, 9908, 9266, 9325), of its certificates and CRLs (RFC 5280, 6818), the test that answers for it, and the result. What
no test answers for says why. Tests are in `tests/protocol`; `./tests/run protocol` runs them.
"""
COLUMNS = ["| | Requirement | Test | Result |", "|---|---|---|---|"]


def table(results):
    """The whole file. `results`: {"test_file.py::test_name": "passed", "failed" or "skipped"} of what has run."""
    tests = answers()
    sections = dict((first, title) for title, first in SECTIONS)
    lines = [HEAD]
    for number, words in sorted(ITEMS.items()):
        if number in sections:
            lines += ["", f"## {sections[number]}", "", *COLUMNS]
        lines.append(_row(number, words, tests.get(number, []), results))
    lines += ["", "## What clients stumble over", "", *COLUMNS]
    lines += [_row(f"P{n}", words, tests.get(f"P{n}", []), results) for n, words in PITFALLS.items()]
    return "\n".join(lines) + "\n"


def holes():
    """Requirements without a test and without an explanation, and tests that answer for none that exists."""
    known = {*ITEMS, *(f"P{n}" for n in PITFALLS)}
    tests = answers()
    return [n for n in known if n not in tests and n not in EXPLAINED] + [n for n in tests if n not in known]


class Results:
    """pytest plugin: remembers how each test function ended; the worst of its parameters counts."""

    WORSE = {"passed": 0, "skipped": 1, "failed": 2}

    def __init__(self):
        self.results = {}
        self.selection = False

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.split("[")[0].rsplit("/", 1)[-1]
        if report.when == "call" or report.outcome != "passed":
            before = self.results.get(test, "passed")
            self.results[test] = max(before, report.outcome, key=self.WORSE.get)

    def complete(self):
        return all(test in self.results for tests in answers().values() for test in tests)
