"""What one login to MySQL or MariaDB can do."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pymysql
from pymysql.constants import CR, ER

from rotators.engines.mysql import twin as twins
from rotators.engines.mysql.accounts import Account, account, native_hash
from rotators.engines.mysql.grants import rights
from rotators.engines.sessions import Closing, test_query_of
from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from pymysql.connections import Connection

_LOST = {CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, 1053, 1927, 4031}
_REFUSED = {ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, 1410}
# validate_password and its like; the history of passwords.
_POLICY = {1819, 3638, 4164}
_OPTION_PREVENTS = 1290
_READ_ONLY_MODE = 1836
_WRONG_CURRENT_PASSWORD = 3891
# https://dev.mysql.com/doc/refman/8.0/en/password-management.html
_REPLACE_SINCE = (8, 0, 13)
_SECOND_PASSWORD_SINCE = (8, 0, 14)
_AWS_IAM = "AWSAuthenticationPlugin"
# What ALL PRIVILEGES on a database is on both.
_ALL_ON_DATABASE = frozenset(
    {
        "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER",
        "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE",
        "ALTER ROUTINE", "EVENT", "TRIGGER",
    }
)  # fmt: skip


class _Session(Closing):
    """What MySQL and MariaDB have in common.

    Args:
        connection: an open connection in autocommit, with the sql_mode NO_BACKSLASH_ESCAPES.
        host: the server's name, for messages.
        timeout: seconds that a statement may take.
    """

    product: ClassVar[str]
    plugins: ClassVar[frozenset[str]]
    """The ways to log in whose passwords it can set."""
    all_on_database: ClassVar[frozenset[str]] = _ALL_ON_DATABASE

    def __init__(self, connection: Connection[Any], host: str, timeout: float) -> None:
        self._connection = connection
        self.host = host
        try:
            # The database gives up before Lambda ends us, and we can say why.
            self.execute(f"SET SESSION lock_wait_timeout = {max(1, round(timeout))}")
            [(version, account)] = self.execute("SELECT VERSION(), CURRENT_USER()")
        except ServiceError:
            self.close()
            raise
        self.version = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        self.user, self.account_host = account.rsplit("@", 1)

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that may only read."""
        self.execute("SELECT 1")
        if test_query is None:
            return
        self.execute("START TRANSACTION READ ONLY")
        with test_query_of(self.user):
            self.execute(test_query)
            self.execute("ROLLBACK")

    def check_rotatable(self) -> None:
        """Refuse replicas, and users who log in without a password of the server's."""
        self._require_writer()
        self.require_password(self.user, self.account_host)

    def check_user(self, user: str) -> None:
        """See that the admin may change accounts, and that the user's have passwords."""
        self._require_writer()
        self._require_admin()
        for host in self.hosts(user):
            self.require_password(user, host)

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Compare what both may do with what the admin may pass on."""
        self._require_writer()
        self._require_admin()
        twins.check(self, user, twin, acquainted)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Level the pair, and set the password on every host from which both log in."""
        for host, source in twins.level(self, user, twin).items():
            self.give_password(self.account(twin, host), source.plugin, password)

    def close(self) -> None:
        """End the session."""
        if self._connection.open:
            try:
                self._connection.close()
            except pymysql.Error:
                # The server was gone already.
                return

    def execute(self, statement: str, advice: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, whose texts and names are quoted already.

        Args:
            advice: what to do where a right is missing.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return [tuple(row) for row in cursor.fetchall()]
        except (pymysql.Error, OSError) as error:
            raise self._translate(error, advice) from None

    def _text(self, value: str) -> str:
        """A text literal, by the rule of NO_BACKSLASH_ESCAPES."""
        return "'" + value.replace("'", "''") + "'"

    def account(self, user: str, host: str) -> str:
        """An account, quoted."""
        return f"{self._text(user)}@{self._text(host)}"

    def grants(self, user: str, host: str) -> list[str]:
        """The lines of SHOW GRANTS."""
        return [str(grant) for (grant,) in self.execute(f"SHOW GRANTS FOR {self._account_or_self(user, host)}")]

    def describe(self, user: str, host: str) -> Account:
        """What SHOW CREATE USER says."""
        [(statement,)] = self.execute(f"SHOW CREATE USER {self._account_or_self(user, host)}")
        return account(str(statement))

    def find_hosts(self, user: str) -> list[str]:
        """The hosts of a user's accounts; none where there is no such user."""
        rows = self.execute(
            f"SELECT Host FROM mysql.user WHERE User = {self._text(user)} ORDER BY Host",  # noqa: S608  # quoted
            advice=f"grant SELECT on mysql.user to '{self.user}'",
        )
        return [str(host) for (host,) in rows]

    def hosts(self, user: str) -> list[str]:
        """The same.

        Raises:
            UserNotRotatable: there is no such user.
        """
        found = self.find_hosts(user)
        if not found:
            raise UserNotRotatable(f"there is no user '{user}' at {self.host}", "create it, or correct the secret")
        return found

    def _account_or_self(self, user: str, host: str) -> str:
        # One's own account may always be looked at.
        own = (user, host) == (self.user, self.account_host)
        return "CURRENT_USER()" if own else self.account(user, host)

    def _global_privileges(self) -> set[str]:
        found = rights(self.grants(self.user, self.account_host))
        return {right.name for right in found if right.kind == "privilege" and right.on == "*.*"}

    def _require_admin(self) -> None:
        if not self._global_privileges() & {"CREATE USER", "ALL PRIVILEGES"}:
            raise PermissionRefused(
                f"the admin '{self.user}' at {self.host} may not change other users",
                f"run: GRANT CREATE USER ON *.* TO {self.account(self.user, self.account_host)}",
            )

    def _require_writer(self) -> None:
        [(read_only, innodb_read_only)] = self.execute("SELECT @@global.read_only, @@global.innodb_read_only")
        if str(read_only).upper() in {"1", "ON"} or str(innodb_read_only).upper() in {"1", "ON"}:
            writer = self.host.replace(".cluster-ro-", ".cluster-", 1)
            named = f": {writer}" if writer != self.host else ""
            raise ReadOnlyServer(
                f"{self.host} is a replica or reader (read_only), where no password can be changed",
                f"put the writer's endpoint as 'host' into the secret{named}",
            )

    def require_password(self, user: str, host: str) -> Account:
        """An account, which logs in by a password that we can set.

        Raises:
            UserNotRotatable: it logs in by other means.
        """
        found = self.describe(user, host)
        unknown = {found.plugin, *found.alternatives} - self.plugins
        if unknown:
            how = "by IAM" if _AWS_IAM in unknown else f"by the plugin {', '.join(sorted(unknown))}"
            raise UserNotRotatable(
                f"'{user}'@'{host}' at {self.host} logs in {how}, which this function can't rotate",
                f"give the account one of {', '.join(sorted(self.plugins))}, or stop rotating this secret",
            )
        return found

    def _translate(self, error: Exception, advice: str) -> ServiceError:  # noqa: PLR0911  # one way out for each meaning
        """What a statement's failure means. The statement itself is never shown: it may hold a password."""
        code, said = (*error.args, "", "")[:2] if error.args and isinstance(error.args[0], int) else (0, "")
        where = f"{self.product} at {self.host}, as '{getattr(self, 'user', '?')}'"
        if code in _LOST or isinstance(error, OSError | pymysql.err.InterfaceError):
            self.close()
            return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
        what = f"{where}: {said} [{code}]"
        if code in _REFUSED:
            return PermissionRefused(what, advice or "grant what the server says is missing")
        if code in _POLICY:
            return PasswordRefused(
                what, "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy"
            )
        if code == _OPTION_PREVENTS and "strict-password-validation" in said:
            return PermissionRefused(
                what,
                "set strict_password_validation=OFF: it takes no hashes, and MariaDB would log a password in clear",
            )
        if code in {_OPTION_PREVENTS, _READ_ONLY_MODE}:
            return ReadOnlyServer(what, "put the writer's endpoint as 'host' into the secret")
        if code == _WRONG_CURRENT_PASSWORD:
            return CurrentPasswordMismatch(what, "the rotation will be repeated")
        return ServiceFailed(what, "the rotation will be repeated; the server's log tells more")

    @abstractmethod
    def create_account(self, account: str, plugin: str, password: str) -> None:
        """Make an account, quoted already, if it is missing."""

    @abstractmethod
    def give_password(self, account: str, plugin: str, password: str) -> None:
        """Give an account a plugin and a password, and end any second one."""

    @abstractmethod
    def set_own_password(self, new: str, old: str) -> None:
        """See :class:`rotators.engines.base.OwnPassword`."""

    @abstractmethod
    def set_password(self, user: str, new: str) -> None:
        """See :class:`rotators.engines.base.OtherPassword`."""


class CurrentPasswordMismatch(ServiceFailed):
    """The password given to REPLACE is not the account's first one."""


class MysqlSession(_Session):
    """A login to MySQL, which takes passwords out of its logs itself.

    https://dev.mysql.com/doc/refman/8.4/en/password-logging.html
    """

    product = "MySQL"
    plugins = frozenset({"caching_sha2_password", "sha256_password", "mysql_native_password"})
    adding_repeats: ClassVar[bool] = False

    def set_own_password(self, new: str, old: str) -> None:
        """Change it with ALTER USER, which keeps the account's plugin."""
        self.execute(f"ALTER USER USER() IDENTIFIED BY {self._text(new)}{self._replace(old)}")

    def set_password(self, user: str, new: str) -> None:
        """Change it on every host, and end a second password."""
        for host in self.hosts(user):
            self.give_password(self.account(user, host), self.describe(user, host).plugin, new)

    def create_account(self, account: str, plugin: str, password: str) -> None:
        """Make it; see the base."""
        how = f"IDENTIFIED WITH {self._text(plugin)} BY {self._text(password)}"
        self.execute(f"CREATE USER IF NOT EXISTS {account} {how}")

    def give_password(self, account: str, plugin: str, password: str) -> None:
        """Set it; see the base."""
        self.execute(f"ALTER USER {account} IDENTIFIED WITH {self._text(plugin)} BY {self._text(password)}")
        if self.version >= _SECOND_PASSWORD_SINCE:
            self.execute(f"ALTER USER {account} DISCARD OLD PASSWORD")

    def second_password_obstacle(self) -> str | None:
        """Why the user who is logged in can't keep its present password beside a new one."""
        if self.version < _SECOND_PASSWORD_SINCE:
            return "MySQL 8.0.14 and newer keep a second password"
        if not self._global_privileges() & {"APPLICATION_PASSWORD_ADMIN", "CREATE USER", "ALL PRIVILEGES"}:
            account = self.account(self.user, self.account_host)
            return f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {account} would let it keep a second password"
        return None

    def add_own_password(self, new: str, old: str) -> None:
        """Change it and keep the old one.

        REPLACE makes it happen once: where the new one is the first already, the old one is not what it names.
        """
        self.execute(f"ALTER USER USER() IDENTIFIED BY {self._text(new)}{self._replace(old)} RETAIN CURRENT PASSWORD")

    def add_password(self, user: str, new: str, old: str) -> None:  # noqa: ARG002  # MySQL keeps what is there
        """Change it on every host and keep the present one."""
        if self.version < _SECOND_PASSWORD_SINCE:
            raise UserNotRotatable(
                f"MySQL {'.'.join(map(str, self.version))} at {self.host} keeps one password per user",
                "set ROTATION_STRATEGY=single-user or alternating-users",
            )
        for host in self.hosts(user):
            account = self.account(user, host)
            self.execute(f"ALTER USER {account} IDENTIFIED BY {self._text(new)} RETAIN CURRENT PASSWORD")

    def _replace(self, old: str) -> str:
        return f" REPLACE {self._text(old)}" if self.version >= _REPLACE_SINCE else ""


class MariadbSession(_Session):
    """A login to MariaDB, which would log passwords: it gets hashes.

    https://mariadb.com/kb/en/alter-user/, https://mariadb.com/kb/en/set-password/
    """

    product = "MariaDB"
    plugins = frozenset({"mysql_native_password"})
    # For system-versioned tables: https://mariadb.com/kb/en/grant/#database-privileges
    all_on_database = _ALL_ON_DATABASE | {"DELETE HISTORY"}
    adding_repeats: ClassVar[bool] = True

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # MariaDB does not ask for it
        """Change it with SET PASSWORD, the one statement that a user may run for itself."""
        if self.describe(self.user, self.account_host).alternatives:
            # SET PASSWORD changes the first of two, and the second would live on for good.
            raise UserNotRotatable(
                f"'{self.user}'@'{self.account_host}' at {self.host} has two passwords, of which it could change one",
                "rotate it with an admin secret and ROTATION_STRATEGY=dual-password, as before",
            )
        self.execute(f"SET PASSWORD = {self._text(native_hash(new))}")

    def set_password(self, user: str, new: str) -> None:
        """Change it on every host; other passwords end."""
        for host in self.hosts(user):
            self.give_password(self.account(user, host), "", new)

    def create_account(self, account: str, plugin: str, password: str) -> None:  # noqa: ARG002  # there is one
        """Make it; see the base."""
        self.execute(f"CREATE USER IF NOT EXISTS {account} {self._identified(password)}")

    def give_password(self, account: str, plugin: str, password: str) -> None:  # noqa: ARG002  # there is one
        """Set it; see the base."""
        self.execute(f"ALTER USER {account} {self._identified(password)}")

    def second_password_obstacle(self) -> str | None:
        """Why the user who is logged in can't keep its present password beside a new one."""
        return "on MariaDB an admin secret and ROTATION_STRATEGY=dual-password would let it keep a second password"

    def add_own_password(self, new: str, old: str) -> None:
        """Never called: there is always an obstacle.

        Raises:
            PermissionRefused: always.
        """
        del new, old
        raise PermissionRefused("a MariaDB user may not give itself a second password", "name an admin secret")

    def add_password(self, user: str, new: str, old: str) -> None:
        """Accept both, on every host."""
        for host in self.hosts(user):
            self.execute(f"ALTER USER {self.account(user, host)} {self._identified(new, old)}")

    def _identified(self, *passwords: str) -> str:
        methods = (f"mysql_native_password USING {self._text(native_hash(password))}" for password in passwords)
        return f"IDENTIFIED VIA {' OR '.join(methods)}"
