"""Who is who on PostgreSQL: stories of people who may write one secret, or are one user, and what they must not get."""

from __future__ import annotations

import io
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from doubles.relay import PostgresTlsRelay
from psycopg2 import sql
from targets import ALTERNATING, SINGLE, Application, PostgresTarget, Rotated, rotated

from rotators import errors
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

pytestmark = pytest.mark.server

MEMBERSHIP_OPTIONS = 16
# From then on a role has no ADMIN option on itself: https://www.postgresql.org/docs/release/15.0/
SELF_ADMIN_ENDED = 15


def named(**names: str) -> dict[str, sql.Identifier]:
    return {key: sql.Identifier(name) for key, name in names.items()}


def run(postgres: PostgresTarget, who: Application, statement: str, **names: str) -> Any:
    """As one of the users."""
    with postgres.session(postgres.secret(who)) as cursor:
        cursor.execute(sql.SQL(statement).format(**named(**names)))
        return cursor.fetchall() if cursor.description else None


def verifier(postgres: PostgresTarget, user: str) -> str:
    rows = postgres.as_superuser(
        sql.SQL("SELECT rolpassword FROM pg_authid WHERE rolname = {}").format(sql.Literal(user))
    )
    return str(rows[0][0])


def is_refused(subject: Rotated, error: type[Exception], *says: str) -> None:
    """createSecret ends with this error, and nothing is stored."""
    failed = subject.service.rotate(subject.arn)
    assert isinstance(failed.error, error), failed.error
    assert failed.failed_step == "createSecret"
    for text in says:
        assert text in str(failed.error)
    with pytest.raises(KeyError):
        subject.service.value(subject.arn, "AWSPENDING")


class TestWhoseASecondUserIs:
    """Issue 11, faults 1, 2 and 6."""

    def test_whoever_may_create_roles_gets_nobody_by_a_role_named_after_them(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Fault 1: app makes victim_clone, makes the victim a member of it, and puts it into its own secret."""
        victim = postgres.make_application()
        postgres.work(postgres.secret(victim))
        thief = postgres.make_application(options="CREATEROLE")
        clone = f"{victim.username}_clone"
        before = verifier(postgres, victim.username)
        names = {"clone": clone, "victim": victim.username, "admin": postgres.server.admin.username}
        for statement in (
            "CREATE ROLE {clone} LOGIN PASSWORD 'of-the-thiefs-own-making'",
            "GRANT {clone} TO {victim}",
            "GRANT {clone} TO {admin} WITH ADMIN OPTION",
        ):
            run(postgres, thief, statement, **names)
        made = Application(clone, "of-the-thiefs-own-making")
        subject = rotated(postgres, rotation_service, ALTERNATING, application=made)
        is_refused(subject, errors.UserPairMismatch, f"nothing shows that '{victim.username}'")
        assert verifier(postgres, victim.username) == before
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(postgres, made, "SELECT * FROM {schema}.granted", schema=f"of_{victim.username}")
        postgres.work(postgres.secret(victim))

    def test_a_clone_granted_to_its_user_makes_the_user_no_clone(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Fault 1, without an attacker: the grant goes the wrong way round, and app must go on working."""
        app = postgres.make_application()
        postgres.server.create_app_user(f"{app.username}_clone")
        names = named(app=app.username, clone=f"{app.username}_clone")
        postgres.as_admin(sql.SQL("GRANT {clone} TO {app}").format(**names))
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        is_refused(subject, errors.UserPairMismatch, "and not the other way round")
        postgres.work(postgres.secret(app))
        _, _, rest = str(subject.service.retry(subject.arn).error).partition("run once, as an admin: ")
        postgres.as_admin(rest.partition("; name the secret's user")[0])
        assert subject.service.retry(subject.arn).error is None
        postgres.work(subject.value)

    def test_a_membership_that_the_user_granted_itself_is_no_proof(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Fault 2: before PostgreSQL 15 any role may make another one a member of itself."""
        if postgres.server.installation.version >= MEMBERSHIP_OPTIONS:
            pytest.skip("from PostgreSQL 16 on a role needs the ADMIN option on itself, which it can't have")
        thief = postgres.make_application()
        stranger = postgres.make_application(f"{thief.username}_clone")
        names = {"app": thief.username, "clone": stranger.username}
        if postgres.server.installation.version < SELF_ADMIN_ENDED:
            run(postgres, thief, "GRANT {app} TO {clone}", **names)
        else:
            # As it stands in the catalogue of an older version that was upgraded.
            postgres.as_superuser(sql.SQL("GRANT {app} TO {clone} GRANTED BY {app}").format(**named(**names)))
        subject = rotated(postgres, rotation_service, ALTERNATING, application=thief)
        is_refused(subject, errors.UserPairMismatch, f"by a grant of '{thief.username}', and not of the admin's")
        postgres.work(postgres.secret(stranger))

    def test_a_member_that_may_do_more_is_somebody_else(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Fault 6: somebody's own account, which was once let into app and is in another group as well."""
        app = postgres.make_application()
        stranger = postgres.make_application(f"{app.username}_clone")
        group = f"payroll_{app.username}"
        names = named(app=app.username, clone=stranger.username, group=group)
        postgres.as_admin(sql.SQL("CREATE ROLE {group}").format(**names))
        postgres.as_admin(sql.SQL("GRANT {group}, {app} TO {clone}").format(**names))
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        is_refused(subject, errors.UserPairMismatch, f"is a member of '{group}'", "COMMENT ON ROLE")
        postgres.work(postgres.secret(stranger))

    def test_the_one_statement_of_the_refusal_is_enough(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        app = postgres.make_application()
        postgres.make_bare(f"{app.username}_clone")
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        failed = subject.service.rotate(subject.arn)
        _, _, rest = str(failed.error).partition("run once, as an admin: ")
        postgres.as_admin(rest.partition("; name the secret's user")[0])
        assert subject.service.retry(subject.arn).error is None
        postgres.work(subject.value)

    def test_the_deployers_word_is_enough_too(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        app = postgres.make_application()
        postgres.make_bare(f"{app.username}_clone")
        users = json.dumps({"app-by-deployer": app.username})
        rotator = postgres.rotator(rotation_service, ROTATION_USERS=users)
        admin = rotation_service.create_secret("the-admin", postgres.admin_secret(), rotator)
        arn = rotation_service.create_secret("app-by-deployer", postgres.secret(app, masterarn=admin), rotator)
        assert rotation_service.rotate(arn).error is None
        postgres.work(rotation_service.value(arn))

    def test_the_former_version_of_a_secret_proves_nothing(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Anyone who writes the secret puts into AWSPREVIOUS what they like, twice."""
        victim = postgres.make_application()
        thief = postgres.make_application(f"{victim.username}_clone")
        subject = rotated(postgres, rotation_service, ALTERNATING, application=thief)
        own = subject.value
        for value in ({**own, "username": victim.username}, own):
            rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
        is_refused(subject, errors.UserPairMismatch)
        postgres.work(postgres.secret(victim))

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    def test_a_reset_never_sets_an_admins_password(
        self, postgres: PostgresTarget, rotation_service: RotationService, strategy: str
    ) -> None:
        """Not even where the person who deploys has named that user by mistake."""
        boss = postgres.make_application(options="CREATEROLE")
        before = verifier(postgres, boss.username)
        admin = rotation_service.create_secret("the-admin", postgres.admin_secret(), postgres.rotator(rotation_service))
        subject = rotated(
            postgres,
            rotation_service,
            strategy,
            application=Application(boss.username, "not-the-password"),
            masterarn=admin,
            ALLOW_ADMIN_RESET="true",
        )
        is_refused(subject, errors.UserNotRotatable, "is a superuser or an admin")
        assert verifier(postgres, boss.username) == before


class TestWhatASecondUserHasOfItsOwn:
    """Issue 11, fault 8: nothing that counts."""

    @pytest.mark.parametrize("new_owner", ["another user", "a superuser"])
    def test_what_the_user_granted_it_ends_with_the_users_own_right(
        self, postgres: PostgresTarget, rotation_service: RotationService, log: io.StringIO, new_owner: str
    ) -> None:
        app = postgres.make_application()
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        assert subject.service.rotate(subject.arn).error is None
        owner = "rdsadmin" if new_owner == "a superuser" else postgres.make_application().username
        names = {"schema": f"of_{app.username}", "clone": f"{app.username}_clone", "owner": owner}
        run(postgres, app, "CREATE TABLE {schema}.lost AS SELECT 1 AS n", **names)
        run(postgres, app, "GRANT SELECT ON {schema}.lost TO {clone}", **names)
        postgres.as_superuser(sql.SQL("ALTER TABLE {schema}.lost OWNER TO {owner}").format(**named(**names)))
        if new_owner == "a superuser":
            # Whose grants no admin of RDS can revoke: it is found in createSecret, with the statement for the owner.
            says = f'REVOKE SELECT ON TABLE "of_{app.username}"."lost" FROM "{app.username}_clone"'
            is_refused(subject, errors.PermissionRefused, says)
            postgres.as_superuser(says)
        for number in range(2):
            again = subject.service.retry if new_owner == "a superuser" and number == 0 else subject.service.rotate
            assert again(subject.arn).error is None
            stage = "AWSCURRENT" if subject.value["username"].endswith("_clone") else "AWSPREVIOUS"
            with postgres.session(subject.service.value(subject.arn, stage)) as cursor:
                cursor.execute("SET ROLE NONE")
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(sql.SQL("SELECT n FROM {schema}.lost").format(**named(**names)))
        if new_owner == "another user":
            assert "is revoked" in log.getvalue()

    def test_what_awss_clone_was_granted_itself_goes_to_the_user(
        self, postgres: PostgresTarget, rotation_service: RotationService, log: io.StringIO
    ) -> None:
        app = postgres.make_application()
        schema, clone = f"of_{app.username}", f"{app.username}_clone"
        postgres.server.create_app_user(clone)
        names = named(schema=schema, clone=clone, app=app.username)
        postgres.as_admin(sql.SQL("GRANT {app} TO {clone}").format(**names))
        # The admin owns what the application uses, as it does on RDS.
        admin = sql.Identifier(postgres.server.admin.username)
        for statement in (
            "ALTER SCHEMA {schema} OWNER TO {admin}",
            'CREATE TABLE {schema}."odd ""table" AS SELECT 1 AS n, 2 AS "other col"',
            'ALTER TABLE {schema}."odd ""table" OWNER TO {admin}',
            'GRANT SELECT (n), UPDATE ("other col") ON {schema}."odd ""table" TO {clone}',
            "CREATE FUNCTION {schema}.f(text, int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER FUNCTION {schema}.f(text, int) OWNER TO {admin}",
            "REVOKE EXECUTE ON FUNCTION {schema}.f(text, int) FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION {schema}.f(text, int) TO {clone} WITH GRANT OPTION",
        ):
            postgres.as_superuser(sql.SQL(statement).format(admin=admin, **names))
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        for _ in range(2):
            assert subject.service.rotate(subject.arn).error is None
            with postgres.session(subject.value) as cursor:
                statement = 'SELECT n, {schema}.f(\'\', 1) FROM {schema}."odd ""table"'
                cursor.execute(sql.SQL(statement).format(**names))
                assert cursor.fetchall() == [(1, 1)]
                cursor.execute(sql.SQL('UPDATE {schema}."odd ""table" SET "other col" = 3').format(**names))
        assert "given_to_the_first" in log.getvalue()
        held = sql.SQL("SELECT 1 FROM pg_shdepend WHERE refobjid = {}::regrole AND deptype = 'a'")
        assert postgres.as_superuser(held.format(sql.Literal(f'"{clone}"'))) == []

    def test_what_the_admin_cant_pass_on_is_found_before_anything_is_changed(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        app = postgres.make_application()
        schema, clone = f"of_{app.username}", f"{app.username}_clone"
        postgres.server.create_app_user(clone)
        names = named(schema=schema, clone=clone, app=app.username)
        postgres.as_admin(sql.SQL("GRANT {app} TO {clone}").format(**names))
        postgres.as_superuser(sql.SQL("CREATE TABLE {schema}.foreign AS SELECT 1 AS n").format(**names))
        postgres.as_superuser(sql.SQL("GRANT SELECT ON {schema}.foreign TO {clone}").format(**names))
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        says = f'run once: GRANT SELECT ON TABLE "{schema}"."foreign" TO "{app.username}"'
        is_refused(subject, errors.PermissionRefused, says)
        postgres.as_superuser(sql.SQL("GRANT SELECT ON {schema}.foreign TO {app}").format(**names))
        assert subject.service.retry(subject.arn).error is None

    def test_a_membership_of_its_own_is_revoked_and_said(
        self, postgres: PostgresTarget, rotation_service: RotationService, log: io.StringIO
    ) -> None:
        app = postgres.make_application()
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        assert subject.service.rotate(subject.arn).error is None
        names = named(group=f"group_{app.username}", clone=f"{app.username}_clone")
        postgres.as_admin(sql.SQL("CREATE ROLE {group}").format(**names))
        postgres.as_admin(sql.SQL("GRANT {group} TO {clone}").format(**names))
        assert subject.service.rotate(subject.arn).error is None
        assert "is no member of a role itself any more" in log.getvalue()
        held = sql.SQL("SELECT pg_has_role({}, {}, 'MEMBER')")
        who = sql.Literal(f"{app.username}_clone"), sql.Literal(f"group_{app.username}")
        assert postgres.as_superuser(held.format(*who)) == [(False,)]

    def test_the_admins_own_memberships_are_as_they_were(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        """Issue 12, C14: what the admin held before, it holds afterwards, row by row."""
        app = postgres.make_application()
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app)
        assert subject.service.rotate(subject.arn).error is None
        names = named(app=app.username, clone=f"{app.username}_clone", schema=f"of_{app.username}")
        postgres.as_admin(sql.SQL("GRANT {app} TO CURRENT_USER").format(**names))
        postgres.as_superuser(sql.SQL("SET ROLE {clone}; CREATE TABLE pg_temp.t ()").format(**names))
        postgres.as_superuser(sql.SQL("GRANT CREATE ON SCHEMA {schema} TO {clone}").format(**names))
        postgres.as_superuser(sql.SQL("SET ROLE {clone}; CREATE TABLE {schema}.own_of_clone ()").format(**names))
        rows = "SELECT roleid, member, grantor, admin_option{} FROM pg_auth_members ORDER BY 1, 2, 3"
        more = ", inherit_option, set_option" if postgres.server.installation.version >= MEMBERSHIP_OPTIONS else ""
        before = postgres.as_superuser(rows.format(more))
        assert subject.service.rotate(subject.arn).error is None
        assert postgres.as_superuser(rows.format(more)) == before


@pytest.fixture(scope="module")
def two_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresTarget, PostgresServer]]:
    """A production server, and one of an attacker's that has a certificate of the same CA, as any customer of RDS."""
    authority = CertificateAuthority(tmp_path_factory.mktemp("authority"))
    with (
        PostgresServer(require_postgres(), authority=authority) as production,
        PostgresServer(require_postgres(), authority=authority) as own,
    ):
        yield PostgresTarget(production), own


def logins(server: Any, mark: int) -> str:
    """The server's log since a mark, without the ends of sessions: the test's own may end after it."""
    return "\n".join(line for line in server.log_since(mark).splitlines() if "disconnection:" not in line)


class TestTheServerOfAnAttacker:
    """Issue 11, faults 3 and 4."""

    @pytest.mark.parametrize("identifier", ["dbClusterIdentifier", "dbInstanceIdentifier", "namespaceName", None])
    def test_a_proof_at_another_server_is_none(
        self, two_servers: tuple[PostgresTarget, PostgresServer], rotation_service: RotationService, identifier: Any
    ) -> None:
        """Fault 3: the attacker's server knows 'payroll', and whatever the secret says ties it to production."""
        production, own = two_servers
        payroll = production.make_application()
        login = own.create_app_user(payroll.username, password="mine")
        tie = {} if identifier is None else {identifier: "production"}
        rotator = production.rotator(rotation_service)
        admin = rotation_service.create_secret("admin", {**production.admin_secret(), **tie}, rotator)
        secret = {**own.secret(login.username, "mine"), "masterarn": admin, **tie}
        arn = rotation_service.create_secret("thief", secret, rotator)
        mark = own.log_mark()
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, errors.LoginRefused)
        assert failed.failed_step == "createSecret"
        with pytest.raises(KeyError):
            rotation_service.value(arn, "AWSPENDING")
        found = sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(f"{payroll.username}_clone"))
        assert production.as_superuser(found) == []
        assert production.server.admin.username + "@" not in logins(own, mark)
        production.work(production.secret(payroll))

    def test_a_user_of_both_servers_is_told_that_they_are_two(
        self, two_servers: tuple[PostgresTarget, PostgresServer], rotation_service: RotationService
    ) -> None:
        """Even with the right password for both: the admin acts at one, and the application logs in at the other."""
        production, own = two_servers
        app = production.make_application()
        own.create_app_user(app.username, password=app.password)
        rotator = production.rotator(rotation_service)
        admin = rotation_service.create_secret("admin", production.admin_secret(), rotator)
        secret = {**own.secret(app.username, app.password), "masterarn": admin}
        arn = rotation_service.create_secret("both", secret, rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, errors.UserPairMismatch)
        assert "which is another server" in str(failed.error)

    @pytest.mark.parametrize("given", [True, False])
    def test_an_admin_whose_secret_has_no_host_never_calls_there(
        self,
        two_servers: tuple[PostgresTarget, PostgresServer],
        rotation_service: RotationService,
        *,
        given: bool,
    ) -> None:
        """Fault 4: the writer's host hears neither the admin's password nor a login that it could pass on."""
        production, own = two_servers
        app = production.make_application()
        own.create_app_user(app.username, password=app.password)
        known = production.admin_secret()
        address = {"ROTATION_ADMIN_HOST": f"{known['host']}:{known['port']}"} if given else {}
        rotator = production.rotator(rotation_service, **address)
        bare = {key: known[key] for key in ("username", "password")}
        admin = rotation_service.create_secret("rds!db-1", bare, rotator)
        secret = {**own.secret(app.username, app.password), "masterarn": admin, "tlsServerName": "localhost"}
        arn = rotation_service.create_secret("thief", secret, rotator)
        mark = own.log_mark()
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, errors.UserPairMismatch if given else errors.ConfigurationError)
        assert f"{known['username']}@" not in logins(own, mark)
        assert f'user "{known["username"]}"' not in logins(own, mark)

    def test_the_applications_tls_name_is_none_of_the_admins(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        app = postgres.make_application()
        rotator = postgres.rotator(rotation_service)
        admin = rotation_service.create_secret(
            "admin", {**postgres.admin_secret(), "tlsServerName": "not.in.the.certificate"}, rotator
        )
        secret = postgres.secret(app, masterarn=admin, tlsServerName="localhost")
        arn = rotation_service.create_secret("app", secret, rotator)
        failed = rotation_service.rotate(arn)
        assert isinstance(failed.error, errors.TlsFailed)
        assert "is not for 'not.in.the.certificate'" in str(failed.error)

    def test_an_admins_login_can_t_be_passed_on_to_another_server(
        self, postgres: PostgresTarget, rotation_service: RotationService, tmp_path: Path
    ) -> None:
        """Fault 4: the admin's SCRAM is tied to its TLS connection (channel binding), a relay ends it."""
        account = SystemAccount(os.geteuid(), os.getegid())
        authority = CertificateAuthority(tmp_path, name="public CA")
        issued = authority.issue(["localhost"], folder=tmp_path, account=account)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate_file, issued.key_file)
        trusted = tmp_path / "both.pem"
        trusted.write_text(authority.ca_file.read_text() + Path(postgres.server.ca_file).read_text())
        app = postgres.make_application()
        rotator = postgres.rotator(rotation_service, ROTATION_CA_BUNDLE=str(trusted))
        with PostgresTlsRelay(postgres.server.host, postgres.server.port, context) as relay:
            elsewhere = {**postgres.admin_secret(), "port": relay.port}
            admin = rotation_service.create_secret("admin", elsewhere, rotator)
            arn = rotation_service.create_secret("app", postgres.secret(app, masterarn=admin, port=relay.port), rotator)
            mark = postgres.log_mark()
            failed = rotation_service.rotate(arn)
            assert isinstance(failed.error, errors.TlsFailed)
            assert "channel binding" in str(failed.error)
            assert relay.connections == 1
        assert f"user={postgres.server.admin.username} " not in logins(postgres, mark)


class TestVerifiers:
    """Issue 11, fault 13: what decides the verifier is how the user logs in, not a setting of somebody's."""

    @pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
    @pytest.mark.parametrize("by", ["database", "role", "server"])
    def test_a_setting_makes_no_weaker_verifier(
        self, postgres: PostgresTarget, rotation_service: RotationService, strategy: str, by: str
    ) -> None:
        app = postgres.make_application()
        subject = rotated(postgres, rotation_service, strategy, application=app)
        place = {
            "database": "DATABASE postgres",
            "role": "ROLE {app}",
            "server": "ROLE ALL",
        }[by]
        postgres.as_superuser(
            sql.SQL(f"ALTER {place} SET password_encryption = 'md5'").format(**named(app=app.username))
        )
        if postgres.server.installation.version >= MEMBERSHIP_OPTIONS:
            postgres.as_superuser(sql.SQL(f"ALTER {place} SET scram_iterations = 1").format(**named(app=app.username)))
        try:
            for _ in range(2):
                assert subject.service.rotate(subject.arn).error is None
                assert verifier(postgres, subject.value["username"]).startswith("SCRAM-SHA-256$4096:")
                postgres.work(subject.value)
        finally:
            postgres.as_superuser(sql.SQL(f"ALTER {place} RESET ALL").format(**named(app=app.username)))

    def test_a_server_that_asks_for_md5_is_given_md5(self, rotation_service: RotationService) -> None:
        with PostgresServer(require_postgres(), password_encryption="md5") as server:
            target = PostgresTarget(server)
            for strategy in (SINGLE, ALTERNATING):
                subject = rotated(target, rotation_service, strategy)
                for _ in range(2):
                    assert subject.service.rotate(subject.arn).error is None
                    assert verifier(target, subject.value["username"]).startswith("md5")
                    target.work(subject.value)


class TestAForeignDatabase:
    """A database's owner is somebody else: nothing of theirs runs as the admin."""

    def test_an_operator_of_the_owners_is_never_called(
        self, postgres: PostgresTarget, rotation_service: RotationService
    ) -> None:
        app = postgres.make_application()
        database = f"db_{app.username}"
        postgres.server.create_database(database)
        body = "INSERT INTO evil.caught VALUES (current_user); SELECT $1::text OPERATOR(pg_catalog.=) $2::text"
        statements = ["CREATE SCHEMA evil", "GRANT ALL ON SCHEMA evil TO PUBLIC", "CREATE TABLE evil.caught (who text)"]
        statements += ["GRANT INSERT ON evil.caught TO PUBLIC"]
        for kind in ("oid", "name", "text"):
            statements += [
                f"CREATE FUNCTION evil.eq({kind}, {kind}) RETURNS bool LANGUAGE sql AS '{body}'",
                f"CREATE OPERATOR evil.= (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.eq)",
            ]
        for statement in (*statements, f'ALTER DATABASE "{database}" SET search_path = evil, pg_catalog'):
            postgres.as_superuser(statement, database)
        subject = rotated(postgres, rotation_service, ALTERNATING, application=app, dbname=database)
        for _ in range(2):
            assert subject.service.rotate(subject.arn).error is None
        assert postgres.as_superuser("SELECT who FROM evil.caught", database) == []


class TestBeforeTls:
    """Issue 11, fault 9: nothing that arrives before the server is verified is believed."""

    @pytest.mark.parametrize("code", ["28P01", "28000", "42501", "3D000"])
    def test_an_error_before_tls_is_a_lost_connection(
        self, postgres: PostgresTarget, rotation_service: RotationService, code: str
    ) -> None:
        """Somebody on the way answers instead of the server: the password is not wrong for that."""
        message = f'SFATAL\0VFATAL\0C{code}\0Mpassword authentication failed for user "app"\0\0'.encode()
        answer = b"E" + (len(message) + 4).to_bytes(4, "big") + message
        subject = rotated(postgres, rotation_service, SINGLE)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_answer_each, args=(listener, answer), daemon=True).start()
            value = {**subject.value, "host": "localhost", "port": listener.getsockname()[1]}
            rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
            failed = rotation_service.rotate(subject.arn)
        assert type(failed.error) is errors.ConnectionLost
        assert "password authentication failed" not in str(failed.error)


def _answer_each(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            client.recv(1024)
            client.sendall(answer)
