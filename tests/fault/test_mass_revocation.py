"""kill -9 while very many certificates are revoked: what was answered as done is done, the rest follows by itself.

MASS_ROWS=100000 MASS_KILLS=12 is the long run; the seed is printed and can be given.
"""

import http.client
import os
import random
import re
import threading
import time

import openapi
import pytest

from instance import TOP
from plant import Plant, verify_chain
from waiting import wait_until

ROWS = int(os.environ.get("MASS_ROWS", 5000))
KILLS = int(os.environ.get("MASS_KILLS", 4))
LIST_PIECE = 1500  # serials in one body
PIECE_S = 0.15  # a piece takes at least so long, so that a kill finds one under way

# The second piece of a plan waits for as long as there is a table of this name.
HELD = """
create or replace function fault_slow() returns trigger language plpgsql security definer as $$
begin
	if exists (select from work.plan where action is not null and not done and changed > 0) then
		while exists (select from pg_class where relname = 'fault_hold') loop perform pg_sleep(0.01); end loop;
	end if;
	return null;
end $$;
create table fault_hold ()"""

SLOW = f"""
create function fault_slow() returns trigger language plpgsql security definer as $$
begin perform pg_sleep({PIECE_S}); return null; end $$;
create trigger fault_slow before insert on revocation for each statement execute function fault_slow()"""


def grow(plant, rows):
    """Issuances as enrolments leave them, by the bench's loader; none seen in use, which would follow from renewals."""
    loader = (TOP / "bench" / "assay_bench" / "growth.sql").read_text()
    seen = "from fresh where v_day < current_date"
    assert loader.count(seen) == 1
    plant.owner_sql_file(f"{loader.replace(seen, 'from fresh where false')}\ncall pg_temp.grow('mass', {rows}, 64);")


@pytest.fixture(scope="module")
def mass():
    made = Plant()
    made.certificate, _, _ = made.enrol()
    grow(made, ROWS)
    made.superuser_sql("checkpoint")
    made.superuser_sql(SLOW)
    yield made
    made.close()


def ask(plant, method, path, body=None):
    """The answer as JSON, None while a part is away."""
    try:
        client = plant.admin("operator")
        answer = client.get(path) if method == "GET" else client.post(path, body)
    except (OSError, http.client.HTTPException):
        return None
    assert answer.status in (200, 503), answer.body
    return answer.json if answer.status == 200 else None


def persist(plant, method, path, body=None):
    return wait_until(f"{method} {path} is answered", lambda: ask(plant, method, path, body), 120)


def make_plan(plant, serials):
    begun = persist(plant, "POST", "lists", {"serials": serials[:LIST_PIECE]})
    for at in range(LIST_PIECE, len(serials), LIST_PIECE):
        begun = persist(plant, "POST", "lists/" + begun["list"], {"serials": serials[at : at + LIST_PIECE]})
    assert begun["n"] == len(serials)
    body = {"select": {"list": begun["list"]}, "reason": "keyCompromise", "note": "mass"}
    plan = persist(plant, "POST", "revocations", body)
    assert (plan["n"], plan["begun"], plan["changed"]) == (len(serials), False, 0)
    return plan["plan"]


def kill(plant, victim):
    if victim == "postgres":
        plant.kill_postgres()
        plant.start_postgres()
    else:
        gone = plant.kill(victim)
        plant.mend_token()
        plant.wait_pid(victim, other_than=gone)


def revoked(plant):
    return int(plant.sql("select count(*) from revocation r join issuance i on i.serial = r.serial where i.node = 'mass'"))


def test_what_was_answered_is_done_and_the_rest_follows(mass, seed, say):
    chance = random.Random(seed)
    serials = mass.sql("select encode(serial, 'hex') from issuance where node = 'mass'").split()
    plan = make_plan(mass, serials)
    path, known, kills = "revocations/" + plan, 0, 0
    victims = ["ca", "postgres", "admin"]
    begun = time.monotonic()
    while True:
        caller = threading.Thread(target=ask, args=(mass, "POST", path, {}))
        caller.start()
        if kills < KILLS:
            time.sleep(chance.uniform(0, 3 * PIECE_S))  # at any moment
            kill(mass, victims[kills % 3])
            kills += 1
        caller.join()
        now = persist(mass, "GET", path)
        assert now["changed"] >= known and revoked(mass) >= now["changed"], "what was told as done is not there"
        known = now["changed"]
        if now["done"]:
            break
        assert time.monotonic() < begun + 600
    say(f"{len(serials)} certificates revoked in {time.monotonic() - begun:.1f} s with {kills} kills")
    mass.wait_ready(60)
    counts = mass.sql(
        "select count(*), count(distinct r.serial), count(distinct r.who) from revocation r join issuance i on i.serial = r.serial "
        "where i.node = 'mass'"
    )
    assert counts == f"{len(serials)}|{len(serials)}|1", "each once, under one action"
    assert mass.sql(f"select count(*) from operator_action where call = 'POST /v1/{path}' and n = {len(serials)}") == "1"
    untouched = f"{mass.certificate.serial_number:038x}"
    assert persist(mass, "GET", "certificates/" + untouched)["status"] == "valid"
    verify_chain(mass.env["ASSAY_DATABASE_URL"])


def test_a_plan_that_the_ledger_cut_off_goes_on_without_being_asked(mass):
    """PostgreSQL goes in the middle; nobody calls again; when it is back the plan is done to its end, by the same ca."""
    serials = mass.sql("select encode(serial, 'hex') from issuance where node = 'mass'").split()
    grow(mass, 3000)
    new = sorted(set(mass.sql("select encode(serial, 'hex') from issuance where node = 'mass'").split()) - set(serials))
    path = "revocations/" + make_plan(mass, new)
    mass.superuser_sql(HELD)
    ca = mass.pid("ca")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(mass.admin("operator").post(path, {})))
    caller.start()
    wait_until("a piece is done", lambda: int(mass.sql("select sum(changed) from work.plan where not done") or 0) > 0)
    mass.stop_postgres("immediate")
    caller.join()
    assert answers[0].status == 503 and "the rest follows by itself" in answers[0].json["detail"], answers[0].body
    refused = mass.admin("operator").post(path, {})
    assert refused.status == 503 and "not revoked" in refused.json["detail"], refused.body
    mass.start_postgres()
    mass.superuser_sql("drop table fault_hold")
    wait_until("the plan is done", lambda: mass.sql("select count(*) from work.plan where not done and action is not null") == "0")
    assert mass.pid("ca") == ca
    assert persist(mass, "GET", path)["changed"] == len(new)
    verify_chain(mass.env["ASSAY_DATABASE_URL"])


def test_without_its_ledger_nothing_is_done_and_the_answer_says_so(mass):
    """Every call of the API: 503, with Retry-After, in the documented form; what was there before is all there is."""
    count = "select (select count(*) from revocation), (select count(*) from requester), (select count(*) from work.plan)"
    before = mass.sql(count)
    fill = {"serial": "00" * 16, "device": "00" * 32, "spki_hash": "00" * 32, "plan": "ab" * 16, "list": "ab" * 16, "table": "chain"}
    bodies = {
        "plan": {"select": {"rig": "rig-1"}, "reason": "keyCompromise", "note": "n"}, "revoke": {}, "list": {"serials": ["01"]},
        "list_add": {"serials": ["01"]},
    }  # fmt: skip
    mass.stop_postgres("immediate")
    try:
        client = mass.admin("operator")
        for method, path, op in openapi.operations():
            if op["x-rights"] == "registers":
                continue  # not an operator's
            target = re.sub(r"\{([a-z_]+)\}", lambda m: fill[m[1]], path.lstrip("/"))
            answer = client.get(target) if method == "GET" else client.post(target, bodies.get(op["operationId"], {"note": "n"}))
            assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, (method, path, answer.body)
            assert "nothing was" in answer.json["detail"], (method, path, answer.body)
    finally:
        mass.start_postgres()
    mass.wait_ready(60)
    assert mass.sql(count) == before
