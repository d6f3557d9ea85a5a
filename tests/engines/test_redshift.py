"""What is Redshift's own, on a real PostgreSQL with Redshift's catalog laid over it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import socket
import struct
import threading
from dataclasses import replace
from typing import Any

import pytest
from beliefs.base import sent_to
from doubles import redshift as shim
from doubles.grammar import require_parsed
from psycopg2 import sql
from targets import ALTERNATING, SINGLE, RedshiftTarget, rotated

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.redshift import RedshiftEngine
from rotators.engines.redshift.passwords import verifier
from rotators.engines.redshift.session import RedshiftSession
from rotators.errors import LoginRefused, PermissionRefused, ServiceFailed, UserNotRotatable, UserPairMismatch
from rotators.testing import RotationService

OTHER = "other database"


def connect(target: RedshiftTarget, change: dict[str, Any] | None = None) -> RedshiftSession:
    value = {**target.admin_secret(), **(change or {})}
    return RedshiftEngine().connect(Credentials(value), ConnectOptions(timeout=2.0, ca_file=str(target.server.ca_file)))


def test_its_version_is_its_own_and_not_that_of_the_postgresql_it_grew_from(redshift: RedshiftTarget) -> None:
    with connect(redshift) as session:
        assert str(session.facts()) == "Redshift 1.0.77777"


class TestPasswords:
    def test_the_verifier_is_what_the_server_makes_of_it(self, redshift: RedshiftTarget) -> None:
        application = redshift.make_application()
        [(kept,)] = redshift.as_superuser(
            sql.SQL("SELECT rolpassword FROM pg_authid WHERE rolname = {}").format(sql.Literal(application.username))
        )
        assert kept == verifier(application.username, application.password)
        assert kept == "md5" + hashlib.md5((application.password + application.username).encode()).hexdigest()  # noqa: S324

    def test_a_user_whose_password_libpq_can_not_prove_is_told_why(self) -> None:
        """What Redshift answers for a password that it keeps as sha256, said by a server of a few lines."""
        with socket.create_server(("127.0.0.1", 0)) as server:

            def ask() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"R" + struct.pack("!ii", 8, 13))
                    connection.recv(4096)

            thread = threading.Thread(target=ask, daemon=True)
            thread.start()
            value = {"host": "127.0.0.1", "port": server.getsockname()[1], "username": "app", "password": "x"}
            with pytest.raises(UserNotRotatable, match="libpq can't prove such a password"):
                RedshiftEngine().connect(Credentials(value), ConnectOptions(timeout=2.0, plaintext=True))
            thread.join()

    def test_that_a_user_may_change_its_own_is_tried_and_changes_nothing(self, redshift: RedshiftTarget) -> None:
        """Issue 12, number 17."""
        application = redshift.make_application()
        with connect(redshift, redshift.secret(application)) as session:
            session.check_can_set_own_password()
        redshift.log_in(redshift.secret(application))

    def test_new_ones_hold_nothing_that_redshift_refuses(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(redshift, rotation_service, SINGLE, EXCLUDE_CHARACTERS="", PASSWORD_LENGTH="64")
        for _ in range(5):
            assert rotation_service.rotate(subject.arn).error is None
            assert not set(subject.value["password"]) & set("'\"\\/@ ")


class TestErrors:
    def test_messages_name_redshift(self, redshift: RedshiftTarget) -> None:
        with pytest.raises(LoginRefused, match="Redshift at localhost"):
            connect(redshift, {"password": "wrong"})

    @pytest.mark.parametrize("name", ["IAM:app", "IAMR:role", "AWSIDC:somebody"])
    def test_users_of_iam_have_no_password(
        self, redshift: RedshiftTarget, rotation_service: RotationService, name: str
    ) -> None:
        application = redshift.make_application(f"{name}{secrets.token_hex(3)}")
        subject = rotated(redshift, rotation_service, SINGLE, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "logs in by IAM" in str(failed.error)

    def test_an_admin_who_is_no_superuser_is_told(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        weak, application = redshift.make_application(), redshift.make_application()
        rotator = redshift.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
        admin = rotation_service.create_secret("weak", redshift.secret(weak), rotator)
        arn = rotation_service.create_secret("app", redshift.secret(application, masterarn=admin), rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, PermissionRefused)
        assert f'ALTER USER "{weak.username}" CREATEUSER' in str(failed.error)
        assert failed.failed_step == "createSecret"

    def test_a_superuser_gets_no_clone(self, redshift: RedshiftTarget, rotation_service: RotationService) -> None:
        application = redshift.make_application()
        redshift._on_schema(application, "ALTER ROLE {user} SUPERUSER")
        subject = rotated(redshift, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert "is a superuser" in str(failed.error)

    def test_an_admin_of_serverless_is_tied_by_its_namespace(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        rotator = redshift.rotator(rotation_service)
        admin = {**redshift.admin_secret(), "host": "127.0.0.1", "namespaceName": "sales"}
        arn = rotation_service.create_secret("admin-of-sales", admin, rotator)
        secret = redshift.secret(redshift.make_application(), masterarn=arn, namespaceName="sales")
        app = rotation_service.create_secret("app-of-sales", secret, rotator)
        assert rotation_service.rotate(app).error is None
        redshift.work(rotation_service.value(app))


def give(target: RedshiftTarget, view: str, grantee: str, what: str = "odd", kind: str = "user") -> None:
    """Something that PostgreSQL has not, in Redshift's views."""
    values = map(sql.Literal, (view, grantee, kind, what, "COPY", "t"))
    target.as_superuser(sql.SQL("INSERT INTO shim.extras VALUES ({})").format(sql.SQL(", ").join(values)))


class Pair:
    """An application and its clone."""

    def __init__(self, target: RedshiftTarget, service: RotationService, username: str | None = None) -> None:
        self.target = target
        application = target.make_application(username)
        self.subject = rotated(target, service, ALTERNATING, application=application)
        self.user, self.clone = application.username, f"{application.username}_clone"
        self.rotate()

    def rotate(self) -> None:
        for _ in range(2):
            assert self.subject.service.rotate(self.subject.arn).error is None
            self.target.work(self.subject.value)

    def run(self, statement: str, dbname: str = "postgres") -> Any:
        names = {"user": sql.Identifier(self.user), "clone": sql.Identifier(self.clone)}
        names["schema"] = sql.Identifier(f"of_{self.user}"[:60])
        return self.target.as_superuser(sql.SQL(statement).format(**names), dbname)

    def ask(self, statement: str, dbname: str = "postgres") -> list[tuple[Any, Any]]:
        """The same question for user and clone."""
        answers = []
        for name in (self.user, self.clone):
            text = sql.SQL(statement).format(name=sql.Literal(name))
            answers.append(self.target.as_superuser(text, dbname))
        return answers

    def same(self, statement: str, dbname: str = "postgres") -> bool:
        mine, theirs = self.ask(statement, dbname)
        return sorted(mine) == sorted(theirs)


@pytest.fixture
def pair(redshift: RedshiftTarget, rotation_service: RotationService) -> Pair:
    """A pair that has rotated."""
    return Pair(redshift, rotation_service)


RIGHTS = """
SELECT 'table', namespace_name, relation_name, '', privilege_type, admin_option FROM svv_relation_privileges
WHERE identity_name = {name} AND relation_name NOT IN ('own')
UNION ALL SELECT 'column', namespace_name, relation_name, column_name, privilege_type, false FROM svv_column_privileges
WHERE identity_name = {name}
UNION ALL SELECT 'schema', namespace_name, '', '', privilege_type, admin_option FROM svv_schema_privileges
WHERE identity_name = {name}
UNION ALL SELECT 'database', database_name, '', '', privilege_type, admin_option FROM svv_database_privileges
WHERE identity_name = {name}
UNION ALL SELECT 'function', namespace_name, function_name, argument_types, privilege_type, admin_option
FROM svv_function_privileges WHERE identity_name = {name}
UNION ALL SELECT 'language', language_name, '', '', privilege_type, admin_option FROM svv_language_privileges
WHERE identity_name = {name}
UNION ALL SELECT 'else', what, '', '', '', option FROM shim.grants WHERE user_name = {name} AND what NOT LIKE '%own"'
"""
GRANTS = {
    'SELECT ON TABLE {schema}."Odd {{}} ""t"""': True,
    "UPDATE ON TABLE {schema}.granted": True,
    "SELECT (answer) ON TABLE {schema}.granted": False,
    "USAGE ON SCHEMA shim": True,
    "TEMP ON DATABASE postgres": True,
    "EXECUTE ON FUNCTION {schema}.f(integer, character varying)": True,
    "EXECUTE ON PROCEDURE {schema}.p(integer, character varying)": True,
    "USAGE ON LANGUAGE plpgsql": True,
}
SHIMMED = (
    'ROLE "an odd role"',
    'EXECUTE ON MODEL "ml"."m"',
    'SHARE ON DATASHARE "d"',
    'DROP ON TABLE "s"."t"',
    # Scoped: https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions.html
    'SELECT FOR TABLES IN SCHEMA "s"',
    'ALTER FOR TABLES IN SCHEMA "s"',
    'EXECUTE FOR FUNCTIONS IN SCHEMA "s"',
    'USAGE FOR SCHEMAS IN DATABASE "d"',
    'INSERT FOR TABLES IN DATABASE "d"',
    'USAGE FOR LANGUAGES IN DATABASE "d"',
)


class TestClone:
    def test_attributes_and_settings(self, pair: Pair) -> None:
        attributes = """
        SELECT rolcreatedb, rolconnlimit, rolvaliduntil::text, ARRAY(SELECT unnest(rolconfig) ORDER BY 1),
            (SELECT array_agg(what || value ORDER BY what)::text FROM shim.attributes WHERE user_name = rolname)
        FROM pg_roles WHERE rolname = {name}
        """
        pair.run(
            "ALTER ROLE {user} CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2099-01-01 00:00:00+00'; "
            'ALTER ROLE {user} SET search_path TO {schema}, "odd, name", public; '
            "ALTER ROLE {user} SET datestyle TO 'ISO, DMY'"
        )
        for what, value in (("SYSLOG ACCESS", "UNRESTRICTED"), ("SESSION TIMEOUT", "900")):
            statement = sql.SQL("INSERT INTO shim.attributes VALUES ({}, {}, {})")
            pair.target.as_superuser(statement.format(sql.Literal(pair.user), sql.Literal(what), sql.Literal(value)))
        pair.rotate()
        assert pair.ask(attributes)[0] == pair.ask(attributes)[1]
        assert "900" in str(pair.ask(attributes)[1])
        pair.run("ALTER ROLE {user} NOCREATEDB CONNECTION LIMIT -1; ALTER ROLE {user} RESET search_path")
        pair.target.as_superuser(
            sql.SQL("DELETE FROM shim.attributes WHERE user_name = {} AND what LIKE 'SESS%'").format(
                sql.Literal(pair.user)
            )
        )
        pair.rotate()
        assert pair.ask(attributes)[0][0][:4] == pair.ask(attributes)[1][0][:4]
        assert "900" not in str(pair.ask(attributes)[1])

    def test_groups_come_and_go(self, pair: Pair) -> None:
        groups = "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = {name} AND g.rolname NOT LIKE 'rotators!_%' ESCAPE '!'"  # noqa: E501
        group = f"group {secrets.token_hex(3)}"
        pair.run(f'CREATE ROLE "{group}"; GRANT "{group}" TO {{user}}')
        pair.rotate()
        assert pair.ask(groups) == [[(group,)], [(group,)]]
        pair.run(f'REVOKE "{group}" FROM {{user}}')
        pair.rotate()
        assert pair.ask(groups) == [[], []]

    def test_grants_of_every_kind_come_change_and_go(self, pair: Pair) -> None:
        pair.run('CREATE TABLE {schema}."Odd {{}} ""t""" (n int)')
        pair.run("CREATE FUNCTION {schema}.f(integer, character varying) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        pair.run("CREATE PROCEDURE {schema}.p(integer, character varying) LANGUAGE sql AS 'SELECT 1'")
        for option in (False, True, False):
            for grant, grantable in GRANTS.items():
                pair.run(f"REVOKE {grant} FROM {{user}} CASCADE")
                pair.run(f"GRANT {grant} TO {{user}}" + (" WITH GRANT OPTION" if option and grantable else ""))
            self.shimmed(pair, option=option)
            pair.rotate()
            assert pair.same(RIGHTS)
            assert len(pair.ask(RIGHTS)[1]) >= len(GRANTS) + len(SHIMMED)
        for grant in GRANTS:
            pair.run(f"REVOKE {grant} FROM {{user}} CASCADE")
        self.shimmed(pair, option=None)
        pair.rotate()
        assert pair.same(RIGHTS)
        assert len(pair.ask(RIGHTS)[1]) < len(GRANTS)

    def shimmed(self, pair: Pair, *, option: bool | None) -> None:
        user = sql.Literal(pair.user)
        pair.target.as_superuser(
            sql.SQL("DELETE FROM shim.grants WHERE user_name = {} AND what NOT LIKE '%of!_%' ESCAPE '!'").format(user)
        )
        for what in SHIMMED if option is not None else ():
            statement = sql.SQL("INSERT INTO shim.grants VALUES ({}, {}, {})")
            pair.target.as_superuser(statement.format(sql.Literal(what), user, sql.Literal(option)))

    def test_default_privileges_that_it_gives_and_gets(self, pair: Pair) -> None:
        defaults = """
        SELECT CASE WHEN owner_name = {name} THEN '' ELSE owner_name END, schema_name, object_type, privilege_type,
            CASE WHEN grantee_name = {name} THEN '' ELSE grantee_name END, admin_option
        FROM svv_default_privileges WHERE {name} IN (owner_name, grantee_name)
        """
        maker, reader = pair.target.make_application().username, pair.target.make_application().username
        pair.run(f'ALTER DEFAULT PRIVILEGES FOR ROLE "{maker}" GRANT SELECT ON TABLES TO {{user}} WITH GRANT OPTION')
        pair.run(
            f'ALTER DEFAULT PRIVILEGES FOR ROLE {{user}} IN SCHEMA {{schema}} GRANT INSERT ON TABLES TO "{reader}"'
        )
        pair.rotate()
        assert pair.same(defaults)
        assert len(pair.ask(defaults)[1]) == 2
        pair.run(f'ALTER DEFAULT PRIVILEGES FOR ROLE "{maker}" REVOKE SELECT ON TABLES FROM {{user}}')
        pair.rotate()
        assert pair.same(defaults)
        assert len(pair.ask(defaults)[1]) == 1

    def test_what_either_made_both_can_use_and_the_user_owns(self, pair: Pair) -> None:
        pair.target.create_table(pair.subject.value, 1)
        assert pair.subject.service.rotate(pair.subject.arn).error is None
        pair.target.alter_table(pair.subject.value, 1)
        pair.target.create_table(pair.subject.value, 2)
        pair.run("CREATE SCHEMA {clone} AUTHORIZATION {clone}")
        pair.run("CREATE FUNCTION {clone}.g(integer) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        pair.run("ALTER FUNCTION {clone}.g(integer) OWNER TO {clone}")
        pair.run("CREATE PROCEDURE {clone}.h(integer) LANGUAGE sql AS 'SELECT 1'")
        pair.run("ALTER PROCEDURE {clone}.h(integer) OWNER TO {clone}")
        pair.rotate()
        pair.target.alter_table(pair.subject.value, 2)
        owners = pair.run(
            "SELECT DISTINCT r.rolname FROM pg_roles r JOIN pg_shdepend d ON d.refobjid = r.oid AND d.deptype = 'o' "
            "WHERE r.rolname LIKE '%!_clone' ESCAPE '!'"
        )
        assert (pair.clone,) not in owners

    def test_every_database_of_the_cluster(self, pair: Pair) -> None:
        pair.run(f'CREATE DATABASE "{OTHER}"')
        try:
            with contextlib.closing(pair.target.server.superuser(OTHER)) as connection:
                shim.install(connection)
            pair.run("CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO {user}", OTHER)
            pair.rotate()
            assert pair.same(RIGHTS, OTHER)
            assert ("schema", "s", "", "", "USAGE", False) in pair.ask(RIGHTS, OTHER)[1]
            pair.run("REVOKE USAGE ON SCHEMA s FROM {user}", OTHER)
            pair.rotate()
            assert pair.ask(RIGHTS, OTHER)[1] == []
        finally:
            pair.run(f'DROP DATABASE "{OTHER}"')

    @pytest.mark.parametrize("surplus", [False, True])
    def test_a_clone_of_awss_template_is_adopted_and_put_right(
        self, redshift: RedshiftTarget, rotation_service: RotationService, *, surplus: bool
    ) -> None:
        """Where it may do no more than its user; else the deployment names the user."""
        application = redshift.make_application()
        clone = f"{application.username}_clone"
        option = "CREATEDB" if surplus else "CONNECTION LIMIT 7"
        redshift.as_superuser(sql.SQL("CREATE ROLE {} LOGIN " + option).format(sql.Identifier(clone)))
        schema = sql.Identifier(f"of_{application.username}")
        grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
        redshift.as_superuser(grant.format(schema, sql.Identifier(clone)))
        subject = rotated(redshift, rotation_service, ALTERNATING, application=application)
        if surplus:
            failed = rotation_service.rotate(subject.arn)
            assert isinstance(failed.error, UserPairMismatch)
            assert "it has CREATEDB" in str(failed.error)
            users = json.dumps({"named": application.username})
            rotator = redshift.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING, ROTATION_USERS=users)
            subject = replace(subject, arn=rotation_service.create_secret("named", subject.value, rotator))
        assert rotation_service.rotate(subject.arn).error is None
        redshift.work(subject.value)
        found = sql.SQL("SELECT rolcreatedb, rolconnlimit FROM pg_roles WHERE rolname = {}").format(sql.Literal(clone))
        assert redshift.as_superuser(found) == [(False, -1)]

    @pytest.mark.parametrize(
        "view",
        ["svv_attached_masking_policy", "svv_rls_attached_policy", "svv_iam_privileges", "svv_system_privileges"],
    )
    def test_what_can_not_be_copied_is_told_before_anything(
        self, redshift: RedshiftTarget, rotation_service: RotationService, view: str
    ) -> None:
        """A mask that the clone has not shows what the user may not see."""
        subject = rotated(redshift, rotation_service, ALTERNATING)
        give(redshift, view, subject.application.username)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserNotRotatable)
        assert failed.failed_step == "createSecret"
        assert "roles are copied" in str(failed.error)
        redshift.work(subject.value)

    def test_a_right_of_a_scope_that_nobody_knows_is_told_before_anything(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        subject = rotated(redshift, rotation_service, ALTERNATING)
        statement = sql.SQL("INSERT INTO shim.grants VALUES ({}, {}, false)")
        what = 'ALTER FOR TEMPLATES IN SCHEMA "s"'
        redshift.as_superuser(statement.format(sql.Literal(what), sql.Literal(subject.application.username)))
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, ServiceFailed)
        assert failed.failed_step == "createSecret"
        assert "is for 'TEMPLATES' in a schema" in str(failed.error)

    def test_a_clone_that_is_no_equal_after_all_gets_no_password(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair.run("GRANT UPDATE ON {schema}.granted TO {user}")
        monkeypatch.setattr("rotators.engines.redshift.clone._grants", lambda *_: iter(()))
        before = pair.subject.value
        failed = pair.subject.service.rotate(pair.subject.arn)
        assert isinstance(failed.error, ServiceFailed)
        assert "is not the equal of its source" in str(failed.error)
        pair.target.work(before)

    def test_a_strangers_user_is_refused_and_left_alone(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        application = redshift.make_application()
        stranger = redshift.make_application(f"{application.username}_clone_x")
        clone = sql.Identifier(f"{application.username}_clone")
        redshift.as_superuser(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(stranger.username), clone))
        redshift.set_password(f"{application.username}_clone", stranger.password)
        subject = rotated(redshift, rotation_service, ALTERNATING, application=application)
        failed = rotation_service.rotate(subject.arn)
        assert isinstance(failed.error, UserPairMismatch)
        assert failed.failed_step == "createSecret"
        redshift.log_in({"username": f"{application.username}_clone", "password": stranger.password})

    def test_a_strangers_user_of_another_database_is_refused_too(
        self, redshift: RedshiftTarget, rotation_service: RotationService
    ) -> None:
        application = redshift.make_application()
        clone = sql.Identifier(f"{application.username}_clone")
        redshift.as_superuser(sql.SQL("CREATE ROLE {} LOGIN").format(clone))
        redshift.as_superuser(f'CREATE DATABASE "{OTHER}"')
        try:
            with contextlib.closing(redshift.server.superuser(OTHER)) as connection:
                shim.install(connection)
            redshift.as_superuser(sql.SQL("CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO {}").format(clone), OTHER)
            subject = rotated(redshift, rotation_service, ALTERNATING, application=application)
            failed = rotation_service.rotate(subject.arn)
            assert isinstance(failed.error, UserPairMismatch)
            assert failed.failed_step == "createSecret"
        finally:
            redshift.as_superuser(f'DROP DATABASE "{OTHER}"')

    @pytest.mark.parametrize("username", ['quo"te', "per%s{}cent", "semi;colon--", "Mixed Case", "ünï漢"])
    def test_names_of_any_kind(
        self, redshift: RedshiftTarget, rotation_service: RotationService, username: str
    ) -> None:
        Pair(redshift, rotation_service, f"{username}{secrets.token_hex(3)}").rotate()


@pytest.fixture
def everything(pair: Pair, redshift: RedshiftTarget) -> set[str]:
    """What is sent: every kind of statement."""
    with sent_to(redshift.statements) as sent:
        TestClone().test_grants_of_every_kind_come_change_and_go(pair)
    return sent


# What the grammar does not know, though the manual does.
_MANUAL = "https://docs.aws.amazon.com/redshift/latest/dg"
_SCOPE = r"(?:TABLES|FUNCTIONS|SCHEMAS|LANGUAGES) IN (?:SCHEMA|DATABASE)"
BEYOND_THE_GRAMMAR = {
    r"SELECT usesysid, usename FROM pg_user WHERE usename = SESSION_USER": f"{_MANUAL}/r_SESSION_USER.html",
    rf'(?:GRANT|REVOKE) [A-Z]+ FOR {_SCOPE} "x" (?:TO|FROM) "x"(?: WITH GRANT OPTION)?': f"{_MANUAL}/r_GRANT.html",
    r'(?:GRANT|REVOKE) EXECUTE ON MODEL "x"\."x" (?:TO|FROM) "x"(?: WITH GRANT OPTION)?': f"{_MANUAL}/r_GRANT.html",
    r'(?:GRANT|REVOKE) SHARE ON DATASHARE "x" (?:TO|FROM) "x"(?: WITH GRANT OPTION)?': f"{_MANUAL}/r_GRANT.html",
}


def test_every_statement_is_redshifts(everything: set[str]) -> None:
    """By sqlfluff's grammar, which is not ours."""
    forms = {_form(statement) for statement in everything}
    require_parsed("redshift", forms, BEYOND_THE_GRAMMAR)
    assert len(forms) > 30


def _form(statement: str) -> str:
    """Names and values that are alike for every test, and no verifier in what a failure shows."""
    either = re.compile(r"""(?: E)?'(?:[^']|'')*'|"(?:[^"]|"")+\"""")
    return " ".join(either.sub(lambda found: '"x"' if found[0].startswith('"') else " 'x'", statement).split())
