"""Conformance A and B: TLS, who may connect, HTTP behaviour. Names carry the requirement's number."""

import base64
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

import element
from conftest import run
from waiting import wait_until


def s_client(assay, *options, send=""):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{assay.port}", "-CAfile", assay.cacert, *options],
        input=send,
        capture_output=True,
        text=True,
        timeout=60,
    )


def negotiated(done):
    found = re.search(r"^New, (TLSv[0-9.]+), Cipher is (\S+)$", done.stdout, re.M)
    return found.groups() if found else None


def test_1_plain_http_gets_no_est_reply(assay):
    with socket.create_connection(("127.0.0.1", assay.port), timeout=20) as s:
        s.sendall(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in s.recv(4096)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_2_old_tls_is_refused(assay, version):
    assert negotiated(s_client(assay, version, "-cipher", "ALL:@SECLEVEL=0")) is None


@pytest.mark.parametrize("version, name", [(["-tls1_2"], "TLSv1.2"), (["-tls1_3"], "TLSv1.3"), ([], "TLSv1.3")])
def test_2_tls_1_2_and_1_3_and_1_3_preferred(assay, version, name):
    assert negotiated(s_client(assay, *version))[0] == name


@pytest.mark.parametrize("suites", ["NULL", "aNULL", "kRSA", "DHE", "SRP", "CAMELLIA:ARIA", "AES128-SHA:ECDHE-ECDSA-AES128-SHA"])
def test_3_weak_suites_are_refused(assay, suites):
    assert negotiated(s_client(assay, "-tls1_2", "-cipher", suites + ":@SECLEVEL=0")) is None


def test_4_aes_128_gcm_is_preferred_on_1_2(assay):
    offer = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"
    assert negotiated(s_client(assay, "-tls1_2", "-cipher", offer))[1] == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("groups, key", [("P-256", "ECDH, prime256v1"), ("X25519:P-256", "X25519")])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_4_groups(assay, groups, key, version):
    """On 1.2 the client's groups are also the curves it takes in certificates: X25519 alone could not meet ours."""
    shown = s_client(assay, version, "-groups", groups).stdout
    assert f"Server Temp Key: {key}" in shown


def test_5_secure_renegotiation_and_extended_master_secret(assay):
    shown = s_client(assay, "-tls1_2").stdout
    assert "Secure Renegotiation IS supported" in shown
    assert "Extended master secret: yes" in shown


def test_5_renegotiation_is_refused(assay):
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{assay.port}", "-CAfile", assay.cacert, "-tls1_2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:  # fmt: skip
        client.stdin.write("R\n")
        client.stdin.flush()  # and left open: the client ends only because the server ended the connection
        client.wait(timeout=30)
        shown = client.stdout.read()
    assert "RENEGOTIATING" in shown
    assert shown.count("verify return:1") == 3  # the first handshake's chain, no second one


def test_6_no_compression(assay):
    assert "Compression: NONE" in s_client(assay, "-tls1_2", "-comp").stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_7_sessions_resume(assay, version, tmp_path):
    file = str(tmp_path / "session")
    get = "GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    first = s_client(assay, version, "-ign_eof", "-sess_out", file, send=get)
    assert re.search("^New, ", first.stdout, re.M)
    again = s_client(assay, version, "-ign_eof", "-sess_in", file, send=get)
    assert re.search("^Reused, ", again.stdout, re.M)


def process_of(assay, role):
    """The id of this instance's process of a role; None while there is none."""
    config = str(assay.home / "assay.json")
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if config in words and "--role" in words and words[words.index("--role") + 1] == role:
            return int(folder.name)
    return None


def tls_12(assay, identity=None, session=None, context=None):
    """(socket, context) of a new TLS 1.2 connection, whose session is complete once the handshake is."""
    if context is None:
        context = ssl.create_default_context(cafile=assay.cacert)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if identity:
            context.load_cert_chain(*identity)
    plain = socket.create_connection(("127.0.0.1", assay.port), timeout=20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1", session=session), context


def try_tls_12(assay, **options):
    try:
        return tls_12(assay, **options)
    except OSError:
        return None


def test_7_sessions_resume_after_a_restart_of_the_ra(assay):
    first, context = tls_12(assay)
    session, old = first.session, process_of(assay, "ra")
    os.kill(old, signal.SIGKILL)
    wait_until("another ra", lambda: process_of(assay, "ra") not in (None, old))
    connections = []
    wait_until("it accepts", lambda: connections.append(try_tls_12(assay, session=session, context=context)) or connections[-1])
    assert connections[-1][0].session_reused
    wait_until("it serves rigs", lambda: assay.rig().get("nonce", "line").status == 200)


def test_7_15_a_resumed_session_of_a_retired_rig_gets_nothing(assay):
    identity = assay.rigs.make("rig-resumed")
    assay.register("rig", "rig-resumed", identity[0])
    wait_until("it is a rig", lambda: assay.client(identity).get("nonce", "line").status == 200)
    first, context = tls_12(assay, identity)
    assay.retire(identity[0])
    wait_until("it is none any more", lambda: assay.client(identity).get("nonce", "line").status == 403)
    again, _ = tls_12(assay, session=first.session, context=context)
    assert again.session_reused
    again.sendall(b"GET /.well-known/est/line/nonce HTTP/1.1\r\nHost: x\r\n\r\n")
    assert again.recv(4096).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_7_15_a_ticket_is_good_many_times_and_never_for_a_revoked_device(assay, version):
    """Whoever replays a ticket is who it says, checked anew: until the device's certificate is revoked, and no longer."""
    cert, key, _ = assay.enrol()
    request = element.csr(element.new_key())  # another key without evidence: refused, by a reason that says who asked

    def ask(session, context):
        plain = socket.create_connection(("127.0.0.1", assay.port), timeout=20)
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as s:
            body = base64.b64encode(request)
            head = f"POST /.well-known/est/field/simplereenroll HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n"
            s.sendall(head.encode() + body)
            got = b""
            while piece := s.recv(65536):
                got += piece
            return s.session_reused, re.search(rb"\((\w+), request", got).group(1).decode(), s.session

    context = ssl.create_default_context(cafile=assay.cacert)
    context.maximum_version = getattr(ssl.TLSVersion, version)
    context.load_cert_chain(*assay.identity(cert, key))
    resumed, reason, session = ask(None, context)
    assert (resumed, reason) == (False, "evidence_missing")
    for _ in range(10):  # the same ticket
        assert ask(session, context)[:2] == (True, "evidence_missing")
    number = cert.serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big").hex()
    assay.owner_sql(f"select revoke('\\x{serial}', 1, 'operator')")
    wait_until("the revocation", lambda: ask(None, context)[1] == "client_revoked")
    assert ask(session, context)[:2] == (True, "client_revoked")


def test_7_no_early_data(assay, tmp_path):
    """0-RTT is what a ticket's replay could do harm with: it is not offered."""
    file = str(tmp_path / "session")
    get = "GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    shown = s_client(assay, "-tls1_3", "-ign_eof", "-sess_out", file, send=get).stdout
    assert "Max Early Data: 0" in shown and "Early data was not sent" in shown


def test_7_resumption_on_1_3_makes_a_fresh_key_exchange(assay, tmp_path):
    """psk_dhe_ke, even for a client that would do without: what was recorded stays closed to who learns the ticket key."""
    file = str(tmp_path / "session")
    get = "GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    s_client(assay, "-tls1_3", "-ign_eof", "-sess_out", file, send=get)
    again = s_client(assay, "-tls1_3", "-allow_no_dhe_kex", "-ign_eof", "-sess_in", file, send=get)
    assert re.search("^Reused, ", again.stdout, re.M) and "Server Temp Key: " in again.stdout


def test_8_alpn(assay):
    assert "ALPN protocol: http/1.1" in s_client(assay, "-alpn", "h2,http/1.1").stdout
    for version in "-tls1_2", "-tls1_3":
        refused = s_client(assay, version, "-alpn", "h2")
        assert "alert number 120" in refused.stderr and negotiated(refused) in (None, ("(NONE)", "(NONE)"))
        assert "No ALPN negotiated" in s_client(assay, version).stdout  # who offers nothing is served


def test_9_server_certificate(assay):
    leaf = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", assay.port)).encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))
    ekus = {eku.dotted_string for eku in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value}
    assert {ExtendedKeyUsageOID.SERVER_AUTH.dotted_string, "1.3.6.1.5.5.7.3.28"} <= ekus
    with pytest.raises(x509.ExtensionNotFound):  # strongSwan would fetch it before it enrols
        leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_9_server_certificate_verifies_for_its_names(assay):
    for name in ("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"):
        shown = s_client(assay, "-verify_return_error", *name).stdout
        assert "Verify return code: 0 (ok)" in shown


def test_10_15_every_request_of_a_connection_is_checked(assay):
    """The rig's rights are the registry's: a kept-alive connection loses them when the registry does."""
    identity = assay.rigs.make("rig-short")
    assay.register("rig", "rig-short", identity[0])
    rig = assay.client(identity)
    wait_until("it is a rig", lambda: rig.get("nonce", "line").status == 200)
    assay.retire(identity[0])
    wait_until("it is none any more", lambda: rig.get("nonce", "line").status == 403)


def test_13_foreign_cmc_ra_gives_no_rights(assay, nothing_issued):
    identity = assay.rigs.make("rig-cmc", ekus=("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.28"))
    key = element.new_key()
    reply = assay.client(identity).enrol(element.csr(key), "line")
    assert reply.status == 403


def test_14_no_credentials_is_401_with_a_challenge_where_basic_helps(assay):
    reply = assay.client().enrol(element.csr(element.new_key()), "unattested")
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="assay"' or "Basic" in reply.headers["WWW-Authenticate"]


# B. HTTP and URIs


def test_17_operations(assay):
    client = assay.client()
    assert client.get("cacerts").status == 200
    assert client.enrol(element.csr(element.new_key()), None).reason == "cert_required"
    assert client.reenrol(element.csr(element.new_key()), "field").reason == "cert_required"


@pytest.mark.parametrize("operation", ["fullcmc", "serverkeygen"])
def test_17_what_is_not_implemented_is_404_or_501(assay, operation):
    assert assay.client().post(operation, b"x").status in (404, 501)


def test_18_with_and_without_a_label(assay):
    client = assay.client()
    for label in (None, "line", "field", "unattested", "idevid"):
        assert client.get("cacerts", label).status == 200
    assert client.get("cacerts", "nowhere").status == 404


def test_18_the_form_of_strongswan_with_the_label_first(assay):
    client = assay.client()
    assert client.request("GET", "/unattested/.well-known/est/cacerts").status == 200
    assert client.request("GET", "/nowhere/.well-known/est/cacerts").status == 404


@pytest.mark.parametrize("path", ["/", "/.well-known", "/.well-known/est", "/.well-known/est/", "/.well-known/est/line/", "/x", "/.well-known/est/line/line/cacerts", "/%00", "/.well-known/est/cacerts/../cacerts"])
def test_18_other_paths_are_404(assay, path):
    assert assay.client().request("GET", path).status == 404


@pytest.mark.parametrize("media", ["application/PKCS10", "application/pkcs10; charset=us-ascii", "Application/Pkcs10 ;x=y"])
def test_19_media_types_compare_without_case_and_parameters(assay, media):
    key, chip, rig = element.new_key(), assay.vendor.element(), assay.rig()
    request = element.csr(key, chip.evidence(key, rig.nonce()))
    assert rig.post("simpleenroll", request, "line", {"Content-Type": media}).status == 200


@pytest.mark.parametrize("method, operation, allow", [("POST", "cacerts", "GET"), ("PUT", "simpleenroll", "POST"), ("DELETE", "csrattrs", "GET"), ("PATCH", "simplereenroll", "POST")])
def test_20_wrong_method_is_405_with_allow(assay, method, operation, allow):
    reply = assay.client().request(method, "/.well-known/est/" + operation)
    assert reply.status == 405
    assert allow in reply.headers["Allow"].split(", ")[0]


def test_21_a_hundred_requests_on_one_connection(assay):
    client = assay.client()
    bodies = {client.get("cacerts").body for _ in range(100)}
    assert len(bodies) == 1
    client.connection.sock.getpeername()  # still the first connection


def raw(assay, text):
    context = ssl.create_default_context(cafile=assay.cacert)
    with socket.create_connection(("127.0.0.1", assay.port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as s:
            s.sendall(text)
            got = b""
            while chunk := s.recv(65536):
                got += chunk
            return got


@pytest.mark.parametrize("request_text", [b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /.well-known/est/cacerts HTTP/1.0\r\n\r\n"])
def test_21_close_and_http_1_0_end_orderly(assay, request_text):
    head, body = raw(assay, request_text).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.") and b" 200 " in head
    length = re.search(rb"^Content-Length: (\d+)\r?$", head + b"\r\n", re.M)
    assert int(length.group(1)) == len(body)
    assert b"chunked" not in head.lower()


def test_pitfall_early_refusals_keep_the_connection(assay):
    """A 404, 401 or 415 costs the client no new handshake."""
    client = assay.client()
    assert client.get("cacerts").status == 200
    socket_before = client.connection.sock
    for reply in (
        client.enrol(element.csr(element.new_key()), "nowhere"),
        client.enrol(element.csr(element.new_key())),
        client.post("simpleenroll", b"x", "line", {"Content-Type": "text/plain"}),
    ):
        assert reply.status >= 400
    assert client.connection.sock is socket_before


def test_ports_listen_on_loopback_only(assay):
    shown = run("bash", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout
    for port in range(assay.port, assay.port + 3):
        listening = re.findall(rf"^\s*\d+: ([0-9A-F]+):{port:04X} 0+:0000 0A", shown, re.M)
        assert listening == ["0100007F"]
