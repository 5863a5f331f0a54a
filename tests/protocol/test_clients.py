"""Programs that others wrote do the whole round: strongSwan's pki, and curl with openssl."""

import os
import subprocess

import pytest

from conftest import run


def fresh():
    return "legacy-" + os.urandom(6).hex()


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def sh(script, cwd, env):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def openssl_verify(assay, cert):
    run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", assay.cacerts_file(), cert)


@pytest.mark.item(18, 25, 31, 36)
@pytest.mark.pitfall(1, 15)
@pytest.mark.parametrize("place", ["plain", "label first"])
def test_strongswan_enrols_with_a_password_and_renews_with_the_certificate(assay, folder, place):
    """pki --estca and --est: its URL takes a label before .well-known."""
    env = {**os.environ, **assay.env, "NAME": fresh(), "URL": assay.url + "/unattested"}
    if place == "plain":
        sh('pki --estca --url "$ASSAY_EST_URL" --cacert "$ASSAY_CACERT" --outform pem > est-ca.pem && test -s est-ca.pem', folder, env)
    sh('pki --estca --url "$URL" --cacert "$ASSAY_CACERT" --caout ca --outform pem', folder, env)
    sh("pki --gen --type ecdsa --size 256 --outform pem > key.pem", folder, env)
    sh('pki --req --in key.pem --type ecdsa --dn "CN=$NAME" --outform pem > req.pem', folder, env)
    sh(
        'pki --est --in req.pem --url "$URL" --cacert "$ASSAY_CACERT" --userpass "$ASSAY_USERPASS" --outform pem > cert.pem',
        folder,
        env,
    )
    openssl_verify(assay, folder / "cert.pem")
    first = sh("openssl x509 -in cert.pem -noout -serial", folder, env)
    sh('pki --est --in req.pem --url "$URL" --cacert "$ASSAY_CACERT" --cert cert.pem --key key.pem --outform pem > new.pem', folder, env)
    openssl_verify(assay, folder / "new.pem")
    assert sh("openssl x509 -in new.pem -noout -serial", folder, env) != first


CURL = 'curl -sS --fail-with-body --noproxy "*" --cacert "$ASSAY_CACERT"'
POST = "-H 'Content-Type: application/pkcs10' --data-binary @req.b64"
UNPACK = "| base64 -d | openssl pkcs7 -inform DER -print_certs | sed -n '/BEGIN/,/END/p'"


def test_curl_and_openssl_do_the_whole_round(assay, folder):
    env = {**os.environ, **assay.env, "NAME": fresh()}
    sh(f'{CURL} "$ASSAY_EST_URL/.well-known/est/unattested/cacerts" {UNPACK} > ca.pem', folder, env)
    sh('openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj "/CN=$NAME" -outform DER -out req.der', folder, env)
    sh("openssl base64 -in req.der -out req.b64", folder, env)
    sh(f'{CURL} -u "$ASSAY_USERPASS" {POST} "$ASSAY_EST_URL/.well-known/est/unattested/simpleenroll" {UNPACK} > cert.pem', folder, env)
    sh("openssl verify -x509_strict -purpose sslclient -CAfile ca.pem cert.pem", folder, env)
    sh(f'{CURL} --cert cert.pem --key key.pem {POST} "$ASSAY_EST_URL/.well-known/est/unattested/simplereenroll" {UNPACK} > new.pem', folder, env)
    sh("openssl verify -x509_strict -purpose sslclient -CAfile ca.pem new.pem && ! cmp -s cert.pem new.pem", folder, env)


def test_curl_reads_health_and_metrics(assay, folder):
    env = {**os.environ, **assay.env}
    operator = '--cert "$ASSAY_OPERATOR_CERT" --key "$ASSAY_OPERATOR_KEY"'
    for page in ("livez", "readyz"):  # for a moment something may not be ready: curl asks again after a 503
        sh(f'{CURL} --retry 60 --retry-delay 1 {operator} "$ASSAY_ADMIN_URL/{page}"', folder, env)
    assay.enrol()
    text = sh(f'{CURL} {operator} "$ASSAY_ADMIN_URL/metrics"', folder, env)
    samples = [line for line in text.splitlines() if line.startswith("assay_est_requests_total") and 'op="simpleenroll"' in line]
    assert any('reason="ok"' in line and float(line.rsplit(" ", 1)[1]) >= 1 for line in samples)


def test_the_api_needs_a_certificate_of_the_registry(assay, folder):
    """Health is for everybody and /metrics for this machine; what lies under /v1/ is for registered operators."""
    env = {**os.environ, **assay.env}
    plain = CURL.replace("--fail-with-body", "")
    rig = '--cert "$ASSAY_RIG_CERT" --key "$ASSAY_RIG_KEY"'
    for who in ("", rig):
        shown = sh(f'{plain} {who} -o /dev/null -w "%{{http_code}}" "$ASSAY_ADMIN_URL/v1/issuances"', folder, env)
        assert shown in ("401", "403")


def test_the_pin_is_nowhere(assay):
    """Never in the configuration file, a log, an environment or a process list."""
    pin = (assay.home / "secrets" / "pin").read_text().strip()
    assert len(pin) >= 8
    places = [assay.home / "assay.json", assay.home / "env", assay.home / "ceremony.json", *(assay.home / "log").iterdir()]
    for place in places:
        assert pin not in place.read_text(errors="replace"), place
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    for pid in pids:
        for what in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{what}", "rb") as f:
                    assert pin.encode() not in f.read(), (pid, what)
            except OSError:
                pass


def test_databases_writing_role_cannot_change_history(assay):
    """Nobody updates or deletes: asked of the writing role itself."""
    url = assay.env["ASSAY_DATABASE_URL"].replace("assay_read", "assay_ca")
    for statement in ("DELETE FROM issuance", "UPDATE issuance SET tbs = ''", "TRUNCATE issuance", "DELETE FROM chain", "UPDATE signature SET tail = ''"):
        done = run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", statement, url, check=False)
        assert done.returncode != 0 and "permission denied" in done.stderr, statement
    done = run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", "INSERT INTO revocation DEFAULT VALUES", assay.env["ASSAY_DATABASE_URL"], check=False)
    assert done.returncode != 0
