"""The status listener as fault tests ask it: OCSP questions, each on a connection of its own."""

import http.client

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp


def ocsp_request(plant, cert, nonce=None, issuer="attested"):
    ca = x509.load_pem_x509_certificate((plant.home / "ca" / f"{issuer}.pem").read_bytes())
    builder = ocsp.OCSPRequestBuilder().add_certificate(cert, ca, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def ask_ocsp(plant, der):
    """The answer, whatever it says; None if the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", plant.port + 2, timeout=60)
    try:
        connection.request("POST", "/ocsp", der, {"Content-Type": "application/ocsp-request"})
        return ocsp.load_der_ocsp_response(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
