"""What goes wrong between function and MySQL or MariaDB: each its own error, and nothing changed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE, MysqlTarget, Rotated, rotated

from rotators import errors
from rotators.database import DatabaseRotator
from rotators.engines.mysql import MysqlEngine
from rotators.engines.mysql.accounts import native_hash
from rotators.environment import Environment
from rotators.testing import Application, FakeLambdaContext, RotationService
from rotators.testing.proxy import PacketProxy
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.versions import SecretVersions


@pytest.fixture
def subject(mysql_family: MysqlTarget, rotation_service: RotationService) -> Rotated:
    return rotated(mysql_family, rotation_service, SINGLE)


@pytest.fixture
def proxy(mysql_family: MysqlTarget) -> Iterator[PacketProxy]:
    with PacketProxy(mysql_family.server.host, mysql_family.server.port) as proxy:
        yield proxy


def edit(subject: Rotated, **changes: Any) -> None:
    value = {key: text for key, text in {**subject.value, **changes}.items() if text is not None}
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))


def setting(subject: Rotated, **variables: str) -> None:
    subject.rotator._environment._variables.update(variables)  # type: ignore[attr-defined]


def fails(subject: Rotated, error: type[Exception], *says: str) -> None:
    before = subject.value
    failed = subject.service.rotate(subject.arn)
    assert type(failed.error) is error, failed.error
    for text in says:
        assert text in str(failed.error)
    assert before["password"] not in str(failed.error)
    assert subject.value == before
    with pytest.raises(KeyError):
        subject.service.value(subject.arn, "AWSPENDING")
    subject.target.work(subject.target.secret(subject.application))


def test_an_unknown_host(subject: Rotated) -> None:
    edit(subject, host="nowhere.invalid")
    fails(subject, errors.Unreachable, "is unknown (DNS)")


def test_a_port_where_nobody_listens(subject: Rotated) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    edit(subject, host="127.0.0.1", port=port)
    fails(subject, errors.Unreachable, f"127.0.0.1:{port}", "Connection refused")


def test_no_route(subject: Rotated) -> None:
    edit(subject, host="255.255.255.255")
    fails(subject, errors.Unreachable, "Network is unreachable", "no route to the database")


def test_a_server_that_never_answers(subject: Rotated, proxy: PacketProxy) -> None:
    proxy.blackhole()
    edit(subject, port=proxy.port)
    setting(subject, ROTATION_CONNECT_TIMEOUT="60")
    rotation = subject.service.stage(subject.arn)
    context = FakeLambdaContext(5)
    with pytest.raises((errors.Unreachable, errors.ConnectionLost)):
        subject.rotator(rotation.event("createSecret"), context)
    assert context.get_remaining_time_in_millis() > 0


def test_a_wrong_password(subject: Rotated) -> None:
    edit(subject, password="nor-this-password")
    edit(subject, password="not-the-password")
    fails(subject, errors.LoginRefused, "AWSCURRENT: the server at localhost", "Access denied for user", "AWSPREVIOUS")


@pytest.mark.parametrize("requires", ["X509", "SUBJECT '/CN=app'", "ISSUER '/CN=ca'"])
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_an_account_that_needs_a_certificate_of_its_own_is_told(
    mysql_family: MysqlTarget, rotation_service: RotationService, requires: str, strategy: str
) -> None:
    """Issue 12, D19: the server answers as to a wrong password, so the error has both."""
    subject = rotated(mysql_family, rotation_service, strategy)
    account = f"{mysql_family.text(subject.application.username)}@'%'"
    mysql_family.server.query(f"ALTER USER {account} REQUIRE {requires}")
    failed = rotation_service.rotate(subject.arn)
    assert type(failed.error) is errors.LoginRefused
    assert failed.failed_step == "createSecret"
    assert "that it needs no certificate (REQUIRE X509)" in str(failed.error)
    mysql_family.server.query(f"ALTER USER {account} REQUIRE NONE")
    assert rotation_service.rotate(subject.arn).error is None


def test_a_database_that_is_not_there(subject: Rotated) -> None:
    edit(subject, dbname="nowhere")
    failed = subject.service.rotate(subject.arn)
    assert type(failed.error) in {errors.PermissionRefused, errors.ServiceFailed}
    assert "'dbname'" in str(failed.error)


def test_an_authority_that_is_not_ours(subject: Rotated, tmp_path: Path) -> None:
    setting(subject, ROTATION_CA_BUNDLE=str(CertificateAuthority(tmp_path, name="another").ca_file))
    fails(subject, errors.TlsFailed, "certificate verify failed", "ROTATION_CA_BUNDLE")


def test_a_certificate_of_another_name(subject: Rotated) -> None:
    setting(subject, ROTATION_TLS_SERVER_NAME="db.internal")
    fails(subject, errors.TlsFailed, "not for 'db.internal', but for localhost, 127.0.0.1", "'tlsServerName'")


def test_the_name_to_verify_can_be_given(subject: Rotated) -> None:
    edit(subject, host="127.0.0.1", tlsServerName="localhost")
    assert subject.service.rotate(subject.arn).error is None


def test_plaintext_is_refused_and_the_secret_may_not_ask_for_it(subject: Rotated) -> None:
    edit(subject, ssl=False)
    fails(subject, errors.TlsFailed, "(ssl: false)")


def test_a_server_without_tls_gets_no_user_and_no_password(subject: Rotated) -> None:
    """A server that greets without offering TLS: all that it hears is kept."""
    greeting = (
        b"\x0a5.7.0\0" + bytes(4) + b"12345678\0" + b"\xff\xf7" + b"\x21\x02\x00" + b"\x00\x80" + b"\x15" + bytes(10)
    )
    greeting += b"123456789012\0mysql_native_password\0"
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
            heard.append(connection.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        edit(subject, host="127.0.0.1", port=listener.getsockname()[1])
        failed = subject.service.rotate(subject.arn)
        server.join()
    assert type(failed.error) is errors.TlsFailed
    assert "nothing is ever sent without it" in str(failed.error)
    assert heard == [b""]


def test_a_reader_is_named_and_the_writer_asked_for(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    for strategy in (SINGLE, ALTERNATING, DUAL):
        subject = rotated(mysql_family, rotation_service, strategy)
        mysql_family.server.query("SET GLOBAL read_only = ON")
        try:
            failed = subject.service.rotate(subject.arn)
        finally:
            mysql_family.server.query("SET GLOBAL read_only = OFF")
        assert type(failed.error) is errors.ReadOnlyServer
        assert "put the writer's endpoint as 'host'" in str(failed.error)


def test_an_admin_that_may_not_change_users(mysql_family: MysqlTarget, rotation_service: RotationService) -> None:
    admin = mysql_family.make_application()
    mysql_family.server.query(f"GRANT SELECT ON mysql.* TO {mysql_family.text(admin.username)}@'%'")
    for strategy in (ALTERNATING, DUAL):
        subject = rotated(mysql_family, rotation_service, strategy)
        arn = subject.value["masterarn"]
        value = json.dumps(mysql_family.secret(admin))
        rotation_service.client.put_secret_value(SecretId=arn, SecretString=value)
        fails(subject, errors.PermissionRefused, f"GRANT CREATE USER ON *.* TO '{admin.username}'@'%'")


def test_a_user_that_is_rotated_alone_is_told_what_would_spare_it_the_gap(
    mysql_family: MysqlTarget, rotation_service: RotationService, log: Any
) -> None:
    subject = rotated(mysql_family, rotation_service, SINGLE, ROTATION_STRATEGY="auto")
    assert subject.service.rotate(subject.arn).error is None
    hints = [json.loads(line) for line in log.getvalue().splitlines() if "with one password" in line]
    assert len(hints) == 1
    wanted = "APPLICATION_PASSWORD_ADMIN" if mysql_family.kind == "mysql" else "ROTATION_STRATEGY=dual-password"
    assert wanted in hints[0]["hint"]
    mysql_family.work(subject.value)


def test_mysql_adds_a_password_by_itself_where_it_may(
    mysql_family: MysqlTarget, rotation_service: RotationService
) -> None:
    if mysql_family.kind == "mariadb":
        pytest.skip("a MariaDB user may not give itself a second password")
    subject = rotated(mysql_family, rotation_service, SINGLE, ROTATION_STRATEGY="auto")
    name = mysql_family.text(subject.application.username)
    mysql_family.server.query(f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {name}@'%'")
    for _ in range(3):
        before = subject.value
        mark = mysql_family.log_mark()
        rotation = subject.service.stage(subject.arn)
        for step in ("createSecret", "setSecret", "setSecret", "testSecret"):
            subject.service.invoke(rotation, step)
            mysql_family.log_in(before)
        assert subject.service.retry(subject.arn).succeeded
        assert subject.logs_in("AWSPREVIOUS")
        assert mysql_family.failed_logins(mysql_family.log_since(mark)) == 0
        mysql_family.work(subject.value)


@pytest.mark.parametrize("strategy", [DUAL, ALTERNATING])
def test_an_application_that_keeps_its_secret_is_never_refused(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
) -> None:
    subject = rotated(mysql_family, rotation_service, strategy)
    client = rotation_service.client
    # It keeps what it read for as long as one rotation takes, and reads again before the next.
    with Application(client, subject.arn, mysql_family.log_in, mysql_family.refusals, cache_seconds=0.3) as application:
        for _ in range(3):
            assert rotation_service.rotate(subject.arn).error is None
            application.wait_for_reads(1)
    assert application.count.refused == 0
    assert application.count.total > 10


@pytest.mark.parametrize("strategy", [SINGLE, DUAL, ALTERNATING])
def test_a_password_that_mysqls_policy_refuses_changes_nothing_and_is_let_go(
    mysql_family: MysqlTarget, rotation_service: RotationService, strategy: str
) -> None:
    if mysql_family.kind == "mariadb":
        pytest.skip("MariaDB sees hashes only, and can't judge them")
    subject = rotated(mysql_family, rotation_service, strategy)
    before = subject.value
    username = before["username"] + ("_clone" if strategy == ALTERNATING else "")
    mysql_family.server.query("INSTALL COMPONENT 'file://component_validate_password'")
    try:
        rotation = subject.service.stage(subject.arn)
        subject.service.client.put_secret_value(
            SecretId=subject.arn,
            ClientRequestToken=rotation.token,
            SecretString=json.dumps({**before, "username": username, "password": "too-simple"}),
            VersionStages=["AWSPENDING"],
        )
        failed = subject.service.retry(subject.arn)
        assert type(failed.error) is errors.PasswordRefused, failed.error
        assert failed.failed_step == "setSecret"
        assert rotation.token not in subject.service.labels(subject.arn)
        assert subject.value == before
        mysql_family.work(before)
        assert subject.service.rotate(subject.arn).error is None
        mysql_family.work(subject.value)
    finally:
        mysql_family.server.query("UNINSTALL COMPONENT 'file://component_validate_password'")


class TestMariadb:
    @pytest.fixture
    def mariadb(self, mysql_family: MysqlTarget) -> MysqlTarget:
        if mysql_family.kind != "mariadb":
            pytest.skip("this is MariaDB's")
        return mysql_family

    def test_set_password_leaves_no_third_password_alive(
        self, mariadb: MysqlTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(mariadb, rotation_service, DUAL)
        assert subject.service.rotate(subject.arn).error is None
        setting(subject, ROTATION_STRATEGY=SINGLE)
        failed = subject.service.rotate(subject.arn)
        assert type(failed.error) is errors.UserNotRotatable
        assert "has two passwords" in str(failed.error)

    def test_a_method_that_it_can_not_set_is_refused(
        self, mariadb: MysqlTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(mariadb, rotation_service, ALTERNATING)
        name = mariadb.text(subject.application.username)
        stored = native_hash(subject.application.password)
        mariadb.server.query(
            f"ALTER USER {name}@'%' IDENTIFIED VIA mysql_native_password USING '{stored}' OR unix_socket"
        )
        fails(subject, errors.UserNotRotatable, "logs in by the plugin unix_socket")

    def test_a_server_that_takes_no_hashes_says_which_setting_to_change(
        self, mariadb: MysqlTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(mariadb, rotation_service, SINGLE)
        mariadb.server.query("INSTALL SONAME 'simple_password_check'")
        try:
            failed = subject.service.rotate(subject.arn)
            assert type(failed.error) is errors.PermissionRefused
            assert "strict_password_validation=OFF" in str(failed.error)
            mariadb.server.query("SET GLOBAL strict_password_validation = OFF")
            assert subject.service.retry(subject.arn).error is None
            mariadb.work(subject.value)
        finally:
            mariadb.server.query("SET GLOBAL strict_password_validation = ON")
            mariadb.server.query("UNINSTALL SONAME 'simple_password_check'")

    def test_ed25519_is_refused_with_the_reason(self, mariadb: MysqlTarget, rotation_service: RotationService) -> None:
        subject = rotated(mariadb, rotation_service, ALTERNATING)
        name = mariadb.text(subject.application.username)
        mariadb.server.query("INSTALL SONAME 'auth_ed25519'")
        try:
            # As the password of a user of its own: MariaDB logs it.
            mariadb.server.query(f"ALTER USER {name}@'%' IDENTIFIED VIA ed25519 USING PASSWORD('of-no-other-user')")
            edit(subject, password="of-no-other-user")
            failed = subject.service.rotate(subject.arn)
            assert type(failed.error) is errors.UserNotRotatable
            assert "ed25519" in str(failed.error)
        finally:
            mariadb.server.query(f"DROP USER {name}@'%'")
            mariadb.server.query("UNINSTALL SONAME 'auth_ed25519'")

    def test_one_behind_a_secret_that_says_mysql_is_served_as_what_it_is(
        self, mariadb: MysqlTarget, rotation_service: RotationService
    ) -> None:
        variables = {"ROTATION_CA_BUNDLE": str(mariadb.server.ca_file)}
        rotator = DatabaseRotator(MysqlEngine(), SecretVersions(rotation_service.client), Environment(variables))
        secret = mariadb.secret(mariadb.make_application(), engine="aurora")
        arn = rotation_service.create_secret("says-mysql", secret, rotator)
        assert rotation_service.rotate(arn).error is None
        mariadb.work(rotation_service.value(arn))


@pytest.mark.parametrize("history", [0, 5])
def test_a_label_that_was_moved_back_by_hand_is_no_dead_end(
    mysql_family: MysqlTarget, rotation_service: RotationService, history: int
) -> None:
    """Issue 12, B7: REPLACE takes the first of two passwords only, and AWSCURRENT is the second one then."""
    if mysql_family.kind == "mariadb":
        pytest.skip("a user of MariaDB can't give itself a second password")
    subject = rotated(mysql_family, rotation_service, DUAL, masterarn=None)
    name = mysql_family.text(subject.application.username)
    mysql_family.server.query(f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {name}@'%'")
    mysql_family.server.query(f"ALTER USER {name}@'%' PASSWORD HISTORY {history}")
    for _ in range(2):
        assert rotation_service.rotate(subject.arn).error is None
    labels = {stage: version for version, stages in rotation_service.labels(subject.arn).items() for stage in stages}
    rotation_service.client.update_secret_version_stage(
        SecretId=subject.arn,
        VersionStage="AWSCURRENT",
        MoveToVersionId=labels["AWSPREVIOUS"],
        RemoveFromVersionId=labels["AWSCURRENT"],
    )
    mysql_family.log_in(subject.value)
    for _ in range(3):
        assert rotation_service.rotate(subject.arn).error is None
        mysql_family.work(subject.value)
