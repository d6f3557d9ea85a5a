"""What is Oracle's own: driver and TLS over the wire as far as there is a server; clones and statements on a double."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import oracledb
import pytest
from beliefs.base import sent_to
from beliefs.oracle import BELIEFS
from doubles.grammar import require_parsed
from doubles.oracle import Profile, User, failure
from hypothesis import given
from hypothesis import strategies as st
from targets import ALTERNATING, DUAL, SINGLE, OracleDouble, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.oracle import OracleEngine
from rotators.engines.oracle import quoting as names
from rotators.engines.oracle.clone import statements, trigger_of
from rotators.engines.oracle.session import OracleSession
from rotators.engines.rights import Right
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.testing import RotationService
from rotators.testing.servers.certificates import CertificateAuthority

NAMES = ("localhost", "db.example")


def dial(port: int, change: dict[str, Any] | None = None, **options: Any) -> OracleSession:
    value = {
        "host": "localhost",
        "port": port,
        "username": "app",
        "password": "p@ss/word-of-the-wire",
        "dbname": "ORCLPDB",
        **(change or {}),
    }
    return OracleEngine().connect(Credentials(value), ConnectOptions(**{"timeout": 1.0, **options}))


class TestOverTheWire:
    """The real driver, without Oracle at the other end: none of these gets as far as a login."""

    def test_the_certificate_and_the_name_are_verified_and_then_the_driver_speaks(
        self, listen: Any, authority: CertificateAuthority
    ) -> None:
        for name in (None, "db.example"):
            listener = listen(*NAMES)
            with pytest.raises(ConnectionLost):
                dial(listener.port, ca_file=str(authority.ca_file), server_name=name)
            assert b"p@ss" not in listener.heard
            assert listener.heard

    def test_another_name_is_refused_before_anything_is_said(
        self, listen: Any, authority: CertificateAuthority
    ) -> None:
        """The driver itself switches that check off."""
        listener = listen(*NAMES)
        with pytest.raises(TlsFailed, match=r"is not for 'other\.example', but for localhost, db\.example"):
            dial(listener.port, ca_file=str(authority.ca_file), server_name="other.example")
        assert not listener.heard

    def test_another_ca_is_refused(self, listen: Any, tmp_path: Path) -> None:
        listener = listen(*NAMES)
        with pytest.raises(TlsFailed, match="put the CA that signed"):
            dial(listener.port, ca_file=str(CertificateAuthority(tmp_path, "another CA").ca_file))
        assert not listener.heard

    def test_a_port_without_tls_is_refused(self, listen: Any, authority: CertificateAuthority) -> None:
        listener = listen()
        with pytest.raises(TlsFailed, match="name the port of TCPS"):
            dial(listener.port, ca_file=str(authority.ca_file))
        assert b"DESCRIPTION" not in listener.heard

    @pytest.mark.parametrize("secure", [True, False])
    def test_a_server_that_stays_silent(self, listen: Any, authority: CertificateAuthority, *, secure: bool) -> None:
        listener = listen(*(NAMES if secure else ()), hangs_up=False)
        with pytest.raises(Unreachable, match="no answer in time"):
            dial(listener.port, ca_file=str(authority.ca_file))

    @pytest.mark.parametrize(
        ("change", "kind", "said"),
        [
            ({"port": 1}, Unreachable, "Connection refused. check host and port"),
            ({"host": "nowhere.invalid"}, Unreachable, r"unknown \(DNS\)"),
            ({"dbname": None}, ServiceFailed, "there is no service ''"),
            ({"dbname": "X)(ADDRESS=(HOST=evil"}, ServiceFailed, "there is no service"),
            ({"username": 'a"b'}, LoginRefused, "there can be no user of that name"),
        ],
    )
    def test_each_way_to_fail_has_its_name(
        self, authority: CertificateAuthority, change: dict[str, Any], kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as failed:
            dial(1, change, ca_file=str(authority.ca_file))
        assert "p@ss" not in str(failed.value)

    def test_without_ca_certificates_nothing_is_sent(self, listen: Any) -> None:
        listener = listen()
        with pytest.raises(ConfigurationError, match="no CA certificates"):
            dial(listener.port)
        with pytest.raises(ConnectionLost):
            dial(listener.port, plaintext=True)
        assert b"p@ss" not in listener.heard


def connect(target: OracleDouble, change: dict[str, Any] | None = None) -> OracleSession:
    value = {**target.admin_secret(), **(change or {})}
    return OracleEngine().connect(Credentials(value), ConnectOptions(timeout=2.0, ca_file=target.address.ca_file))


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "kind", "said"),
        [
            ({"password": "wrong"}, LoginRefused, "ORA-01017: .*check the password"),
            ({"username": '"admin"'}, LoginRefused, "not all in upper case is written in quotes"),
            ({"dbname": "NONE"}, ServiceFailed, "DPY-6003: .*service name, or its SID"),
        ],
    )
    def test_a_login_that_fails(
        self, oracle: OracleDouble, change: dict[str, Any], kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as failed:
            connect(oracle, change)
        assert oracle.admin_password not in str(failed.value)

    def test_a_sid_will_do_for_a_service_name(self, oracle: OracleDouble) -> None:
        before = len(oracle.database.refused)
        connect(oracle, {"dbname": "ORCL"}).close()
        assert len(oracle.database.refused) == before

    @pytest.mark.parametrize(
        ("status", "kind", "said"),
        [
            ("LOCKED", LoginRefused, "ACCOUNT UNLOCK"),
            ("EXPIRED", LoginRefused, "ALLOW_ADMIN_RESET=true"),
        ],
    )
    def test_an_account_that_may_not(self, oracle: OracleDouble, status: str, kind: type[Exception], said: str) -> None:
        application = oracle.make_application()
        oracle.database.users[oracle.folded(application.username)].status = status
        with pytest.raises(kind, match=said):
            connect(oracle, oracle.secret(application))

    def test_an_account_in_its_grace_is_repaired(self, oracle: OracleDouble, rotation_service: RotationService) -> None:
        subject = rotated(oracle, rotation_service, SINGLE)
        user = oracle.database.users[oracle.folded(subject.application.username)]
        user.status = "EXPIRED(GRACE)"
        assert rotation_service.rotate(subject.arn).error is None
        assert user.status == "OPEN"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"common": True}, "common to all pluggable databases"),
            ({"maintained": True}, "Oracle's own"),
            ({"authentication": "EXTERNAL"}, "logs in by EXTERNAL"),
        ],
    )
    def test_who_has_no_password_here_is_refused(
        self, oracle: OracleDouble, rotation_service: RotationService, change: dict[str, Any], said: str
    ) -> None:
        subject = rotated(oracle, rotation_service, SINGLE)
        for key, value in change.items():
            setattr(oracle.database.users[oracle.folded(subject.application.username)], key, value)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert said in str(failed.error)

    def test_a_standby_is_refused(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(oracle, rotation_service, SINGLE)
        monkeypatch.setattr(oracle.database, "role", "PHYSICAL STANDBY")
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ReadOnlyServer)

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
    def test_a_password_that_the_profile_refuses_is_let_go(
        self,
        oracle: OracleDouble,
        rotation_service: RotationService,
        monkeypatch: pytest.MonkeyPatch,
        strategy: str,
    ) -> None:
        subject = rotated(oracle, rotation_service, strategy)
        assert rotation_service.rotate(subject.arn).succeeded
        assert rotation_service.rotate(subject.arn).succeeded
        first = subject.value
        monkeypatch.setitem(oracle.database.profiles, "APPS", Profile("60", verify=lambda _: False))
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PasswordRefused)
        assert "ORA-28003" in str(failed.error)
        assert subject.value == first
        oracle.work(first)
        monkeypatch.setitem(oracle.database.profiles, "APPS", Profile("60"))
        assert rotation_service.rotate(subject.arn).succeeded
        oracle.work(subject.value)

    @pytest.mark.parametrize(("strategy", "says"), [(SINGLE, "locks"), (DUAL, "FAILED_LOGIN_ATTEMPTS 2, or more")])
    def test_a_profile_that_locks_after_one_wrong_password_is_refused(
        self,
        oracle: OracleDouble,
        rotation_service: RotationService,
        monkeypatch: pytest.MonkeyPatch,
        strategy: str,
        says: str,
    ) -> None:
        """Issue 12, A4: no probe may use up the last try."""
        subject = rotated(oracle, rotation_service, strategy)
        monkeypatch.setitem(oracle.database.profiles, "APPS", Profile("60", "1"))
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert failed.failed_step == "createSecret"
        assert says.replace("locks", "one wrong password blocks") in str(failed.error)
        oracle.work(subject.value)

    @pytest.mark.parametrize("strategy", [SINGLE, DUAL, ALTERNATING])
    def test_a_wrong_password_is_not_tried_until_it_locks_the_user(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, strategy: str
    ) -> None:
        """Issue 12, A4: ten wrong ones in a row lock, by default, and the service repeats a rotation five times."""
        subject = rotated(oracle, rotation_service, strategy)
        monkeypatch.setitem(oracle.database.profiles, "APPS", Profile("60", "3"))
        for password in ("a-wrong-one", "another-wrong-one"):
            value = json.dumps({**subject.value, "password": password})
            rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=value)
        failed = rotation_service.rotate(subject.arn)
        assert "this rotation is not retried" in str(failed.error)
        for _ in range(4):
            rotation_service.retry(subject.arn)
        oracle.work(oracle.secret(subject.application))

    def test_a_limit_of_reuse_does_not_stop_a_step_that_is_repeated(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(oracle, rotation_service, ALTERNATING)
        monkeypatch.setitem(oracle.database.profiles, "APPS", Profile("60", reuse=False))
        rotation = rotation_service.stage(subject.arn)
        for step in ("createSecret", "setSecret", "setSecret"):
            rotation_service.invoke(rotation, step)
        assert rotation_service.retry(subject.arn).succeeded

    def test_an_admin_without_a_privilege_is_told_the_grant(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(oracle, rotation_service, ALTERNATING)
        monkeypatch.delitem(oracle.database.roles["LESSER_DBA"].system, "CREATE ANY TRIGGER")
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert 'GRANT CREATE ANY TRIGGER TO "ADMIN"' in str(failed.error)
        assert failed.failed_step == "createSecret"

    @pytest.mark.parametrize("how", ["itself", "by a role", "any"])
    def test_what_the_admin_may_pass_on_is_asked_right_by_right(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """Issue 13, B2: RDS's admin has neither GRANT ANY PRIVILEGE nor GRANT ANY ROLE, and all the rest of DBA."""
        subject = rotated(oracle, rotation_service, ALTERNATING)
        user = oracle.database.users[oracle.folded(subject.application.username)]
        admin, role = oracle.database.users["ADMIN"], oracle.database.roles["LESSER_DBA"]
        monkeypatch.setitem(oracle.database.roles, "SALES", User())
        user.system["CREATE JOB"], user.roles["SALES"] = False, False
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert failed.failed_step == "createSecret"
        for statement in (
            'GRANT CREATE JOB TO "ADMIN" WITH ADMIN OPTION',
            'GRANT "SALES" TO "ADMIN" WITH ADMIN OPTION',
        ):
            assert statement in str(failed.error)
        assert "GRANT ANY PRIVILEGE, GRANT ANY ROLE" in str(failed.error)
        assert "CREATE SESSION" not in str(failed.error)
        if how == "any":
            given = dict.fromkeys(("GRANT ANY PRIVILEGE", "GRANT ANY ROLE"), False)
            monkeypatch.setattr(admin, "system", admin.system | given)
        else:
            holder = admin if how == "itself" else role
            monkeypatch.setattr(holder, "system", {**holder.system, "CREATE JOB": True})
            monkeypatch.setattr(holder, "roles", {**holder.roles, "SALES": True})
        assert rotation_service.retry(subject.arn).error is None
        oracle.work(subject.value)

    def test_on_rds_the_refusal_says_what_can_be_done_there(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Issue 13, B2."""
        subject = rotated(oracle, rotation_service, ALTERNATING)
        monkeypatch.setattr(oracle.database, "rds", True)
        oracle.database.users[oracle.folded(subject.application.username)].system["CREATE JOB"] = False
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "rdsadmin.rdsadmin_util.grant_sys_object" in str(failed.error)
        assert "GRANT ANY PRIVILEGE" not in str(failed.error)

    def test_an_admin_who_does_not_see_the_catalogue_is_told_the_role(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(oracle, rotation_service, ALTERNATING)
        monkeypatch.setattr(oracle.database.roles["LESSER_DBA"], "roles", {})
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert 'GRANT SELECT_CATALOG_ROLE TO "ADMIN"' in str(failed.error)

    def test_every_result_of_a_test_query_is_read(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        """Issue 13, B3: a block's result sets come by and by, and so do their errors."""
        subject = rotated(oracle, rotation_service, SINGLE, ROTATION_TEST_QUERY="BEGIN gives_back; END;")
        failed = rotation_service.rotate(subject.arn)
        assert failed.failed_step == "testSecret"
        assert "ROTATION_TEST_QUERY failed as" in str(failed.error)

    def test_a_lost_connection_is_told(self, oracle: OracleDouble, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect(oracle) as session:
            session._connection._driver._session = None  # type: ignore[union-attr]
            with pytest.raises(ConnectionLost):
                session.verify(None)
        monkeypatch.setattr("doubles.oracle.Session._one", lambda _: (_ for _ in ()).throw(failure(60, "deadlock")))
        with connect(oracle) as session, pytest.raises(ServiceFailed, match="ORA-00060"):
            session.verify(None)


class TestTwoPasswords:
    def test_a_profile_without_rollover_is_told_in_the_log_and_rotated_with_one(
        self, oracle: OracleDouble, rotation_service: RotationService, log: Any
    ) -> None:
        application = oracle.make_application()
        oracle.database.users[oracle.folded(application.username)].profile = "DEFAULT"
        subject = rotated(oracle, rotation_service, SINGLE, application=application, ROTATION_STRATEGY="auto")
        assert rotation_service.rotate(subject.arn).error is None
        assert "PASSWORD_ROLLOVER_TIME" in log.getvalue()
        assert not subject.logs_in("AWSPREVIOUS")

    def test_asked_for_by_name_it_is_an_error_with_the_statement(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        application = oracle.make_application()
        oracle.database.users[oracle.folded(application.username)].profile = "DEFAULT"
        subject = rotated(oracle, rotation_service, DUAL, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert 'ALTER PROFILE "DEFAULT" LIMIT PASSWORD_ROLLOVER_TIME 1' in str(failed.error)
        oracle.work(subject.value)

    def test_a_user_keeps_its_own_and_never_three(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        subject = rotated(oracle, rotation_service, SINGLE, ROTATION_STRATEGY="auto")
        seen = [subject.value]
        for _ in range(4):
            assert rotation_service.rotate(subject.arn).error is None
            seen.append(subject.value)
            working = []
            for value in seen:
                try:
                    oracle.log_in(value)
                except oracle.refusals:
                    continue
                working.append(value)
            assert working == seen[-2:]

    def test_a_step_that_is_repeated_ends_no_password_that_is_needed(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        subject = rotated(oracle, rotation_service, SINGLE, ROTATION_STRATEGY="auto")
        rotation_service.rotate(subject.arn)
        rotation = rotation_service.stage(subject.arn)
        for step in ("createSecret", "setSecret", "setSecret", "setSecret"):
            rotation_service.invoke(rotation, step)
            assert subject.logs_in("AWSCURRENT")
        assert subject.logs_in("AWSPENDING")
        assert rotation_service.retry(subject.arn).succeeded

    @pytest.mark.parametrize("by", ["auto", DUAL])
    def test_what_a_rotation_that_was_given_up_has_added_ends_and_not_the_present_one(
        self, oracle: OracleDouble, rotation_service: RotationService, by: str
    ) -> None:
        """Chaos, dual-password, seed 186: one was cancelled after its setSecret, and another one begun."""
        subject = rotated(oracle, rotation_service, DUAL if by == DUAL else SINGLE, ROTATION_STRATEGY=by)
        rotation_service.rotate(subject.arn)
        given_up = rotation_service.stage(subject.arn)
        for step in ("createSecret", "setSecret"):
            rotation_service.invoke(given_up, step)
        client = rotation_service.client
        client.cancel_rotate_secret(SecretId=subject.arn)
        client.update_secret_version_stage(
            SecretId=subject.arn, VersionStage="AWSPENDING", RemoveFromVersionId=given_up.token
        )
        rotation = rotation_service.stage(subject.arn)
        for step in ("createSecret", "setSecret", "setSecret", "testSecret"):
            rotation_service.invoke(rotation, step)
            assert subject.logs_in("AWSCURRENT"), step
        rotation_service.invoke(rotation, "finishSecret")
        assert subject.logs_in("AWSCURRENT")
        assert subject.logs_in("AWSPREVIOUS")

    def test_single_user_and_alternating_users_leave_one(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        for strategy in (SINGLE, ALTERNATING):
            subject = rotated(oracle, rotation_service, strategy)
            for _ in range(2):
                assert rotation_service.rotate(subject.arn).error is None
                folded = names.fold(subject.value["username"])
                assert oracle.database.users[folded].old is None


class Pair:
    """An application and what the clone has, in the double's catalogue."""

    def __init__(self, target: OracleDouble, service: RotationService, username: str | None = None) -> None:
        self.target = target
        application = target.make_application(username)
        self.subject = rotated(target, service, ALTERNATING, application=application)
        self.database = target.database
        self.user = self.database.users[names.fold(application.username)]
        self.rotate()
        self.clone_name = f"{names.fold(application.username)}_CLONE"
        self.clone = self.database.users[self.clone_name]

    def rotate(self) -> None:
        for _ in range(2):
            assert self.subject.service.rotate(self.subject.arn).error is None
            self.target.work(self.subject.value)


@pytest.fixture
def pair(oracle: OracleDouble, rotation_service: RotationService) -> Pair:
    """A pair that has rotated."""
    return Pair(oracle, rotation_service)


class TestClone:
    def test_profile_tablespaces_and_quotas(self, pair: Pair) -> None:
        pair.user.tablespace, pair.user.temporary, pair.user.profile = "DATA TS", "TEMP2", "DEFAULT"
        pair.user.quotas = {"USERS": -1, "DATA TS": 1 << 20}
        pair.rotate()
        assert (pair.clone.tablespace, pair.clone.temporary, pair.clone.profile) == ("DATA TS", "TEMP2", "DEFAULT")
        assert pair.clone.quotas == pair.user.quotas
        pair.user.quotas = {"USERS": 5}
        pair.rotate()
        assert pair.clone.quotas == {"USERS": 5}

    def test_roles_default_and_not_with_their_option(self, pair: Pair) -> None:
        # Anyone who makes a role has it with its option.
        pair.database.users["ADMIN"].roles |= dict.fromkeys(("READER", "WRITER", "Mixed Case"), True)
        pair.user.roles = {"READER": False, "Mixed Case": True, "WRITER": False}
        pair.user.default_roles = {"READER"}
        pair.rotate()
        assert (pair.clone.roles, pair.clone.default_roles) == (pair.user.roles, {"READER"})
        pair.user.roles, pair.user.default_roles = {"READER": True, "Mixed Case": False}, {"READER", "Mixed Case"}
        pair.rotate()
        assert (pair.clone.roles, pair.clone.default_roles) == (pair.user.roles, pair.user.default_roles)
        pair.user.default_roles = set()
        pair.rotate()
        assert pair.clone.default_roles == set()

    def test_system_and_object_and_column_grants_come_change_and_go(self, pair: Pair) -> None:
        pair.database.objects["SYS", "DATA_DIR"] = "DIRECTORY"
        states: list[tuple[dict[Any, bool], dict[Any, bool], dict[Any, bool]]] = [
            (
                {"CREATE VIEW": True},
                {("DATA", "Orders", "UPDATE"): True, ("SYS", "DATA_DIR", "READ"): False},
                {("DATA", "Orders", "PRICE", "INSERT"): False, ("DATA", "Orders", "NAME", "INSERT"): False},
            ),
            (
                {"CREATE VIEW": False},
                {("DATA", "Orders", "UPDATE"): False, ("DATA", "F", "EXECUTE"): False},
                {("DATA", "Orders", "NAME", "INSERT"): True},
            ),
            ({}, {}, {}),
        ]
        base = (dict(pair.user.system), dict(pair.user.objects), dict(pair.user.columns))
        for system, objects, columns in states:
            pair.user.system = base[0] | system
            pair.user.objects = base[1] | objects
            pair.user.columns = base[2] | columns
            pair.rotate()
            assert pair.clone.system == pair.user.system
            assert pair.clone.objects == pair.user.objects
            assert pair.clone.columns == pair.user.columns

    def test_sys_objects_are_granted_by_rds_package(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pair.database, "rds", True)
        pair.user.objects["SYS", "V_$SESSION", "SELECT"] = True
        pair.rotate()
        assert pair.clone.objects["SYS", "V_$SESSION", "SELECT"] is True
        del pair.user.objects["SYS", "V_$SESSION", "SELECT"]
        pair.rotate()
        assert ("SYS", "V_$SESSION", "SELECT") not in pair.clone.objects

    def test_unqualified_names_resolve_by_a_trigger_that_never_keeps_anybody_out(self, pair: Pair) -> None:
        of, schema = pair.database.triggers["ADMIN", trigger_of(pair.clone_name)]
        assert (of, schema) == (pair.clone_name, names.fold(pair.subject.application.username))
        created = [statement for statement in pair.database.statements if statement.startswith("CREATE TRIGGER")]
        assert all("EXCEPTION WHEN OTHERS THEN NULL" in statement for statement in created)

    def test_before_23_the_clone_gets_a_grant_on_each_object_of_the_schema(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(oracle.database, "version", "19.22.0.0.0")
        application = oracle.make_application()
        owner = names.fold(application.username)
        oracle.database.objects[owner, "OWN"] = "TABLE"
        oracle.database.objects[owner, "NEXT_ID"] = "SEQUENCE"
        oracle.database.objects[owner, "PAY"] = "PROCEDURE"
        subject = rotated(oracle, rotation_service, ALTERNATING, application=application)
        assert rotation_service.rotate(subject.arn).error is None
        clone = oracle.database.users[f"{owner}_CLONE"]
        assert {(item, what) for of, item, what in clone.objects if of == owner} == {
            *(("OWN", what) for what in ["SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "INDEX", "REFERENCES"]),
            ("NEXT_ID", "SELECT"),
            ("NEXT_ID", "ALTER"),
            ("PAY", "EXECUTE"),
        }
        assert not clone.schemas
        with oracle.session(subject.value) as cursor:
            cursor.execute('INSERT INTO "OWN" VALUES (1)')
        del oracle.database.objects[owner, "PAY"]
        del clone.objects[owner, "PAY", "EXECUTE"]
        for _ in range(2):
            assert rotation_service.rotate(subject.arn).error is None

    def test_a_long_name_needs_a_version_that_takes_it(
        self, oracle: OracleDouble, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(
            oracle,
            rotation_service,
            ALTERNATING,
            application=oracle.make_application(f"long{secrets.token_hex(11)}"),
        )
        monkeypatch.setattr(oracle.database, "version", "12.1.0.2.0")
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert "this version of Oracle takes 30" in str(failed.error)
        monkeypatch.setattr(oracle.database, "version", "19.22.0.0.0")
        assert rotation_service.retry(subject.arn).error is None

    def test_a_dba_gets_no_clone(self, oracle: OracleDouble, rotation_service: RotationService) -> None:
        subject = rotated(oracle, rotation_service, ALTERNATING)
        oracle.database.users[names.fold(subject.application.username)].roles["DBA"] = False
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "is an admin (DBA)" in str(failed.error)

    def test_a_clone_of_awss_template_is_adopted_and_put_right(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        application = oracle.make_application()
        owner = names.fold(application.username)
        clone = User(
            oracle._password(),
            system={"CREATE SESSION": False},
            objects={("DATA", f"GRANTED_{owner}", "SELECT"): False},
        )
        oracle.database.users[f"{owner}_CLONE"] = clone
        subject = rotated(oracle, rotation_service, ALTERNATING, application=application)
        assert rotation_service.rotate(subject.arn).error is None
        oracle.work(subject.value)
        assert clone.system == oracle.database.users[owner].system
        assert clone.profile == "APPS"

    def test_a_secret_that_awss_template_left_with_its_clone_goes_on(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        pair = Pair(oracle, rotation_service)
        password = oracle._password()
        pair.clone.password = password
        value = {**pair.subject.value, "username": pair.clone_name, "password": password}
        arn = rotation_service.create_secret("left", value, pair.subject.rotator)
        assert rotation_service.rotate(arn).error is None
        assert rotation_service.value(arn)["username"] == pair.clone_name.removesuffix("_CLONE")

    @pytest.mark.parametrize("surplus", ["role", "any", "nothing in common", "a schema"])
    def test_a_strangers_user_is_refused_and_left_alone(
        self, oracle: OracleDouble, rotation_service: RotationService, surplus: str
    ) -> None:
        application = oracle.make_application()
        owner = names.fold(application.username)
        stranger = User(oracle._password(), system={"CREATE SESSION": False})
        if surplus == "role":
            stranger.roles["DBA"] = False
        elif surplus == "any":
            stranger.system["SELECT ANY TABLE"] = False
        elif surplus == "a schema":
            oracle.database.objects[f"{owner}_CLONE", "SALARIES"] = "TABLE"
        else:
            stranger.objects["DATA", "SALARIES", "SELECT"] = False
        oracle.database.users[f"{owner}_CLONE"] = stranger
        password = stranger.password
        subject = rotated(oracle, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable if surplus == "role" else UserPairMismatch)
        assert stranger.password == password

    def test_the_admin_is_recognised_in_any_spelling(
        self, oracle: OracleDouble, rotation_service: RotationService
    ) -> None:
        rotator = oracle.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
        admin = rotation_service.create_secret("the-admin", oracle.admin_secret(), rotator)
        value = {**oracle.admin_secret(), "username": "ADMIN", "masterarn": admin}
        arn = rotation_service.create_secret("the-app", value, rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, UserPairMismatch)

    def test_what_a_clone_of_awss_template_made_in_its_own_schema_is_told_and_is_no_harm(
        self, pair: Pair, log: Any
    ) -> None:
        pair.database.objects[pair.clone_name, "LEFT"] = "TABLE"
        pair.user.objects[pair.clone_name, "LEFT", "SELECT"] = False
        pair.rotate()
        assert "the clone owns objects" in log.getvalue()
        assert (pair.clone_name, "LEFT", "SELECT") not in pair.clone.objects

    def test_twenty_grants_are_as_many_statements(self, pair: Pair) -> None:
        for number in range(20):
            pair.user.objects["DATA", f"T{number}", "SELECT"] = False
        pair.rotate()
        assert pair.clone.objects == pair.user.objects


@pytest.mark.parametrize(
    ("username", "folded", "other"),
    [
        ("app", "APP", "app_clone"),
        ("APP", "APP", "APP_CLONE"),
        ("APP_CLONE", "APP_CLONE", "APP"),
        ("app_Clone", "APP_CLONE", "app"),
        ('"Mixed case"', "Mixed case", '"Mixed case_clone"'),
        ('"Mixed case_clone"', "Mixed case_clone", '"Mixed case"'),
        ("straße", "STRAßE", "straße_clone"),
    ],
)
def test_names_are_read_as_oracle_reads_them(username: str, folded: str, other: str) -> None:
    assert names.fold(username) == folded
    assert OracleEngine().other_name(username) == other
    assert names.fold(OracleEngine().other_name(other)) == folded


@pytest.mark.parametrize("username", ["a" * 123, "_clone", 'a"b', '"_clone"', "a\0"])
def test_names_that_there_can_not_be(username: str) -> None:
    with pytest.raises(UserPairMismatch):
        OracleEngine().other_name(username)


@given(st.text())
def test_what_is_quoted_ends_where_it_should(value: str) -> None:
    if names.possible(value):
        assert re.fullmatch(r'"[^"\0]+"', names.quoted(names.fold(value)), re.DOTALL)
    assert re.fullmatch(r"'(?:[^']|'')*'", names.text(value), re.DOTALL)


kinds = st.sampled_from(
    [
        ("object", "SELECT", '"A"."B"'),
        ("object", "UPDATE", '"A"."B"'),
        ("role", '"R"', ""),
        ("system", "CREATE VIEW", ""),
    ]
    + [("column", f'UPDATE ("{column}")', '"A"."B"') for column in "XYZ"]
)
rights = st.dictionaries(kinds, st.booleans()).map(
    lambda found: {Right(*key, passed_on=option) for key, option in found.items()}
)


@given(wanted=rights, present=rights)
def test_any_rights_become_any_others(wanted: set[Right], present: set[Right]) -> None:
    """By the meaning of the words, applied here to a set: a REVOKE takes a privilege from the table and its columns."""
    state = {(right.kind, right.what, right.on): right.passed_on for right in present}
    for statement, values in statements(wanted, present, "APP_CLONE", rds=False):
        assert not values
        words = re.fullmatch(
            r'(GRANT|REVOKE) (.+?)(?: ON ("A"\."B"))? (?:TO|FROM) "APP_CLONE"( WITH \w+ OPTION)?', statement
        )
        assert words is not None, statement
        on = words[3] or ""
        kind = "column" if "(" in words[2] else "object" if on else "role" if '"' in words[2] else "system"
        if words[1] == "GRANT":
            state[kind, words[2], on] = bool(words[4]) or state.get((kind, words[2], on), False)
            continue
        gone = [key for key in state if key[2] == on and key[1].split(" (")[0] == words[2]]
        assert gone
        for key in gone:
            del state[key]
    assert state == {(right.kind, right.what, right.on): right.passed_on for right in wanted}


# What the grammar does not know, though the manual does.
_MANUAL = "https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf"
BEYOND_THE_GRAMMAR = {
    r'ALTER USER "X" (?:IDENTIFIED BY "X"(?: REPLACE "X"| ACCOUNT UNLOCK)?|EXPIRE PASSWORD ROLLOVER PERIOD|'
    r'DEFAULT ROLE (?:ALL|NONE|"X"(?:, "X")*)|QUOTA (?:UNLIMITED|\d+) ON "X"|'
    r'PROFILE "X" DEFAULT TABLESPACE "X" TEMPORARY TABLESPACE "X")': f"{_MANUAL}/ALTER-USER.html",
    r'CREATE TRIGGER "X"\."X" AFTER LOGON ON "X"\.SCHEMA BEGIN (?s:.*)': (
        f"{_MANUAL}/../lnpls/CREATE-TRIGGER-statement.html"
    ),
    r"SET TRANSACTION READ ONLY": f"{_MANUAL}/SET-TRANSACTION.html",
    r"BEGIN gives_back; END;": f"{_MANUAL}/../lnpls/plsql-language-fundamentals.html",
    r"BEGIN rdsadmin\.rdsadmin_util\.(?s:.*)": "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/"
    "Appendix.Oracle.CommonDBATasks.TransferPrivileges.html",
}


def test_every_statement_is_oracles(pair: Pair, oracle: OracleDouble) -> None:
    """By sqlfluff's grammar, which is not ours."""
    oracle.database.users["ADMIN"].roles |= dict.fromkeys(("READER", "WRITER"), True)
    pair.user.roles, pair.user.default_roles = {"READER": True, "WRITER": False}, {"WRITER"}
    pair.user.columns["DATA", "T", "C", "UPDATE"] = True
    pair.user.quotas = {"USERS": -1}
    with sent_to(oracle.database.statements) as sent:
        pair.rotate()
        pair.user.roles, pair.user.columns = {}, {}
        pair.rotate()
    assert BELIEFS.without_a_row(sent) == []
    forms = {_form(statement) for statement in sent}
    require_parsed("oracle", forms, BEYOND_THE_GRAMMAR)
    assert len(forms) > 25


def _form(statement: str) -> str:
    """Names and passwords that are alike for every test."""
    return re.sub(r":\d", "'x'", re.sub(r'"[^"]+"', '"X"', statement)).strip()


def test_the_driver_is_the_double_at_its_port_only(oracle: OracleDouble) -> None:
    with pytest.raises(oracledb.Error, match="Connection refused"):
        oracledb.connect(user="a", password="b", host="localhost", port=1, service_name="X")
    assert oracle.database.port != 1
