"""The service's rules on made-up callers: short, and the same callers each time."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fuzz import corpus
from fuzz.plans import Plan, from_json, plans, to_json
from fuzz.service import check


@settings(derandomize=True, deadline=None, max_examples=20, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_whatever_callers_do_the_rules_hold_and_nothing_is_left(plan: Plan) -> None:
    assert from_json(to_json(plan)) == plan
    check(plan)


@pytest.mark.parametrize("path", corpus.files("service"), ids=lambda path: path.stem)
def test_what_failed_once_does_not_fail_again(path: Path) -> None:
    check(from_json(corpus.read(path)))
