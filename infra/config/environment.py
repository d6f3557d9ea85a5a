"""The environment variables of a function: docs/reference/settings.md."""

from __future__ import annotations

import json

from infra.config.functions import Group
from infra.config.model import Secret
from rotators.cdk.password_generator import Generator
from rotators.engines.specs import SPECS

# All names and values together: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LIMIT = 4096
# Variables that other keys of the file set.
OURS = frozenset(
    {
        "ALLOW_ADMIN_RESET",
        "EXCLUDE_CHARACTERS",
        "EXCLUDE_LOWERCASE",
        "EXCLUDE_NUMBERS",
        "EXCLUDE_PUNCTUATION",
        "EXCLUDE_UPPERCASE",
        "PASSWORD_LENGTH",
        "POWERTOOLS_LOG_LEVEL",
        "POWERTOOLS_METRICS_NAMESPACE",
        "POWERTOOLS_SERVICE_NAME",
        "REQUIRE_EACH_INCLUDED_TYPE",
        "ROTATION_ADMIN_HOST",
        "ROTATION_ADMIN_SECRET",
        "ROTATION_CA_BUNDLE",
        "ROTATION_STRATEGY",
        "ROTATION_TEST_QUERY",
        "ROTATION_TWIN",
        "ROTATION_USERS",
        "ROTATION_VALUES",
        "SECRETS_MANAGER_ENDPOINT",
    }
)
_USUAL_LENGTH = 32


def environment(group: Group) -> dict[str, str]:
    """A function's variables."""
    first = group.first
    variables = {
        **group.settings.environment,
        "ROTATION_STRATEGY": first.strategy,
        "POWERTOOLS_SERVICE_NAME": group.name,
    }
    if group.settings.log_level != "INFO":
        variables["POWERTOOLS_LOG_LEVEL"] = group.settings.log_level
    if first.password is not None:
        variables |= generator(first).environment()
    if group.admin is not None:
        variables["ROTATION_ADMIN_SECRET"] = group.admin
    if group.admin_host is not None:
        variables["ROTATION_ADMIN_HOST"] = group.admin_host
    if group.users:
        variables["ROTATION_USERS"] = json.dumps(group.users, separators=(",", ":"), ensure_ascii=False)
    if group.values:
        variables["ROTATION_VALUES"] = json.dumps(group.values, separators=(",", ":"), ensure_ascii=False)
    if first.test_query is not None:
        variables["ROTATION_TEST_QUERY"] = first.test_query
    if first.allow_admin_reset:
        variables["ALLOW_ADMIN_RESET"] = "true"
    if first.twin != "manage":
        variables["ROTATION_TWIN"] = first.twin
    return variables


def size(variables: dict[str, str]) -> int:
    """How many bytes of Lambda's quota they need."""
    return sum(len(f"{name}{value}".encode()) for name, value in variables.items())


def generator(secret: Secret) -> Generator:
    """How a secret's passwords look."""
    spec = SPECS.get(secret.engine)
    usual = _USUAL_LENGTH if spec is None else min(_USUAL_LENGTH, spec.longest_password)
    policy = secret.password
    if policy is None:
        return Generator(usual)
    kinds = ("numbers", "punctuation", "uppercase", "lowercase")
    return Generator(
        policy.length or usual,
        policy.exclude_characters,
        frozenset(kind for kind in kinds if getattr(policy, f"exclude_{kind}")),
        policy.require_each_included_type,
    )
