"""The clone is exact: what alternating users must keep equal on MySQL and MariaDB, after every rotation, both ways."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pymysql
import pytest
from targets import ALTERNATING, DUAL, Application, MysqlTarget, Rotated, rotated

from rotators.engines.mysql.grants import GrantedRight, parse
from rotators.engines.mysql.mariadb import MariadbDialect
from rotators.engines.mysql.mysql import MysqlDialect
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService


class Pair:
    def __init__(self, target: MysqlTarget, service: RotationService, username: str | None = None) -> None:
        self.target = target
        self.subject: Rotated = rotated(target, service, ALTERNATING, application=target.make_application(username))
        self.first = self.subject.application.username
        self.clone = f"{self.first}_clone"
        self.database = target.database(self.first)

    def rotate(self) -> None:
        assert self.subject.service.rotate(self.subject.arn).error is None

    def root(self, statement: str) -> Any:
        return self.target.server.query(statement)

    def account(self, user: str, host: str = "%") -> str:
        return f"{self.target.text(user)}@{self.target.text(host)}"

    def rights(self, user: str, host: str = "%") -> Any:
        """As SHOW GRANTS has it: the engine itself reads other tables."""
        return parse(str(row[0]) for row in self.root(f"SHOW GRANTS FOR {self.account(user, host)}"))

    def described(self, user: str, host: str = "%") -> Any:
        """All that the server keeps of an account, but its name, its password and our mark."""
        where = f"WHERE User = {self.target.text(user)} AND Host = {self.target.text(host)}"
        if self.target.kind == "mariadb":
            facts = json.loads(self.root(f"SELECT Priv FROM mysql.global_priv {where}")[0][0])
            return _mariadb(facts)
        connection = self.target.server.superuser()
        with contextlib.closing(connection), connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(f"SELECT * FROM mysql.user {where}")
            facts = cursor.fetchone()
            cursor.execute(f"SELECT DEFAULT_ROLE_USER FROM mysql.default_roles {where}")
            return _mysql(facts), cursor.fetchall()

    def equal(self, host: str = "%") -> None:
        assert self.rights(self.clone, host) == self.rights(self.first, host)
        assert self.described(self.clone, host) == self.described(self.first, host)


def _mariadb(facts: dict[str, Any]) -> dict[str, Any]:
    """What was never set, and what was set to nothing, is the same."""
    nothing = {0, "", -1}
    changing = {"authentication_string", "auth_or", "password_last_changed", "version_id", "access"}
    return {key: value for key, value in facts.items() if key not in changing and value not in nothing}


def _mysql(facts: dict[str, Any]) -> dict[str, Any]:
    more = json.loads(facts.pop("User_attributes") or "{}")
    more.pop("additional_password", None)
    more.get("metadata", {}).pop("rotators", None)
    for key in ("User", "authentication_string", "password_last_changed"):
        del facts[key]
    return {**facts, **{key: value for key, value in more.items() if value}}


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


def test_a_right_on_a_column_stays_where_the_same_one_on_the_table_goes(pair: Pair) -> None:
    """Both servers take it from the columns, too, and then the clone would never be the equal of its user."""
    app, db = pair.account(pair.first), pair.database
    pair.root(f"CREATE TABLE {db}.t (a int, b int)")
    pair.root(f"GRANT SELECT, UPDATE ON {db}.t TO {app}")
    pair.rotate()
    pair.root(f"REVOKE SELECT, UPDATE ON {db}.t FROM {app}")
    pair.root(f"GRANT SELECT (a, b), UPDATE (b) ON {db}.t TO {app}")
    for _ in range(2):
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


def test_super_gives_no_role_on_mariadb(pair: Pair) -> None:
    """Issue 12, C14: there only the role's own option does, which createSecret asks for; on MySQL SUPER gives any."""
    mariadb = pair.target.kind == "mariadb"
    role = f"r_{pair.first}"[:32]
    pair.root(f"CREATE ROLE '{role}'")
    pair.root(f"GRANT '{role}' TO {pair.account(pair.first)}")
    pair.root("GRANT SUPER ON *.* TO 'admin'@'%'")
    try:
        rotation = pair.subject.service.rotate(pair.subject.arn)
        if mariadb:
            assert rotation.failed_step == "createSecret"
            assert f"GRANT `{role}` TO 'admin'@'%' WITH ADMIN OPTION" in str(rotation.error)
            pair.root(f"GRANT '{role}' TO 'admin'@'%' WITH ADMIN OPTION")
            rotation = pair.subject.service.retry(pair.subject.arn)
        assert rotation.error is None
        pair.equal()
    finally:
        pair.root("REVOKE SUPER ON *.* FROM 'admin'@'%'")


def test_a_default_role_that_the_admin_may_not_give_is_found_before_anything_is_written(pair: Pair) -> None:
    """Issue 12, C14: on MariaDB that needs UPDATE on mysql.*, and on MySQL nothing besides."""
    mariadb = pair.target.kind == "mariadb"
    app, role, admin = pair.account(pair.first), f"r_{pair.first}"[:32], f"a_{pair.first}"[:32]
    password = "of-a-second-admin"
    pair.target._create_account(admin, "%", password)
    for statement in (
        f"CREATE ROLE '{role}'",
        f"GRANT '{role}' TO {app}",
        f"SET DEFAULT ROLE '{role}' {'FOR' if mariadb else 'TO'} {app}",
        f"GRANT CREATE USER ON *.* TO '{admin}'@'%'",
        f"GRANT SELECT, INSERT, DELETE, CREATE, DROP, ALTER, INDEX ON *.* TO '{admin}'@'%' WITH GRANT OPTION",
        f"GRANT UPDATE ON {pair.database[:-1]}_own`.* TO '{admin}'@'%' WITH GRANT OPTION",
        f"GRANT '{role}' TO '{admin}'@'%' WITH ADMIN OPTION",
    ):
        pair.root(statement)
    service = pair.subject.service
    arn = service.create_secret(f"admin-{admin}", pair.target.server.secret(admin, password), pair.subject.rotator)
    service.client.put_secret_value(
        SecretId=pair.subject.arn, SecretString=json.dumps({**pair.subject.value, "masterarn": arn})
    )
    if mariadb:
        failed = service.rotate(pair.subject.arn)
        assert failed.failed_step == "createSecret"
        assert f"run: GRANT UPDATE ON mysql.* TO '{admin}'@'%'" in str(failed.error)
        pair.root(f"GRANT UPDATE ON mysql.* TO '{admin}'@'%'")
        assert service.retry(pair.subject.arn).error is None
    else:
        pair.rotate()
    pair.equal()


def test_a_package_and_its_body_of_mariadb(pair: Pair) -> None:
    """Issue 12, C13: their names are none outside of sql_mode=ORACLE."""
    if pair.target.kind != "mariadb":
        pytest.skip("packages are MariaDB's")
    app, db = pair.account(pair.first), pair.database
    connection = pair.target.server.superuser()
    with contextlib.closing(connection), connection.cursor() as cursor:
        for statement in (
            "SET sql_mode = 'ORACLE'",
            f"CREATE PACKAGE {db}.p AS FUNCTION f RETURN INT; END",
            f"CREATE PACKAGE BODY {db}.p AS FUNCTION f RETURN INT AS BEGIN RETURN 7; END; END",
            f"GRANT EXECUTE ON PACKAGE {db}.p TO {app}",
            f"GRANT EXECUTE ON PACKAGE BODY {db}.p TO {app} WITH GRANT OPTION",
        ):
            cursor.execute(statement)
        for _ in range(2):
            pair.rotate()
            pair.equal()
        cursor.execute(f"REVOKE EXECUTE ON PACKAGE BODY {db}.p FROM {app}")
    pair.rotate()
    pair.equal()


@pytest.mark.parametrize("between", [False, True])
def test_a_user_that_has_its_own_clone_as_a_role_is_refused_before_anything_is_written(
    pair: Pair, *, between: bool
) -> None:
    """Issue 12, C12: nobody can be granted itself, which MySQL says in setSecret only."""
    if pair.target.kind != "mysql":
        pytest.skip("MySQL alone takes users as roles")
    app, clone, role = pair.account(pair.first), pair.account(pair.clone), f"'r_{pair.first}'"
    for _ in range(2):
        pair.rotate()
    if between:
        pair.root(f"CREATE ROLE {role}")
        pair.root(f"GRANT {clone} TO {role}")
    pair.root(f"GRANT {role if between else clone} TO {app}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, UserNotRotatable)
    assert failed.failed_step == "createSecret"
    pair.root(f"REVOKE {role if between else clone} FROM {app}")
    assert pair.subject.service.retry(pair.subject.arn).error is None
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


def test_a_proxys_option_does_not_become_the_option_of_everything_else(pair: Pair) -> None:
    """Issue 12, C12: on both servers it does, where nobody takes that away again."""
    mysql = pair.target.kind == "mysql"
    app, other = pair.account(pair.first), pair.account(pair.target.make_application().username)
    anybody = "''@''" if mysql else "''@'%'"
    pair.root(f"GRANT PROXY ON {anybody} TO 'admin'@'%' WITH GRANT OPTION")
    try:
        pair.root(f"GRANT SELECT, PROCESS ON *.* TO {app}")
        pair.root(f"GRANT PROXY ON {other} TO {app} WITH GRANT OPTION")
        pair.root(f"REVOKE GRANT OPTION ON *.* FROM {app}")
        if mysql:
            pair.root(f"GRANT XA_RECOVER_ADMIN ON *.* TO {app} WITH GRANT OPTION")
        for _ in range(2):
            pair.rotate()
            pair.equal()
            with pair.target.session(pair.subject.value) as cursor:
                with pytest.raises(pymysql.err.OperationalError):
                    cursor.execute(f"GRANT PROCESS ON *.* TO {other}")
                cursor.execute(f"GRANT PROXY ON {other} TO {other}")
                if mysql:
                    cursor.execute(f"GRANT XA_RECOVER_ADMIN ON *.* TO {other}")
        if mysql:
            # Nothing of it may stay in the server's memory.
            pair.root(f"REVOKE XA_RECOVER_ADMIN ON *.* FROM {app}")
            for _ in range(2):
                pair.rotate()
                pair.equal()
    finally:
        pair.root(f"REVOKE PROXY ON {anybody} FROM 'admin'@'%'")


def test_what_mysql_keeps_in_memory_of_a_dynamic_privilege_is_no_option_of_everything(pair: Pair) -> None:
    """Issue 12, C12: REVOKE GRANT OPTION takes a dynamic privilege's option from the tables alone."""
    if pair.target.kind == "mariadb":
        pytest.skip("MariaDB has no dynamic privileges")
    app = pair.account(pair.first)
    pair.root(f"GRANT PROCESS ON *.* TO {app}")
    pair.root(f"GRANT XA_RECOVER_ADMIN ON *.* TO {app} WITH GRANT OPTION")
    for what in ("GRANT OPTION", "XA_RECOVER_ADMIN"):
        pair.root(f"REVOKE {what} ON *.* FROM {app}")
    assert GrantedRight("dynamic option", "XA_RECOVER_ADMIN", "*.*") in pair.rights(pair.first)
    pair.rotate()
    assert {right for right in pair.rights(pair.clone) if right.on == "*.*"} == {
        GrantedRight("privilege", "PROCESS", "*.*")
    }


def test_a_proxy_of_one_user_is_passed_on_by_an_admin_who_has_its_option(pair: Pair) -> None:
    """SHOW GRANTS quotes the proxied user otherwise than the tables that have the application's rights."""
    other = pair.account(pair.target.make_application().username)
    pair.root(f"GRANT PROXY ON {other} TO {pair.account(pair.first)}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, PermissionRefused)
    pair.root(failed.error.advice.removeprefix("as a user who may, run: "))
    assert pair.subject.service.retry(pair.subject.arn).error is None
    pair.equal()


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
        for user in (pair.first, pair.clone):
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
    assert "'max_user_connections': 7" in str(pair.described(pair.clone))
    pair.root(f"ALTER USER {app} REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_USER_CONNECTIONS 2")
    for _ in range(2):
        pair.rotate()
        pair.equal()
    assert "'ssl_type'" not in str(pair.described(pair.clone)) or "'ssl_type': ''" in str(pair.described(pair.clone))


def test_every_host_has_its_clone(pair: Pair) -> None:
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


def aws_clone(pair: Pair, *grants: str) -> None:
    """AWS's template makes its clone on any host, with what the user was granted then."""
    pair.root(f"CREATE USER {pair.account(pair.clone)} {pair.target._identified('what-the-template-set')}")
    pair.target.passwords.add("what-the-template-set")
    for grant in grants:
        pair.root(f"GRANT {grant} TO {pair.account(pair.clone)}")


def test_a_clone_made_by_awss_template_is_adopted_where_it_may_do_no_more(pair: Pair) -> None:
    aws_clone(pair, f"SELECT ON {pair.database}.granted")
    pair.rotate()
    assert pair.subject.value["username"] == pair.clone
    pair.equal()
    pair.target.work(pair.subject.value)
    # From now on there is a mark: what is revoked from the user makes no stranger of its clone.
    pair.rotate()
    pair.root(f"REVOKE SELECT ON {pair.database}.granted FROM {pair.account(pair.first)}")
    pair.rotate()
    pair.equal()


def test_one_with_rights_that_were_revoked_from_its_user_needs_one_statement(pair: Pair) -> None:
    """The remedy is run as the refusal spells it, by the admin that RDS gives."""
    pair.root(f"CREATE TABLE {pair.database}.stale (a int)")
    aws_clone(pair, f"SELECT, DELETE ON {pair.database}.stale")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert failed.failed_step == "createSecret"
    assert "DELETE ON" in str(failed.error)
    pair.target.log_in({"username": pair.clone, "password": "what-the-template-set"})
    remedy = failed.error.advice.partition("run once, as an admin: ")[2].partition("; name the")[0]
    pair.target.as_admin(remedy)
    assert pair.subject.service.retry(pair.subject.arn).error is None
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
    service.faults.fail("DescribeSecret", step="testSecret")
    assert service.rotate(pair.subject.arn).failed_step == "testSecret"
    pair.root(f"REVOKE DELETE ON {db}.t FROM {app}")
    assert service.retry(pair.subject.arn).error is None
    pair.equal()
    pair.rotate()


def test_a_stranger_who_may_do_more_is_left_alone(pair: Pair) -> None:
    stranger = pair.target.make_application(pair.clone + "x")
    twin = pair.account(pair.clone)
    pair.root(f"CREATE USER {twin} {pair.target._identified('the-strangers-own')}")
    pair.target.passwords.add("the-strangers-own")
    pair.root(f"GRANT SELECT ON mysql.* TO {twin}")
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
    assert "may SELECT ON `mysql`.*, and" in str(failed.error)
    assert failed.failed_step == "createSecret"
    pair.target.log_in({"username": pair.clone, "password": "the-strangers-own"})
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
    assert not pair.root(f"SELECT 1 FROM mysql.user WHERE User = {pair.target.text(pair.clone)}")


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
            assert isinstance(rotation.error, UserPairMismatch)
            assert f"a name of {longest + 1} characters" in str(rotation.error)


def test_the_functions_own_limit_for_names_is_heeded(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    subject = rotated(mysql_family, rotation_service, ALTERNATING, USERNAME_CHARACTER_LIMIT="16")
    failed = subject.service.rotate(subject.arn)
    assert isinstance(failed.error, UserPairMismatch)
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


@pytest.mark.parametrize(
    "comment",
    [
        "Bob's application",
        "no ACCOUNT LOCK, please",
        "BY 'x', PASSWORD EXPIRE, DEFAULT ROLE `r`@`%`",
        "REQUIRE X509 IDENTIFIED WITH 'y' AS 'z'",
        'a "quote", a \\ and an emoji: 😀',
    ],
)
def test_a_comment_may_say_anything(pair: Pair, comment: str) -> None:
    """Issue 12, C11."""
    if pair.target.kind == "mariadb":
        pytest.skip("MariaDB has no comments")
    attributes = json.dumps({"comment": comment, "more": {"a": [1, None, comment]}})
    pair.root(f"ALTER USER {pair.account(pair.first)} ATTRIBUTE {pair.target.text(attributes)}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
        pair.target.work(pair.subject.value)
    assert pair.described(pair.clone)[0]["metadata"]["comment"] == comment


def test_a_certificates_subject_may_hold_quotes(pair: Pair) -> None:
    """Issue 12, C11: SHOW CREATE USER writes it as it is."""
    account = pair.account(pair.first, "10.9.%")
    identified = pair.target._identified(pair.subject.application.password)
    subject, issuer = "/O=Bob''s ACCOUNT LOCK", '/CN=the "x" WITH GRANT OPTION'
    pair.root(f"CREATE USER {account} {identified} REQUIRE SUBJECT '{subject}' AND ISSUER '{issuer}'")
    pair.root(f"GRANT SELECT ON {pair.database}.* TO {account}")
    for _ in range(2):
        pair.rotate()
        described = [pair.described(user, "10.9.%") for user in (pair.first, pair.clone)]
        assert described[0] == described[1]
        assert "Bob's ACCOUNT LOCK" in str(described[1])
    passed_on = f"IS_GRANTABLE = 'YES' AND GRANTEE LIKE '%{pair.clone}%'"
    assert not pair.root(f"SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE {passed_on}")


@pytest.mark.parametrize("name", ["a ACCOUNT LOCK", "b REQUIRE SSL", "c' IDENTIFIED BY 'd", "e WITH GRANT OPTION"])
def test_names_that_read_like_statements(
    mysql_family: MysqlTarget, rotation_service: RotationService, name: str
) -> None:
    """Issue 12, C11."""
    pair = Pair(mysql_family, rotation_service, f"{name}{rotation_service.clock.now.microsecond % 99}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
        mysql_family.work(pair.subject.value)


def test_a_dynamic_privileges_option_stays_its_own(pair: Pair) -> None:
    """Issue 12, C12: it does not become the GRANT OPTION of everything else."""
    if pair.target.kind == "mariadb":
        pytest.skip("MariaDB has no dynamic privileges")
    app = pair.account(pair.first)
    pair.root(f"GRANT SELECT, PROCESS ON *.* TO {app}")
    pair.root(f"GRANT XA_RECOVER_ADMIN ON *.* TO {app} WITH GRANT OPTION")
    pair.root(f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()
        with pair.target.session(pair.subject.value) as cursor, pytest.raises(pymysql.err.OperationalError):
            cursor.execute(f"GRANT PROCESS ON *.* TO {app}")
    pair.root(f"REVOKE XA_RECOVER_ADMIN ON *.* FROM {app}")
    pair.root(f"GRANT XA_RECOVER_ADMIN ON *.* TO {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()


def test_an_admin_with_partial_revokes_is_found_before_anything_is_written(pair: Pair) -> None:
    """Issue 12, C12: whom such an admin grants a global privilege is restricted as the admin is."""
    if pair.target.kind == "mariadb":
        pytest.skip("MariaDB has none")
    app = pair.account(pair.first)
    # What the one may do in spite of the other's restriction, it may grant.
    admin = ("'admin'@'%'", "rds_superuser_role")
    pair.root("SET GLOBAL partial_revokes = ON")
    try:
        pair.root(f"GRANT SELECT ON *.* TO {app}")
        pair.root("CREATE DATABASE IF NOT EXISTS restricted")
        for grantee in admin:
            pair.root(f"REVOKE SELECT ON restricted.* FROM {grantee}")
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert failed.failed_step == "createSecret"
        assert "GRANT SELECT ON `restricted`.* TO 'admin'@'%'" in str(failed.error)
        for grantee in admin:
            pair.root(f"GRANT SELECT ON restricted.* TO {grantee}")
        assert pair.subject.service.retry(pair.subject.arn).error is None
        pair.equal()
    finally:
        for grantee in admin:
            pair.root(f"GRANT SELECT ON restricted.* TO {grantee}")
        for user in (pair.first, pair.clone):
            pair.root(f"REVOKE IF EXISTS ALL PRIVILEGES, GRANT OPTION FROM {pair.account(user)} IGNORE UNKNOWN USER")
        pair.root("SET GLOBAL partial_revokes = OFF")


def test_what_is_taken_off_the_user_does_not_stay_on_its_clone(pair: Pair) -> None:
    """Issue 12, C12: attributes, limits of logins, rules for passwords."""
    app = pair.account(pair.first)
    if pair.target.kind == "mariadb":
        first = "WITH MAX_STATEMENT_TIME 2.5 MAX_CONNECTIONS_PER_HOUR 500 PASSWORD EXPIRE NEVER"
        then = "WITH MAX_STATEMENT_TIME 0 MAX_CONNECTIONS_PER_HOUR 0 PASSWORD EXPIRE DEFAULT"
        changes = [first, then]
    else:
        rules = "FAILED_LOGIN_ATTEMPTS 5 PASSWORD_LOCK_TIME 2 PASSWORD HISTORY 2 PASSWORD REUSE INTERVAL 0 DAY"
        none = "FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0 PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT"
        changes = [
            f"{rules} PASSWORD REQUIRE CURRENT OPTIONAL",
            'ATTRIBUTE \'{"a": {"b": 1, "c": [2]}, "d": "e"}\'',
            f"{none} PASSWORD REQUIRE CURRENT DEFAULT",
            'ATTRIBUTE \'{"a": {"b": null, "c": [3]}, "d": null, "f": {"g": 1}}\'',
            'ATTRIBUTE \'{"a": null, "f": null}\'',
        ]
    for change in changes:
        pair.root(f"ALTER USER {app} {change}")
        for _ in range(2):
            pair.rotate()
            pair.equal()


@pytest.mark.parametrize("part", ["copy_facts", "set_default_roles"])
def test_a_clone_that_is_none_is_given_no_password(pair: Pair, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Issue 12, C12: what differs after all was done is an error, and the pending password is in force nowhere."""
    role = f"r_{pair.first}"[:32]
    pair.root(f"CREATE ROLE '{role}'")
    if pair.target.kind == "mariadb":
        pair.root(f"GRANT '{role}' TO 'admin'@'%' WITH ADMIN OPTION")
    pair.root(f"GRANT '{role}' TO {pair.account(pair.first)}")
    word = "FOR" if pair.target.kind == "mariadb" else "TO"
    pair.root(f"SET DEFAULT ROLE '{role}' {word} {pair.account(pair.first)}")
    pair.root(f"ALTER USER {pair.account(pair.first)} WITH MAX_USER_CONNECTIONS 9")
    for dialect in (MysqlDialect, MariadbDialect):
        monkeypatch.setattr(dialect, part, lambda *_: None)
    failed = pair.subject.service.rotate(pair.subject.arn)
    assert failed.failed_step == "setSecret"
    assert type(failed.error) is ServiceFailed
    assert "is not yet the equal of" in str(failed.error)
    assert ("limits" if part == "copy_facts" else "default roles") in str(failed.error)
    assert not pair.subject.logs_in("AWSPENDING")
    monkeypatch.undo()
    assert pair.subject.service.retry(pair.subject.arn).error is None
    pair.equal()


def test_all_privileges_on_a_database_are_those_of_the_server(pair: Pair) -> None:
    """Issue 12, C13: what they are, the server is asked; no list is kept."""
    app, own = pair.account(pair.first), f"{pair.database[:-1]}_own`"
    pair.root(f"GRANT ALL PRIVILEGES ON {own}.* TO {app} WITH GRANT OPTION")
    rotation = pair.subject.service.rotate(pair.subject.arn)
    if pair.target.kind == "mariadb":
        # Which ones RDS's admin has not depends on the version: DELETE HISTORY, SHOW CREATE ROUTINE.
        assert isinstance(rotation.error, PermissionRefused)
        assert rotation.failed_step == "createSecret"
        for statement in rotation.error.advice.removeprefix("as a user who may, run: ").split("; "):
            pair.root(statement)
        rotation = pair.subject.service.retry(pair.subject.arn)
    assert rotation.error is None
    pair.equal()
    assert GrantedRight("privilege", "ALL PRIVILEGES", f"{own}.*") in pair.rights(pair.clone)
    pair.root(f"REVOKE DROP ON {own}.* FROM {app}")
    for _ in range(2):
        pair.rotate()
        pair.equal()


@pytest.mark.parametrize("strategy", [ALTERNATING, DUAL])
def test_an_admin_whose_rights_lie_in_a_role_works(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
) -> None:
    """Issue 12, D19: the role is granted, and no default one."""
    target = mysql_family
    admin = target.make_application()
    role = f"admins_{admin.username}"[:32]
    target.server.query(f"CREATE ROLE '{role}'")
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE USER"
    target.server.query(f"GRANT {privileges} ON *.* TO '{role}' WITH GRANT OPTION")
    target.server.query(f"GRANT '{role}' TO {target.text(admin.username)}@'%'")
    subject = rotated(target, rotation_service, strategy)
    rotation_service.client.put_secret_value(
        SecretId=subject.value["masterarn"], SecretString=json.dumps(target.secret(admin))
    )
    for _ in range(2):
        assert subject.service.rotate(subject.arn).error is None
        target.work(subject.value)


def test_rights_that_may_be_thousands_are_not_read_twice(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        pair.rotate()
    read: list[str] = []
    granted = MysqlDialect._granted

    def counted(dialect: Any, user: str, host: str) -> Any:
        read.append(user)
        return granted(dialect, user, host)

    for dialect in (MysqlDialect, MariadbDialect):
        monkeypatch.setattr(dialect, "_granted", counted)
    pair.rotate()
    pair.equal()
    # In createSecret, in setSecret, and once more when all is done.
    assert read.count(pair.first) == read.count(pair.clone) == 3
