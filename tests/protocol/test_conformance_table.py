"""The conformance table: without a hole, and in the tree as this run gives it. Runs last (conftest.py)."""

import pytest

import conformance


def test_every_requirement_has_a_test_or_an_explanation():
    assert conformance.holes() == []


def test_an_explanation_is_only_where_no_test_is():
    assert [n for n in conformance.EXPLAINED if n in conformance.answers()] == []


def test_the_table_in_the_tree_is_what_the_run_gives(request):
    run = request.config.pluginmanager.getplugin("conformance")
    given = conformance.table(run.results)
    if request.config.getoption("--write-conformance"):
        if not run.complete() or "failed" in run.results.values():
            pytest.fail("conformance.md is written after a complete run without failures only")
        conformance.TABLE.write_text(given)
    assert conformance.TABLE.read_text() == given, (
        "tests/conformance.md is not what this run gives: if no test has failed, "
        "write it anew with PYTEST_ARGS=--write-conformance ./tests/run protocol"
    )
