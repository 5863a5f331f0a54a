"""The admin API is what its OpenAPI file says: no route more, none less, and every documented refusal occurs.

That each answer is as its schema says is checked wherever a test calls the API (support/admin.py).
"""

import base64
import json
import re

import element
import openapi
import pytest
from instance import TOP

JSON = {"Content-Type": "application/json"}
NOWHERE = {"serial": "00" * 16, "device": "00" * 32, "spki_hash": "00" * 32, "plan": "ab" * 16, "list": "ab" * 16, "table": "chain"}
BODIES = {
    "NewPlan": {"select": {"list": "ab" * 16}, "reason": "keyCompromise", "note": "n"}, "Nothing": {}, "Serials": {"serials": ["01"]},
    "NewRequester": {"kind": "rig", "name": "nobody", "spki_hash": "00", "note": "n"}, "Retirement": {"note": "n"}, "Renewal": {"csr": ""}, "Publish": {},
}  # fmt: skip
REFUSALS = [
    (method, path, int(status))
    for method, path, op in openapi.operations() for status in op["responses"] if status not in ("200", "503")
]  # fmt: skip


def filled(path):
    return re.sub(r"\{([a-z_]+)\}", lambda m: NOWHERE[m[1]], path.lstrip("/"))


def good_body(method, path):
    op = openapi.find(method, path)
    return BODIES[op["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]]


def test_the_daemon_serves_the_file(operator):
    answer = operator.get("openapi.json")
    assert answer.status == 200 and answer.body == openapi.FILE.read_bytes()
    assert answer.json["openapi"].startswith("3.1")


def test_every_route_is_in_the_file_and_every_path_of_the_file_is_a_route():
    table = re.findall(r'HTTP_(GET|POST),\s+"([^"]+)",\s+(MAY_[A-Z]+)', (TOP / "server" / "admin" / "api.c").read_text())
    rights = {"MAY_READ": "reads", "MAY_REVOKE": "revokes", "MAY_REGISTER": "registers"}
    routes = {(method, path, rights[right]) for method, path, right in table}
    documented = {
        (method, re.sub(r"\{[a-z_]+\}", "*", path.lstrip("/")), op["x-rights"]) for method, path, op in openapi.operations()
    }
    assert len(table) == len(routes) and routes == documented


def test_the_daemon_knows_these_methods_and_no_others(administrator):
    known = {}
    for method, path, _ in openapi.operations():
        known.setdefault(filled(path), set()).add(method)
    for path, methods in known.items():
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = administrator.request(method, path, None if method == "GET" else "{}", None if method == "GET" else JSON)
            if method not in methods:
                assert answer.status == 405 and set(answer.headers["Allow"].replace(" ", "").split(",")) >= methods, path
            else:
                assert answer.status != 405 and (answer.status == 200 or answer.reason != "status_path"), path


def provoke(assay, client, method, path, status):
    """A call that is refused so."""
    target, body = filled(path), good_body(method, path.lstrip("/")) if method == "POST" else None
    if status == 400:
        return client.request(method, target + ("?surprise=1" if method == "GET" else ""), None if body is None else '{"surprise":1}', JSON if body is not None else {})
    if status == 403:
        who = "rig" if openapi.find(method, target)["x-rights"] == "reads" else "auditor"  # few strangers a minute are recorded
        return assay.admin(who).request(method, target, None if body is None else json.dumps(body), JSON if body is not None else {})
    if status == 409 and target in ("requesters", "renewal"):
        _, _, key, _ = assay.device()  # a device's key is no requester's
        request = base64.b64encode(element.csr(key)).decode()
        return client.post(target, {"csr": request, **({"kind": "rig", "name": "nobody", "note": "n"} if target == "requesters" else {})})
    if status == 409:
        plan = client.plan({"rig": "nobody"}).json["plan"]
        assay.owner_sql(f"update work.plan set at = at - interval '16 minutes' where id = '\\x{plan}'")
        return client.post("revocations/" + plan, {})
    if status == 413:
        return client.fresh().request(method, target, b"{" + b" " * 100_000 + b"}", JSON)
    if status == 415:
        return client.request(method, target, json.dumps(body), {"Content-Type": "text/json"})
    return client.request(method, target, None if body is None else json.dumps(body), JSON if body is not None else {})


@pytest.mark.parametrize("method, path, status", REFUSALS, ids=[f"{m} {p} {s}" for m, p, s in REFUSALS])
def test_every_documented_refusal_occurs(assay, administrator, method, path, status):
    answer = provoke(assay, administrator, method, path, status)
    assert answer.status == status, answer.body


@pytest.mark.parametrize("path", ["%ff%fe", "certificates/%00", "revocations?" + "ä" * 60 + "=1", "status?x=" + "%c3" * 40])
def test_a_refusal_is_json_whatever_bytes_it_is_about(operator, path):
    answer = operator.request("GET", path.replace("ä", "%c3%a4"))
    assert answer.status in (400, 404, 405) and answer.json["detail"].isascii()


def test_a_field_whose_name_is_cut_in_a_character_is_still_refused_in_json(operator):
    answer = operator.post("revocations", {"x" + "ä" * 100: 1})
    assert answer.status == 400 and answer.json["detail"].isascii()


def test_the_validator_finds_faults():
    schema = {"$ref": "#/components/schemas/Registered"}
    assert openapi.faults(schema, {"done": True, "action": 1}) == []
    for wrong in ({"done": True}, {"done": 1, "action": 1}, {"done": True, "action": True}, {"done": True, "action": -1}, {"done": True, "action": 1, "x": 1}, []):
        assert openapi.faults(schema, wrong), wrong
