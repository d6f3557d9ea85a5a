"""The twin is exact: what alternating users must keep equal on MySQL and MariaDB, after every rotation, both ways."""

from __future__ import annotations

import json
from typing import Any

import pymysql
import pytest
from targets import ALTERNATING, Application, MysqlTarget, Rotated, rotated

from rotators.engines.mysql.accounts import account
from rotators.engines.mysql.grants import rights
from rotators.errors import PairRefused, PermissionRefused, UserNotRotatable
from rotators.testing import RotationService


class Pair:
    def __init__(self, target: MysqlTarget, service: RotationService, username: str | None = None) -> None:
        self.target = target
        self.subject: Rotated = rotated(target, service, ALTERNATING, application=target.make_application(username))
        self.first = self.subject.application.username
        self.twin = f"{self.first}_clone"
        self.database = target.database(self.first)

    def rotate(self) -> None:
        assert self.subject.service.rotate(self.subject.arn).error is None

    def root(self, statement: str) -> Any:
        return self.target.server.query(statement)

    def account(self, user: str, host: str = "%") -> str:
        return f"{self.target.text(user)}@{self.target.text(host)}"

    def rights(self, user: str, host: str = "%") -> Any:
        return rights(str(row[0]) for row in self.root(f"SHOW GRANTS FOR {self.account(user, host)}"))

    def described(self, user: str, host: str = "%") -> Any:
        found = account(str(self.root(f"SHOW CREATE USER {self.account(user, host)}")[0][0]))
        return found.plugin, found.attributes, found.default_roles, found.locked

    def equal(self, host: str = "%") -> None:
        assert self.rights(self.twin, host) == self.rights(self.first, host)
        assert self.described(self.twin, host) == self.described(self.first, host)


@pytest.fixture
def pair(mysql_family: MysqlTarget, rotation_service: RotationService) -> Pair:
    return Pair(mysql_family, rotation_service)


def test_every_kind_of_grant_with_and_without_its_option(pair: Pair) -> None:
    app, db = pair.account(pair.first), pair.database
    for statement in (
        f"CREATE TABLE {db}.t (a int, `b, c` int, `to` int)",
        f"CREATE PROCEDURE {db}.p() SELECT 1",
        f"CREATE FUNCTION {db}.f() RETURNS int DETERMINISTIC RETURN 1",
        f"CREATE TABLE {db}.`odd``name TO x` (a int)",
        f"GRANT SELECT (a), UPDATE (a, `b, c`), INSERT (`to`) ON {db}.t TO {app}",
        f"GRANT DELETE ON {db}.t TO {app} WITH GRANT OPTION",
        f"GRANT SELECT ON {db}.`odd``name TO x` TO {app}",
        f"GRANT EXECUTE ON PROCEDURE {db}.p TO {app} WITH GRANT OPTION",
        f"GRANT EXECUTE ON FUNCTION {db}.f TO {app}",
        f"GRANT SELECT, TRIGGER ON `w\\_ild%`.* TO {app}",
        f"GRANT SELECT, SHOW VIEW ON `{pair.first}\\_x`.* TO {app} WITH GRANT OPTION",
        f"GRANT PROCESS, SHOW DATABASES ON *.* TO {app}",
    ):
        pair.root(statement)
    for _ in range(3):
        pair.rotate()
        pair.equal()
        with pair.target.session(pair.subject.value) as cursor:
            cursor.execute(f"SELECT a FROM {db}.t")
            cursor.execute(f"CALL {db}.p()")
            cursor.execute(f"SELECT {db}.f()")


def test_later_grants_are_there_and_revoked_ones_are_gone_after_the_next_rotation(pair: Pair) -> None:
    app, db = pair.account(pair.first), pair.database
    pair.root(f"CREATE TABLE {db}.t (a int, b int)")
    pair.root(f"GRANT SELECT (a, b), INSERT, UPDATE ON {db}.t TO {app} WITH GRANT OPTION")
    pair.rotate()
    pair.equal()
    pair.root(f"REVOKE SELECT (b), UPDATE ON {db}.t FROM {app}")
    pair.root(f"REVOKE GRANT OPTION ON {db}.t FROM {app}")
    pair.root(f"GRANT DELETE ON {db}.t TO {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
    pair.root(f"REVOKE INSERT, DELETE ON {db}.t FROM {app}")
    pair.rotate()
    pair.equal()


def test_roles_with_and_without_their_option_and_the_default_one(pair: Pair) -> None:
    app, db = pair.account(pair.first), pair.database
    names = [f"r{number}_{pair.first}"[:32] for number in range(3)]
    mariadb = pair.target.kind == "mariadb"
    pair.root(f"CREATE TABLE {db}.by_role AS SELECT 5 AS n")
    for name in names:
        pair.root(f"CREATE ROLE '{name}'")
        if mariadb:
            # There only its own administrators may give a role.
            pair.root(f"GRANT '{name}' TO 'admin'@'%' WITH ADMIN OPTION")
    pair.root(f"GRANT SELECT ON {db}.by_role TO '{names[0]}'")
    pair.root(f"GRANT '{names[0]}' TO {app}")
    pair.root(f"GRANT '{names[1]}' TO {app} WITH ADMIN OPTION")
    pair.root(f"SET DEFAULT ROLE '{names[0]}' {'FOR' if mariadb else 'TO'} {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
        with pair.target.session(pair.subject.value) as cursor:
            cursor.execute(f"SELECT n FROM {db}.by_role")
            assert cursor.fetchall() == ((5,),)
    pair.root(f"REVOKE '{names[1]}' FROM {app}")
    pair.root(f"GRANT '{names[2]}' TO {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
    pair.root(f"REVOKE '{names[0]}' FROM {app}")
    pair.rotate()
    pair.equal()


def test_proxies_with_and_without_their_option(pair: Pair) -> None:
    app = pair.account(pair.first)
    others = [pair.target.make_application().username for _ in range(2)]
    for other, option in zip(others, ("", " WITH GRANT OPTION"), strict=True):
        pair.root(f"GRANT PROXY ON {pair.account(other)} TO {app}{option}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, PermissionRefused)
    assert failed.failed_step == "createSecret"
    assert "GRANT PROXY ON" in str(failed.error)
    anybody = "''@'%'" if pair.target.kind == "mariadb" else "''@''"
    pair.root(f"GRANT PROXY ON {anybody} TO 'admin'@'%' WITH GRANT OPTION")
    try:
        assert pair.subject.service.retry(pair.subject.arn).error is None
        pair.equal()
        pair.root(f"REVOKE PROXY ON {pair.account(others[0])} FROM {app}")
        pair.rotate()
        pair.equal()
    finally:
        pair.root(f"REVOKE PROXY ON {anybody} FROM 'admin'@'%'")


def test_partial_revokes(pair: Pair) -> None:
    if pair.target.kind == "mariadb":
        pytest.skip("MariaDB has none")
    app = pair.account(pair.first)
    pair.root("SET GLOBAL partial_revokes = ON")
    try:
        pair.root(f"GRANT SELECT ON *.* TO {app}")
        pair.root(f"REVOKE SELECT ON mysql.* FROM {app}")
        for _ in range(2):
            pair.rotate()
            pair.equal()
            with pair.target.session(pair.subject.value) as cursor, pytest.raises(pymysql.err.OperationalError):
                cursor.execute("SELECT User FROM mysql.user")
    finally:
        for user in (pair.first, pair.twin):
            pair.root(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {pair.account(user)}")
        pair.root("SET GLOBAL partial_revokes = OFF")


def test_tls_limits_and_what_else_an_account_has(pair: Pair) -> None:
    app = pair.account(pair.first)
    more = "" if pair.target.kind == "mariadb" else ' PASSWORD HISTORY 3 ATTRIBUTE \'{"team": "a b"}\''
    pair.root(f"ALTER USER {app} REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 5000 MAX_USER_CONNECTIONS 7")
    pair.root(f"ALTER USER {app} PASSWORD EXPIRE INTERVAL 90 DAY{more}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
    assert "MAX_USER_CONNECTIONS 7" in pair.described(pair.twin)[1]
    pair.root(f"ALTER USER {app} REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_USER_CONNECTIONS 2")
    for _ in range(2):
        pair.rotate()
        pair.equal()
    assert "SSL" not in pair.described(pair.twin)[1]


def test_every_host_has_its_twin(pair: Pair) -> None:
    db = pair.database
    password = pair.target.secret(pair.subject.application)["password"]
    for host in ("127.0.0.1", "10.%"):
        pair.root(f"CREATE USER {pair.account(pair.first, host)} {pair.target._identified(password)}")
        pair.root(f"GRANT SELECT ON {db}.* TO {pair.account(pair.first, host)}")
    for _ in range(2):
        pair.rotate()
        for host in ("%", "127.0.0.1", "10.%"):
            pair.equal(host)
        pair.target.log_in(pair.subject.value)


def test_a_clone_made_by_awss_template_is_put_right(pair: Pair) -> None:
    """On any host, with what was granted when it was made; the template had rotated the secret before."""
    twin, db = pair.account(pair.twin), pair.database
    pair.root(f"CREATE TABLE {db}.stale (a int)")
    pair.root(f"CREATE USER {twin} {pair.target._identified('what-the-template-set')}")
    pair.target.passwords.add("what-the-template-set")
    pair.root(f"GRANT SELECT, DELETE ON {db}.stale TO {twin}")
    service = pair.subject.service
    first = pair.subject.value
    # The clone was current before: the secret knows it.
    for value in ({**first, "username": pair.twin, "password": "what-the-template-set"}, first):
        service.client.put_secret_value(SecretId=pair.subject.arn, SecretString=json.dumps(value))
    pair.rotate()
    assert pair.subject.value["username"] == pair.twin
    pair.equal()
    pair.target.work(pair.subject.value)


def test_a_clone_on_more_hosts_than_its_user_does_not_stop_the_way_back(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    """AWS's template makes its clone on any host, wherever the user itself may log in from."""
    target, password = mysql_family, "of-one-host-only"
    name = f"one{rotation_service.clock.now.timestamp():.0f}{target.kind}"
    target.server.query(f"CREATE USER '{name}'@'127.0.0.1' {target._identified(password)}")
    target.server.query(f"CREATE USER '{name}_clone'@'%' {target._identified('of-the-template')}")
    target.passwords |= {password, "of-the-template"}
    subject = rotated(target, rotation_service, ALTERNATING, application=Application(name, password))
    for current in (f"{name}_clone", name, f"{name}_clone"):
        assert subject.service.rotate(subject.arn).error is None
        assert subject.value["username"] == current
        target.log_in(subject.value)
    shown = target.server.query(f"SHOW CREATE USER '{name}_clone'@'%'")[0][0]
    assert "ACCOUNT LOCK" in shown


def test_a_twin_that_was_half_made_is_finished_though_a_right_was_revoked_since(pair: Pair) -> None:
    app, db = pair.account(pair.first), pair.database
    pair.root(f"CREATE TABLE {db}.t (a int)")
    pair.root(f"GRANT SELECT, DELETE ON {db}.t TO {app}")
    service = pair.subject.service
    service.faults.fail("GetSecretValue", step="testSecret")
    assert service.rotate(pair.subject.arn).failed_step == "testSecret"
    pair.root(f"REVOKE DELETE ON {db}.t FROM {app}")
    assert service.retry(pair.subject.arn).error is None
    pair.equal()
    pair.rotate()


def test_a_stranger_who_may_do_more_is_left_alone(pair: Pair) -> None:
    stranger = pair.target.make_application(pair.twin + "x")
    twin = pair.account(pair.twin)
    pair.root(f"CREATE USER {twin} {pair.target._identified('the-strangers-own')}")
    pair.target.passwords.add("the-strangers-own")
    pair.root(f"GRANT SELECT ON mysql.* TO {twin}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, PairRefused)
    assert "it is somebody else's user" in str(failed.error)
    assert failed.failed_step == "createSecret"
    pair.target.log_in({"username": pair.twin, "password": "the-strangers-own"})
    pair.target.log_in(pair.target.secret(stranger))


def test_what_the_admin_can_not_pass_on_is_named_before_anything_is_written(pair: Pair) -> None:
    app = pair.account(pair.first)
    pair.root(f"GRANT SHUTDOWN ON *.* TO {app}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, PermissionRefused)
    assert failed.failed_step == "createSecret"
    assert "GRANT SHUTDOWN ON *.* TO 'admin'@'%' WITH GRANT OPTION" in str(failed.error)
    with pytest.raises(KeyError):
        pair.subject.service.value(pair.subject.arn, "AWSPENDING")
    assert not pair.root(f"SELECT 1 FROM mysql.user WHERE User = {pair.target.text(pair.twin)}")


def test_a_locked_account_stays_locked(pair: Pair) -> None:
    pair.rotate()
    pair.root(f"ALTER USER {pair.account(pair.first)} ACCOUNT LOCK")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, UserNotRotatable)
    assert "is locked" in str(failed.error)
    pair.target.log_in(pair.subject.value)


@pytest.mark.parametrize(
    "name", ["App-User", "a`b", "o'brien", 'quo"te', "sp ace", "ü-name", "per%cent", "x TO y", "at@sign"]
)
def test_names_of_any_kind(mysql_family: MysqlTarget, rotation_service: RotationService, name: str) -> None:
    pair = Pair(mysql_family, rotation_service, f"{name}{rotation_service.clock.now.microsecond % 9999}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
        mysql_family.work(pair.subject.value)


def test_a_name_too_long_for_its_twin_is_refused_before_anything_is_stored(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    longest = {"mysql": 32, "mariadb": 80}[mysql_family.kind]
    for length, fits in ((longest - 6, True), (longest - 5, False)):
        name = f"n{length}{'x' * 80}"[:length]
        # A database's name ends at 64 characters: this user needs none.
        password = "of-a-long-name"
        mysql_family.server.query(f"CREATE USER '{name}'@'%' {mysql_family._identified(password)}")
        subject = rotated(mysql_family, rotation_service, ALTERNATING, application=Application(name, password))
        rotation = subject.service.rotate(subject.arn)
        assert rotation.succeeded == fits
        if fits:
            mysql_family.log_in(subject.value)
        else:
            assert isinstance(rotation.error, PairRefused)
            assert f"a name of {longest + 1} characters" in str(rotation.error)


def test_the_functions_own_limit_for_names_is_heeded(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    subject = rotated(mysql_family, rotation_service, ALTERNATING, USERNAME_CHARACTER_LIMIT="16")
    failed = subject.service.rotate(subject.arn)
    assert isinstance(failed.error, PairRefused)
    assert "USERNAME_CHARACTER_LIMIT allows 16" in str(failed.error)
    assert failed.failed_step == "createSecret"


def test_what_a_definer_made_keeps_working(pair: Pair) -> None:
    own = f"{pair.database[:-1]}_own`"
    pair.root(f"GRANT CREATE VIEW, SHOW VIEW ON {own}.* TO {pair.account(pair.first)}")
    with pair.target.session(pair.subject.value) as cursor:
        cursor.execute(f"CREATE TABLE {own}.t AS SELECT 3 AS n")
        cursor.execute(f"CREATE VIEW {own}.v AS SELECT n FROM {own}.t")
    for _ in range(2):
        pair.rotate()
        with pair.target.session(pair.subject.value) as cursor:
            cursor.execute(f"SELECT n FROM {own}.v")
            assert cursor.fetchall() == ((3,),)
