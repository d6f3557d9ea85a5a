# ruff: noqa: RUF001  # what looks like another character is what this is about
"""Names and values of any characters: each reaches every statement quoted by its engine's rule, or is refused.

The verdict is taken from the server: of everybody but the two users that the secret is about, nothing has changed.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pymysql
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from psycopg2 import sql
from targets import ALTERNATING, DUAL, SINGLE, Application, MysqlTarget, PostgresTarget, rotated
from targets.others import everybody_else
from targets.shares import share_of_one

from rotators.errors import LoginRefused, RotationError, UnexpectedError, UserNotRotatable
from rotators.testing import RotationService

CLASSES = (
    "'\"`´‘’“”ʼʹ′＇＂｀«»‹›",  # what is a quote somewhere, or is folded to one
    "\\＼⧵%$?@#&|!^~",  # what escapes, and what stands for something
    "()[]{}<>,.:;=+-*/–—−",  # what ends something, or comments the rest out
    "\n\r\t\x0b\x0c\x85\u2028\u2029\x00\x08\x1a\x7f",  # what breaks a line or a text
    "\u202e\u2066\u2069\u200f\ufeff\u200b\u00ad",  # what is not seen
    "é\u0301\u0308ßıİſﬁÅK",  # what changes its length or its letters as it is folded
    "漢字ä€😀𝔘\U0010ffff",  # what takes two, three and four bytes
    "\ud800\udc27\udc5c",  # half of a character; the second stands for a quote where bytes are smuggled through
    "aZ09 _",
)
# What an attacker would write: each ends what it stands in, by the rule of one engine, and goes on with a statement.
PIECES = (
    "'; DROP USER canary; --", "'; DROP ROLE canary--", '"; DROP USER canary; --', "`; DROP USER canary; -- ",
    "]; DROP LOGIN canary; --", "'@'%'; DROP USER canary; #", "\\'; DROP USER canary; -- ", "\\", "''", "'||'",
    "' OR '1'='1", "$$; DROP ROLE canary; $$", "*/ DROP USER canary; /*", "/*!80000 ", "--\n", "%s", "%(x)s", "{0}",
    "{name}", "$1", ":1", "?", "\x00'; DROP USER canary", "U&'\\0027'", "E'\\''", "' AS x) --", ", $where: '1'",
    '","roles":["root"],"x":"', '{"$ne": null}', ")(ADDRESS=(HOST=evil)", ";PWD=x;UID=canary", "$external",
    "%' IDENTIFIED BY 'x", "canary", "\n;\n",
)  # fmt: skip
_one = st.one_of(*(st.sampled_from(chars) for chars in CLASSES), st.sampled_from(PIECES))
hostile = st.lists(_one, min_size=1, max_size=5).map("".join)
# Up to the limits of all engines (30 to 128), and past them.
_long = st.builds(lambda text, length: (text * 140)[:length], hostile, st.integers(20, 140))
FEW = max(1, 3 // share_of_one(3).step)
# Seconds for 60 examples on a server, which took 300 on a machine that others used as well.
PATIENCE = 3600


def _settings(examples: int) -> Callable[[Any], Any]:
    # A server is too slow to shrink a failure on.
    return settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip


def of_ours(error: Exception | None) -> None:
    assert isinstance(error, RotationError), error
    assert not isinstance(error, UnexpectedError), error


@contextlib.contextmanager
def nobody_else_is_touched(target: Any, *users: str) -> Iterator[None]:
    """All that the server keeps of others is as it was."""
    before = everybody_else(target, *users)
    yield
    after = everybody_else(target, *users)
    assert after == before, f"{sorted(after - before)} instead of {sorted(before - after)}"


def pair_of(name: str) -> tuple[str, ...]:
    """A user's own name, its second one's, and what a server may make of them that is too short for both."""
    names = (name, f"{name}_clone", f"{name}_CLONE")
    return (*names, *(one.encode(errors="replace")[:63].decode(errors="ignore") for one in names))


def check_a_user_of(target: Any, service: RotationService, strategy: str, name: str, password: str) -> None:
    """Its user works afterwards, by the new password, or the secret is refused; nobody else was touched."""
    # Long enough to be found in a log by itself alone.
    chosen = f"{secrets.token_urlsafe(12)}{password}"
    user = f"a{secrets.token_hex(2)}{name}z"
    application, exists, known = Application(user, chosen), False, False
    # A server that takes no such name or password: its secret may still hold them.
    with contextlib.suppress(*target.refusals, ValueError, pymysql.err.MySQLError, psycopg2.Error):
        target.make_application(user)
        target.set_password(user, chosen)
        exists = True
        # The tests' own way to log in may not be up to it.
        target.log_in(target.secret(application))
        known = True
    subject = rotated(target, service, strategy, application=application)
    with nobody_else_is_touched(target, *pair_of(user)):
        for _ in range(2):
            before = subject.value
            rotation = subject.service.rotate(subject.arn)
            if rotation.error is not None:
                of_ours(rotation.error)
                assert rotation.failed_step == "createSecret", rotation.error
                assert subject.value == before
                break
            assert subject.value["password"] != before["password"]
            if known:
                target.work(subject.value)
    if known:
        target.work(subject.value)
    assert exists or rotation.error is not None


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@_settings(FEW)
@given(name=hostile, password=hostile)
@example(name="'; DROP x; --", password="\\' OR 1=1 --")
@example(name='"; --', password='";`$$)')
@example(name="`]]", password="\n%s{}")
def test_any_name_and_any_password(
    target: Any, rotation_service: RotationService, *, strategy: str, name: str, password: str
) -> None:
    # Short enough for MySQL, which takes names of 32 characters, with _clone behind it.
    check_a_user_of(target, rotation_service, strategy, name[:18], password)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@_settings(60)
@given(name=st.one_of(hostile, _long), password=st.one_of(hostile, _long))
def test_any_name_and_any_password_of_any_length(
    target: Any, rotation_service: RotationService, *, strategy: str, name: str, password: str
) -> None:
    check_a_user_of(target, rotation_service, strategy, name, password)


def check_a_name_that_is_cut(target: PostgresTarget, service: RotationService, strategy: str) -> None:
    """It logs in; but a verifier of the name that is left is none of the one that is sent."""
    user = f"a{secrets.token_hex(8)}".ljust(80, "x")
    application = target.make_application(user)
    failed = service.rotate(rotated(target, service, strategy, application=application).arn)
    assert isinstance(failed.error, UserNotRotatable), failed.error
    assert f"logged in as '{user[:63]}'" in str(failed.error)
    assert failed.failed_step == "createSecret"
    target.log_in(target.secret(application))


# Cuts them in CREATE ROLE alone: https://www.postgresql.org/docs/release/17.3/
LONG_NAMES_REFUSED = ("17.0", "17.1", "17.2")


def test_a_name_that_postgresql_cuts(postgres: PostgresTarget, rotation_service: RotationService) -> None:
    """With two users the second one's name is refused before."""
    if postgres.server.installation.full_version in LONG_NAMES_REFUSED:
        application = postgres.make_application("a" * 80)
        failed = rotation_service.rotate(rotated(postgres, rotation_service, SINGLE, application=application).arn)
        assert isinstance(failed.error, LoginRefused), failed.error
        return
    check_a_name_that_is_cut(postgres, rotation_service, SINGLE)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_a_name_that_redshift_cuts(redshift: Any, rotation_service: RotationService, strategy: str) -> None:
    check_a_name_that_is_cut(redshift, rotation_service, strategy)


KEYS = ("host", "port", "dbname", "engine", "username", "masterarn", "tlsServerName", "authenticationDatabase", "ssl")


def check_a_key(target: Any, service: RotationService, key: str, text: str) -> None:
    """Whatever else a secret's writer puts there: it works, or is refused in createSecret, and nobody is touched."""
    subject = rotated(target, service, ALTERNATING, ROTATION_CONNECT_TIMEOUT="2")
    # What the key held before, and the attack behind it.
    value = {**subject.value, key: f"{subject.value.get(key, '')}{text}"}
    service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    with nobody_else_is_touched(target, *pair_of(subject.application.username)):
        rotation = service.rotate(subject.arn)
    if rotation.error is None:
        target.work(subject.value)
    else:
        of_ours(rotation.error)
        assert rotation.failed_step == "createSecret"
        assert subject.value == json.loads(json.dumps(value))
        target.work(target.secret(subject.application))


@_settings(FEW)
@given(key=st.sampled_from(KEYS), text=hostile)
@example(key="dbname", text="' user='canary' host='evil")
@example(key="host", text="';DROP USER canary;--")
def test_any_key_of_a_secret(target: Any, rotation_service: RotationService, *, key: str, text: str) -> None:
    check_a_key(target, rotation_service, key, text)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE)
@_settings(60)
@given(key=st.sampled_from(KEYS), text=st.one_of(hostile, _long))
def test_any_key_of_a_secret_at_length(target: Any, rotation_service: RotationService, *, key: str, text: str) -> None:
    check_a_key(target, rotation_service, key, text)


def rotate_twice(service: RotationService, arn: str) -> Exception | None:
    """What createSecret refused, if it did."""
    for _ in range(2):
        rotation = service.rotate(arn)
        if rotation.error is not None:
            of_ours(rotation.error)
            assert rotation.failed_step == "createSecret", rotation.error
            return rotation.error
    return None


# Each changes what a quote or a backslash means.
MODES = (
    "",
    "ANSI_QUOTES",
    "NO_BACKSLASH_ESCAPES",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT",
    "ANSI",
    "ORACLE",
)


def check_a_catalogue_of_mysql(target: MysqlTarget, service: RotationService, mode: str, texts: list[str]) -> None:
    """Databases, tables, columns, roles, hosts and comments of others: the second user gets just the same of them."""
    database, table, role, comment = (texts * 4)[:4]
    subject = rotated(target, service, ALTERNATING)
    app, server = subject.application, target.server
    account, unique = target.text(app.username), secrets.token_hex(3)

    def name(text: str) -> str:
        return "`" + text.replace("`", "``") + "`"

    made = name(f"{unique}{database}"[:60].rstrip())
    statements = [
        f"CREATE DATABASE {made}",
        f"CREATE TABLE {made}.{name(f'{table}t')} ({name(f'c{table}'.rstrip())} int)",
        f"GRANT SELECT ({name(f'c{table}'.rstrip())}), INSERT ON {made}.{name(f'{table}t')} TO {account}@'%'",
        f"GRANT UPDATE ON {made}.* TO {account}@'%'",
        f"CREATE ROLE {target.text(f'r{unique}{role}'[:32])}",
        f"GRANT {target.text(f'r{unique}{role}'[:32])} TO {account}@'%'",
        f"CREATE USER {account}@{target.text(f'10.{role}.%')} {target._identified(app.password)}",
    ]
    if target.kind == "mysql":
        attribute = json.dumps({"comment": comment, comment: [comment]})
        statements.append(f"ALTER USER {account}@'%' ATTRIBUTE {target.text(attribute)}")
    for statement in statements:
        # What the server takes as no name is none.
        with contextlib.suppress(pymysql.err.MySQLError, UnicodeError):
            server.query(statement)
    [(before,)] = server.query("SELECT @@global.sql_mode")
    mode = "" if mode == "ORACLE" and target.kind == "mysql" else mode
    server.query(f"SET GLOBAL sql_mode = '{mode}'")
    try:
        with nobody_else_is_touched(target, *pair_of(app.username)):
            error = rotate_twice(service, subject.arn)
    finally:
        server.query(f"SET GLOBAL sql_mode = '{before}'")
    if error is not None:
        target.work(target.secret(app))
        return
    target.work(subject.value)
    pair = (app, Application(f"{app.username}_clone", ""))
    rights = [
        sorted(one.replace(f"`{who.username}`", "`?`") for one in target.rights_of(who) if "rotators" not in one)
        for who in pair
    ]
    assert rights[0] == rights[1]
    assert f"{unique}" in str(rights[0]) or not any(unique in row[0] for row in server.query("SHOW DATABASES"))


texts_of_four = st.lists(hostile, min_size=4, max_size=4)


@_settings(FEW)
@given(mode=st.sampled_from(MODES), texts=texts_of_four)
@example(mode="ANSI_QUOTES", texts=["`\"'\\", "`; DROP", "'@'%", "\\'"])
def test_a_catalogue_of_mysqls_that_says_anything(
    mysql_family: MysqlTarget, rotation_service: RotationService, *, mode: str, texts: list[str]
) -> None:
    check_a_catalogue_of_mysql(mysql_family, rotation_service, mode, texts)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE)
@_settings(60)
@given(mode=st.sampled_from(MODES), texts=texts_of_four)
def test_many_catalogues_of_mysqls(
    mysql_family: MysqlTarget, rotation_service: RotationService, *, mode: str, texts: list[str]
) -> None:
    check_a_catalogue_of_mysql(mysql_family, rotation_service, mode, texts)


def check_a_catalogue_of_postgres(postgres: PostgresTarget, service: RotationService, texts: list[str]) -> None:
    """Settings, comments, roles and databases of others, where a backslash may escape a quote."""
    setting, path, role, comment = texts
    subject = rotated(postgres, service, ALTERNATING)
    unique = secrets.token_hex(3)
    database = f"{unique}{role}"
    names = {
        "app": sql.Identifier(subject.application.username),
        "admin": sql.Identifier(postgres.server.admin.username),
        "role": sql.Identifier(f"r{unique}{role}"),
        "database": sql.Identifier(database),
    } | {key: sql.Literal(text) for key, text in (("setting", setting), ("comment", comment), ("path", path))}
    statements = [
        "CREATE DATABASE {database}",
        "CREATE ROLE {role}",
        "GRANT {role} TO {app}",
        "ALTER ROLE {app} SET application_name = {setting}",
        "ALTER ROLE {app} SET search_path = {path}, public",
        "ALTER ROLE {app} IN DATABASE {database} SET my.setting = {setting}",
        "COMMENT ON ROLE {app} IS {comment}",
        *(
            f"ALTER ROLE {{{who}}} SET {one}"
            for who in ("app", "admin")
            for one in ("standard_conforming_strings = off", "backslash_quote = on", "escape_string_warning = off")
        ),
    ]
    try:
        for statement in statements:
            with contextlib.suppress(psycopg2.Error, UnicodeError, ValueError):
                postgres.as_superuser(sql.SQL(statement).format(**names))
        with nobody_else_is_touched(postgres, *pair_of(subject.application.username)):
            error = rotate_twice(service, subject.arn)
        if error is not None:
            postgres.work(postgres.secret(subject.application))
            return
        postgres.work(subject.value)
        kept = sql.SQL(
            "SELECT s.setdatabase, x FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, "
            "unnest(s.setconfig) x WHERE r.rolname = {} AND x NOT LIKE 'role=%' ORDER BY 1, 2"
        )
        users = (subject.application.username, f"{subject.application.username}_clone")
        of_app, of_clone = (postgres.as_superuser(kept.format(sql.Literal(user))) for user in users)
        assert of_clone == of_app
    finally:
        for one in ("standard_conforming_strings", "backslash_quote", "escape_string_warning"):
            postgres.as_superuser(sql.SQL(f"ALTER ROLE {{}} RESET {one}").format(names["admin"]))
        with contextlib.suppress(psycopg2.Error, UnicodeError, ValueError):
            postgres.as_superuser(sql.SQL("DROP DATABASE {}").format(names["database"]))


@_settings(FEW)
@given(texts=texts_of_four)
@example(texts=["\\'; DROP ROLE canary; --", '"$user", "\\"', '"; --', "\\'"])
def test_a_catalogue_of_postgresqls_that_says_anything(
    postgres: PostgresTarget, rotation_service: RotationService, *, texts: list[str]
) -> None:
    check_a_catalogue_of_postgres(postgres, rotation_service, texts)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE)
@_settings(40)
@given(texts=texts_of_four)
def test_many_catalogues_of_postgresqls(
    postgres: PostgresTarget, rotation_service: RotationService, *, texts: list[str]
) -> None:
    check_a_catalogue_of_postgres(postgres, rotation_service, texts)
