"""A nonce that has issued, used again in every combination: one row of the table below each, and what the rules answer.

A nonce belongs to one requester and one label and lives for a while; once it has issued for a claim it issues for no
other. The claim is (device, family, key): a repeat of it inside the retry window is the same certificate whatever has
become of the nonce, whose label, rig and connection do not count then, for nothing new is issued.
"""

import itertools
import ssl
import time

import element
import pytest
from waiting import wait_until

LIFETIME_S = 5  # of the nonces of the two labels made here, which share a family
LABELS = ("quick", "quick2")

CLAIMS = ("same", "other key", "other device")
PLACES = list(itertools.product(("same label", "other label"), ("same rig", "other rig"), ("fresh", "expired")))
CONNECTIONS = ("same connection", "other connection")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def expected(claim, label, rig, age):
    """The rules, said a second time: (status, reason)."""
    if claim == "same":
        return 200, None
    if (label, rig) != ("same label", "same rig"):
        return 403, "nonce_foreign"
    return 403, "nonce_stale" if age == "expired" else "nonce_reused"


class Row:
    """One combination: a board that has its certificate, and the request that comes with the same nonce."""

    def __init__(self, plant, version, claim, label, rig, age, connection):
        self.name = (version.name, claim, label, rig, age, connection)
        self.plant, self.age, self.want = plant, age, expected(claim, label, rig, age)
        self.label = LABELS[label == "other label"]
        self.claim, self.rig, self.connection, self.version = claim, rig, connection, version
        self.client = plant.rig(tls=version)
        self.nonce, self.at = self.client.nonce(LABELS[0]), time.monotonic()
        self.key, self.chip = element.new_key(), plant.vendor.element()
        self.first = self.enrol(self.client, self.key, self.chip, LABELS[0])
        self.first.certificate()

    def enrol(self, client, key, chip, label):
        return client.enrol(element.csr(key, chip.evidence(key, self.nonce)), label)

    def asker(self):
        if self.rig == "other rig":
            return self.plant.client(self.plant.rig2_identity, tls=self.version)
        return self.client if self.connection == "same connection" else self.plant.rig(tls=self.version)

    def again(self):
        key = self.key if self.claim == "same" else element.new_key()
        chip = self.plant.vendor.element() if self.claim == "other device" else self.chip
        reply = self.enrol(self.asker(), key, chip, self.label)
        in_time = self.age == "expired" or time.monotonic() - self.at < LIFETIME_S
        if (reply.status, reply.reason) != self.want and in_time:
            return f"{self.name}: {reply.status} {reply.reason} instead of {self.want}"
        if reply.status == 200 and reply.certificate() != self.first.certificate():
            return f"{self.name}: another certificate"
        held = len(self.plant.certificates_of(self.chip))
        others = 0 if chip is self.chip else len(self.plant.certificates_of(chip))
        return None if (held, others) == (1, 0) else f"{self.name}: {held} certificates, {others} of the other device"


def rows(plant, age, every):
    """Both versions of TLS for each combination, or one and then the other."""
    versions = itertools.cycle(VERSIONS)
    for claim, (label, rig, of_age), connection in itertools.product(CLAIMS, PLACES, CONNECTIONS):
        if of_age == age and (rig, connection) != ("other rig", "same connection"):  # a rig has its own connection
            for version in VERSIONS if every else [next(versions)]:
                yield Row(plant, version, claim, label, rig, age, connection)


@pytest.fixture(scope="module")
def labels(whole):
    """Two labels of one family whose nonces are soon over."""
    for label in LABELS:
        whole.add_profile(label, "line", nonce={"lifetime": f"{LIFETIME_S}s"})
    whole.restart_daemon()
    return whole


def test_a_nonce_used_again(plant, labels, request, say):
    every = request.config.getoption("--outage-s") >= 30  # the long run
    aged, wrong, n = list(rows(plant, "expired", every)), [], 0
    for row in rows(plant, "fresh", every):
        wrong.append(row.again())
        row.client.close()
        n += 1
    youngest = max(row.at for row in aged)
    wait_until("the nonces are over", lambda: time.monotonic() > youngest + LIFETIME_S + 1, LIFETIME_S + 10)
    wrong += [row.again() for row in aged]
    say(f"{n + len(aged)} combinations of a nonce used again")
    assert not (bad := [w for w in wrong if w]), "\n".join(bad)
    plant.account()
