"""MySQL and MariaDB for tests: TLS only, the general log and the binary log on, and an admin with RDS's rights.

MariaDB comes from PATH (Debian's mariadb-server); MySQL from PATH, or from Debian's unstable packages that
``tools/mysql`` has unpacked, which run with the C library they came with.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pymysql

from rotators.engines.mysql.accounts import native_hash
from rotators.testing.servers.accounts import Account, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres_instance import Login
from rotators.testing.servers.processes import LOOPBACK, ServerFailed, ServerProcess, on_free_port, run_program

Kind = Literal["mysql", "mariadb"]

HOST = "localhost"
_ADMIN = "admin"
# What RDS's master user has on both:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
_ADMIN_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, "
    "CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)
# And of rds_superuser_role, on MySQL 8 and newer.
_ADMIN_DYNAMIC_PRIVILEGES = "APPLICATION_PASSWORD_ADMIN, ROLE_ADMIN, CONNECTION_ADMIN, XA_RECOVER_ADMIN"


@dataclass(frozen=True)
class MysqlInstallation:
    """A server's programs on this machine.

    Args:
        kind: which of the two.
        name: for people: ``MySQL 9.7.4 (Debian unstable)``.
        server: the command that runs the server, with the options that its place needs.
        options: the same options for a server that does not have them by itself.
    """

    kind: Kind
    name: str
    server: tuple[str, ...]
    options: tuple[str, ...] = ()


def unpacked() -> Path:
    """Where ``tools/mysql`` unpacks MySQL."""
    cache_folder = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    return Path(cache_folder) / "rotators" / "mysql" / "usr"


@cache
def available() -> tuple[MysqlInstallation, ...]:
    """The MySQL and MariaDB servers of this machine."""
    return tuple(found for found in (_mariadb(), _mysql()) if found is not None)


class MysqlServer:
    """A running server; a context manager.

    Args:
        installation: whose programs.
        options: further options of the server.

    Raises:
        ServerFailed: it did not start.
    """

    host = HOST

    def __init__(self, installation: MysqlInstallation, *, options: tuple[str, ...] = ()) -> None:
        self.installation = installation
        self.admin = Login(_ADMIN, secrets.token_urlsafe(18))
        # Both servers run as root where root says so, and everything they touch lies in a folder of its own.
        self._account = Account(os.geteuid(), os.getegid())
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(temporary_folder(self._account))
            self.authority = CertificateAuthority(self._folder)
            self._certificate = self.authority.issue((HOST, LOOPBACK), folder=self._folder, account=self._account)
            self._options = options
            self._initialise()
            self.port, self.process = on_free_port(self._start)
            stack.callback(self.process.stop)
            self._create_admin()
            self._cleanup = stack.pop_all()

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, to verify the server with."""
        return self.authority.ca_file

    def stop(self) -> None:
        """Stop the server, and remove its folder. Again is no error."""
        self._cleanup.close()

    def superuser(self) -> pymysql.connections.Connection[Any]:
        """Log in as root over the socket, in autocommit. The caller closes the connection."""
        return pymysql.connect(
            unix_socket=str(self._folder / "socket"), user="root", autocommit=True, charset="utf8mb4"
        )

    def connect(self, username: str, password: str, database: str | None = None) -> Any:
        """Log in as an application does: TCP, TLS with the server verified. The caller closes the connection.

        Raises:
            pymysql.err.OperationalError: refused.
        """
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=username,
            password=password.encode(),
            database=database,
            ssl_ca=str(self.ca_file),
            ssl_verify_identity=True,
            autocommit=True,
            charset="utf8mb4",
        )

    def secret(self, username: str, password: str, **extra: Any) -> dict[str, Any]:
        """The value of a Secrets Manager secret for a user."""
        return {
            "engine": self.installation.kind,
            "host": self.host,
            "port": self.port,
            "username": username,
            "password": password,
        } | extra

    def admin_secret(self, **extra: Any) -> dict[str, Any]:
        """The value of the administrator's secret."""
        return self.secret(self.admin.username, self.admin.password, **extra)

    def query(self, statement: str) -> Any:
        """Run a statement as root; give its rows."""
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def log_text(self) -> str:
        """The general log, the error log and the binary logs, one after the other, as text."""
        files = [self._folder / "general.log", self._folder / "server.log", *sorted(self._folder.glob("binlog.0*"))]
        return "\n".join(file.read_bytes().decode(errors="replace") for file in files if file.is_file())

    def general_log(self) -> str:
        """The general log: every statement, connection and refused login."""
        return (self._folder / "general.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self) -> None:
        data = f"--datadir={self._folder / 'data'}"
        user = ("--user=root",) if os.geteuid() == 0 else ()
        if self.installation.kind == "mariadb":
            script = shutil.which("mariadb-install-db") or "mariadb-install-db"
            # Else root could log in by the operating system's account alone.
            normal = "--auth-root-authentication-method=normal"
            command = [script, "--no-defaults", data, normal, "--skip-test-db", *user]
        else:
            server, *rest = self.installation.server
            command = [server, *rest, "--no-defaults", *self.installation.options, data, "--initialize-insecure", *user]
        run_program(command, account=self._account, folder=self._folder)

    def _start(self, port: int) -> tuple[int, ServerProcess]:
        folder = self._folder
        process = ServerProcess(
            [
                *self.installation.server,
                "--no-defaults",
                *self.installation.options,
                f"--datadir={folder / 'data'}",
                f"--port={port}",
                f"--bind-address={LOOPBACK}",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                # Absolute: with relative paths MySQL starts without TLS, and does not say so.
                f"--ssl-ca={self.ca_file}",
                f"--ssl-cert={self._certificate.certificate_file}",
                f"--ssl-key={self._certificate.key_file}",
                "--require-secure-transport=ON",
                "--general-log=1",
                f"--general-log-file={folder / 'general.log'}",
                f"--log-bin={folder / 'binlog'}",
                "--server-id=1",
                "--innodb-flush-log-at-trx-commit=0",
                "--sync-binlog=0",
                "--skip-name-resolve",
                *(("--user=root",) if os.geteuid() == 0 else ()),
                *self._options,
            ],
            account=self._account,
            folder=folder,
            log_file=folder / "server.log",
            stop_signal=signal.SIGKILL,
        )
        try:
            process.wait_until(self._answers)
        except BaseException:
            process.stop()
            raise
        return port, process

    def _answers(self) -> bool:
        try:
            # PyMySQL would leave a socket open that could not be connected.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self._folder / "socket"))
            self.superuser().close()
        except (OSError, pymysql.Error):
            return False
        return True

    def _create_admin(self) -> None:
        password = self.admin.password
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            # The admin's password is known to the test alone: it must not be what a scan of the log finds.
            cursor.execute("SET SESSION sql_log_bin = 0")
            if self.installation.kind == "mariadb":
                cursor.execute(f"CREATE USER '{_ADMIN}'@'%' IDENTIFIED BY PASSWORD '{native_hash(password)}'")
            else:
                cursor.execute(f"CREATE USER '{_ADMIN}'@'%' IDENTIFIED BY '{password}'")
                cursor.execute(f"GRANT {_ADMIN_DYNAMIC_PRIVILEGES} ON *.* TO '{_ADMIN}'@'%' WITH GRANT OPTION")
            cursor.execute(f"GRANT {_ADMIN_PRIVILEGES} ON *.* TO '{_ADMIN}'@'%' WITH GRANT OPTION")
        with contextlib.closing(self.connect(_ADMIN, password)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
            if not cursor.fetchone()[1].startswith("TLS"):
                raise ServerFailed("the server runs without TLS")


def _mariadb() -> MysqlInstallation | None:
    server = shutil.which("mariadbd", path=_path())
    return None if server is None else _look("mariadb", "MariaDB", (server,), "PATH")


def _mysql() -> MysqlInstallation | None:
    server = shutil.which("mysqld", path=_path())
    if server is not None and "mariadb" not in _version_of((server,)).lower():
        return _look("mysql", "MySQL", (server,), "PATH")
    root = unpacked()
    loader = root / "lib64/ld-linux-x86-64.so.2"
    if not loader.is_file():
        return None
    libraries = f"{root}/lib/x86_64-linux-gnu:{root}/lib/mysql/private"
    command = (str(loader), "--library-path", libraries, str(root / "sbin/mysqld"))
    options = (
        f"--basedir={root}",
        f"--plugin-dir={root}/lib/mysql/plugin",
        f"--lc-messages-dir={root}/share/mysql",
        f"--character-sets-dir={root}/share/mysql/charsets",
        "--secure-file-priv=NULL",
        "--mysqlx=OFF",
    )
    return _look("mysql", "MySQL", command, "Debian unstable", options)


def _look(
    kind: Kind, product: str, command: tuple[str, ...], origin: str, options: tuple[str, ...] = ()
) -> MysqlInstallation | None:
    match = re.search(r"Ver (\d+\.\d+\.\d+)", _version_of(command))
    return None if match is None else MysqlInstallation(kind, f"{product} {match[1]} ({origin})", command, options)


def _version_of(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "--version"], check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout


def _path() -> str:
    # Where servers are is not on an ordinary user's PATH.
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
