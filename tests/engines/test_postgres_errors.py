"""What goes wrong between function and PostgreSQL: each its own error, and nothing changed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql
from targets import ALTERNATING, SINGLE, PostgresTarget, Rotated, rotated

from rotators import errors
from rotators.engines.postgres.session import PostgresSession
from rotators.testing import FakeLambdaContext, RotationService
from rotators.testing.proxy import PacketProxy
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

pytestmark = pytest.mark.server


@pytest.fixture
def subject(postgres: PostgresTarget, rotation_service: RotationService) -> Rotated:
    return rotated(postgres, rotation_service, SINGLE)


def edit(subject: Rotated, **changes: Any) -> dict[str, Any]:
    """Put another value by hand; None takes a key away."""
    value = {key: text for key, text in {**subject.value, **changes}.items() if text is not None}
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    return value


def fails(subject: Rotated, error: type[Exception], *says: str, step: str = "createSecret") -> Exception:
    """Rotate, and see that it fails in this way and leaves everything as it was."""
    before = subject.value
    failed = subject.service.rotate(subject.arn)
    assert type(failed.error) is error, failed.error
    assert failed.failed_step == step
    for text in says:
        assert text in str(failed.error)
    assert before["password"] not in str(failed.error)
    assert "\n" not in str(failed.error)
    assert subject.value == before
    if step == "createSecret":
        with pytest.raises(KeyError):
            subject.service.value(subject.arn, "AWSPENDING")
    subject.target.work(subject.target.secret(subject.application))
    return failed.error


@pytest.fixture(scope="module")
def strict() -> Iterator[PostgresTarget]:
    with PostgresServer(require_postgres(), settings={"shared_preload_libraries": "passwordcheck"}) as server:
        yield PostgresTarget(server)


@pytest.fixture(scope="module")
def old() -> Iterator[PostgresTarget]:
    with PostgresServer(require_postgres(), password_encryption="md5") as server:
        yield PostgresTarget(server)


@pytest.fixture(scope="module")
def careless() -> Iterator[PostgresTarget]:
    access = ["hostssl all +asks_in_clear all password"]
    with PostgresServer(require_postgres(), hba=access) as server:
        target = PostgresTarget(server)
        target.as_superuser("CREATE ROLE asks_in_clear")
        yield target


class TestTheSecret:
    @pytest.mark.parametrize("key", ["username", "password", "host"])
    def test_a_missing_key(self, subject: Rotated, key: str) -> None:
        edit(subject, **{key: None})
        failed = subject.service.rotate(subject.arn)
        assert isinstance(failed.error, errors.SecretMalformed)
        assert f"the key '{key}' is missing or empty" in str(failed.error)
        assert subject.arn in str(failed.error)

    @pytest.mark.parametrize("port", ["nonsense", 0, 70000, 5432.5])
    def test_a_port_that_is_none(self, subject: Rotated, port: Any) -> None:
        edit(subject, port=port)
        fails(subject, errors.SecretMalformed, "the key 'port' is not a port number")

    @pytest.mark.parametrize(
        ("engine", "says"),
        [
            ("mysql", "give it the handler rotators.handlers.mysql.handler"),
            ("aurora-mysql", "give it the handler rotators.handlers.mysql.handler"),
            ("docdb", "give it the handler rotators.handlers.mongo.handler"),
            ("sqlite", "this function's is 'postgres'"),
        ],
    )
    def test_another_engines(self, subject: Rotated, engine: str, says: str) -> None:
        edit(subject, engine=engine)
        fails(subject, errors.EngineMismatch, f"is for the engine '{engine}'", says)

    @pytest.mark.parametrize("engine", ["postgres", "postgresql", "aurora-postgresql", "Aurora-PostgreSQL"])
    def test_our_own_engines_names(self, subject: Rotated, engine: str) -> None:
        edit(subject, engine=engine)
        assert subject.service.rotate(subject.arn).succeeded

    def test_the_pending_version_holds_half_a_credential(self, subject: Rotated) -> None:
        rotation = subject.service.stage(subject.arn)
        subject.service.client.put_secret_value(
            SecretId=subject.arn,
            ClientRequestToken=rotation.token,
            SecretString=json.dumps({"username": subject.application.username}),
            VersionStages=["AWSPENDING"],
        )
        failed = subject.service.retry(subject.arn)
        assert isinstance(failed.error, errors.PendingUnusable)
        assert failed.failed_step == "setSecret"
        assert rotation.token not in subject.service.labels(subject.arn)
        assert subject.service.rotate(subject.arn).succeeded


class TestTheNetwork:
    def test_an_unknown_host(self, subject: Rotated) -> None:
        edit(subject, host="nowhere.invalid")
        fails(subject, errors.Unreachable, "the host name of PostgreSQL at nowhere.invalid", "is unknown (DNS)")

    def test_a_port_where_nobody_listens(self, subject: Rotated) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        edit(subject, port=port, host="127.0.0.1")
        fails(subject, errors.Unreachable, f"PostgreSQL at 127.0.0.1:{port}", "Connection refused")

    def test_no_route(self, subject: Rotated) -> None:
        # No packet is sent: the kernel has no route for a connection to the broadcast address.
        edit(subject, host="255.255.255.255")
        fails(subject, errors.Unreachable, "Network is unreachable", "no route to the database")

    def test_a_host_that_never_answers(self, subject: Rotated, postgres_proxy: PacketProxy) -> None:
        postgres_proxy.blackhole()
        edit(subject, port=postgres_proxy.port, host="127.0.0.1")
        rotation = subject.service.stage(subject.arn)
        subject.rotator._environment._variables["ROTATION_CONNECT_TIMEOUT"] = "2"  # type: ignore[index]
        with pytest.raises(errors.Unreachable, match=r"no answer in time.*security group"):
            subject.rotator(rotation.event("createSecret"), FakeLambdaContext(10))

    def test_the_time_that_lambda_leaves_is_not_overrun(self, subject: Rotated, postgres_proxy: PacketProxy) -> None:
        postgres_proxy.blackhole()
        edit(subject, port=postgres_proxy.port, host="127.0.0.1")
        rotation = subject.service.stage(subject.arn)
        subject.rotator._environment._variables["ROTATION_CONNECT_TIMEOUT"] = "60"  # type: ignore[index]
        context = FakeLambdaContext(4)
        with pytest.raises(errors.Unreachable):
            subject.rotator(rotation.event("createSecret"), context)
        assert context.get_remaining_time_in_millis() > 0

    def test_the_connection_breaks_at_login(self, subject: Rotated, postgres_proxy: PacketProxy) -> None:
        postgres_proxy.cut_before(1, 3)
        edit(subject, port=postgres_proxy.port)
        fails(subject, errors.ConnectionLost, "user 'app")


class TestTls:
    def test_a_server_without_tls_gets_no_password(self, subject: Rotated, postgres_proxy: PacketProxy) -> None:
        postgres_proxy.refuse_tls()
        edit(subject, port=postgres_proxy.port)
        fails(subject, errors.TlsFailed, "server does not support SSL", "nothing is ever sent without it")
        # The request for TLS, and nothing after it.
        assert postgres_proxy.packets == postgres_proxy.connections

    def test_an_authority_that_is_not_ours(self, subject: Rotated, tmp_path: Path) -> None:
        subject.rotator._environment._variables["ROTATION_CA_BUNDLE"] = str(  # type: ignore[index]
            CertificateAuthority(tmp_path, name="another").ca_file
        )
        fails(subject, errors.TlsFailed, "certificate verify failed", "ROTATION_CA_BUNDLE")

    def test_a_file_of_authorities_that_is_not_there(self, subject: Rotated) -> None:
        subject.rotator._environment._variables["ROTATION_CA_BUNDLE"] = "/nowhere/ca.pem"  # type: ignore[index]
        fails(subject, errors.ConfigurationError, "ROTATION_CA_BUNDLE names /nowhere/ca.pem")

    def test_a_certificate_of_another_name(self, subject: Rotated) -> None:
        server = subject.target.server
        with server.presenting("db.internal", "db2.internal"):
            failed = subject.service.rotate(subject.arn)
            assert type(failed.error) is errors.TlsFailed
            assert "not for 'localhost', but for db.internal, db2.internal" in str(failed.error)
            assert "'tlsServerName'" in str(failed.error)
            with pytest.raises(KeyError):
                subject.service.value(subject.arn, "AWSPENDING")

    @pytest.mark.parametrize("where", ["secret", "setting"])
    def test_the_name_to_verify_can_be_given(
        self, postgres: PostgresTarget, rotation_service: RotationService, where: str
    ) -> None:
        extra: dict[str, Any] = (
            {"tlsServerName": "db.internal"} if where == "secret" else {"ROTATION_TLS_SERVER_NAME": "db.internal"}
        )
        subject = rotated(postgres, rotation_service, ALTERNATING, **extra)
        admin = subject.service.value(subject.value["masterarn"])
        admin["tlsServerName"] = "db.internal"
        subject.service.client.put_secret_value(SecretId=subject.value["masterarn"], SecretString=json.dumps(admin))
        with postgres.server.presenting("db.internal"):
            assert subject.service.rotate(subject.arn).error is None
        subject.target.work(subject.value)

    def test_an_expired_certificate(self, subject: Rotated) -> None:
        with subject.target.server.presenting(expired=True):
            failed = subject.service.rotate(subject.arn)
            assert type(failed.error) is errors.TlsFailed
            assert "has expired" in str(failed.error)
            assert "renew it" in str(failed.error)

    def test_a_secret_that_asks_for_plaintext(self, subject: Rotated) -> None:
        edit(subject, ssl=False)
        fails(subject, errors.TlsFailed, "(ssl: false)", "ROTATION_ALLOW_PLAINTEXT=true")

    def test_plaintext_where_secret_and_function_both_want_it(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(postgres, rotation_service, SINGLE, ssl=False, ROTATION_ALLOW_PLAINTEXT="true")
        old = postgres.server.installation.version < 14
        fails(subject, errors.PermissionRefused, "pg_hba.conf", "SSL off" if old else "no encryption")


class TestTheLogin:
    def test_a_wrong_password(self, subject: Rotated) -> None:
        # Else an older version logs in, whose label the edits take.
        subject.target.set_password(subject.application.username, "known-to-nobody")
        edit(subject, password="nor-this-password")
        value = edit(subject, password="not-the-password")
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.LoginRefused
        assert "AWSCURRENT: PostgreSQL at localhost" in str(failed.error)
        assert "AWSPREVIOUS: PostgreSQL at localhost" in str(failed.error)
        assert "password authentication failed" in str(failed.error)
        assert value["password"] not in str(failed.error)

    def test_a_database_that_does_not_exist(self, subject: Rotated) -> None:
        edit(subject, dbname="nowhere")
        fails(subject, errors.ServiceFailed, 'database "nowhere" does not exist', "correct 'dbname'")

    def test_a_database_that_is_closed_is_told_from_a_wrong_password(self, subject: Rotated) -> None:
        closed = f"closed_to_{subject.application.username}"
        subject.target.server.create_database(closed)
        subject.target.as_superuser(f'REVOKE CONNECT ON DATABASE "{closed}" FROM PUBLIC')
        edit(subject, dbname=closed)
        fails(subject, errors.PermissionRefused, f'permission denied for database "{closed}"', "CONNECT")

    @pytest.mark.parametrize("dbname", ["", None])
    def test_no_database_means_postgres(self, subject: Rotated, dbname: str | None) -> None:
        value = {**subject.value, "dbname": dbname}
        subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
        assert subject.service.rotate(subject.arn).succeeded

    def test_a_role_that_may_not_log_in(self, subject: Rotated) -> None:
        role = sql.Identifier(subject.application.username)
        subject.target.as_superuser(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.UserNotRotatable
        assert "is not permitted to log in" in str(failed.error)

    def test_no_connection_left(self, subject: Rotated) -> None:
        role = sql.Identifier(subject.application.username)
        subject.target.as_superuser(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 0").format(role))
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.ServiceFailed
        assert "too many connections for role" in str(failed.error)

    def test_a_password_past_its_date_is_hinted_at(self, subject: Rotated) -> None:
        role = sql.Identifier(subject.application.username)
        subject.target.as_superuser(sql.SQL("ALTER ROLE {} VALID UNTIL '2001-01-01'").format(role))
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.LoginRefused

    def test_an_event_with_a_wrong_password_is_logged_without_it(self, subject: Rotated, log: Any) -> None:
        # Else an older version logs in, whose label the edits take.
        subject.target.set_password(subject.application.username, "known-to-nobody")
        edit(subject, password="nor-this-password")
        edit(subject, password="not-the-password")
        subject.service.rotate(subject.arn)
        assert "password authentication failed" in log.getvalue()
        assert "not-the-password" not in log.getvalue()


class TestReplicas:
    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_reader_is_named_and_the_writer_asked_for(
        self, postgres: PostgresTarget, rotation_service: RotationService, strategy: str
    ) -> None:
        if not postgres.server.installation.has_basebackup:
            pytest.skip(f"{postgres.server.installation} has no pg_basebackup")
        subject = rotated(postgres, rotation_service, strategy)
        with postgres.server.start_standby() as standby:
            standby.catch_up()
            edit(subject, port=standby.port)
            if strategy == ALTERNATING:
                admin = {**postgres.admin_secret(), "port": standby.port}
                arn = subject.value["masterarn"]
                subject.service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(admin))
            fails(subject, errors.ReadOnlyServer, "is a replica of PostgreSQL", "put the writer's endpoint as 'host'")

    def test_a_default_of_read_only_is_only_a_default(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        for strategy in (SINGLE, ALTERNATING):
            subject = rotated(postgres, rotation_service, strategy)
            with postgres.server.read_only():
                assert subject.service.rotate(subject.arn).error is None
            postgres.work(subject.value)


def test_an_rds_proxy_can_not_follow_two_users(postgres: PostgresTarget, rotation_service: RotationService) -> None:
    subject = rotated(postgres, rotation_service, ALTERNATING)
    edit(subject, host="app.proxy-abc123.eu-west-1.rds.amazonaws.com")
    fails(subject, errors.UserPairMismatch, "goes through RDS Proxy", "the database's own endpoint")


class TestTheServersPolicy:
    """passwordcheck, which ships with PostgreSQL, refuses a password that is the user's name."""

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_refused_password_changes_nothing_and_is_let_go(
        self, strict: PostgresTarget, rotation_service: RotationService, strategy: str
    ) -> None:
        subject = rotated(strict, rotation_service, strategy)
        before = subject.value
        username = before["username"] if strategy == SINGLE else f"{before['username']}_clone"
        rotation = subject.service.stage(subject.arn)
        subject.service.client.put_secret_value(
            SecretId=subject.arn,
            ClientRequestToken=rotation.token,
            SecretString=json.dumps({**before, "username": username, "password": username}),
            VersionStages=["AWSPENDING"],
        )
        failed = subject.service.retry(subject.arn)
        assert type(failed.error) is errors.PasswordRefused, failed.error
        assert failed.failed_step == "setSecret"
        assert "PASSWORD_LENGTH" in str(failed.error)
        assert rotation.token not in subject.service.labels(subject.arn)
        assert subject.value == before
        strict.work(before)
        assert subject.service.rotate(subject.arn).error is None
        strict.work(subject.value)


class TestOtherWaysToStoreAPassword:
    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_server_that_keeps_md5_gets_md5(
        self, old: PostgresTarget, rotation_service: RotationService, strategy: str
    ) -> None:
        subject = rotated(old, rotation_service, strategy)
        for _ in range(2):
            mark = old.log_mark()
            assert subject.service.rotate(subject.arn).error is None
            old.work(subject.value)
            assert subject.value["password"] not in old.log_since(mark)
        user = subject.value["username"]
        assert old.as_superuser(f"SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = '{user}'") == [("md5",)]

    def test_a_server_that_asks_for_the_password_in_clear_does_not_get_it(
        self, careless: PostgresTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(careless, rotation_service, SINGLE)
        careless.as_superuser(f'GRANT asks_in_clear TO "{subject.application.username}"')
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.UserNotRotatable
        assert "there is nothing to rotate" in str(failed.error)


class TestRestrictedPasswords:
    def test_the_admin_sets_it_for_a_user_that_may_not(
        self, postgres: PostgresTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """rds.restrict_password_commands is RDS's own: its refusal is played, what follows is real."""

        def refuse(*_: Any) -> None:
            raise errors.PermissionRefused("must be a member of rds_password to alter passwords [42501]")

        monkeypatch.setattr(PostgresSession, "set_own_password", refuse)
        application = postgres.make_application()
        rotator = postgres.rotator(rotation_service, ALLOW_ADMIN_RESET="true", ROTATION_STRATEGY=SINGLE)
        admin = rotation_service.create_secret("the-admin", postgres.admin_secret(), rotator)
        arn = rotation_service.create_secret("the-app", postgres.secret(application, masterarn=admin), rotator)
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
            postgres.work(rotation_service.value(arn))
        assert rotation_service.value(arn)["username"] == application.username

    def test_without_that_permission_it_is_an_error(self, subject: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> None:
            raise errors.PermissionRefused("must be a member of rds_password to alter passwords [42501]")

        monkeypatch.setattr(PostgresSession, "set_own_password", refuse)
        fails(subject, errors.PermissionRefused, "rds_password", step="setSecret")


@pytest.mark.parametrize(
    ("state", "says"), [("VALID UNTIL '2001-02-03'", "has expired (VALID UNTIL 2001-02-03"), ("NOLOGIN", "log in")]
)
def test_the_admin_sets_no_password_that_could_not_log_in(
    postgres: PostgresTarget, rotation_service: RotationService, state: str, says: str
) -> None:
    """Issue 12, B10: what the server can tell beforehand is asked before the staging label moves."""
    admin = rotation_service.create_secret("the-admin", postgres.admin_secret(), postgres.rotator(rotation_service))
    subject = rotated(postgres, rotation_service, SINGLE, masterarn=admin, ALLOW_ADMIN_RESET="true")
    before = subject.value
    role = sql.Identifier(subject.application.username)
    postgres.as_superuser(sql.SQL("ALTER ROLE {} " + state).format(role))
    failed = rotation_service.rotate(subject.arn)
    assert failed.failed_step == "createSecret"
    assert says in str(failed.error)
    assert subject.value == before
    postgres.as_superuser(sql.SQL("ALTER ROLE {} LOGIN VALID UNTIL 'infinity'").format(role))
    assert rotation_service.retry(subject.arn).error is None
    postgres.work(subject.value)


@pytest.mark.parametrize("setting", ["statement_timeout", "transaction_timeout"])
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_time_outs_of_the_users_own_are_not_ours(
    postgres: PostgresTarget, rotation_service: RotationService, strategy: str, setting: str
) -> None:
    """Issue 12, D19: a role whose statements may take a millisecond is rotated all the same."""
    if setting == "transaction_timeout" and postgres.server.installation.version < 17:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    subject = rotated(postgres, rotation_service, strategy)
    name = sql.Identifier(subject.application.username)
    postgres.as_superuser(sql.SQL(f"ALTER ROLE {{}} SET {setting} = '1ms'").format(name))
    for _ in range(2):
        assert subject.service.rotate(subject.arn).error is None
        postgres.log_in(subject.value)


def test_a_role_that_rds_keeps_from_setting_passwords_is_found_before_anything_is_stored(
    postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    """Issue 12, C17: rds.restrict_password_commands lets only the members of rds_password set a password."""
    subject = rotated(postgres, rotation_service, SINGLE)
    name = sql.Identifier(subject.application.username)
    postgres.as_superuser(sql.SQL("ALTER ROLE {} SET rds.restrict_password_commands = 'on'").format(name))
    fails(subject, errors.PermissionRefused, "run: GRANT rds_password TO", "may not change its own password")
    postgres.as_superuser(sql.SQL("GRANT rds_password TO {}").format(name))
    assert subject.service.retry(subject.arn).error is None
