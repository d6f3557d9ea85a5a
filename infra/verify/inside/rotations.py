"""Complete rotations of real secrets by the packaged functions, and the same with the simulated service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.verify.inside.facts import refusal
from infra.verify.inside.service import NotInTime, Service
from rotators.testing import RotationService

# Two, so that each of two users gets a new password.
_ROTATIONS = 2
SINGLE_USER = "single-user"


def needs_admin(target: Any, strategy: str) -> bool:
    """Whether a secret must name the admin's secret."""
    return strategy != SINGLE_USER or bool(getattr(target, "needs_admin", False))


def prepared(simulation: RotationService, target: Any, strategy: str) -> tuple[str, str]:
    """A secret of the simulated service with a function in this process, and the admin's secret.

    Args:
        simulation: the service.
        target: the database.
        strategy: the function's.
    """
    rotator = target.rotator(simulation, ROTATION_STRATEGY=strategy)
    admin = simulation.create_secret(f"admin-of-{strategy}", target.admin_secret(), rotator)
    return simulation.create_secret(f"of-{strategy}", "{}", rotator), admin


def observe(service: Service, target: Any, strategies: Mapping[str, Callable[[], tuple[str, str]]]) -> dict[str, Any]:
    """Rotate with each strategy, and report how each rotation ended.

    Args:
        service: the one that rotates.
        target: the database.
        strategies: for each, a function that returns its secret and the admin's.
    """
    seen: dict[str, Any] = {}
    for strategy, of in strategies.items():
        name = f"a secret is rotated, {strategy}"
        try:
            seen[name] = _rotate(service, target, strategy, *of())
        except ClientError as error:
            seen[name] = refusal(error)
        except Exception as error:  # noqa: BLE001  # a driver's own: the other strategies are looked at all the same
            # Its text may hold a statement.
            seen[name] = f"failed: {type(error).__name__}"
    return seen


def _rotate(service: Service, target: Any, strategy: str, arn: str, admin: str) -> list[Any]:
    application = target.make_application()
    named = {"masterarn": admin} if needs_admin(target, strategy) else {}
    value = target.secret(application, note="kept", **named)
    service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
    seen: list[Any] = []
    for _ in range(_ROTATIONS):
        token = service.client.rotate_secret(SecretId=arn)["VersionId"]
        try:
            service.wait(lambda token=token: _is_current(service, arn, token))  # type: ignore[misc]
        except NotInTime:
            return [*seen, "was not rotated: the function's log says why"]
        new = json.loads(service.client.get_secret_value(SecretId=arn)["SecretString"])
        seen.append(_told(target, application.username, value, new))
        value = new
    return seen


def _is_current(service: Service, arn: str, token: str) -> bool:
    labels = service.client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    return "AWSCURRENT" in labels.get(token, [])


def _told(target: Any, username: str, former: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What a rotation did, without names and passwords, which differ each time."""
    changed = sorted(key for key in former.keys() | new.keys() if former.get(key) != new.get(key))
    return {
        "changed": changed,
        "user": "the same" if new["username"] == username else "the second",
        "may work": _works(target.work, target, new),
        "the former logs in": _works(target.log_in, target, former),
    }


def _works(what: Callable[[dict[str, Any]], None], target: Any, value: dict[str, Any]) -> bool:
    try:
        what(value)
    except target.refusals:
        return False
    return True
