"""The service under fire: one input is one plan, carried out in virtual time and judged by the rules."""

from fuzz.house import run
from fuzz.plans import Plan
from fuzz.rules import judge


def check(plan: Plan) -> None:
    """Every property of a service. Raises AssertionError, or what escaped from it."""
    judge(run(plan))
