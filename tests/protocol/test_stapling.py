"""An nginx whose certificate is an Assay's staples what the va says of it."""

import signal

import pytest
from instance import run
from ports import free_ports
from relying import NGINX, Program, listening
from waiting import wait_until

pytestmark = pytest.mark.skipif(not NGINX, reason="no nginx here (deploy/packages lists it)")


class Stapling:
    """An nginx whose own certificate is an Assay's, and which staples what the va says of it."""

    def __init__(self, assay, folder, identity):
        self.assay, self.folder, self.port = assay, folder, free_ports()
        chain = folder / "chain.pem"
        chain.write_text(open(identity[0]).read() + (assay.home / "ca" / "attested.pem").read_text())
        cas = folder / "cas.pem"
        cas.write_text((assay.home / "ca" / "root.pem").read_text() + (assay.home / "ca" / "attested.pem").read_text())
        paths = "".join(f"{path}_temp_path {folder}/{path};" for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
            events {{ }}
            http {{
                {paths} access_log off;
                server {{
                    listen 127.0.0.1:{self.port} ssl;
                    ssl_certificate {chain};
                    ssl_certificate_key {identity[1]};
                    ssl_stapling on;
                    ssl_stapling_verify on;
                    ssl_trusted_certificate {cas};
                    location / {{ return 200; }}
                }}
            }}""")
        self.program = Program(folder / "nginx.log", NGINX, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf",
                               "-g", f"daemon off; pid {folder}/nginx.pid; error_log stderr;")  # fmt: skip
        wait_until("nginx", lambda: listening(self.port))

    def stapled(self):
        """What openssl's client is given with the certificate."""
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", self.assay.cacert, "-status",
                   check=False, input="").stdout  # fmt: skip


def test_an_nginx_staples_what_the_va_says_of_its_certificate(assay, operator, tmp_path):
    """When it is revoked, nginx staples nothing rather than "revoked", and says so."""
    cert, key, _ = assay.enrol(label="server")
    nginx = Stapling(assay, tmp_path, assay.identity(cert, key))
    try:
        # nginx asks only when somebody has connected
        wait_until("a stapled answer", lambda: "OCSP Response Status: successful" in nginx.stapled())
        assert "Cert Status: good" in nginx.stapled()
        assert operator.fresh().revoke({"serial": f"{cert.serial_number:038x}"})["done"]
        nginx.program.process.send_signal(signal.SIGHUP)  # it keeps an answer for up to an hour otherwise
        # the old worker may still serve a connection or two, with the old answer
        wait_until("no good answer", lambda: "no response sent" in nginx.stapled() and "revoked" in nginx.program.text())
    finally:
        nginx.program.stop()
