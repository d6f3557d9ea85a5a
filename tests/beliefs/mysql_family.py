"""What the tables of MySQL and MariaDB have in common: what is sent to a real server is noted on its way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE, rotated
from targets.base import Kind

from beliefs.base import Right, look_at, mapped
from rotators.engines.mysql import errors
from rotators.engines.mysql.connection import Connection
from rotators.testing import RotationService
from rotators.testing.servers.mysql import ADMIN_PRIVILEGES, MORE_ADMIN_PRIVILEGES, MysqlInstallation, admin_privileges

NAME, TEXT = r"`(?:[^`]|``)*`", r"'(?:[^']|'')*'"
ACCOUNT = rf"{TEXT}@{TEXT}"
ROLE = rf"{NAME}(?:@{NAME})?"
ON = rf"(?:[A-Z]+ )?(?:\*|{NAME})\.(?:\*|{NAME})"
MASTER = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html"
_NEEDED = {
    "CREATE USER": "CREATE USER, ALTER USER",
    "SELECT": "the tables of mysql; to be passed on",
    "ROLE_ADMIN": "GRANT of any role",
}
_UNION = re.compile(r" UNION ALL ")


@contextmanager
def noting(sent: set[str]) -> Iterator[None]:
    """Note every statement that the engine sends."""
    run = Connection._run

    def noted(self: Connection, statement: str, advice: str) -> Any:
        sent.add(statement)
        return run(self, statement, advice)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_run", noted)
        yield


def rights(kind: Any, page: str) -> tuple[Right, ...]:
    """What RDS's master user has; all of it may have to be passed on."""
    more = {name: ".".join(map(str, since)) for name, (since, _) in MORE_ADMIN_PRIVILEGES[kind].items()}
    return tuple(
        Right(name, _NEEDED.get(name, "to be passed on"), page, more.get(name, "any"), master=True, aws=MASTER)
        for name in (*ADMIN_PRIVILEGES, *more)
    )


def admins(kind: Any) -> set[str]:
    """What the kit's admins have, of all versions."""
    versions = ("8.0.36", "9.7.4") if kind == "mysql" else ("10.11.14", "11.8.6")
    return {
        privilege
        for version in versions
        for privilege in admin_privileges(MysqlInstallation(kind, version, "", None))  # type: ignore[arg-type]
    }


def mapped_for(*others: int) -> dict[str, str]:
    """What the engine makes of numbers; without those that the other product alone has."""
    return {code: kind for code, kind in mapped(errors.STATEMENT, errors.LOGIN).items() if int(code) not in others}


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The tables and views that statements read, and their columns, of each part of a union."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        for part in _UNION.split(statement):
            if not (match := re.match(r"SELECT (.*) FROM ((?:information_schema|mysql)\.\w+)(.*)", part, re.DOTALL)):
                continue
            chosen, view, rest = match.groups()
            bare = re.sub(TEXT, "", f"{chosen} {rest}")
            words = set(re.findall(r"\b[A-Za-z_]{2,}\b", bare)) - {
                "CONCAT", "HEX", "BINARY", "WHERE", "AND", "ORDER", "BY", "AS", "SELECT", "LIKE", "JSON_VALUE", "YES",
            }  # fmt: skip
            found.setdefault(view, set()).update(words)
    return found


def start(kind: Kind) -> AbstractContextManager[Any]:
    """The newest server that is here by itself; the fixture has one for each that somebody named."""
    found = [installation for _, installation in kind.servers() if not installation.named]
    if not found:
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(kind.missing)
    return kind.start(found[-1])


def exercise(target: Any, service: RotationService, sent: set[str]) -> None:
    """What both can do."""
    root, text = target.server.query, target.text
    with noting(sent):
        tested = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="SELECT 1")
        assert service.rotate(tested.arn).error is None
        pair = rotated(target, service, ALTERNATING)
        name = pair.application.username
        app, base = f"{text(name)}@'%'", target.database(name)
        for statement in (
            f"CREATE PROCEDURE {base}.p() SELECT 1",
            f"CREATE TABLE {base}.t (a int)",
            f"CREATE USER {text(name[:20] + '_other')}@'%' ACCOUNT LOCK",
            f"CREATE ROLE {text(name[:20] + '_role')}",
        ):
            root(statement)
        other, role = (text(f"{name[:20]}_{what}") for what in ("other", "role"))
        to_admin = f"{text(target.server.admin.username)}@'%'"
        root(f"GRANT PROXY ON {other}@'%' TO {to_admin} WITH GRANT OPTION")
        if target.kind == "mariadb":
            root(f"GRANT {role} TO {to_admin} WITH ADMIN OPTION")
        for given in (True, False):
            for statement in (
                f"EXECUTE ON PROCEDURE {base}.p",
                f"SELECT (a) ON {base}.t",
                "PROCESS ON *.*",
                f"PROXY ON {other}@'%'",
            ):
                root(f"GRANT {statement} TO {app}" if given else f"REVOKE {statement} FROM {app}")
            root(f"GRANT {role} TO {app} WITH ADMIN OPTION" if given else f"REVOKE {role} FROM {app}")
            default = "FOR" if target.kind == "mariadb" else "TO"
            root(f"SET DEFAULT ROLE {role if given else 'NONE'} {default} {app}")
            root(f"ALTER USER {app} WITH MAX_USER_CONNECTIONS {7 if given else 0}")
            option = f"GRANT USAGE ON {base}.* TO {app} WITH GRANT OPTION"
            root(option if given else f"REVOKE GRANT OPTION ON {base}.* FROM {app}")
            for _ in range(2):
                assert service.rotate(pair.arn).error is None
        # A clone of somebody's own is adopted; it is locked where its user can't log in from.
        second = rotated(target, service, ALTERNATING)
        clone = text(f"{second.application.username}_clone")
        root(f"RENAME USER {text(second.application.username)}@'%' TO {text(second.application.username)}@'127.0.0.%'")
        for host in ("127.0.0.%", "10.9.8.7"):
            root(f"CREATE USER {clone}@'{host}' {target._identified('of-the-template-1')}")
        target.passwords.add("of-the-template-1")
        assert service.rotate(second.arn).error is None
        first, password = second.application.username, second.application.password
        root(f"CREATE USER {text(first)}@'10.9.8.7' {target._identified(password)}")
        for _ in range(2):
            assert service.rotate(second.arn).error is None
        dual = rotated(target, service, DUAL)
        for _ in range(2):
            assert service.rotate(dual.arn).error is None
        look_at(service, tested.arn, pair.arn, second.arn, dual.arn)
        _alone(target, service)


def _alone(target: Any, service: RotationService) -> None:
    """A user by itself who sees an account of its own on another host, and one whose password has expired."""
    root, text = target.server.query, target.text
    several = rotated(target, service, SINGLE)
    name, password = text(several.application.username), several.application.password
    root(f"CREATE USER {name}@'10.9.8.7' {target._identified(password)}")
    root(f"GRANT SELECT ON mysql.* TO {name}@'%'")
    assert "further accounts" in str(service.rotate(several.arn).error)
    root(f"DROP USER {name}@'10.9.8.7'")
    assert service.retry(several.arn).error is None
    expired = rotated(target, service, SINGLE)
    root(f"ALTER USER {text(expired.application.username)}@'%' PASSWORD EXPIRE")
    assert service.rotate(expired.arn).error is None
