"""Edits of a file, and what CloudFormation does to each resource for it, as the two templates say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

BASE = """
account: "111122223333"
region: eu-west-1
defaults: {every: 30 days, network: main}
networks:
  main:
    vpc: vpc-00000001
    subnets: [subnet-00000001, subnet-00000002]
    kind: isolated
    secrets_manager: create-endpoint
    database_security_group: sg-00000001
keys: {mine: {create: The secrets of orders}}
functions: {keys: {code: own/src, handler: billing.handler}}
secrets:
  - {name: app, engine: postgres}
  - create: {name: made, values: {username: u, host: db, port: 5432}}
    engine: mysql
    kms_key: mine
    admin: boss
  - {name: keys, engine: custom, function: keys}
"""
_OTHER = """  other:
    vpc: vpc-00000002
    subnets: [subnet-00000003]
    kind: private
    secrets_manager: nat
    database_security_group: sg-00000002
keys: {mine"""
# What is edited, each with what stands there before and after. The first are tried in each run.
EDITS: dict[str, tuple[str, str]] = {
    "a value of a secret to create": ("host: db, port", "host: elsewhere, port"),
    "another password policy": ("    admin: boss\n", "    admin: boss\n    password: {length: 20}\n"),
    "another strategy": (
        "{name: app, engine: postgres}",
        "{name: app, engine: postgres, strategy: alternating-users, admin: boss}",
    ),
    "another network": (
        "keys: {mine",
        _OTHER,
    ),
    "a network gets another name": ("main", "orders"),
    "every: never after a schedule": ("every: 30 days", "every: never"),
    "one more value": ("port: 5432", "port: 5432, dbname: orders"),
    "one value less": (", port: 5432", ""),
    "another username": ("username: u", "username: v"),
    "the default password policy": ("every: 30 days, network", "every: 30 days, password: {length: 24}, network"),
    "a description of a secret": ("name: made, values", "name: made, description: Orders, values"),
    "a replica": ("port: 5432}}", "port: 5432}, replicas: [eu-central-1]}"),
    "no protection": ("port: 5432}}", "port: 5432}, protect: false}"),
    "another key for a secret to create": ("    kms_key: mine\n", ""),
    "a key for a secret": (
        "{name: app, engine: postgres}",
        "{name: app, engine: postgres, kms_key: mine}",
    ),
    "another schedule": ("every: 30 days", "every: 7 days"),
    "a cron": ("every: 30 days", "schedule: 'cron(0 2 ? * SUN *)'"),
    "a window": ("every: 30 days", "every: 30 days, window: 3h"),
    "rotate_immediately": ("every: 30 days", "every: 30 days, rotate_immediately: true"),
    "its own schedule": ("{name: app, engine: postgres}", "{name: app, engine: postgres, every: 1 day}"),
    "its own function": ("{name: app, engine: postgres}", "{name: app, engine: postgres, function: own}"),
    "no network": ("{name: app, engine: postgres}", "{name: app, engine: postgres, network: null}"),
    "another engine": ("engine: mysql", "engine: mariadb"),
    "another admin": ("admin: boss", "admin: other"),
    "no admin": ("    admin: boss\n", ""),
    "allow_admin_reset": ("    admin: boss\n", "    admin: boss\n    allow_admin_reset: true\n"),
    "a test query": ("{name: app, engine: postgres}", "{name: app, engine: postgres, test_query: SELECT 1}"),
    "another port": ("{name: app, engine: postgres}", "{name: app, engine: postgres, port: 5433}"),
    "another security group of the database": ("sg-00000001", "sg-00000003"),
    "one more subnet": ("subnet-00000002]", "subnet-00000002, subnet-00000004]"),
    "private DNS": (
        "secrets_manager: create-endpoint",
        "secrets_manager: create-endpoint\n    private_dns_for: [10.0.0.0/8]",
    ),
    "an existing endpoint": ("secrets_manager: create-endpoint", "secrets_manager: sg-00000009"),
    "one more secret": (
        "  - {name: app, engine: postgres}",
        "  - {name: app, engine: postgres}\n  - {name: new, engine: postgres}",
    ),
    "another order of the secrets": (
        "  - {name: app, engine: postgres}\n",
        "  - {name: zero, engine: mysql, function: zero}\n  - {name: app, engine: postgres}\n",
    ),
    "more memory": ("defaults:", "function: {memory: 512}\ndefaults:"),
    "SnapStart": ("defaults:", "function: {snap_start: true}\ndefaults:"),
    "X-Ray": ("defaults:", "function: {tracing: true}\ndefaults:"),
    "another architecture": ("defaults:", "function: {architecture: x86_64}\ndefaults:"),
    "a log level": ("defaults:", "function: {log_level: DEBUG}\ndefaults:"),
    "your own role": ("defaults:", "function: {role: 'arn:aws:iam::111122223333:role/r'}\ndefaults:"),
    "a prefix": ("defaults:", "prefix: orders-\ndefaults:"),
    "tags": ("defaults:", "tags: {team: orders}\ndefaults:"),
    "a permissions boundary": ("defaults:", "permissions_boundary: 'arn:aws:iam::111122223333:policy/b'\ndefaults:"),
    "logs for a year": ("defaults:", "logs: {retention_days: 365}\ndefaults:"),
    "your own topic": ("defaults:", "alarms: {topic: 'arn:aws:sns:eu-west-1:111122223333:t'}\ndefaults:"),
    "an email address": ("defaults:", "alarms: {email: [on-call@example.com]}\ndefaults:"),
    "a fleet": ("defaults:", "fleet: {}\ndefaults:"),
    "an alias for a key": ("orders}}", "orders, alias: orders}}"),
    "name instead of create": (
        "  - create: {name: made, values: {username: u, host: db, port: 5432}}",
        "  - name: made",
    ),
    "arn instead of name": (
        "{name: app,",
        "{arn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf',",
    ),
    "other code of your own rotator": ("code: own/src", "code: own/next"),
    "another handler of your own rotator": ("billing.handler", "billing.second"),
    "an empty lock file of your own rotator": ("code: own/src", "requirements: own/requirements.txt, code: own/src"),
    "a permission of your own rotator": (
        "code: own/src",
        "permissions: [{actions: [sqs:SendMessage], resources: ['arn:aws:sqs:eu-west-1:1:q']}], code: own/src",
    ),
    "a port of your own rotator": ("code: own/src", "ports: [8443], code: own/src"),
    "a variable of your own rotator": ("code: own/src", "environment: {REALM: orders}, code: own/src"),
    "your own rotator instead of an engine": (
        "{name: app, engine: postgres}",
        "{name: app, engine: custom, function: keys}",
    ),
    "your own rotator removed": (
        "  - {name: keys, engine: custom, function: keys}\n",
        "",
    ),
    "a secret removed": ("  - {name: app, engine: postgres}\n", ""),
}
SHORT = 6
# Edits that take a secret's rotation away, for that is what they say.
ENDS = {"a secret removed": "app", "your own rotator removed": "keys"}


def edited(name: str) -> str:
    """The base with an edit."""
    before, after = EDITS[name]
    text = BASE.replace(before, after) if name == "a network gets another name" else BASE.replace(before, after, 1)
    if name == "another network":
        text = text.replace("{name: app, engine: postgres}", "{name: app, engine: postgres, network: other}")
    if name == "your own rotator removed":
        text = text.replace("functions: {keys: {code: own/src, handler: billing.handler}}\n", "")
    if text == BASE:
        raise ValueError(name)
    return text


def actions(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is done to which types of resources: made, changed, replaced, deleted, or left behind."""
    found: dict[str, list[str]] = {}
    for id_ in sorted(before.keys() | after.keys()):
        was, is_now = before.get(id_), after.get(id_)
        resource = is_now or was
        if was is None:
            action = "made"
        elif is_now is None:
            kept = was.get("DeletionPolicy", "Delete") in {"Retain", "RetainExceptOnCreate"}
            action = "left behind" if kept else "deleted"
        else:
            changed = {
                key
                for key in was.get("Properties", {}).keys() | is_now.get("Properties", {}).keys()
                if was.get("Properties", {}).get(key) != is_now.get("Properties", {}).get(key)
            }
            if not changed:
                continue
            action = "replaced" if changed & _create_only(was["Type"]) else "changed"
        found.setdefault(action, []).append(str(resource["Type"]).removeprefix("AWS::"))  # type: ignore[index]
    return found


@cache
def _create_only(kind: str) -> frozenset[str]:
    """The properties whose change replaces the resource, from the type's schema."""
    # Takes a second, which each process that collects tests would need.
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # noqa: PLC0415

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return frozenset(path.split("/")[2] for path in schema.get("createOnlyProperties", ()))


def row(name: str, done: Mapping[str, list[str]]) -> str:
    """A line of the page."""
    cells = []
    for action in ("changed", "made", "replaced", "deleted", "left behind"):
        kinds = done.get(action, [])
        counts = sorted(Counter(kinds).items())
        cells.append(", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in counts))
    return f"| {name} | {' | '.join(cells)} |"
