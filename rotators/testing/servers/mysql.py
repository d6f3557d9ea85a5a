"""MySQL and MariaDB for tests: TLS only, with the general log and the binary log, and an admin with RDS's privileges.

MariaDB comes from PATH (Debian's mariadb-server). MySQL comes from PATH, or from packages of Debian unstable that
``tools/mysql`` has unpacked, which run with their own C library. ROTATORS_TEST_MARIADB and ROTATORS_TEST_MYSQL name
further versions: folders with an installation each, separated by colons.
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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pymysql

from rotators.engines.mysql.accounts import native_hash
from rotators.testing.servers.accounts import SystemAccount, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres_instance import Login
from rotators.testing.servers.processes import (
    LOOPBACK,
    ServerFailed,
    ServerProcess,
    Stopping,
    on_free_port,
    run_program,
)

Kind = Literal["mysql", "mariadb"]

HOST = "localhost"
_PRODUCTS: dict[Kind, str] = {"mariadb": "MariaDB", "mysql": "MySQL"}
_INSTALL_DB = "mariadb-install-db"
_ADMIN = "admin"
# The privileges of RDS's master user on both:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
ADMIN_PRIVILEGES = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "PROCESS", "REFERENCES", "INDEX", "ALTER",
    "SHOW DATABASES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "REPLICATION CLIENT",
    "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "EVENT", "TRIGGER",
)  # fmt: skip
# Further privileges on one of them, each with the first version that has it, and the first one that no longer has it.
MORE_ADMIN_PRIVILEGES: dict[Kind, dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]]] = {
    "mysql": {
        "CREATE ROLE": ((8, 0, 36), None),
        "DROP ROLE": ((8, 0, 36), None),
        "APPLICATION_PASSWORD_ADMIN": ((8, 0, 36), None),
        "ROLE_ADMIN": ((8, 0, 36), None),
        # https://dev.mysql.com/doc/refman/8.4/en/mysql-nutshell.html#mysql-nutshell-removals
        "SET_USER_ID": ((8, 0, 36), (8, 4)),
        "XA_RECOVER_ADMIN": ((8, 0, 36), None),
    },
    "mariadb": {"SHOW CREATE ROUTINE": ((11, 4), None)},
}
# A role with the same privileges. The master user has it, and it is active at each of its logins:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.MySQL.CommonDBATasks.privilege-model.html
_SUPERUSER_ROLE = "rds_superuser_role"
_SUPERUSER_ROLE_SINCE = (8, 0, 36)


@dataclass(frozen=True)
class MysqlInstallation:
    """A server's programs on this machine.

    Args:
        kind: ``mysql`` or ``mariadb``.
        version: the full version, such as ``9.7.4``.
        origin: its origin, such as ``Debian unstable``.
        server: the server program.
        options: options that it needs because of its location.
        named: whether only ROTATORS_TEST_MARIADB or ROTATORS_TEST_MYSQL names it.
    """

    kind: Kind
    version: str
    origin: str
    server: Path
    options: tuple[str, ...] = ()
    named: bool = False

    @property
    def name(self) -> str:
        """Its name for messages: ``MySQL 9.7.4 (Debian unstable)``."""
        return f"{_PRODUCTS[self.kind]} {self.version} ({self.origin})"

    @property
    def install_db(self) -> Path:
        """MariaDB's program that makes a data folder: the one of this installation.

        Raises:
            ServerFailed: it is not beside the server.
        """
        beside = (self.server.parent, *(self.server.parent.parent / folder for folder in ("bin", "scripts")))
        for folder in beside:
            if (folder / _INSTALL_DB).is_file():
                return folder / _INSTALL_DB
        raise ServerFailed(f"there is no {_INSTALL_DB} in any of {', '.join(map(str, beside))}")


def unpacked() -> Path:
    """Where ``tools/mysql`` unpacks MySQL."""
    cache_folder = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    return Path(cache_folder) / "rotators" / "mysql-9"


@cache
def available() -> tuple[MysqlInstallation, ...]:
    """The MySQL and MariaDB servers of this machine and those that are named, by kind and version.

    One per full version; installed servers take precedence over named ones.

    Raises:
        LookupError: a variable names a folder without such a server, or with one that does not run here.
    """
    found: dict[tuple[Kind, str], MysqlInstallation] = {}
    for one in (_mariadb(), _mysql(), *_named("mariadb"), *_named("mysql")):
        if one is not None:
            found.setdefault((one.kind, one.version), one)
    return tuple(sorted(found.values(), key=lambda one: (one.kind, _numbers(one.version))))


def admin_privileges(installation: MysqlInstallation) -> tuple[str, ...]:
    """The privileges that RDS's master user has on every object of such a server, each with the grant option."""
    version = _numbers(installation.version)
    more = MORE_ADMIN_PRIVILEGES[installation.kind]
    return ADMIN_PRIVILEGES + tuple(
        privilege
        for privilege, (since, until) in more.items()
        if version >= since and (until is None or version < until)
    )


class MysqlServer(Stopping):
    """A running server; a context manager.

    Args:
        installation: the programs to run.
        options: further options of the server.

    Raises:
        ServerFailed: it did not start.
    """

    host = HOST

    def __init__(self, installation: MysqlInstallation, *, options: tuple[str, ...] = ()) -> None:
        self.installation = installation
        self.admin = Login(_ADMIN, secrets.token_urlsafe(18))
        # Both servers can run as root, and all their files are in their own folder.
        self._account = SystemAccount(os.geteuid(), os.getegid())
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(temporary_folder(self._account))
            self.authority = CertificateAuthority(self._folder)
            self._certificate = self.authority.issue((HOST, LOOPBACK), folder=self._folder, account=self._account)
            self._options = options
            self._initialise()
            self.port, self.process = on_free_port(self._start)
            stack.callback(lambda: self.process.stop())  # noqa: PLW0108  # a restart replaces it
            self._create_admin()
            self._cleanup = stack.pop_all()

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, to verify the server with."""
        return self.authority.ca_file

    def stop(self) -> None:
        """Stop the server, and remove its folder. May be called again."""
        self._cleanup.close()

    def restart(self) -> None:
        """Kill the server, and start it again on the same port.

        What was committed less than a second ago survives only with ``--innodb-flush-log-at-trx-commit=2``.

        Raises:
            ServerFailed: it did not start.
        """
        self.process.stop()
        _, self.process = self._start(self.port)

    def superuser(self) -> pymysql.connections.Connection[Any]:
        """Log in as root over the socket, in autocommit. The caller closes the connection.

        A server that demands TLS takes a socket for secure. PyMySQL would read all of the system's certificates first,
        which takes 50 ms of CPU.
        """
        return pymysql.connect(
            unix_socket=str(self._folder / "socket"),
            user="root",
            autocommit=True,
            charset="utf8mb4",
            ssl_disabled=True,
        )

    def connect(self, username: str, password: str, database: str | None = None, *, source: str | None = None) -> Any:
        """Log in as an application does: TCP, TLS with the server verified. The caller closes the connection.

        Args:
            username: the user.
            password: its password.
            database: the database to use.
            source: the client's address, such as ``127.0.0.2``, for users with accounts on several hosts.

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
            bind_address=source,
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
        """Run a statement as root. Returns its rows."""
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

    def _initialise(self) -> None:
        data = f"--datadir={self._folder / 'data'}"
        user = ("--user=root",) if os.geteuid() == 0 else ()
        if self.installation.kind == "mariadb":
            # Otherwise root could log in only by its account of the operating system.
            normal = "--auth-root-authentication-method=normal"
            ours = [one for one in self.installation.options if one.startswith("--basedir=")]
            command = [self.installation.install_db, "--no-defaults", *ours, data, normal, "--skip-test-db", *user]
        else:
            start = (self.installation.server, "--no-defaults", *self.installation.options)
            command = [*start, data, "--initialize-insecure", *user]
        run_program(command, account=self._account, folder=self._folder)

    def _start(self, port: int) -> tuple[int, ServerProcess]:
        folder = self._folder
        process = ServerProcess(
            [
                self.installation.server,
                "--no-defaults",
                *self.installation.options,
                f"--datadir={folder / 'data'}",
                f"--port={port}",
                f"--bind-address={LOOPBACK}",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                # Absolute: with a relative path, MySQL starts without TLS, and without an error.
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
            # PyMySQL leaves a socket open if it can't connect.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self._folder / "socket"))
            self.superuser().close()
        except (OSError, pymysql.Error):
            return False
        return True

    def _create_admin(self) -> None:
        password = self.admin.password
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            # Keep the admin's password out of the log, so that a scan of the log does not find it.
            cursor.execute("SET SESSION sql_log_bin = 0")
            if self.installation.kind == "mariadb":
                cursor.execute(f"CREATE USER '{_ADMIN}'@'%' IDENTIFIED BY PASSWORD '{native_hash(password)}'")
            else:
                cursor.execute(f"CREATE USER '{_ADMIN}'@'%' IDENTIFIED BY '{password}'")
            for privilege in admin_privileges(self.installation):
                cursor.execute(f"GRANT {privilege} ON *.* TO '{_ADMIN}'@'%' WITH GRANT OPTION")
            if self.installation.kind == "mysql" and _numbers(self.installation.version) >= _SUPERUSER_ROLE_SINCE:
                cursor.execute(f"CREATE ROLE {_SUPERUSER_ROLE}")
                for privilege in admin_privileges(self.installation):
                    cursor.execute(f"GRANT {privilege} ON *.* TO {_SUPERUSER_ROLE} WITH GRANT OPTION")
                cursor.execute(f"GRANT {_SUPERUSER_ROLE} TO '{_ADMIN}'@'%'")
                cursor.execute(f"SET DEFAULT ROLE {_SUPERUSER_ROLE} TO '{_ADMIN}'@'%'")
        with contextlib.closing(self.connect(_ADMIN, password)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
            if not cursor.fetchone()[1].startswith("TLS"):
                raise ServerFailed("the server runs without TLS")


def _mariadb() -> MysqlInstallation | None:
    server = shutil.which("mariadbd", path=_path())
    # Its other programs are beside the real file: PATH may only have a link to the server.
    return None if server is None else _look("mariadb", Path(server).resolve(), "PATH")


def _mysql() -> MysqlInstallation | None:
    server = shutil.which("mysqld", path=_path())
    if server is not None and "mariadb" not in _version_of(Path(server)).lower():
        return _look("mysql", Path(server), "PATH")
    return _unpacked("mysql", unpacked(), "Debian unstable")


def _named(kind: Kind) -> Iterator[MysqlInstallation]:
    variable = f"ROTATORS_TEST_{kind.upper()}"
    for folder in filter(None, os.environ.get(variable, "").split(":")):
        found = _unpacked(kind, Path(folder).absolute(), "unpacked")
        if found is None:
            raise LookupError(f"{variable} names {folder}, where no {_PRODUCTS[kind]} is that runs here")
        yield replace(found, named=True)


def _unpacked(kind: Kind, folder: Path, origin: str) -> MysqlInstallation | None:
    """The server in a folder: a built one, or one unpacked from Debian's packages."""
    program = "mariadbd" if kind == "mariadb" else "mysqld"
    places = [base / where for base in (folder / "usr", folder) for where in ("sbin", "bin")]
    place = next((place for place in places if (place / program).is_file()), None)
    if place is None:
        return None
    base = place.parent
    # The folders that are compiled in are those of the machine that built it.
    share = next((one for one in (base / "share/mysql", base / "share/mariadb") if one.is_dir()), base / "share")
    plugins = next((one for one in (base / "lib/mysql/plugin", base / "lib/plugin") if one.is_dir()), None)
    options = [f"--basedir={base}"]
    if plugins:
        options.append(f"--plugin-dir={plugins}")
    options += [f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}"]
    if kind == "mysql":
        options += ["--secure-file-priv=NULL", "--mysqlx=OFF"]
    return _look(kind, place / program, origin, tuple(options))


def _look(kind: Kind, server: Path, origin: str, options: tuple[str, ...] = ()) -> MysqlInstallation | None:
    match = re.search(r"Ver (\d+\.\d+\.\d+)", _version_of(server))
    return None if match is None else MysqlInstallation(kind, match[1], origin, server, options)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _version_of(server: Path) -> str:
    try:
        done = subprocess.run([server, "--version"], check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout


def _path() -> str:
    # An ordinary user's PATH lacks the folders of servers.
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
