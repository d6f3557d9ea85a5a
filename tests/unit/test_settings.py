"""What a function is told by its environment."""

from __future__ import annotations

import json

import pytest

from rotators.environment import Environment
from rotators.errors import ConfigurationError
from rotators.settings import DatabaseSettings

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"


def settings(**variables: str) -> DatabaseSettings:
    return DatabaseSettings.from_environment(Environment(variables))


def test_without_any_variable() -> None:
    assert settings() == DatabaseSettings()
    assert settings().admin_host is None
    assert settings().user_of(f"{ARN}app-AbCdEf") is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db.example.com", "db.example.com", None),
        (" db.example.com:5433 ", "db.example.com", 5433),
        ("10.0.0.5:3306", "10.0.0.5", 3306),
        ("::1", "::1", None),
        ("fd00::5432", "fd00::5432", None),
        ("[::1]", "::1", None),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_where_admins_work(text: str, host: str, port: int | None) -> None:
    assert settings(ROTATION_ADMIN_HOST=text).admin_host == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "db:",
        "db:0",
        "db:65536",
        "db:port",
        "db:\u0665",
        ":5432",
        "[]",
        "[]:5432",
        "[::1]5432",
        "[::1",
        "https://db.example.com",
        "db.example.com/orders",
        "admin@db.example.com",
        "one.example.com,two.example.com",
        "two words",
    ],
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ROTATION_ADMIN_HOST is neither a host nor host:port"):
        settings(ROTATION_ADMIN_HOST=text)


@pytest.mark.parametrize("key", [f"{ARN}shop/app-AbCdEf", f"{ARN}shop/app", "shop/app"])
def test_a_secrets_user_is_named_by_its_name_or_arn(key: str) -> None:
    found = settings(ROTATION_USERS=json.dumps({key: "app"}))
    assert found.user_of(f"{ARN}shop/app-AbCdEf") == "app"


@pytest.mark.parametrize(
    "arn",
    [
        f"{ARN}shop/app2-AbCdEf",
        f"{ARN}shop/app-AbCdEf-GhIjKl",
        f"{ARN}other/shop/app-AbCdEf",
        f"{ARN}shop-AbCdEf",
        # Another account's or Region's, where the ARN was named.
        f"{ARN.replace('1111', '4444')}shop/app-AbCdEf",
    ],
)
def test_another_secret_has_no_user_by_that(arn: str) -> None:
    named = {f"{ARN}shop/app": "app", "shop/app-AbCdEf-GhI": "app"}
    assert settings(ROTATION_USERS=json.dumps(named)).user_of(arn) is None


def test_a_name_that_ends_as_an_arn_does_is_a_name() -> None:
    users = settings(ROTATION_USERS='{"app-abcdef": "right", "app": "wrong"}')
    assert users.user_of(f"{ARN}app-abcdef-GhIjKl") == "right"


def test_the_more_exact_name_counts() -> None:
    users = {"app": "by name", f"{ARN}app": "by partial ARN", f"{ARN}app-AbCdEf": "by ARN"}
    found = []
    for key in reversed(users):
        left = {name: user for name, user in users.items() if list(users).index(name) <= list(users).index(key)}
        found.append(settings(ROTATION_USERS=json.dumps(left)).user_of(f"{ARN}app-AbCdEf"))
    assert found == ["by ARN", "by partial ARN", "by name"]


@pytest.mark.parametrize("text", ["app", "[]", '["app"]', '{"app": 1}', '{"app": null}', '{"app": ""}', "[" * 100_000])
def test_users_that_are_no_object_of_names(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ROTATION_USERS is not a JSON object of secrets and their users"):
        settings(ROTATION_USERS=text)


def test_a_secrets_values_are_named_by_its_name_or_arn() -> None:
    values = {"shop/app": {"host": "db", "port": 5432}, f"{ARN}shop/app-AbCdEf": {"host": "exact"}}
    found = settings(ROTATION_VALUES=json.dumps(values))
    assert found.values_of(f"{ARN}shop/app-AbCdEf") == {"host": "exact"}
    assert found.values_of(f"{ARN}shop/app-GhIjKl") == {"host": "db", "port": 5432}
    assert found.values_of(f"{ARN}shop/app2-AbCdEf") == {}


@pytest.mark.parametrize("text", ["x", "[]", '{"app": "x"}', '{"app": {"password": "a-password"}}', "[" * 100_000])
def test_values_that_are_none_are_named_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ROTATION_VALUES is not a JSON object") as refused:
        settings(ROTATION_VALUES=text)
    assert "a-password" not in str(refused.value)
