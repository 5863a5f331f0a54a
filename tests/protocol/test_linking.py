"""Conformance F: linking of identity and proof of possession (RFC 7030 section 3.5, RFC 9266), against OpenSSL's values."""

import base64
import http.client
import socket
import ssl

import pytest
from OpenSSL import SSL

import der
import element

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"
OP_NO_EXTENDED_MASTER_SECRET = 1  # SSL_OP_BIT(0) in OpenSSL 3, which Python has no name for


class OpenSslSocket:
    """pyOpenSSL's connection as http.client wants a socket: only it gives key material to export."""

    def __init__(self, connection, plain):
        self.connection, self.plain = connection, plain

    def sendall(self, data):
        self.connection.sendall(data)

    def close(self):
        pass  # http.client closes before it has read the body, for its reader would hold the socket open; this goes with it

    def makefile(self, mode):
        import io

        outer = self

        class Reader(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, room):
                try:
                    data = outer.connection.recv(len(room))
                except (SSL.ZeroReturnError, SSL.SysCallError):
                    return 0
                room[: len(data)] = data
                return len(data)

        return io.BufferedReader(Reader())


def exporter_client(assay, identity, version=SSL.TLS1_3_VERSION):
    """(client on a new connection, its tls-exporter value): RFC 9266 section 2: label, empty context given, 32 bytes."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(assay.cacert)
    context.set_verify(SSL.VERIFY_PEER, lambda *a: a[-1])
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.use_certificate_file(identity[0])
    context.use_privatekey_file(identity[1])
    plain = socket.create_connection(("127.0.0.1", assay.port), timeout=30)
    plain.setblocking(True)
    connection = SSL.Connection(context, plain)
    connection.set_connect_state()
    connection.do_handshake()
    client = assay.client(identity)
    client.connection = http.client.HTTPConnection("127.0.0.1", assay.port)
    client.connection.auto_open = False  # a closed one is to be seen
    client.connection.sock = OpenSslSocket(connection, plain)
    return client, connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")


def unique_client(assay, identity=None, userpass=None, ems=True, session=None):
    """(client on a new TLS 1.2 connection, its tls-unique value, its session)."""
    client = assay.client(identity, userpass, tls=ssl.TLSVersion.TLSv1_2)
    if session:
        client.context = session[0]
    if not ems:
        client.context.options |= OP_NO_EXTENDED_MASTER_SECRET
    plain = socket.create_connection(("127.0.0.1", assay.port), timeout=30)
    tls = client.context.wrap_socket(plain, server_hostname="127.0.0.1", session=session and session[1])
    client.connection = http.client.HTTPSConnection("127.0.0.1", assay.port, context=client.context)
    client.connection.sock = tls
    return client, tls.get_channel_binding("tls-unique"), tls


def challenge(value):
    return der.attribute(CHALLENGE_PASSWORD, der.printable(value if isinstance(value, str) else base64.b64encode(value).decode()))


def enrol(assay, client, *attributes, label="line"):
    key, chip = element.new_key(), assay.vendor.element()
    return client.enrol(element.csr(key, chip.evidence(key, client.nonce(label)), *attributes), label)


def refused(reply, reason="link_failed"):
    assert reply.status == 403 and reply.reason == reason
    assert "linking of identity and proof of possession" in reply.text


def test_44_45_tls_unique_right(assay, one_issued):
    client, value, _ = unique_client(assay, assay.rig_identity)
    assert len(value) == 12
    enrol(assay, client, challenge(value)).certificate()


def test_44_tls_unique_serves_many_requests_of_its_connection(assay):
    client, value, tls = unique_client(assay, assay.rig_identity)
    for _ in range(3):
        enrol(assay, client, challenge(value)).certificate()
    assert client.connection.sock is tls


@pytest.mark.parametrize("value", [b"\0" * 12, b"\0" * 11, "secret", "not/base64!", "A" * 255, "A" * 256, "A" * 300])
def test_44_45_tls_unique_wrong(assay, nothing_issued, value):
    client, _, _ = unique_client(assay, assay.rig_identity)
    if value == "not/base64!":
        attribute = der.attribute(CHALLENGE_PASSWORD, der.utf8(value))
    else:
        attribute = challenge(value)
    refused(enrol(assay, client, attribute))


def test_44_tls_unique_of_another_connection(assay, nothing_issued):
    client, _, _ = unique_client(assay, assay.rig_identity)
    _, other, _ = unique_client(assay, assay.rig_identity)
    refused(enrol(assay, client, challenge(other)))


def test_44_with_a_password(assay):
    client, value, _ = unique_client(assay, userpass=assay.env["ASSAY_USERPASS"])
    key, wrong = element.new_key(), challenge(b"\0" * 12)
    subject = der.name((der.CN, "legacy-linked"))
    refused(client.enrol(element.csr(key, wrong, subject=subject), "unattested"))
    client.enrol(element.csr(key, challenge(value), subject=subject), "unattested").certificate()


def test_44_at_re_enrolment(assay):
    cert, key, _ = assay.enrol()
    client, value, _ = unique_client(assay, assay.identity(cert, key))
    refused(client.reenrol(element.csr(key, challenge(b"\0" * 12))))
    client.reenrol(element.csr(key, challenge(value))).certificate()


def test_46_required_is_advertised_and_held(assay, nothing_issued):
    rig = assay.rig()
    oids = base64.b64decode(rig.get("csrattrs", "bound").body)
    assert der.oid(CHALLENGE_PASSWORD) in oids
    assert der.oid(CHALLENGE_PASSWORD) not in base64.b64decode(rig.get("csrattrs", "line").body)
    refused(enrol(assay, rig, label="bound"), "link_missing")


def test_46_required_and_given(assay, one_issued):
    client, value, _ = unique_client(assay, assay.rig_identity)
    enrol(assay, client, challenge(value), label="bound").certificate()


@pytest.mark.pitfall(23)
def test_47_48_tls_exporter_right_and_the_connection_closes(assay, one_issued):
    client, value = exporter_client(assay, assay.rig_identity)
    reply = enrol(assay, client, challenge(value))
    reply.certificate()
    assert reply.headers["Connection"].lower() == "close"
    with pytest.raises((http.client.NotConnected, ConnectionError)):
        client.get("nonce", "line")


def test_47_tls_exporter_wrong_also_closes(assay, nothing_issued):
    client, _ = exporter_client(assay, assay.rig_identity)
    reply = enrol(assay, client, challenge(b"\0" * 32))
    refused(reply)
    assert reply.headers["Connection"].lower() == "close"


def test_47_tls_exporter_of_another_connection(assay, nothing_issued):
    client, _ = exporter_client(assay, assay.rig_identity)
    _, other = exporter_client(assay, assay.rig_identity)
    refused(enrol(assay, client, challenge(other)))


def test_48_tls_exporter_counts_on_1_3_alone(assay, nothing_issued):
    client, value = exporter_client(assay, assay.rig_identity, SSL.TLS1_2_VERSION)
    refused(enrol(assay, client, challenge(value)))


def test_48_without_extended_master_secret_a_full_handshake_links_and_a_resumed_one_does_not(assay):
    client, value, tls = unique_client(assay, assay.rig_identity, ems=False)
    enrol(assay, client, challenge(value)).certificate()
    again, value, resumed = unique_client(assay, assay.rig_identity, ems=False, session=(client.context, tls.session))
    assert resumed.session_reused
    refused(enrol(assay, again, challenge(value)))


def test_48_with_extended_master_secret_a_resumed_session_links(assay, one_issued):
    client, _, tls = unique_client(assay, assay.rig_identity)
    client.get("nonce", "line")
    again, value, resumed = unique_client(assay, assay.rig_identity, session=(client.context, tls.session))
    assert resumed.session_reused
    enrol(assay, again, challenge(value)).certificate()
