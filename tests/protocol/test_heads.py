"""Signed heads on their way outside, and CRLs that an operator has signed anew."""

import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.request

import pytest
from cryptography import x509
from waiting import wait_until


@pytest.fixture
def ctl(assay):
    def run(*arguments, status=0, who="OPERATOR"):
        env = {**os.environ, **assay.env, "ASSAY_OPERATOR_CERT": assay.env[f"ASSAY_{who}_CERT"],
               "ASSAY_OPERATOR_KEY": assay.env[f"ASSAY_{who}_KEY"]}  # fmt: skip
        done = subprocess.run(["assayctl", *map(str, arguments)], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def newest(ctl):
    """The newest head of the instance's own node; other nodes on its ledger have heads too."""
    heads = [json.loads(line)["head"] for line in ctl("audit", "heads", "--signed").stdout.splitlines()]
    return next((head for head in heads if head["node"] == "quickstart"), None)


class Keeper(http.server.BaseHTTPRequestHandler):
    """Who keeps heads outside. `status` is what it answers."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.kept.append(json.loads(body))
        self.server.headers = dict(self.headers)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def keeper():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
    server.kept, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_heads_come_signed_from_the_api_the_newest_or_all(assay, ctl):
    assay.enrol()
    wait_until("two heads", lambda: ctl("audit", "heads", "--signed", "--after", "quickstart/0", who="AUDITOR").stdout.count('"node":"quickstart"') > 1)
    heads = [json.loads(line)["head"] for line in ctl("audit", "heads", "--signed", "--after", "quickstart/0").stdout.splitlines()]
    numbers = [head["number"] for head in heads if head["node"] == "quickstart"]  # nodes that come behind it have heads too
    assert numbers == sorted(set(numbers)) and numbers[0] == 1
    assert newest(ctl)["number"] >= numbers[-1]
    assert ctl("audit", "heads", "--signed", "--after", f"quickstart/{numbers[-2]}").stdout.splitlines()[0].startswith('{"head":')


def test_heads_are_posted_once_each_and_in_order(assay, ctl, keeper, tmp_path):
    url, state, header = f"http://127.0.0.1:{keeper.server_port}/heads", tmp_path / "sent", tmp_path / "header"
    header.write_text("Authorization: Bearer word\n")
    wait_until("a head", lambda: newest(ctl))
    post = ("audit", "post", url, "--state", state, "--header-file", header)
    ctl(*post, who="AUDITOR")
    kept = lambda: [one["head"]["number"] for one in keeper.kept if one["head"]["node"] == "quickstart"]  # noqa: E731
    first = kept()
    assert first and keeper.headers["Authorization"] == "Bearer word"
    keeper.status = 500
    assay.enrol()
    wait_until("the next head", lambda: newest(ctl)["number"] > first[-1])
    assert "answered 500" in ctl(*post, status=1).stderr
    keeper.status = 200
    ctl(*post)
    numbers = kept()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) > len(first)
    assert f"quickstart {numbers[-1]}" in state.read_text().splitlines()


def test_the_post_goes_to_no_server_with_a_wrong_certificate(assay, ctl, keeper, tmp_path):
    """Nobody vouches for it; somebody does, but for another name; and the right one."""
    wait_until("a head", lambda: newest(ctl))
    tls = ("1.3.6.1.5.5.7.3.1",)
    name, other = x509.DNSName("localhost"), x509.DNSName("elsewhere.example.org")
    for files, cacert, host, said in (
        (assay.rigs.make("keeper", san=[name], ekus=tls), assay.cacert, "localhost", "certificate"),
        (assay.rigs.make("other", san=[other], ekus=tls), tmp_path / "ca.pem", "localhost", "certificate"),
        (assay.rigs.make("keeper", san=[name], ekus=tls), tmp_path / "ca.pem", "localhost", None),
    ):  # fmt: skip
        (tmp_path / "ca.pem").write_text(assay.rigs.pem())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
        server.kept, server.status = [], 200
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            done = ctl("audit", "post", f"https://{host}:{server.server_port}/", "--state", tmp_path / "sent", "--cacert", cacert,
                       status=0 if said is None else 1)  # fmt: skip
        finally:
            server.shutdown()
            server.server_close()
        assert said is None or (said in done.stderr and not (tmp_path / "sent").exists()), done.stderr
        assert bool(server.kept) == (said is None)


def test_the_post_does_not_go_where_nobody_listens(ctl, tmp_path):
    assert "http://127.0.0.1:9/" in ctl("audit", "post", "http://127.0.0.1:9/", "--state", tmp_path / "sent", status=1).stderr
    assert not (tmp_path / "sent").exists()


def served(assay, name):
    with urllib.request.urlopen(f"{assay.env['ASSAY_STATUS_URL']}/crl/{name}.crl", timeout=30) as answer:
        crl = x509.load_der_x509_crl(answer.read())
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_crls_are_published_at_once_with_their_numbers(assay, ctl):
    before = served(assay, "attested")
    said = json.loads(ctl("--json", "crl", "publish", "--issuer", "attested").stdout)
    numbers = {one["list"]: one["number"] for one in said["crls"]}
    assert {one["issuer"] for one in said["crls"]} == {"attested"} and said["done"]
    assert {"attested", "attested-delta", "attested/0", "attested/3"} <= set(numbers) and numbers["attested"] > before
    for name, number in numbers.items():
        wait_until(f"{name} is served", lambda n=name, k=number: served(assay, n) >= k)
    row = assay.sql(f"select who, call, outcome, note from operator_action where number = {said['action']}")
    assert row == "operator:operator|POST /v1/crls|ok|CRLs of attested"


def test_crls_of_all_issuers_in_a_table(assay, ctl):
    text = ctl("crl", "publish").stdout
    assert text.startswith("ISSUER") and {line.split()[0] for line in text.splitlines()[1:]} >= {"attested", "unattested", "idevid", "rigs", "services"}


def test_an_auditor_or_a_wrong_name_publishes_nothing(assay, ctl):
    def nothing_signed():
        before = assay.sql("select count(*) from crl_number")
        ctl("crl", "publish", status=1, who="AUDITOR")
        assert "issuer" in ctl("crl", "publish", "--issuer", "nobody", status=1).stderr
        return assay.sql("select count(*) from crl_number") == before

    wait_until("a time in which no list is due by itself", nothing_signed)
