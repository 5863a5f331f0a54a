"""A client of the admin API: one kept-alive mTLS connection, JSON in and out; each answer must be as openapi.json says."""

import http.client
import json
import ssl
import time
import urllib.parse

import openapi
from waiting import when_fresh


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = dict(response.getheaders())
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        return self.json["reason"]


class Admin:
    """A patient one asks again when the server knew nothing fresh of who may ask."""

    def __init__(self, url, cacert, identity=None, patient=True):
        self.arguments = (url, cacert, identity, patient)
        self.patient = patient
        parts = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=cacert)
        if identity:
            context.load_cert_chain(*identity)
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=60)
        self.used = time.monotonic()

    def fresh(self):
        """Another connection of the same operator."""
        return Admin(*self.arguments)

    def request(self, method, path, body=None, headers=None):
        return when_fresh(lambda: self.once(method, path, body, headers), self.patient)

    def once(self, method, path, body, headers):
        if time.monotonic() - self.used > 20:
            self.connection.close()  # the server lets idle ones go; the request opens another
        self.connection.request(method, "/v1/" + path, body, headers or {})
        answer = Answer(self.connection.getresponse())
        self.used = time.monotonic()
        openapi.check(method, path, answer.status, answer.headers["Content-Type"], answer.body)
        return answer

    def get(self, path, **query):
        return self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path, value):
        return self.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})

    def plan(self, select, reason="keyCompromise", note="a test"):
        return self.post("revocations", {"select": select, "reason": reason, "note": note})

    def revoke(self, select, reason="keyCompromise", note="a test"):
        """Dry run and deed; gives the deed's answer."""
        plan = self.plan(select, reason, note)
        assert plan.status == 200, plan.body
        done = self.post("revocations/" + plan.json["plan"], {})
        assert done.status == 200, done.body
        return done.json
