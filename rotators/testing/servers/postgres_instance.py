"""One running PostgreSQL server, for tests to log in, read its log, and change its settings."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.processes import LOOPBACK, ServerProcess, Stopping, on_free_port

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

# The name of RDS's own superuser.
SUPERUSER = "rdsadmin"
HOST = "localhost"
_PROBE_TIMEOUT = 5


@dataclass(frozen=True)
class Login:
    """A user and its password, which its repr does not show."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Setup:
    """The configuration that a server and its standby share.

    Args:
        programs: the folder with PostgreSQL's programs.
        account: the account under which it runs.
        authority: the CA that signs its certificates.
        server_names: the names in its certificate.
        admin: the administrator, with RDS's rights.
        settings: settings for postgresql.conf.
    """

    programs: Path
    account: SystemAccount
    authority: CertificateAuthority
    server_names: Sequence[str]
    admin: Login
    settings: Mapping[str, str]


class PostgresInstance(Stopping):
    """A running server: `PostgresServer` or a standby of it.

    The constructor starts it. Use it as a context manager, or call `stop`.

    Args:
        setup: its configuration.
        folder: the server's own folder, with an initialized data folder.

    Attributes:
        host: "localhost", a name in its certificate.
        port: its TCP port, on 127.0.0.1 only.
        setup: its configuration.
        process: the server's process.
    """

    host = HOST

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup = setup
        self._folder = folder
        self._log_file = folder / "server.log"
        certificate = setup.authority.issue(setup.server_names, folder=folder, account=setup.account)
        _write_configuration(
            data_folder(folder),
            {
                "listen_addresses": LOOPBACK,
                "unix_socket_directories": str(folder),
                "ssl": "on",
                "ssl_cert_file": str(certificate.certificate_file),
                "ssl_key_file": str(certificate.key_file),
                **setup.settings,
            },
        )
        self.port, self.process = on_free_port(self._start)

    def stop(self) -> None:
        """Stop the server and wait until it is gone. May be called again."""
        self.process.stop()

    def restart(self) -> None:
        """Stop the server at once, like a power failure, and start it again on the same port.

        Raises:
            ServerFailed: it did not start.
        """
        self.process.stop()
        _, self.process = self._start(self.port)

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, to verify the server with."""
        return self.setup.authority.ca_file

    @property
    def admin(self) -> Login:
        """The administrator."""
        return self.setup.admin

    def superuser(self, dbname: str = "postgres") -> Connection:
        """Log in as the superuser, over the Unix socket, in autocommit. The caller closes the connection."""
        return _superuser(self._folder, self.port, dbname)

    def connect(self, username: str, password: str, dbname: str = "postgres", **parameters: Any) -> Connection:
        """Log in as an application does: TCP, TLS with the server verified. In autocommit; the caller closes it.

        Args:
            username: the user.
            password: its password.
            dbname: the database.
            parameters: libpq's parameters, which are added to the defaults here (host, port, sslmode, ...) or replace
                them:
                https://www.postgresql.org/docs/current/libpq-connect.html

        Raises:
            psycopg2.OperationalError: refused, or not reached.
        """
        ours: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": username,
            "password": password,
            "dbname": dbname,
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca_file),
            "gssencmode": "disable",
        }
        connection: Connection = psycopg2.connect(**(ours | parameters))
        connection.autocommit = True
        return connection

    def secret(self, username: str, password: str, **extra: Any) -> dict[str, Any]:
        """The value of a Secrets Manager secret for a user, as a dict.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html

        Args:
            username: the user.
            password: its password.
            extra: further keys (masterarn), or other values for the defaults here (host, dbname).
        """
        return {
            "engine": "postgres",
            "host": self.host,
            "port": self.port,
            "username": username,
            "password": password,
            "dbname": "postgres",
        } | extra

    def admin_secret(self, **extra: Any) -> dict[str, Any]:
        """The value of the administrator's secret."""
        return self.secret(self.admin.username, self.admin.password, **extra)

    def log_text(self) -> str:
        """The server's log: every statement, connection and refused login."""
        return self.log_since(0)

    def log_mark(self) -> int:
        """The current end of the log, for `log_since`."""
        return self._log_file.stat().st_size

    def log_since(self, mark: int) -> str:
        """What was logged since a mark. A statement is logged before its answer arrives."""
        with self._log_file.open("rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def set_config(self, name: str, value: str | None) -> None:
        """Change a setting of the running server (ALTER SYSTEM, reload), and wait until new sessions have it.

        Args:
            name: the setting.
            value: its value; None: its value at the start.

        Raises:
            psycopg2.Error: there is no such setting, or the value is wrong.
            ValueError: it can only be set at the start: pass it to the constructor.
        """
        self.configure({name: value})

    def configure(self, values: Mapping[str, str | None]) -> None:
        """Change several settings at once, like `set_config`."""
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_settings WHERE context = 'postmaster' AND name = ANY(%s)", [[*values]])
            at_start_only = [name for (name,) in cursor.fetchall()]
            if at_start_only:
                raise ValueError(f"only a start changes {', '.join(at_start_only)}: give it to the constructor")
            for name, value in values.items():
                if value is None:
                    cursor.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
                else:
                    cursor.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            cursor.execute("SELECT pg_conf_load_time(), pg_reload_conf()")
            (before, _) = cursor.fetchone() or (None, None)
        # A reload is a signal: it is done once a new session has a later load time.
        self.process.wait_until(lambda: self.query("SELECT pg_conf_load_time()") != before)

    @contextlib.contextmanager
    def configured(self, **values: str) -> Iterator[None]:
        """Change settings for a `with` block."""
        self.configure(values)
        try:
            yield
        finally:
            self.configure(dict.fromkeys(values))

    def read_only(self) -> contextlib.AbstractContextManager[None]:
        """For a `with` block, sessions are read-only by default, like on a server whose disk is full."""
        return self.configured(default_transaction_read_only="on")

    def presenting(
        self, *names: str, expired: bool = False, authority: CertificateAuthority | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """For a `with` block, the server uses another certificate.

        Args:
            names: the names in it; by default the server's.
            expired: whether it has expired.
            authority: the CA that signs it; by default the server's.
        """
        certificate = (authority or self.setup.authority).issue(
            names or self.setup.server_names, expired=expired, folder=self._folder, account=self.setup.account
        )
        return self.configured(ssl_cert_file=str(certificate.certificate_file), ssl_key_file=str(certificate.key_file))

    def query(self, statement: str, *arguments: object) -> Any:
        """Run a statement as the superuser. Returns the first value of the first row; None if there is no row."""
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def _start(self, port: int) -> tuple[int, ServerProcess]:
        process = ServerProcess(
            [self.setup.programs / "postgres", "-D", data_folder(self._folder), "-c", f"port={port}"],
            account=self.setup.account,
            folder=self._folder,
            log_file=self._log_file,
            # An immediate shutdown, without a checkpoint: the data is not needed.
            # https://www.postgresql.org/docs/current/server-shutdown.html
            stop_signal=signal.SIGQUIT,
        )
        try:
            process.wait_until(lambda: self._answers(port))
        except BaseException:
            process.stop()
            raise
        return port, process

    def _answers(self, port: int) -> bool:
        # Over its own socket: another process might answer on the TCP port.
        try:
            _superuser(self._folder, port, "postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}:{self.port}>"


def data_folder(folder: Path) -> Path:
    """The data folder in a server's folder."""
    return folder / "data"


def _superuser(folder: Path, port: int, dbname: str) -> Connection:
    connection: Connection = psycopg2.connect(
        host=str(folder),
        port=port,
        user=SUPERUSER,
        dbname=dbname,
        connect_timeout=_PROBE_TIMEOUT,
        # This session must be able to write even if a test has made the server read-only.
        options="-c default_transaction_read_only=off",
    )
    connection.autocommit = True
    return connection


def _write_configuration(data: Path, settings: Mapping[str, str]) -> None:
    # https://www.postgresql.org/docs/current/config-setting.html
    lines = (
        "{} = '{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "''")) for name, value in settings.items()
    )
    (data / "postgresql.conf").write_text("".join(lines))
