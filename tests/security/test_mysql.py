"""Who is who on MySQL and MariaDB: stories of people who write one secret, or are one user, and what they must not get.

Where the server itself is the attacker, it is a double; everywhere else the real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from doubles.mysql_server import OK, WHO, MysqlDouble, Talk
from targets import ALTERNATING, DUAL, SINGLE, Application, MysqlTarget, Rotated, rotated

from rotators import errors
from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.mysql import MariadbEngine, MysqlEngine
from rotators.engines.mysql.session import MariadbSession, MysqlSession
from rotators.engines.mysql.verifiers import native_hash
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority

Start = Callable[..., MysqlDouble]
PASSWORD = "of-the-application"
PLUGINS_THAT_SEND_IT = ["mysql_clear_password", "dialog", "sha256_password", "caching_sha2_password"]


def stored(target: MysqlTarget, user: str, host: str) -> Any:
    """All that the server keeps of an account."""
    where = f"User = {target.text(user)} AND Host = {target.text(host)}"
    table = "global_priv" if target.kind == "mariadb" else "user"
    return target.server.query(f"SELECT * FROM mysql.{table} WHERE {where}")


def account(target: MysqlTarget, user: str, host: str = "%") -> str:
    return f"{target.text(user)}@{target.text(host)}"


def create(target: MysqlTarget, user: str, host: str, password: str, *grants: str) -> None:
    target.passwords.add(password)
    target.server.query(f"CREATE USER {account(target, user, host)} {target._identified(password)}")
    for grant in grants:
        target.server.query(f"GRANT {grant} TO {account(target, user, host)}")


def takes(target: MysqlTarget, user: str, password: str) -> bool:
    try:
        target.log_in({"username": user, "password": password})
    except target.refusals:
        return False
    return True


def is_refused(subject: Rotated, error: type[Exception], *says: str) -> None:
    """createSecret ends with this error, and nothing is stored."""
    failed = subject.service.rotate(subject.arn)
    assert isinstance(failed.error, error), failed.error
    assert failed.failed_step == "createSecret"
    for text in says:
        assert text in str(failed.error)
    with pytest.raises(KeyError):
        subject.service.value(subject.arn, "AWSPENDING")


class TestWhoLoggedIn:
    """Issue 11, fault 5: a name is no account."""

    @pytest.mark.parametrize("strategy", [ALTERNATING, DUAL])
    def test_another_persons_account_of_the_same_name_is_left_alone(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, log: Any, strategy: str
    ) -> None:
        """The writer of app's secret proves app@'%'; app@10.0.0.5 is another person's, and may read mysql.*."""
        target = mysql_family
        subject = rotated(target, rotation_service, strategy)
        name = subject.application.username
        create(target, name, "10.0.0.5", "of-another-person", "SELECT ON mysql.*")
        before = stored(target, name, "10.0.0.5")
        for _ in range(3):
            assert subject.service.rotate(subject.arn).error is None
            target.work(subject.value)
        assert stored(target, name, "10.0.0.5") == before
        assert not stored(target, f"{name}_clone", "10.0.0.5")
        assert f"'{name}'@'10.0.0.5'" in log.getvalue()

    def test_the_admin_resets_only_the_accounts_that_have_the_password(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """With two passwords the admin sets them: only where the proven one is valid."""
        target = mysql_family
        subject = rotated(target, rotation_service, DUAL)
        name = subject.application.username
        create(target, name, "10.1.%", subject.application.password)
        create(target, name, "10.2.%", "of-another-person")
        others = stored(target, name, "10.2.%")
        same = stored(target, name, "10.1.%")
        assert subject.service.rotate(subject.arn).error is None
        assert stored(target, name, "10.2.%") == others
        assert stored(target, name, "10.1.%") != same

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
    def test_an_anonymous_account_proves_nobodys_name(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
    ) -> None:
        """Somebody knows the password of ''@127.0.0.1, which takes any name's login from there."""
        target = mysql_family
        victim = target.make_application()
        create(target, "", "127.0.0.1", "of-nobody")
        try:
            thief = Application(victim.username, "of-nobody")
            subject = rotated(target, rotation_service, strategy, application=thief)
            is_refused(subject, errors.UserNotRotatable, "is no user there", "anonymous account ''@'127.0.0.1'")
        finally:
            target.server.query("DROP USER ''@'127.0.0.1'")
        target.work(target.secret(victim))
        assert not stored(target, f"{victim.username}_clone", "%")

    def test_a_name_in_other_letters_is_another_user(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """Issue 11, fault 15: the servers tell App from app, and so do we."""
        target = mysql_family
        lower = target.make_application()
        upper = target.make_application(lower.username.upper())
        subject = rotated(target, rotation_service, ALTERNATING, application=upper)
        for _ in range(2):
            assert subject.service.rotate(subject.arn).error is None
        assert takes(target, lower.username, lower.password)
        assert not stored(target, f"{lower.username}_clone", "%")

    def test_an_admin_on_another_host_is_an_admin(self, mysql_family: MysqlTarget) -> None:
        """Fault 15: the secret's account is both@127.0.0.1, which has the password of both@10.%, and nothing else."""
        target = mysql_family
        server = target.server
        for host in ("127.0.0.1", "10.%"):
            create(target, "both", host, PASSWORD)
        server.query("GRANT CREATE USER ON *.* TO 'both'@'10.%'")
        try:
            engine = MysqlEngine()
            with engine.connect(credentials(target, "both", PASSWORD), options(target)) as session:
                proven = session.account
            with engine.connect(credentials(target, server.admin.username, server.admin.password), options(target, admin=True)) as admin:  # fmt: skip # noqa: E501
                both = admin.recognize(proven, PASSWORD)
                assert set(both.scope) == {"127.0.0.1", "10.%"}
                with pytest.raises(errors.UserNotRotatable, match=r"'both'@'10\.%' at localhost is an admin's account"):
                    admin.check_can_set_password(both)
        finally:
            server.query("DROP USER 'both'@'127.0.0.1', 'both'@'10.%'")


def credentials(target: MysqlTarget, user: str, password: str, **more: Any) -> Credentials:
    return Credentials({**target.secret(Application(user, password)), **more}, "the secret")


def options(target: MysqlTarget, **more: Any) -> ConnectOptions:
    return ConnectOptions(**{"timeout": 5.0, "ca_file": str(target.server.ca_file), **more})


def log_in_to(
    server: MysqlDouble, target: MysqlTarget, engine: type[MysqlEngine] = MysqlEngine, **more: Any
) -> MysqlSession | MariadbSession:
    """Log in to a double as app."""
    return engine().connect(credentials(target, "app", PASSWORD, port=server.port), options(target, **more))


class TestWhoseTheSecondUserIs:
    """Issue 11, fault 6."""

    @pytest.mark.parametrize("power", ["role", "tables", "proxy", "option"])
    def test_a_user_that_may_more_is_nobodys_source(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, power: str
    ) -> None:
        """Anyone who has the secret of boss_clone, which shares one right with boss, is not given boss."""
        target = mysql_family
        boss = target.make_application()
        clone = target.make_bare(f"{boss.username}_clone")
        table = f"{target.database(boss.username)}.granted"
        target.server.query(f"GRANT SELECT ON {table} TO {account(target, clone.username)}")
        role = f"r_{boss.username}"[:32]
        target.server.query(f"CREATE ROLE '{role}'")
        for statement in {
            "role": [f"GRANT SELECT ON mysql.* TO '{role}'", f"GRANT '{role}' TO {account(target, boss.username)}"],
            "tables": [f"GRANT UPDATE ON mysql.user TO {account(target, boss.username)}"],
            "proxy": [f"GRANT PROXY ON {account(target, role)} TO {account(target, boss.username)}"],
            "option": [f"GRANT GRANT OPTION ON {table} TO {account(target, boss.username)}"],
        }[power]:  # fmt: skip
            target.server.query(statement)
        before = stored(target, boss.username, "%")
        subject = rotated(target, rotation_service, ALTERNATING, application=clone)
        is_refused(subject, errors.UserPairMismatch, "nothing shows that", f"'{boss.username}'@'%' may")
        assert stored(target, boss.username, "%") == before
        assert takes(target, boss.username, boss.password)

    def test_a_role_of_the_other_host_counts(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """Every host's account is looked at: app_clone@'%' may no more than app, and app_clone@127.0.0.1 may."""
        target = mysql_family
        application = target.make_application()
        create(target, application.username, "127.0.0.1", application.password)
        clone = f"{application.username}_clone"
        create(target, clone, "%", "of-a-stranger")
        create(target, clone, "127.0.0.1", "of-a-stranger", "SELECT ON mysql.*")
        subject = rotated(target, rotation_service, ALTERNATING, application=application)
        is_refused(subject, errors.UserPairMismatch, f"'{clone}'@'127.0.0.1' may SELECT ON `mysql`.*")
        assert takes(target, clone, "of-a-stranger")

    def test_what_was_current_before_proves_nothing(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """The writer puts the stranger's name into AWSPREVIOUS, twice."""
        target = mysql_family
        subject = rotated(target, rotation_service, ALTERNATING)
        first, clone = subject.value, f"{subject.application.username}_clone"
        create(target, clone, "%", "of-a-stranger", "SELECT ON mysql.*")
        for value in ({**first, "username": clone}, first, {**first, "username": clone}, first):
            subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
        is_refused(subject, errors.UserPairMismatch, "may SELECT ON `mysql`.*")
        assert takes(target, clone, "of-a-stranger")

    def test_nobody_but_an_admin_can_make_the_mark(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """The application's user, which may create tables, and administers a role of its own, tries to leave it."""
        target = mysql_family
        application = target.make_application()
        clone = f"{application.username}_clone"
        create(target, clone, "%", "of-a-stranger", "SELECT ON mysql.*")
        role = f"r_{application.username}"[:32]
        target.server.query(f"CREATE ROLE '{role}'")
        target.server.query(f"GRANT '{role}' TO {account(target, application.username)} WITH ADMIN OPTION")
        subject = rotated(target, rotation_service, ALTERNATING, application=application)
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, errors.UserPairMismatch)
        remedy = failed.error.advice.partition("run once, as an admin: ")[2].partition("; name the")[0]
        name = f"rotators:{clone}@% of {application.username}"
        attribute = json.dumps({"rotators": {"clone_of": application.username}})
        attempts = [
            remedy,
            f"CREATE ROLE `{name}`",
            f"ALTER USER USER() ATTRIBUTE '{attribute}'",
            f"RENAME USER '{role}' TO '{name[:32]}'",
            f"INSERT INTO mysql.user (User, Host) VALUES ('{name[:32]}', '')",
            f"UPDATE mysql.user SET User_attributes = '{attribute}' WHERE User = '{clone}'",
        ]
        with target.session(target.secret(application)) as cursor:
            cursor.execute(f"SET ROLE '{role}'")
            for statement in attempts:
                with pytest.raises((pymysql.err.OperationalError, pymysql.err.ProgrammingError)):
                    cursor.execute(statement)
        assert isinstance(subject.service.retry(subject.arn).error, errors.UserPairMismatch)
        assert takes(target, clone, "of-a-stranger")

    @pytest.mark.parametrize("grant", ["CREATE USER ON *.*", "SUPER ON *.*", "UPDATE ON mysql.*"])
    @pytest.mark.parametrize("strategy", [ALTERNATING, DUAL])
    def test_an_admins_account_is_no_applications(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str, grant: str
    ) -> None:
        """Whatever the secret says, and though its password is right: no function sets it through an admin."""
        target = mysql_family
        subject = rotated(target, rotation_service, strategy)
        target.server.query(f"GRANT {grant} TO {account(target, subject.application.username)}")
        is_refused(subject, errors.UserNotRotatable, "is an admin's account: it may")

    def test_an_application_with_the_data_of_every_database_alternates(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """Its password has logged in, so anyone who holds the secret may do all that already."""
        target = mysql_family
        subject = rotated(target, rotation_service, ALTERNATING)
        name = account(target, subject.application.username)
        target.server.query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO {name}")
        for _ in range(2):
            assert subject.service.rotate(subject.arn).error is None
            target.work(subject.value)

    def test_mysqls_system_users_are_above_the_admin(
        self, mysql_family: MysqlTarget, rotation_service: RotationService
    ) -> None:
        """SYSTEM_USER, which RDS's admin has not."""
        if mysql_family.kind == "mariadb":
            pytest.skip("MariaDB has none")
        subject = rotated(mysql_family, rotation_service, DUAL)
        mysql_family.server.query(f"GRANT SYSTEM_USER ON *.* TO {account(mysql_family, subject.application.username)}")
        is_refused(subject, errors.UserNotRotatable, "it may SYSTEM_USER ON *.*")


class TestWhereTheAdminActs:
    """Issue 11, faults 3 and 4, with a server of the attacker's own, that the function's CAs trust."""

    def test_a_proof_at_the_writers_own_server_is_none(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, double: Start
    ) -> None:
        """The secret names the writer's server, where any password is right, and production's cluster."""
        target = mysql_family
        payroll = target.make_application()
        before = stored(target, payroll.username, "%")
        server = double(lambda talk: (talk.login(), talk.serve()))
        rotator = target.rotator(rotation_service)
        admin = rotation_service.create_secret(
            "admin-of-production", {**target.admin_secret(), "dbClusterIdentifier": "production"}, rotator
        )
        secret = target.secret(
            Application(payroll.username, PASSWORD),
            port=server.port, masterarn=admin, dbClusterIdentifier="production",
        )  # fmt: skip
        arn = rotation_service.create_secret("of-the-writer", secret, rotator)
        # A refused login is not repeated under the same token: MySQL may block a user after wrong passwords.
        for _ in range(2):
            failed = rotation_service.rotate(arn)
            assert isinstance(failed.error, (errors.LoginRefused, errors.UserPairMismatch))
            assert failed.failed_step == "createSecret"
        assert stored(target, payroll.username, "%") == before
        assert not stored(target, f"{payroll.username}_clone", "%")
        assert not [one for one in server.heard if target.server.admin.password.encode() in one]

    @pytest.mark.parametrize("how", ["greeting", "switch"])
    @pytest.mark.parametrize("plugin", PLUGINS_THAT_SEND_IT)
    def test_mariadbs_handler_tells_no_server_the_password(
        self, mysql_family: MysqlTarget, double: Start, plugin: str, how: str
    ) -> None:
        """The server asks for it by MySQL's plugins, or in clear; its certificate is one that the function trusts."""

        def script(talk: Talk) -> None:
            talk.greet(plugin if how == "greeting" else "mysql_native_password", version="10.11.4-MariaDB")
            talk.start_tls()
            talk.take_login()
            talk.switch(plugin)
            talk.receive()
            talk.send(b"\1\4")
            talk.receive()
            talk.send(OK)

        server = double(script)
        with pytest.raises(errors.UserNotRotatable, match=f"asks for the password by the plugin {plugin}"):
            MariadbEngine().connect(
                credentials(mysql_family, "admin", "of-the-admin", port=server.port), options(mysql_family, admin=True)
            )
        assert not [one for one in server.heard if b"of-the-admin" in one]

    @pytest.mark.parametrize("plugin", PLUGINS_THAT_SEND_IT[:2])
    def test_mysqls_handler_sends_it_by_its_own_plugins_only(
        self, mysql_family: MysqlTarget, double: Start, plugin: str
    ) -> None:
        """In clear, and by PAM's dialog, nobody is told."""
        server = double(lambda talk: talk.login(switch_to=plugin))
        with pytest.raises(errors.UserNotRotatable, match=f"by the plugin {plugin}"):
            log_in_to(server, mysql_family)
        assert not [one for one in server.heard if PASSWORD.encode() in one]

    @pytest.mark.parametrize("engine", [MysqlEngine, MariadbEngine])
    @pytest.mark.parametrize("plugin", PLUGINS_THAT_SEND_IT)
    def test_a_server_that_is_not_the_admins_host_hears_nothing(
        self, mysql_family: MysqlTarget, double: Start, engine: type[MysqlEngine], plugin: str
    ) -> None:
        """It sits at the admin's address, and has a certificate of a trusted authority for another name."""
        server = double(lambda talk: talk.login(plugin), "elsewhere.example")
        secret = credentials(mysql_family, "admin", "of-the-admin", port=server.port)
        with pytest.raises(errors.TlsFailed, match=r"is not for 'localhost', but for elsewhere\.example"):
            engine().connect(secret, options(mysql_family, admin=True))
        assert not [one for one in server.heard if b"of-the-admin" in one or b"admin" in one]


class TestWhatIsSaidBeforeTheServerIsVerified:
    """Issue 11, fault 9."""

    @pytest.mark.parametrize("code", [1045, 1698, 1049, 1040, 3118, 1862, 2026 + 10000])
    @pytest.mark.parametrize("greets", [True, False])
    def test_it_is_no_more_than_a_connection_that_broke(
        self, mysql_family: MysqlTarget, double: Start, code: int, *, greets: bool
    ) -> None:
        """Somebody on the way answers with an error instead of TLS, so that the password seems to be wrong."""

        def script(talk: Talk) -> None:
            if greets:
                talk.greet()
                talk.receive()
            talk.fail(code, "Access denied; run DROP USER admin")

        server = double(script)
        # In place of the handshake it is no TLS.
        with pytest.raises(errors.TlsFailed if greets else errors.ConnectionLost) as caught:
            log_in_to(server, mysql_family)
        assert "DROP USER" not in str(caught.value)
        assert greets or "before the server was verified" in str(caught.value)

    def test_a_rotation_does_not_take_it_for_a_wrong_password(
        self, mysql_family: MysqlTarget, rotation_service: RotationService, double: Start
    ) -> None:
        """Else an admin would reset the user, or the pending version would be thrown away."""
        server = double(lambda talk: talk.fail(1045, "Access denied"))
        subject = rotated(mysql_family, rotation_service, SINGLE)
        changed = {**subject.value, "port": server.port}
        subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(changed))
        is_refused(subject, errors.ConnectionLost)
        mysql_family.log_in(mysql_family.secret(subject.application))


def gives_up(server: MysqlDouble, target: MysqlTarget, over: threading.Event) -> None:
    """A login ends in time; then the double may end, too."""
    started = time.monotonic()
    try:
        with pytest.raises((errors.Unreachable, errors.ConnectionLost), match="no answer in time"):
            log_in_to(server, target, timeout=0.7)
    finally:
        over.set()
    assert time.monotonic() - started < 3


class TestTime:
    """Issue 11, fault 12: a server takes no more of the invocation's time than the function lets it."""

    @pytest.mark.parametrize("silent", ["at once", "after the greeting", "in TLS", "after the login", "in a statement"])
    def test_one_that_says_nothing(self, mysql_family: MysqlTarget, double: Start, silent: str) -> None:
        """It takes the connection, and stays silent from some point on."""
        over = threading.Event()

        def script(talk: Talk) -> None:
            if silent == "at once":
                over.wait(20)
            talk.greet()
            if silent == "after the greeting":
                over.wait(20)
            if silent == "in TLS":
                talk.receive()
                over.wait(20)
            talk.start_tls()
            talk.take_login()
            if silent == "after the login":
                over.wait(20)
            talk.send(OK)
            talk.receive()
            over.wait(20)

        gives_up(double(script), mysql_family, over)

    @pytest.mark.parametrize("when", ["greeting", "statement"])
    def test_one_that_sends_a_byte_now_and_then(self, mysql_family: MysqlTarget, double: Start, when: str) -> None:
        """Each byte would start a driver's time-out again."""
        over = threading.Event()

        def drip(talk: Talk) -> None:
            talk.socket.sendall(b"\xff\xff\x0f\1" if when == "statement" else b"\xff\xff\x0f\0")
            while not over.wait(0.1):
                talk.socket.sendall(b"x")

        def script(talk: Talk) -> None:
            if when == "greeting":
                drip(talk)
            talk.login()
            talk.receive()
            drip(talk)

        gives_up(double(script), mysql_family, over)

    def test_a_statement_after_the_login_has_its_own_limit(self, mysql_family: MysqlTarget) -> None:
        """On the real server: it is asked to sleep."""
        application = mysql_family.make_application()
        secret = credentials(mysql_family, application.username, application.password)
        with MysqlEngine().connect(secret, options(mysql_family, timeout=1.0)) as session:
            started = time.monotonic()
            with pytest.raises(errors.ConnectionLost, match="no answer in time"):
                session.verify("SELECT SLEEP(20)")
        assert time.monotonic() - started < 4

    def test_nothing_is_asked_when_the_time_is_over(self, mysql_family: MysqlTarget) -> None:
        """The deadline of the invocation counts, not only the time-out."""
        secret = credentials(mysql_family, "app", PASSWORD)
        with pytest.raises(errors.Unreachable, match="time is over"):
            MysqlEngine().connect(secret, options(mysql_family, deadline=time.monotonic()))


class TestOddInput:
    """Issue 11, fault 14: each an error that says what to do, and none a fault of ours."""

    @pytest.mark.parametrize("key", ["username", "password", "dbname"])
    def test_half_a_character(self, mysql_family: MysqlTarget, key: str) -> None:
        """JSON takes a lone surrogate."""
        values = {**mysql_family.secret(Application("app", PASSWORD)), key: "a\ud800b"}
        with pytest.raises(errors.SecretMalformed, match=f"'{key}'"):
            MysqlEngine().connect(Credentials(values, "the secret"), options(mysql_family))

    def test_a_name_that_no_user_can_have(self, mysql_family: MysqlTarget) -> None:
        """Issue 12, D19: the servers keep names in three bytes a character."""
        with pytest.raises(errors.SecretMalformed, match="no characters beyond U"):
            MysqlEngine().connect(credentials(mysql_family, "app😀", PASSWORD), options(mysql_family))

    @pytest.mark.parametrize("name", ["x" * 64 + ".example", ".example", "a..example", "a\ud800"])
    def test_a_name_that_no_certificate_can_have(self, mysql_family: MysqlTarget, name: str) -> None:
        """By ``tlsServerName``, or the function's setting."""
        with pytest.raises(errors.TlsFailed, match="no host's name"):
            MysqlEngine().connect(credentials(mysql_family, "app", PASSWORD), options(mysql_family, server_name=name))

    @pytest.mark.parametrize("host", ["x" * 64 + ".example", ".example", "a..example"])
    def test_a_host_that_can_not_be(self, mysql_family: MysqlTarget, host: str) -> None:
        """As DNS would never have it."""
        with pytest.raises((errors.Unreachable, errors.SecretMalformed), match="host"):
            MysqlEngine().connect(credentials(mysql_family, "app", PASSWORD, host=host), options(mysql_family))

    @pytest.mark.parametrize("engine", [MysqlEngine, MariadbEngine])
    def test_the_password_of_mysql_3(self, mysql_family: MysqlTarget, double: Start, engine: type[MysqlEngine]) -> None:
        """mysql_old_password, asked for by its name, or by the byte that stood for it before plugins had names."""

        def script(talk: Talk) -> None:
            talk.greet()
            talk.start_tls()
            talk.take_login()
            talk.send(b"\xfe")
            talk.receive()

        for server in (double(script), double(lambda talk: talk.login(switch_to="mysql_old_password"))):
            with pytest.raises(errors.UserNotRotatable, match="mysql_old_password"):
                log_in_to(server, mysql_family, engine)

    def test_a_request_for_a_local_file_is_refused(
        self, mysql_family: MysqlTarget, double: Start, tmp_path: Path
    ) -> None:
        """The server answers a statement by asking for a file of the function's."""
        file = tmp_path / "credentials"
        file.write_text("of-the-function")

        def script(talk: Talk) -> None:
            talk.login()
            while not talk.receive().startswith(b"\x03SELECT"):
                talk.send(OK)
            talk.send(b"\xfb" + str(file).encode())
            talk.receive()

        server = double(script)
        with pytest.raises(errors.ServiceFailed, match="the answer is none that a statement has"):
            log_in_to(server, mysql_family)
        assert not [one for one in server.heard if b"of-the-function" in one]

    @pytest.mark.parametrize("packet", [b"", b"\x0a", b"\x0a5\0", b"GET / HTTP/1.1", b"\xff", b"\xff\x15\x04"])
    def test_what_is_no_greeting(self, mysql_family: MysqlTarget, double: Start, packet: bytes) -> None:
        """Something else listens there."""
        server = double(lambda talk: talk.send(packet))
        with pytest.raises(errors.ConnectionLost):
            log_in_to(server, mysql_family)

    def test_a_server_that_says_it_is_somebody_else(self, mysql_family: MysqlTarget, double: Start) -> None:
        """By CURRENT_USER(): the name of the secret is no proof."""
        server = double(lambda talk: (talk.login(), talk.serve({WHO: [["boss@%", None]]})))
        with pytest.raises(errors.LoginRefused, match="logged in as another user, 'boss'@'%'"):
            log_in_to(server, mysql_family)

    def test_a_proxy_user(self, mysql_family: MysqlTarget, double: Start) -> None:
        """Its password is not that of the account it becomes, though both have one name."""
        server = double(lambda talk: (talk.login(), talk.serve({WHO: [["app@%", "'app'@'10.%'"]]})))
        with pytest.raises(errors.UserNotRotatable, match="as the proxy of 'app'@'%'"):
            log_in_to(server, mysql_family)

    def test_mysql_without_tls_and_without_a_package_for_rsa(self, mysql_family: MysqlTarget, double: Start) -> None:
        """ssl: false, allowed by the function: a password that would be encrypted for the one who asks is not sent."""

        def script(talk: Talk) -> None:
            talk.greet("caching_sha2_password", tls=False)
            talk.take_login()
            talk.switch("caching_sha2_password")
            talk.receive()
            talk.send(b"\1\4")
            talk.receive()

        def by_sha256(talk: Talk) -> None:
            talk.greet("sha256_password", tls=False)
            talk.take_login()
            talk.switch("sha256_password")
            talk.receive()

        for one in (script, by_sha256):
            server = double(one)
            with pytest.raises(errors.TlsFailed, match="never sent without TLS"):
                log_in_to(server, mysql_family, plaintext=True)
            assert not [heard for heard in server.heard if PASSWORD.encode() in heard]

    def test_a_server_without_tls_that_remembers_the_password_takes_the_proof(
        self, mysql_family: MysqlTarget, double: Start
    ) -> None:
        """The fast path of caching_sha2_password."""

        def script(talk: Talk) -> None:
            talk.greet("caching_sha2_password", tls=False)
            talk.take_login()
            talk.switch("caching_sha2_password")
            talk.receive()
            talk.send(b"\1\3")
            talk.send(OK)
            talk.serve()

        server = double(script)
        with log_in_to(server, mysql_family, plaintext=True) as session:
            session.check_rotatable()


def test_the_hash_of_a_password_is_its_proof(mysql_family: MysqlTarget) -> None:
    """Known answers of the real servers: each plugin's stored hash is told from another password's."""
    target = mysql_family
    passwords = ["simple", "pässwörd-ü", "with 'quotes' and \\", "x" * 100]
    plugins = ["mysql_native_password"] if target.kind == "mariadb" else ["caching_sha2_password", "sha256_password"]
    server = target.server
    with MysqlEngine().connect(
        credentials(target, server.admin.username, server.admin.password), options(target, admin=True)
    ) as admin:
        for number, (plugin, password) in enumerate((one, two) for one in plugins for two in passwords):
            name = f"hash{number}_{target.kind}"
            how = (
                f"VIA {plugin} USING '{native_hash(password)}'"
                if target.kind == "mariadb"
                else f"WITH {plugin} BY {target.text(password).replace(chr(92), chr(92) * 2)}"
            )
            how = how.replace("\\\\\\\\", "\\\\")
            server.query(f"CREATE USER '{name}'@'%' IDENTIFIED {how}")
            with MysqlEngine().connect(credentials(target, name, password), options(target)) as session:
                proven = session.account
            assert admin.recognize(proven, password) == proven
            with pytest.raises(errors.UserNotRotatable, match="is not among those that the admin sees"):
                admin.recognize(proven, password + "x")


@pytest.fixture
def double(mysql_family: MysqlTarget, tmp_path: Path) -> Iterator[Start]:
    """Start servers with a certificate, for localhost or another name, signed by whom the function trusts."""
    authority: CertificateAuthority = mysql_family.server.authority

    def start(script: Callable[[Talk], None], name: str = "localhost") -> MysqlDouble:
        issued = authority.issue((name,), folder=tmp_path, account=SystemAccount(os.geteuid(), os.getegid()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate_file, issued.key_file)
        return stack.enter_context(MysqlDouble(context, script))

    with contextlib.ExitStack() as stack:
        yield start
