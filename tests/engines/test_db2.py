"""What is Db2's own: users of the host, tasks that take their time, connection strings; on a double.

Where IBM's driver is installed (x86_64 only, 136 MB), its TLS is tried over the wire, too.
"""

from __future__ import annotations

import importlib.util
import json
import re
import ssl
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beliefs.base import sent_to
from doubles.db2 import User, failure
from doubles.grammar import require_parsed
from doubles.listener import Listener
from hypothesis import given
from hypothesis import strategies as st
from targets import ALTERNATING, SINGLE, Db2Target, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.db2 import Db2Engine, connection, tasks
from rotators.engines.db2.clone import statements
from rotators.engines.db2.session import Db2Session
from rotators.engines.rights import Right
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    SecretMalformed,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.testing import RotationService
from rotators.testing.servers.certificates import CertificateAuthority

BUNDLE = ssl.get_default_verify_paths().cafile


def connect(target: Db2Target, change: dict[str, Any] | None = None, **options: Any) -> Db2Session:
    value = {**target.admin_secret(), **(change or {})}
    chosen = {"timeout": 2.0, "ca_file": BUNDLE, **options}
    return Db2Engine().connect(Credentials(value), ConnectOptions(**chosen))


class TestTheConnectionString:
    def test_it_asks_for_verified_tls(self, db2: Db2Target) -> None:
        connect(db2).close()
        parts = dict(part.split("=", 1) for part in db2.catalogue.strings[-1].strip(";").split(";"))
        assert parts["SECURITY"] == "SSL"
        assert parts["SSLSERVERCERTIFICATE"] == BUNDLE
        assert parts["SSLCLIENTHOSTNAMEVALIDATION"] == "BASIC"
        connect(db2, plaintext=True).close()
        assert "SSL" not in db2.catalogue.strings[-1]

    @given(
        username=st.text(st.characters(codec="utf-8"), min_size=1),
        password=st.text(st.characters(codec="utf-8"), min_size=1),
        dbname=st.text(st.characters(codec="utf-8"), min_size=1),
        host=st.sampled_from(["db.example", "db;SECURITY=", "a b", "10.0.0.1"]),
    )
    def test_no_value_becomes_a_keyword(self, username: str, password: str, dbname: str, host: str) -> None:
        values = {"username": username, "password": password, "dbname": dbname, "host": host}
        options = ConnectOptions(timeout=2.0, ca_file="/ca.pem")
        try:
            text = connection._string(Credentials(values), host, 50000, options, 2.0)
        except SecretMalformed:
            return
        parts = [part.split("=", 1) for part in text.removesuffix(";").split(";")]
        assert len({key for key, _ in parts}) == len(parts) == 12
        found = dict(parts)
        assert (found["UID"], found["PWD"], found["DATABASE"]) == (username, password, dbname)

    @pytest.mark.parametrize("password", ["a;SECURITY=", "a b", 'qu"ote', "{brace}", "pässword", "a=b"])
    def test_a_password_that_can_not_stand_there_is_refused_before_anything(
        self, db2: Db2Target, rotation_service: RotationService, password: str
    ) -> None:
        subject = rotated(db2, rotation_service, SINGLE)
        value = {**subject.value, "password": password}
        arn = rotation_service.create_secret("odd", value, subject.rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, SecretMalformed)
        assert "the key 'password' holds what can't stand in Db2's connection string" in str(failed.error)
        assert password not in str(failed.error)

    def test_a_new_password_always_can(self, db2: Db2Target, rotation_service: RotationService) -> None:
        subject = rotated(db2, rotation_service, SINGLE, EXCLUDE_CHARACTERS="")
        for _ in range(5):
            assert rotation_service.rotate(subject.arn).error is None

    def test_another_name_than_the_hosts_can_not_be_verified(self, db2: Db2Target) -> None:
        with pytest.raises(ConfigurationError, match="verifies the host's own name only"):
            connect(db2, server_name="db.example")
        with pytest.raises(ConfigurationError, match="no CA certificates"):
            connect(db2, ca_file=None)
        with pytest.raises(ConfigurationError, match="without a semicolon"):
            connect(db2, ca_file="/a;b.pem")


class TestErrors:
    """The driver gives one message for whatever happens on the way: what it was is found out by going it."""

    def test_what_happened_on_the_way(
        self, db2: Db2Target, listen: Any, authority: CertificateAuthority, tmp_path: Path
    ) -> None:
        ca = str(authority.ca_file)
        other = str(CertificateAuthority(tmp_path, "another CA").ca_file)
        with pytest.raises(Unreachable, match="Connection refused"):
            connect(db2, {"port": 1}, ca_file=ca)
        with pytest.raises(Unreachable, match=r"unknown \(DNS\)"):
            connect(db2, {"port": 1, "host": "nowhere.invalid"}, ca_file=ca)
        with pytest.raises(TlsFailed, match="put the CA that signed"):
            connect(db2, {"port": listen("localhost").port}, ca_file=other)
        with pytest.raises(TlsFailed, match="name the port of TLS"):
            connect(db2, {"port": listen().port}, ca_file=ca)
        with pytest.raises(ConnectionLost, match="the connection broke"):
            connect(db2, {"port": listen("localhost").port}, ca_file=ca)

    def test_another_name(
        self, db2: Db2Target, listen: Any, authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listener = listen("db.example")

        def refuse(*_: str) -> None:
            # As the real driver words it.
            words = 'a TLS connection could not be established with reason "1" and additional information "localhost".'
            raise failure("SQL20576N", words, "08001")

        monkeypatch.setattr(db2.catalogue, "connect", refuse)
        with pytest.raises(TlsFailed, match="is not for 'localhost', but for db"):
            connect(db2, {"port": listener.port}, ca_file=str(authority.ca_file))

    @pytest.mark.parametrize(
        ("change", "kind", "said"),
        [
            ({"password": "wrong"}, LoginRefused, 'reason "24".*check the password'),
            ({"username": "nobody"}, LoginRefused, "user 'nobody'"),
            ({"dbname": "NONE"}, ServiceFailed, "correct 'dbname'"),
        ],
    )
    def test_a_login_that_fails(self, db2: Db2Target, change: dict[str, Any], kind: type[Exception], said: str) -> None:
        with pytest.raises(kind, match=said) as failed:
            connect(db2, change)
        assert db2.admin_password not in str(failed.value)

    @pytest.mark.parametrize(
        ("state", "kind", "said"), [("disabled", UserNotRotatable, "enable it"), ("expired", LoginRefused, "expired")]
    )
    def test_a_user_that_may_not(self, db2: Db2Target, state: str, kind: type[Exception], said: str) -> None:
        application = db2.make_application()
        setattr(db2.catalogue.users[application.username], state, True)
        with pytest.raises(kind, match=said):
            connect(db2, db2.secret(application))

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("SQL0551N", PermissionRefused),
            ("SQL0911N", ServiceFailed),
            ("SQL1773N", ReadOnlyServer),
            ("SQL30081N", ConnectionLost),
            ("SQL0104N", ServiceFailed),
        ],
    )
    def test_what_a_statement_s_failure_means(
        self, db2: Db2Target, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception]
    ) -> None:
        def fail(_: Any) -> None:
            raise failure(code, "Something happened.")

        monkeypatch.setattr("doubles.db2.Session._system_user", fail)
        with connect(db2) as session, pytest.raises(kind):
            session.verify(None)

    def test_a_test_query_is_read_to_its_last_result(self, db2: Db2Target, monkeypatch: pytest.MonkeyPatch) -> None:
        """A procedure may fail after its first result, which a client that reads no further never sees."""
        execute = db2.catalogue.execute

        def with_more(prepared: Any, *values: Any) -> bool:
            done = execute(prepared, *values)
            if prepared.text == "VALUES 1":
                prepared.more = [[(2,)], failure("SQL0551N", "The second result is refused.")]
            return done

        monkeypatch.setattr(db2.catalogue, "execute", with_more)
        with connect(db2) as session, pytest.raises(PermissionRefused, match="ROTATION_TEST_QUERY failed as 'admin'"):
            session.verify("VALUES 1")

    def test_a_user_that_may_not_connect(self, db2: Db2Target) -> None:
        application = db2.make_application()
        db2.catalogue.databases["APP"].rights[application.username.upper()].clear()
        with pytest.raises(PermissionRefused, match="grant the user CONNECT"):
            connect(db2, db2.secret(application))


class TestTasks:
    def test_nobody_logs_in_before_the_task_is_done(
        self, db2: Db2Target, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(db2, rotation_service, SINGLE)
        monkeypatch.setattr(db2.catalogue, "patience", 7)
        mark = db2.log_mark()
        assert rotation_service.rotate(subject.arn).error is None
        assert db2.log_since(mark) == ""
        assert db2.catalogue.tasks[-1].life == "SUCCESS"

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_one_that_fails_is_told_without_what_it_was_given(
        self, db2: Db2Target, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, strategy: str
    ) -> None:
        subject = rotated(db2, rotation_service, strategy)
        before = subject.value
        monkeypatch.setattr(db2.catalogue, "fails", {"CHANGE_PASSWORD"})
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PasswordRefused)
        assert "see rdsadmin.get_task_status" in str(failed.error)
        assert not [task for task in db2.catalogue.tasks if task.values[1] in str(failed.error)]
        assert subject.value == before
        db2.work(before)
        monkeypatch.setattr(db2.catalogue, "fails", set())
        assert rotation_service.rotate(subject.arn).error is None

    def test_one_that_is_not_done_in_time_is_told_and_the_service_repeats(
        self, db2: Db2Target, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(db2, rotation_service, SINGLE)
        now = [0.0]
        monkeypatch.setattr(tasks.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(tasks, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
        monkeypatch.setattr(db2.catalogue, "patience", 10_000)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ServiceFailed)
        assert "is not done in time" in str(failed.error)
        monkeypatch.setattr(db2.catalogue, "patience", 1)
        assert rotation_service.retry(subject.arn).error is None
        db2.work(subject.value)

    def test_an_admin_who_may_not_run_tasks_is_told_before_anything(
        self, db2: Db2Target, rotation_service: RotationService
    ) -> None:
        weak, application = db2.make_application(), db2.make_application()
        rotator = db2.rotator(rotation_service)
        admin = rotation_service.create_secret("weak", db2.secret(weak), rotator)
        for strategy in (SINGLE, ALTERNATING):
            rotator = db2.rotator(rotation_service, ROTATION_STRATEGY=strategy)
            secret = db2.secret(application, masterarn=admin)
            arn = rotation_service.create_secret(f"app-{strategy}", secret, rotator)
            failed = rotation_service.rotate(arn)
            assert isinstance(failed.error, PermissionRefused)
            assert failed.failed_step == "createSecret"

    def test_a_single_user_without_an_admin_secret_is_told_to_name_one(
        self, db2: Db2Target, rotation_service: RotationService
    ) -> None:
        subject = rotated(db2, rotation_service, SINGLE, masterarn=None)
        failed = rotation_service.rotate(subject.arn)
        assert failed.failed_step == "createSecret"
        assert "add 'masterarn' with the ARN of the admin's secret" in str(failed.error)


class Pair:
    """An application and what the clone has, in the double's catalogue."""

    def __init__(self, target: Db2Target, service: RotationService) -> None:
        self.target = target
        application = target.make_application()
        self.subject = rotated(target, service, ALTERNATING, application=application)
        self.name = application.username
        self.rotate()
        rights = target.catalogue.databases["APP"].rights
        self.mine, self.theirs = rights[self.name.upper()], rights[f"{self.name}_clone".upper()]
        self.marked = ("USAGE", 'SEQUENCE "ROTATORS"."CLONE"')
        self.users = target.catalogue.users

    def rotate(self) -> None:
        for _ in range(2):
            assert self.subject.service.rotate(self.subject.arn).error is None
            self.target.work(self.subject.value)

    def states(self, whose: Any) -> dict[Any, str]:
        return {key: state for key, (state, _) in whose.items() if key != self.marked}


@pytest.fixture
def pair(db2: Db2Target, rotation_service: RotationService) -> Pair:
    """A pair that has rotated."""
    return Pair(db2, rotation_service)


ANYTHING = [
    ("BINDADD", "DATABASE"),
    ("CREATE_EXTERNAL_ROUTINE", "DATABASE"),
    ("QUIESCE_CONNECT", "DATABASE"),
    ("REFERENCES", 'TABLE "S"."Mixed ""T"""'),
    ('UPDATE ("C")', 'TABLE "S"."T"'),
    ('REFERENCES ("C")', 'TABLE "S"."T"'),
    ("CONTROL", 'INDEX "S"."I"'),
    ("DROPIN", 'SCHEMA "S"'),
    ("BIND", 'PACKAGE "S"."P"'),
    ("USAGE", 'SEQUENCE "S"."Q"'),
    ("USE", 'TABLESPACE "TS"'),
    ("WRITE", 'VARIABLE "S"."V"'),
    ("EXECUTE", 'MODULE "S"."M"'),
    ("USAGE", 'WORKLOAD "W"'),
    ("EXECUTE", 'SPECIFIC PROCEDURE "S"."SQL1"'),
    ("EXECUTE", 'FUNCTION "S".*'),
    ("SELECTIN", 'SCHEMA "S"'),
    ("INSERTIN", 'SCHEMA "S"'),
    ("UPDATEIN", 'SCHEMA "S"'),
    ("DELETEIN", 'SCHEMA "S"'),
    ("EXECUTEIN", 'SCHEMA "S"'),
    ("SCHEMAADM", 'SCHEMA "S"'),
    ("ACCESSCTRL", 'SCHEMA "S"'),
    ("DATAACCESS", 'SCHEMA "S"'),
    ("LOAD", 'SCHEMA "S"'),
    ('ROLE "DBA_RESTRICTED"', ""),
]


# What the grammar does not know, though the manual does.
_MANUAL = "https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-"
_WHOM = r'(?:TO|FROM) USER "X"(?: WITH GRANT OPTION| RESTRICT)?'
BEYOND_THE_GRAMMAR = {
    rf"(?:GRANT|REVOKE) {what} {_WHOM}": f"{_MANUAL}grant-{page}"
    for what, page in {
        r"[A-Z_]+ ON DATABASE": "database-authorities",
        r'(?:CONTROL|ALTER|INDEX) ON TABLE "X"\."X"': "table-view-nickname-privileges",
        r'CONTROL ON INDEX "X"\."X"': "index-privileges",
        r'\w+ ON PACKAGE "X"\."X"': "package-privileges",
        r'\w+ ON SCHEMA "X"': "schema-privileges-schema-authorities",
        r'EXECUTE ON MODULE "X"\."X"': "module-privileges",
        r'EXECUTE ON SPECIFIC \w+ "X"\."X"': "routine-privileges",
        r'USE OF TABLESPACE "X"': "table-space-privileges",
        r'\w+ ON VARIABLE "X"\."X"': "global-variable-privileges",
        r'USAGE ON WORKLOAD "X"': "workload-privileges",
    }.items()
}


def _has_option(right: tuple[str, str]) -> bool:
    """Whether Db2 lets it be passed on: not CONTROL, authorities, and what is on the database or a workload."""
    if right[0] in {"CONTROL", "SCHEMAADM", "ACCESSCTRL", "DATAACCESS", "LOAD"}:
        return False
    return not right[1].startswith(("DATABASE", "WORKLOAD"))


def _form(statement: str) -> str:
    """Names and values that are alike for every test."""
    return " ".join(re.sub(r'"(?:[^"]|"")+"', '"X"', statement).replace("?", "'x'").split())


class TestClone:
    @pytest.mark.parametrize("right", ANYTHING, ids=lambda right: f"{right[0]} {right[1]}".strip())
    def test_whatever_is_granted_comes_changes_and_goes(self, pair: Pair, right: tuple[str, str]) -> None:
        for state in "YGY" if _has_option(right) else "Y":
            pair.mine[right] = (state, "ADMIN")
            pair.rotate()
            assert pair.states(pair.theirs) == pair.states(pair.mine)
        del pair.mine[right]
        pair.rotate()
        assert pair.states(pair.theirs) == pair.states(pair.mine)

    def test_every_statement_is_db2s(self, pair: Pair, db2: Db2Target) -> None:
        """By sqlfluff's grammar, which is not ours."""
        with sent_to(db2.catalogue.statements) as sent:
            for state in "YG":
                pair.mine.update({right: (state if _has_option(right) else "Y", "ADMIN") for right in ANYTHING})
                pair.rotate()
            for right in ANYTHING:
                del pair.mine[right]
            pair.rotate()
        # ALTER TABLE is the application's.
        forms = {_form(statement) for statement in sent if not statement.startswith("ALTER TABLE")}
        require_parsed("db2", forms, BEYOND_THE_GRAMMAR)
        assert len(forms) > 30

    def test_groups_come_and_go(self, pair: Pair) -> None:
        pair.users[pair.name].groups = {"staff", "sales"}
        pair.rotate()
        assert pair.users[f"{pair.name}_clone"].groups == {"staff", "sales"}
        pair.users[pair.name].groups = {"sales"}
        pair.rotate()
        assert pair.users[f"{pair.name}_clone"].groups == {"sales"}

    def test_what_either_made_both_can_use(self, pair: Pair) -> None:
        pair.target.create_table(pair.subject.value, 1)
        assert pair.subject.service.rotate(pair.subject.arn).error is None
        pair.target.alter_table(pair.subject.value, 1)
        pair.target.create_table(pair.subject.value, 2)
        assert pair.subject.service.rotate(pair.subject.arn).error is None
        pair.target.alter_table(pair.subject.value, 2)
        pair.rotate()

    def test_an_administrator_gets_no_clone(self, db2: Db2Target, rotation_service: RotationService) -> None:
        subject = rotated(db2, rotation_service, ALTERNATING)
        db2.catalogue.databases["APP"].authorities[subject.application.username.upper()] = {"DBADM"}
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "is an administrator (DBADM)" in str(failed.error)

    def test_an_admin_who_may_not_grant_is_told_the_call(
        self, db2: Db2Target, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subject = rotated(db2, rotation_service, ALTERNATING)
        monkeypatch.setitem(db2.catalogue.databases["APP"].authorities, "ADMIN", {"DATAACCESS"})
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert "CALL rdsadmin.dbadm_grant(?, 'APP', 'ACCESSCTRL', 'USER admin')" in str(failed.error)

    @pytest.mark.parametrize("surplus", [False, True])
    def test_a_clone_of_awss_template_is_adopted_and_put_right(
        self, db2: Db2Target, rotation_service: RotationService, *, surplus: bool
    ) -> None:
        """Where it may do no more than its user; else the deployment names the user."""
        application = db2.make_application()
        clone = f"{application.username}_clone"
        rights = db2.catalogue.databases["APP"].rights
        db2.catalogue.users[clone] = User(db2._password())
        rights[clone.upper()] = {
            ("CONNECT", "DATABASE"): ("Y", "ADMIN"),
            ("CREATETAB", "DATABASE"): ("Y", "ADMIN"),
        }
        if surplus:
            rights[clone.upper()]["LOAD", "DATABASE"] = ("Y", "ADMIN")
        subject = rotated(db2, rotation_service, ALTERNATING, application=application)
        if surplus:
            failed = rotation_service.rotate(subject.arn)
            assert isinstance(failed.error, UserPairMismatch)
            assert "it has LOAD on DATABASE" in str(failed.error)
            users = json.dumps({"named": application.username})
            rotator = db2.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING, ROTATION_USERS=users)
            subject = replace(subject, arn=rotation_service.create_secret("named", subject.value, rotator))
        assert rotation_service.rotate(subject.arn).error is None
        db2.work(subject.value)
        assert ("LOAD", "DATABASE") not in rights[clone.upper()]

    @pytest.mark.parametrize("how", ["group", "rights", "another database"])
    def test_a_strangers_user_is_refused_and_left_alone(
        self, db2: Db2Target, rotation_service: RotationService, how: str
    ) -> None:
        application = db2.make_application()
        clone = f"{application.username}_clone"
        here, there = (db2.catalogue.databases[name] for name in ("APP", "PAYROLL"))
        db2.catalogue.users[clone] = stranger = User(db2._password(), {"finance"} if how == "group" else set())
        database = there if how == "another database" else here
        database.rights[clone.upper()] = {("CONNECT", "DATABASE"): ("Y", "ADMIN")}
        if how != "group":
            database.rights[clone.upper()]["SELECT", 'TABLE "PAY"."ROLL"'] = ("Y", "ADMIN")
        password = stranger.password
        subject = rotated(db2, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert failed.failed_step == "createSecret"
        assert stranger.password == password

    def test_a_user_of_the_host_of_whom_no_database_knows_is_left_alone(
        self, db2: Db2Target, rotation_service: RotationService
    ) -> None:
        application = db2.make_application()
        db2.catalogue.users[f"{application.username}_clone"] = stranger = User(db2._password())
        password = stranger.password
        subject = rotated(db2, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert "nothing shows whose it is" in str(failed.error)
        assert stranger.password == password

    def test_a_role_that_the_admin_may_not_grant_is_told_before_anything(
        self, db2: Db2Target, rotation_service: RotationService
    ) -> None:
        """RDS's admin has no SECADM: a role of rdsadmin.create_role is granted by rdsadmin.grant_role alone."""
        subject = rotated(db2, rotation_service, ALTERNATING)
        name = subject.application.username
        rights = db2.catalogue.databases["APP"].rights
        rights[name.upper()]['ROLE "SALES"', ""] = ("Y", "RDSDB")
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused)
        assert failed.failed_step == "createSecret"
        call = f"CALL rdsadmin.grant_role(?, 'APP', 'SALES', 'USER {name.upper()}_CLONE', 'N')"
        assert call in str(failed.error)
        rights[f"{name.upper()}_CLONE"] = {('ROLE "SALES"', ""): ("Y", "RDSDB")}
        db2.catalogue.users[f"{name}_clone"] = User(db2._password(), {"staff"})
        assert rotation_service.retry(subject.arn).error is None
        db2.work(subject.value)

    @pytest.mark.parametrize("what", ["CREATE_SECURE_OBJECT", "SURROGATE", "CONTEXT", "SECURITYLABELACCESS"])
    def test_what_only_secadm_could_give_is_told_before_anything(
        self, db2: Db2Target, rotation_service: RotationService, what: str
    ) -> None:
        subject = rotated(db2, rotation_service, ALTERNATING)
        authid = subject.application.username.upper()
        database = db2.catalogue.databases["APP"]
        if what == "CREATE_SECURE_OBJECT":
            database.rights[authid][what, "DATABASE"] = ("Y", "RDSDB")
        else:
            database.extras[what, authid] = "BOSS"
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, PermissionRefused | UserNotRotatable)
        assert failed.failed_step == "createSecret"
        assert "rotate this secret as a single user" in str(failed.error)

    def test_a_clone_that_is_no_equal_after_all_gets_no_password(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair.mine["BINDADD", "DATABASE"] = ("Y", "ADMIN")
        monkeypatch.setattr("rotators.engines.db2.clone.statements", lambda *_: iter(()))
        before = dict(pair.subject.value)
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, ServiceFailed)
        assert "is not the equal of" in str(failed.error)
        pair.target.work(before)


rights = st.dictionaries(
    st.sampled_from([("table", what, 'TABLE "S"."T"') for what in ("SELECT", "UPDATE")] + [("role", 'ROLE "R"', "")])
    | st.sampled_from([("column", f'UPDATE ("{column}")', 'TABLE "S"."T"') for column in "XYZ"]),
    st.booleans(),
).map(lambda found: {Right(*key, passed_on=option) for key, option in found.items()})


@given(wanted=rights, present=rights)
def test_any_rights_become_any_others(wanted: set[Right], present: set[Right]) -> None:
    """By the meaning of the words, applied here to a set: a REVOKE takes a privilege from the table and its columns."""
    state = {(right.what, right.on): right.passed_on for right in present}
    for statement in statements(wanted, present, "APP"):
        words = re.fullmatch(
            r'(GRANT|REVOKE) (.+?)(?: ON (TABLE .+?))? (?:TO|FROM) USER "APP"( WITH \w+ OPTION)?', statement
        )
        assert words is not None, statement
        on = words[3] or ""
        if words[1] == "GRANT":
            state[words[2], on] = bool(words[4])
            continue
        gone = [key for key in state if key[1] == on and (key[0] == words[2] or key[0].startswith(f"{words[2]} ("))]
        assert gone
        for key in gone:
            del state[key]
    assert state == {(right.what, right.on): right.passed_on for right in wanted}


@pytest.mark.parametrize("username", ["a" * 27, "1app", "a-b", "_clone", "ünicode", "a;b"])
def test_names_that_the_host_does_not_take(username: str) -> None:
    with pytest.raises(UserPairMismatch):
        Db2Engine().other_name(username)


@pytest.mark.skipif(
    importlib.util.find_spec("ibm_db") is None, reason="IBM's driver is not installed: pip install ibm_db"
)
class TestTheRealDriver:
    """Its TLS over the wire: nothing is said to a server whose certificate or name is not right."""

    @pytest.fixture(autouse=True)
    def _real(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "ibm_db", raising=False)

    def dial(self, port: int, ca: CertificateAuthority) -> None:
        value = {"host": "localhost", "port": port, "username": "app", "password": "of-the-wire", "dbname": "APP"}
        Db2Engine().connect(Credentials(value), ConnectOptions(timeout=3.0, ca_file=str(ca.ca_file)))

    def test_a_good_certificate_lets_it_speak(self, listen: Any, authority: CertificateAuthority) -> None:
        """The driver tries again for seconds where the connection breaks: it may be the time that ends first."""
        listener = listen("localhost")
        with pytest.raises((ConnectionLost, Unreachable)):
            self.dial(listener.port, authority)
        assert listener.heard

    def test_a_server_that_is_silent_in_tlss_handshake_is_left_in_time(self, authority: CertificateAuthority) -> None:
        """Issue 11, fault 12: the driver's own time-outs hold for TCP alone, and this one would wait for ever."""
        listener = Listener(None, hangs_up=False)
        began = time.monotonic()
        with pytest.raises(Unreachable, match="no answer in time"):
            self.dial(listener.port, authority)
        assert time.monotonic() - began < 4.0
        listener.close()

    def test_another_name_another_ca_and_no_tls_do_not(
        self, listen: Any, authority: CertificateAuthority, tmp_path: Path
    ) -> None:
        for listener, ca in (
            (listen("db.example"), authority),
            (listen("localhost"), CertificateAuthority(tmp_path, "another CA")),
        ):
            with pytest.raises(TlsFailed):
                self.dial(listener.port, ca)
            assert not listener.heard
        with pytest.raises(TlsFailed):
            self.dial(listen().port, authority)
