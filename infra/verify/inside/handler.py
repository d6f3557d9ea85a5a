"""The function that runs the tests. It returns what was expected and what it saw.

An event names a ``task`` (``service``, ``rotations`` or ``conformance``), ``only`` the names that are still to be
looked at, and ``every``: each n-th test of the suite. The answer has ``rows``, and ``left``: what there was no time
for.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from infra.verify.inside import conformance, facts, rotations
from infra.verify.inside.service import Service, real, simulated
from rotators.database import LAYER_CA_BUNDLE

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SUITE_PAGE = "docs/reference/conformance.md"
ROTATIONS_PAGE = "docs/reference/strategies.md"
_MILLISECONDS = 1000


@dataclass(frozen=True)
class Ground:
    """What the function tests.

    Args:
        engine: the rotators' name for it.
        prefix: the beginning of the secrets' names.
        admin_arn: the secret of the database's admin.
        admin: its value.
        ca_file: the CA certificates of the database.
        secrets: of each strategy, the secret that its function rotates; empty: they are made in the simulation.
        tests: the folder with the suites.
        service: enters the Secrets Manager that is looked at.
    """

    engine: str
    prefix: str
    admin_arn: str
    admin: Mapping[str, Any]
    ca_file: str
    secrets: Mapping[str, str]
    tests: Path
    service: Callable[[], contextlib.AbstractContextManager[tuple[Service, Any]]]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the tests in AWS.

    Args:
        event: see above.
        context: Lambda's.
    """
    return answer(event, _ground(os.environ), lambda: context.get_remaining_time_in_millis() / _MILLISECONDS)


def answer(event: Mapping[str, Any], ground: Ground, remaining: Callable[[], float]) -> dict[str, Any]:
    """Do a task.

    Args:
        event: see above.
        ground: where.
        remaining: how many seconds are left.

    Raises:
        KeyError: there is no such task.
    """
    # The suites import one another by their own names.
    if str(ground.tests) not in sys.path:
        sys.path.insert(0, str(ground.tests))
    only = None if event.get("only") is None else frozenset(event["only"])
    return {"service": _service, "rotations": _rotations, "conformance": _conformance}[event["task"]](
        ground, only, int(event.get("every", 1)), remaining
    )


def _service(ground: Ground, only: frozenset[str] | None, every: int, remaining: Callable[[], float]) -> dict[str, Any]:
    names = [fact.name for fact in facts.FACTS if only is None or fact.name in only]
    with simulated(ground.prefix) as (service, _):
        expected = facts.observe(service, frozenset(names))
    pages = {fact.name: fact.page for fact in facts.FACTS}
    rows, left = [], []
    with ground.service() as (service, _):
        for name in names:
            if remaining() < conformance.RESERVE:
                left.append(name)
                continue
            seen = facts.observe(service, frozenset({name}))
            rows.append(_row(name, pages[name], expected[name], seen[name]))
    del every
    return {"rows": rows, "left": left}


def _rotations(
    ground: Ground, only: frozenset[str] | None, every: int, remaining: Callable[[], float]
) -> dict[str, Any]:
    del every, remaining
    without = _without(ground.engine)
    if without is not None:
        return {"rows": [], "left": [], "not_run": f"rotations: {without}"}
    kind = conformance.kind_of(ground.engine)
    strategies = [name for name in sorted(kind.strategies) if only is None or name in only]
    with _target(ground) as target:
        with simulated(ground.prefix) as (service, simulation):
            made = {one: (lambda one=one: rotations.prepared(simulation, target, one)) for one in strategies}
            expected = rotations.observe(service, target, made)
        with ground.service() as (service, simulation):
            if ground.secrets:
                made = {one: (lambda one=one: (ground.secrets[one], ground.admin_arn)) for one in strategies}
            else:
                made = {one: (lambda one=one: rotations.prepared(simulation, target, one)) for one in strategies}
            seen = rotations.observe(service, target, made)
    return {"rows": [_row(name, ROTATIONS_PAGE, expected[name], seen[name]) for name in expected], "left": []}


def _conformance(
    ground: Ground, only: frozenset[str] | None, every: int, remaining: Callable[[], float]
) -> dict[str, Any]:
    without = _without(ground.engine)
    if without is not None:
        return {"rows": [], "left": [], "not_run": f"the conformance suite: {without}"}
    kind = conformance.kind_of(ground.engine)
    with _target(ground) as target:
        results, left = conformance.run(ground.tests, target, kind, only=only, every=every, remaining=remaining)
    rows = [_row(name, SUITE_PAGE, conformance.PASSED, outcome) for name, outcome in sorted(results.items())]
    return {"rows": rows, "left": left}


def _row(name: str, page: str, expected: Any, seen: Any) -> dict[str, Any]:
    return {"name": name, "page": page, "expected": expected, "seen": seen}


def _without(engine: str) -> str | None:
    reason: str | None = importlib.import_module("targets.rds").WITHOUT.get(engine)
    return reason


@contextlib.contextmanager
def _target(ground: Ground) -> Iterator[Any]:
    with importlib.import_module("targets.rds").opened(ground.engine, ground.admin, ground.ca_file) as target:
        yield target


def _completed(client: SecretsManagerClient, arn: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The admin's secret, completed with the database's address, which is known only after its creation."""
    found: dict[str, Any] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    complete = {**found, **values}
    if complete != found:
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(complete))
    return complete


def _ground(environment: Mapping[str, str]) -> Ground:
    arn = environment["ADMIN_SECRET"]
    admin = _completed(boto3.client("secretsmanager"), arn, json.loads(environment["ADMIN_VALUES"]))

    @contextlib.contextmanager
    def service() -> Iterator[tuple[Service, Any]]:
        with real(environment["PREFIX"], environment["PROBE"]) as made:
            yield made, None

    trusted = LAYER_CA_BUNDLE if Path(LAYER_CA_BUNDLE).is_file() else str(ssl.get_default_verify_paths().cafile)
    return Ground(
        environment["ENGINE"],
        environment["PREFIX"],
        arn,
        admin,
        trusted,
        json.loads(environment["SECRETS"]),
        Path(environment["LAMBDA_TASK_ROOT"]) / "tests",
        service,
    )
