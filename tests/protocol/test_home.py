"""What quickstart does to a home that somebody has changed; tests/integration/deploy/test_home asks in detail."""

import json


def test_a_changed_configuration_outlives_a_start(assay):
    """The session's instance was started anew after the change: see conftest.py."""
    config = json.loads((assay.home / "assay.json").read_text())
    hourly = {issuer["name"]: issuer.get("hourly_max") for issuer in config["issuers"]}
    assert hourly["idevid"] == 90_000 and hourly["attested"] is None
    assert config["admin"]["port"] == assay.port + 1
