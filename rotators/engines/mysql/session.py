"""What one login to MySQL or MariaDB can do."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from rotators.engines.identity import Account
from rotators.engines.inspection import ServerFacts
from rotators.engines.mysql import clone
from rotators.engines.mysql.accounts import Method, Row, of_password, refuse_plugins
from rotators.engines.mysql.connection import Connection, own_login
from rotators.engines.mysql.dialects import Dialect
from rotators.engines.mysql.grants import EVERYWHERE, GrantedRight, parse
from rotators.engines.mysql.mariadb import MariadbDialect, require_global_priv
from rotators.engines.mysql.mysql import MysqlDialect
from rotators.engines.mysql.quoting import quote_account, quote_text
from rotators.engines.mysql.verifiers import NATIVE, native_hash
from rotators.engines.sessions import Closing, run_test_query
from rotators.errors import PasswordRefused, PermissionRefused, ReadOnlyServer, ServiceFailed, UserNotRotatable
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.engines.base import (
        AccountAdmin,
        CloneAdmin,
        SecondPassword,
        SecondPasswordAdmin,
        SelfServicePassword,
        Session,
        SiblingAccounts,
        WrongPasswordLimit,
    )
    from rotators.engines.identity import Pair

# https://dev.mysql.com/doc/refman/8.0/en/password-management.html
_REPLACE_SINCE = (8, 0, 13)
_ROLES_SINCE = (8, 0)
_LOGIN_LIMIT_SINCE = (8, 0, 19)
# Behind the names, which are quoted, and before the comment, whose quotes the server writes as they are: so the first.
_FAILED_LOGINS = re.compile(
    r"CREATE USER `(?:[^`]|``)*`@`(?:[^`]|``)*` .*? PASSWORD REQUIRE CURRENT(?: DEFAULT| OPTIONAL)?"
    r"(?: FAILED_LOGIN_ATTEMPTS (\d+))?",
    re.DOTALL,
)
# Any user may read these; together they tell one running server from another.
_SERVER = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN "
    "('server_uuid', 'server_uid', 'hostname', 'port', 'server_id', 'datadir')"
)
_CHANGES_USERS = {GrantedRight("privilege", name, EVERYWHERE) for name in ("CREATE USER", "ALL PRIVILEGES")}
_NAME = r"`(?:[^`]|``)*`"
_TEXT = r"'(?:[^']|'')*'"
_HEAD = re.compile(rf"CREATE USER {_NAME}@{_NAME} IDENTIFIED (?:BY PASSWORD {_TEXT}|VIA (.*))", re.DOTALL)
_VIA = re.compile(rf"(\w+)(?: (?:USING|AS) ({_TEXT}))?(?: OR |$|(?= [A-Z]))")

# Seconds: below the time-out of a statement.
_LOCKED_WITHIN = 2
# Wrong passwords that are left to applications before the account is locked.
_LEFT_TO_OTHERS = 2
_STRENGTH_OF_POLICY = {"0": 50, "LOW": 50, "1": 75, "MEDIUM": 75, "2": 100, "STRONG": 100}
# MariaDB's default, which is never reached: https://mariadb.com/kb/en/server-system-variables/#max_password_errors
_NEVER_LOCKED = 4_294_967_295


class _Session(Closing):
    """What MySQL and MariaDB have in common.

    Args:
        connection: an open login.
        username: whom the secret names.
        version: the server's.
        admin: the login is an admin's.
    """

    dialect_type: ClassVar[type[Dialect]]

    def __init__(self, connection: Connection, username: str, version: tuple[int, ...], *, admin: bool) -> None:
        self._connection = connection
        self.version = version
        self.host = connection.host
        self.user, self.account_host = own_login(connection, username)
        server = "|".join(sorted(f"{name}={value}" for name, value in connection.execute(_SERVER)))
        self.account = Account(server, (self.user, self.account_host), self.user, (self.account_host,))
        self.dialect = self.dialect_type(connection, version, self.user, self.account_host)
        if admin:
            self._activate_roles()

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that may only read."""
        self._connection.execute("SELECT 1")
        if test_query is not None:
            run_test_query(
                self._connection.execute, test_query, self.user, begin="START TRANSACTION READ ONLY", end="ROLLBACK"
            )

    def check_rotatable(self) -> None:
        """Refuse replicas, and users who log in without a password of the server's."""
        self._require_writer()
        refuse_plugins({self._connection.plugin or NATIVE} - self.dialect.plugins, self._own, self._plugins, self.host)

    def facts(self) -> ServerFacts:
        """See :class:`rotators.engines.inspection.Inspectable`."""
        return ServerFacts(self.dialect.product, ".".join(map(str, self.version)))

    @abstractmethod
    def wrong_passwords_allowed(self) -> int | None:
        """See :class:`rotators.engines.base.WrongPasswordLimit`."""

    def refusals_afforded(self) -> int | None:
        """The limit on wrong passwords, less the two that are left to the account's applications."""
        allowed = self.wrong_passwords_allowed()
        return None if allowed is None else max(0, allowed - _LEFT_TO_OTHERS)

    def explain_sync(self, pair: Pair) -> list[str]:
        """See :class:`rotators.engines.inspection.ExplainsSync`."""
        return clone.explain(self.dialect, pair)

    def recognize(self, account: Account, password: str) -> Account:
        """The accounts of the user: all of its name that have this password; see the protocol.

        The admin's own account among them makes the user the admin.
        """
        rows = of_password(self._rows(account.name), account, password, self._plugins, self.host)
        return self._account(rows, str(account.key[1]) if isinstance(account.key, tuple) else rows[0].host)

    def find_account(self, name: str) -> Account | None:
        """All accounts of a name, or the one of ``name@host``; see the protocol."""
        rows = self._rows(name)
        if not rows and "@" in name:
            user, _, host = name.rpartition("@")
            rows = [row for row in self._rows(user) if row.host == host.lower()]
        return self._account(rows, rows[0].host) if rows else None

    def check_can_set_password(self, account: Account) -> None:
        """See that the admin may change accounts, that these have passwords, and are no admin's."""
        self._require_admin()
        own = self.dialect.own_power()
        for row in clone.rows_of(self.dialect, account).values():
            clone.require_usable(self.dialect, row)
            clone.refuse_admin(self.dialect, row, own)

    def set_password(self, account: Account, new: str) -> None:
        """Change it on every host of the account, and end every other one."""
        self._require_storable(new)
        for row in self._own_last(account):
            self.dialect.set_password(row, new)

    def check_can_add_password(self, account: Account) -> None:
        """The same as for setting it; a server that keeps one password only is refused."""
        self.check_can_set_password(account)

    def add_password(self, account: Account, new: str, old: str) -> None:
        """Accept both, on every host of the account."""
        self._require_storable(new)
        for row in self._own_last(account):
            self.dialect.add_password(row, new, old)

    def siblings(self, account: Account, password: str) -> list[str] | None:
        """The accounts of that name on other hosts with this password, if the user may read mysql.user."""
        try:
            rows = self._rows(account.name)
        except PermissionRefused:
            return None
        return [str(row) for row in rows if (row.user, row.host) != account.key and row.takes(password)]

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """Look at the two users of a secret; see :mod:`rotators.engines.mysql.clone`."""
        return clone.inspect_pair(self.dialect, current, other_name)

    def check_can_sync(self, pair: Pair) -> None:
        """Compare what both may do with what the admin may pass on."""
        self._require_admin()
        clone.check_can_sync(self.dialect, pair)

    def sync_clone(self, pair: Pair) -> Account:
        """Bring the clone level, on every host of its source."""
        self._require_admin()
        return clone.sync(self.dialect, pair)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    @property
    def _own(self) -> str:
        return quote_account(self.user, self.account_host)

    @property
    def _plugins(self) -> frozenset[str]:
        return self.dialect.plugins

    def _rows(self, name: str) -> list[Row]:
        return self.dialect.rows(name)

    def _own_last(self, account: Account) -> list[Row]:
        """The accounts in the order of change, the one that logs in here last: once it is changed, all are."""
        return sorted(
            clone.rows_of(self.dialect, account).values(), key=lambda row: (row.user, row.host) == account.key
        )

    def _account(self, rows: list[Row], host: str) -> Account:
        hosts = tuple(row.host for row in rows)
        if rows[0].user == self.user and self.account_host in hosts:
            host = self.account_host
        return Account(self.account.server, (rows[0].user, host), rows[0].user, hosts)

    def _activate_roles(self) -> None:
        """Let the admin use what its roles give."""

    def _require_admin(self) -> None:
        self._require_writer()
        own = self.dialect.own_power()
        if not own & _CHANGES_USERS:
            raise PermissionRefused(
                f"the admin {self._own} at {self.host} may not change other users",
                f"run: GRANT CREATE USER ON *.* TO {self._own}",
            )

    def _require_writer(self) -> None:
        [values] = self._connection.execute("SELECT @@global.read_only, @@global.innodb_read_only")
        if {str(value).upper() for value in values} & {"1", "ON"}:
            writer = self.host.replace(".cluster-ro-", ".cluster-", 1)
            named = f": {writer}" if writer != self.host else ""
            raise ReadOnlyServer(
                f"{self.host} is a replica or reader (read_only), where no password can be changed",
                f"put the writer's endpoint as 'host' into the secret{named}",
            )

    def _require_storable(self, password: str) -> None:
        try:
            password.encode()
        except UnicodeEncodeError:
            raise PasswordRefused(
                f"the new password for {self.host} holds half of a character (a lone surrogate)",
                "the next rotation makes another",
            ) from None


class MysqlSession(_Session):
    """A login to MySQL, which takes passwords out of its logs itself.

    https://dev.mysql.com/doc/refman/8.4/en/password-logging.html
    """

    dialect: MysqlDialect
    dialect_type = MysqlDialect

    def set_own_password(self, new: str, old: str) -> None:
        """Change it with ALTER USER, which keeps the account's plugin."""
        self._require_storable(new)
        self._connection.execute(f"ALTER USER USER() IDENTIFIED BY {quote_text(new)}{self._replace(old)}")

    def why_no_second_password(self) -> str | None:
        """What stands against keeping the current password beside a new one."""
        if not self.dialect.keeps_second_password:
            return "MySQL 8.0.14 and newer keep a second password"
        own = {right.name for right in self.dialect.own_power() if right.kind == "privilege" and right.on == "*.*"}
        if not own & {"APPLICATION_PASSWORD_ADMIN", "CREATE USER", "ALL PRIVILEGES"}:
            return f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {self._own} would let it keep a second password"
        return None

    def wrong_passwords_allowed(self) -> int | None:
        """FAILED_LOGIN_ATTEMPTS of its own account, which a user can't read but in SHOW CREATE USER.

        https://dev.mysql.com/doc/refman/8.4/en/password-management.html#failed-login-tracking
        """
        if self.version < _LOGIN_LIMIT_SINCE:
            return None
        self._connection.execute("SET SESSION print_identified_with_as_hex = ON")
        [(shown,)] = self._connection.execute("SHOW CREATE USER CURRENT_USER()")
        limit = _FAILED_LOGINS.match(str(shown))
        return int(limit[1] or 0) or None if limit else None

    def add_own_password(self, new: str, old: str) -> None:
        """Change it and keep the old one.

        REPLACE makes it happen once: where the new one is the first already, the old one is not what it names.
        """
        self._require_storable(new)
        self._connection.execute(
            f"ALTER USER USER() IDENTIFIED BY {quote_text(new)}{self._replace(old)} RETAIN CURRENT PASSWORD"
        )

    def check_password(self, sample: str) -> None:
        """Ask validate_password, where it is installed, how strong a sample is.

        https://dev.mysql.com/doc/refman/8.4/en/encryption-functions.html#function_validate-password-strength

        Raises:
            PasswordRefused: less strong than its policy asks.
        """
        rules = self._connection.execute(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('validate_password.policy', 'validate_password_policy')"
        )
        if not rules:
            return
        policy = str(rules[0][1]).upper()
        # The sample is never anyone's password. Keep it out of the logs even so.
        text = f"CONVERT(UNHEX('{sample.encode().hex()}') USING utf8mb4)"
        [(strength,)] = self._connection.execute(f"SELECT VALIDATE_PASSWORD_STRENGTH({text})")
        if int(str(strength)) < _STRENGTH_OF_POLICY.get(policy, 0):
            raise PasswordRefused(
                f"validate_password at {self.host} (policy {policy}) refuses what this function makes",
                "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to SHOW VARIABLES LIKE "
                "'validate_password%'",
            )

    def check_can_add_password(self, account: Account) -> None:
        """See the base class; and whether this version keeps a second one."""
        if not self.dialect.keeps_second_password:
            raise UserNotRotatable(
                f"MySQL {'.'.join(map(str, self.version))} at {self.host} keeps one password per user",
                "set ROTATION_STRATEGY=single-user or alternating-users",
            )
        super().check_can_add_password(account)

    def add_password(self, account: Account, new: str, old: str) -> None:
        """See the base class; one function at a time.

        RETAIN keeps whatever is the first password. Of two functions at once, the second one's would end the present
        one. The lock ends with the session. A user who holds it longer (any user may, by its name) stops no rotation.
        https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
        """
        name = f"rotators.{hashlib.sha256(account.name.encode()).hexdigest()[:32]}"
        [(had,)] = self._connection.execute(f"SELECT GET_LOCK({quote_text(name)}, {_LOCKED_WITHIN})")
        if not had:
            logger.warning("another session holds the lock of this user's passwords; going on without it")
        super().add_password(account, new, old)

    def _replace(self, old: str) -> str:
        return f" REPLACE {quote_text(old)}" if self.version >= _REPLACE_SINCE else ""

    def _activate_roles(self) -> None:
        if self.version >= _ROLES_SINCE:
            self._connection.execute("SET ROLE ALL")


class MariadbSession(_Session):
    """A login to MariaDB, which would log passwords: it gets hashes.

    https://mariadb.com/kb/en/alter-user/, https://mariadb.com/kb/en/set-password/
    """

    dialect: MariadbDialect
    dialect_type = MariadbDialect

    def check_rotatable(self) -> None:
        """See the base class; an account may have further ways to log in."""
        super().check_rotatable()
        refuse_plugins({one.plugin for one in self._own_methods()} - self._plugins, self._own, self._plugins, self.host)

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # MariaDB does not ask for it
        """Change it with SET PASSWORD, the one statement that a user may run for itself."""
        self._require_storable(new)
        if len(self._own_methods()) > 1:
            # SET PASSWORD changes the first of two, and the second would live on for good.
            raise UserNotRotatable(
                f"{self._own} at {self.host} has two passwords, of which it could change one",
                "rotate it with an admin secret and ROTATION_STRATEGY=dual-password, as before",
            )
        self._connection.execute(f"SET PASSWORD = {quote_text(native_hash(new))}")

    def wrong_passwords_allowed(self) -> int | None:
        """max_password_errors of the server, whose default stands for no limit."""
        found = self._connection.execute("SHOW GLOBAL VARIABLES LIKE 'max_password_errors'")
        allowed = int(found[0][1]) if found else 0
        return allowed if 0 < allowed < _NEVER_LOCKED else None

    def why_no_second_password(self) -> str | None:
        """What stands against keeping the current password beside a new one: only an admin may give a second one."""
        return "on MariaDB an admin secret and ROTATION_STRATEGY=dual-password would let it keep a second password"

    def add_own_password(self, new: str, old: str) -> None:
        """Refuse: see :meth:`why_no_second_password`.

        Raises:
            PermissionRefused: always.
        """
        del new, old
        raise PermissionRefused("a MariaDB user may not give itself a second password", "name an admin secret")

    def check_password(self, sample: str) -> None:  # noqa: ARG002  # the server is sent hashes, and sees no password
        """See whether a plugin that looks at passwords refuses hashes, which is all that it is sent.

        https://mariadb.com/kb/en/server-system-variables/#strict_password_validation

        Raises:
            PasswordRefused: it would.
        """
        plugins = self._connection.execute(
            "SELECT PLUGIN_NAME FROM information_schema.PLUGINS "
            "WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'"
        )
        [(strict,)] = self._connection.execute("SELECT @@global.strict_password_validation")
        if plugins and str(strict).upper() in {"1", "ON"}:
            names = ", ".join(sorted(str(name) for (name,) in plugins))
            raise PasswordRefused(
                f"{self.host} takes no hash of a password while {names} looks at passwords "
                "(strict_password_validation)",
                "SET GLOBAL strict_password_validation = OFF, and in the parameter group: the function's own settings "
                "make passwords at least as strong",
            )

    def _own_methods(self) -> list[Method]:
        """The ways in which this account logs in: the one thing that a user can't read but in SHOW CREATE USER."""
        [(shown,)] = self._connection.execute("SHOW CREATE USER CURRENT_USER()")
        match = _HEAD.match(str(shown))
        if match is None or match[1] is None:
            return [Method(NATIVE, "")] if match else []
        found, rest = [], match[1]
        while one := _VIA.match(rest):
            found.append(Method(one[1], (one[2] or "")[1:-1]))
            if not one[0].endswith(" OR "):
                break
            rest = rest[one.end() :]
        return found

    def _require_admin(self) -> None:
        require_global_priv(self.version, self.host)
        super()._require_admin()

    def _activate_roles(self) -> None:
        """Only one role can be active: the first that lets it change users, where it may not by itself."""
        # Every user sees its own rows here, without SELECT on mysql.*.
        own = self._connection.execute(
            "SELECT GRANTEE FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE USER'"
        )
        if (f"'{self.user}'@'{self.account_host}'",) in own:
            return
        names = self._connection.execute("SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES")
        for name in sorted({quote_text(str(name)) for (name,) in names}):
            try:
                self._connection.execute(f"SET ROLE {name}")
                granted = parse(str(grant) for (grant,) in self._connection.execute(f"SHOW GRANTS FOR {name}"))
            except (ServiceFailed, PermissionRefused, ValueError):
                # One that is granted to another role only can't be set.
                continue
            if granted & _CHANGES_USERS:
                return


def renew_expired(connection: Connection, new: str, old: str) -> None:
    """Set the password of a user who was let in with one that has expired: the one statement that is allowed.

    https://dev.mysql.com/doc/refman/8.4/en/expired-password-handling.html,
    https://mariadb.com/kb/en/user-password-expiry/

    Args:
        connection: the login, which ends here.
        new: the password from now on.
        old: the one that has expired.

    Raises:
        PasswordRefused: the server's password policy refuses it, or it holds what can't be in a statement.
    """
    try:
        if "mariadb" in connection.greeting.lower():
            connection.execute(f"SET PASSWORD = {quote_text(native_hash(new))}")
            return
        if "\\" in new + old:
            # How the server reads one depends on a setting that can't be read here.
            raise PasswordRefused(
                f"a password for {connection.host} that has expired is not renewed with a backslash in it",
                "have the admin set it, or add it to EXCLUDE_CHARACTERS",
            )
        replace = f" REPLACE {quote_text(old)}" if version_of(connection.greeting) >= _REPLACE_SINCE else ""
        connection.execute(f"ALTER USER USER() IDENTIFIED BY {quote_text(new)}{replace}")
    finally:
        connection.close()


def version_of(text: str) -> tuple[int, ...]:
    """``8.0.36-log`` as numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def open_session(connection: Connection, username: str, *, admin: bool) -> MysqlSession | MariadbSession:
    """A login as what the server is, by its own word.

    Args:
        connection: the login.
        username: whom the secret names.
        admin: it is an admin's.
    """
    try:
        [(version,)] = connection.execute("SELECT VERSION()")
        kind = MariadbSession if "mariadb" in str(version).lower() else MysqlSession
        return kind(connection, username, version_of(str(version)), admin=admin)
    except BaseException:
        connection.close()
        raise


if TYPE_CHECKING:
    _session: list[type[Session]] = [MysqlSession, MariadbSession]
    _own_password: list[type[SelfServicePassword]] = [MysqlSession, MariadbSession]
    _admin: list[type[AccountAdmin]] = [MysqlSession, MariadbSession]
    _second: list[type[SecondPassword]] = [MysqlSession, MariadbSession]
    _second_admin: list[type[SecondPasswordAdmin]] = [MysqlSession, MariadbSession]
    _clone_admin: list[type[CloneAdmin]] = [MysqlSession, MariadbSession]
    _siblings: list[type[SiblingAccounts]] = [MysqlSession, MariadbSession]
    _limit: list[type[WrongPasswordLimit]] = [MysqlSession, MariadbSession]
