"""A session: one login to PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.identity import Account, Pair
from rotators.engines.libpq.login import SCRAM
from rotators.engines.libpq.session import LibpqSession
from rotators.engines.postgres import clone, passwords, roles
from rotators.engines.postgres.roles import MEMBERSHIP_OPTIONS
from rotators.errors import PermissionRefused, ReadOnlyServer, ServiceError, ServiceFailed, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.base import (
        AccountAdmin,
        CloneAdmin,
        SelfServiceCheck,
        SelfServicePassword,
        TransactionalPassword,
    )
    from rotators.engines.libpq.connection import LibpqConnection
    from rotators.engines.postgres.roles import Role

# No setting of the role or the database may change what these statements do: whose objects they find, how long they
# wait, as whom they run. First of all the search_path, by functions with full names: the database may belong to a user
# who put an own operator before the system's.
_PREPARE = """
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false),
       pg_catalog.set_config('statement_timeout', {statement}, false),
       pg_catalog.set_config('lock_timeout', {lock}, false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),
       pg_catalog.set_config('standard_conforming_strings', 'on', false),
       pg_catalog.set_config('datestyle', 'ISO', false){more};
SELECT r.oid::bigint, r.rolname, current_user::text,
       (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint,
       (SELECT c.rolcreaterole FROM pg_catalog.pg_roles c WHERE c.rolname = current_user),
       pg_catalog.pg_is_in_recovery(),
       (SELECT pg_catalog.substr(s.setting, 6) FROM pg_catalog.pg_db_role_setting d
        CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) AS s (setting)
        WHERE d.setrole = r.oid AND s.setting LIKE 'role=%' AND d.setdatabase IN (
            0, (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()))
          AND (s.setting = 'role=none' OR EXISTS (
              SELECT FROM pg_catalog.pg_roles p
              WHERE p.rolname = pg_catalog.substr(s.setting, 6) AND pg_catalog.pg_has_role(r.oid, p.oid, {mode})))
        ORDER BY d.setdatabase DESC LIMIT 1)
FROM pg_catalog.pg_roles r WHERE r.rolname = session_user
"""
# A verifier with fewer rounds than PostgreSQL's default is weaker, even if the server is configured so.
_ROUNDS = """,
       pg_catalog.set_config('scram_iterations', (GREATEST(
           4096, pg_catalog.int4(pg_catalog.current_setting('scram_iterations'))))::pg_catalog.text, false)"""
_NO_TRANSACTION_TIMEOUT = ",\n       pg_catalog.set_config('transaction_timeout', '0', false)"
_ROUNDS_SINCE, _TRANSACTION_TIMEOUT_SINCE = 16, 17

_RESTRICTED = """
SELECT pg_catalog.current_setting('rds.restrict_password_commands', true) = 'on' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_roles r
    WHERE r.rolname = 'rds_password' AND pg_catalog.pg_has_role(session_user, r.oid, 'USAGE'))
"""

# The host from which a replica gets its WAL, where this role may see that.
_SENDER = "SELECT sender_host FROM pg_catalog.pg_stat_wal_receiver WHERE sender_host IS NOT NULL"


@dataclass(frozen=True)
class PostgresAccount(Account):
    """A role.

    Args:
        method: how it proved its password, so that what it is given surely logs in again.
    """

    method: str = field(default=SCRAM, compare=False)


class PostgresSession(LibpqSession):
    """One login.

    Args:
        connection: an open connection in autocommit.
        admin: the login is an admin's.
    """

    def __init__(self, connection: LibpqConnection, *, admin: bool = False) -> None:
        super().__init__(connection)
        milliseconds = connection.statement_timeout
        more = _ROUNDS if connection.version >= _ROUNDS_SINCE else ""
        more += _NO_TRANSACTION_TIMEOUT if connection.version >= _TRANSACTION_TIMEOUT_SINCE else ""
        try:
            [(oid, name, acts_as, started, creates_roles, is_replica, plays)] = connection.execute(
                sql.SQL(_PREPARE).format(
                    statement=sql.Literal(f"{milliseconds}ms"),
                    lock=sql.Literal(f"{milliseconds * 4 // 5}ms"),
                    # A role that may not be played is passed over at login, with a warning.
                    mode=sql.Literal("SET" if connection.version >= MEMBERSHIP_OPTIONS else "MEMBER"),
                    more=sql.SQL(more),
                )
            )
            # As the role that logged in, whatever role its settings would have it play. Only an admin that alternates
            # itself stays the role that its two users play: that one administers what they make.
            if acts_as != name and not (admin and creates_roles):
                connection.execute(sql.SQL("SET ROLE NONE"))
            self.require_whole_name(name)
        except ServiceError:
            self.close()
            raise
        self._acts_as, self._plays, self._is_replica = acts_as, plays, is_replica
        self._account = PostgresAccount(f"postgres started {started}", oid, name, method=connection.method)

    @property
    def account(self) -> PostgresAccount:
        """The role that logged in."""
        return self._account

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query; a clone must be its source.

        Raises:
            ServiceFailed: the server did not apply the role's setting ``role`` at the login.
        """
        if self._plays not in {None, "none", "", self._acts_as}:
            raise ServiceFailed(
                f"'{self._account.name}' at {self.connection.host} acts as '{self._acts_as}' and not as "
                f"'{self._plays}', as ALTER ROLE … SET role has it",
                "upgrade the server's minor version: 12.21, 13.17, 14.14, 15.9, 16.5 and 17.1 ignore that setting",
            )
        super().verify(test_query)

    def be_the_application(self) -> None:
        """Play the role that the server had the login play."""
        if self._acts_as != self._account.name:
            self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._acts_as)))

    def check_rotatable(self) -> None:
        """Refuse replicas, and roles that log in by IAM."""
        self._require_writer()
        self._role(self._account)

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # PostgreSQL does not ask for it
        """Set the password of the role that is logged in, as a verifier."""
        passwords.set_password(
            self.connection, sql.SQL("SESSION_USER"), self._account.name, new, self.connection.method
        )

    def check_can_set_own_password(self) -> None:
        """See that RDS lets this role set passwords, where it restricts that to the members of rds_password.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.RestrictPasswordMgmt.html
        """
        [(restricted,)] = self.connection.execute(sql.SQL(_RESTRICTED))
        if restricted:
            name = self.connection.quote(sql.Identifier(self._account.name))
            raise PermissionRefused(
                f"'{self._account.name}' at {self.connection.host} may not change its own password "
                "(rds.restrict_password_commands)",
                f"run: GRANT rds_password TO {name}; or name an admin secret and set ALLOW_ADMIN_RESET=true",
            )

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # an oid is one role's
        """The role of an oid.

        Raises:
            UserNotRotatable: it is gone.
        """
        self._role(account)
        return account

    def find_account(self, name: str) -> Account | None:
        """The role of a name, to the letter."""
        role = roles.by_name(self.connection, name)
        return None if role is None else self._as_account(role)

    def check_can_set_password(self, account: Account) -> None:
        """Remove the password and roll back: this needs the same privileges as setting one."""
        self._require_writer()
        role = self._role(account)
        if role.superuser or role.flags["rolcreaterole"]:
            raise UserNotRotatable(
                f"the role '{role.name}' at {self.connection.host} is a superuser or an admin (CREATEROLE)",
                "an admin's password is set by itself: rotate it as a single user without an admin secret",
            )
        if role.expired:
            raise UserNotRotatable(
                f"the role '{role.name}' at {self.connection.host} has expired (VALID UNTIL {role.valid_until})",
                "no password logs in any more: move VALID UNTIL, or stop rotating this secret",
            )
        roles.require_admin(self.connection, [role])
        with self.connection.rolled_back():
            self.connection.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(role.name)))

    def set_password(self, account: Account, new: str) -> None:
        """Set another role's password, as a verifier."""
        role = self._role(account)
        method = account.method if isinstance(account, PostgresAccount) else SCRAM
        passwords.set_password(self.connection, sql.Identifier(role.name), role.name, new, method)

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """See :meth:`rotators.engines.base.CloneAdmin.inspect_pair`."""
        self._require_writer()
        method = current.method if isinstance(current, PostgresAccount) else SCRAM
        return clone.inspect(self.connection, current, other_name, lambda role: self._as_account(role, method))

    def check_can_sync(self, pair: Pair) -> None:
        """Make the clone in a transaction, and roll it back."""
        clone.check(self.connection, pair)

    def sync_clone(self, pair: Pair) -> Account:
        """See :meth:`rotators.engines.base.CloneAdmin.sync_clone`."""
        method = pair.current.method if isinstance(pair.current, PostgresAccount) else SCRAM
        return self._as_account(clone.sync(self.connection, pair), method)

    def _as_account(self, role: Role, method: str = SCRAM) -> PostgresAccount:
        return PostgresAccount(self._account.server, role.oid, role.name, method=method)

    def _role(self, account: Account) -> Role:
        found = roles.by_oid(self.connection, int(str(account.key)))
        return roles.require_password_role(self.connection, found, account.name)

    def _require_writer(self) -> None:
        """Raise ReadOnlyServer on a replica, and name the writer's endpoint."""
        if self._is_replica:
            raise ReadOnlyServer(
                f"{self.connection.host} is a replica of PostgreSQL (pg_is_in_recovery), where no password can be "
                "changed",
                f"put the writer's endpoint as 'host' into the secret{self._writer()}",
            )

    def _writer(self) -> str:
        host = self.connection.host
        if ".cluster-ro-" in host:
            return f": {host.replace('.cluster-ro-', '.cluster-', 1)}"
        try:
            rows = self.connection.execute(sql.SQL(_SENDER))
        except ServiceError:
            return ""
        return f"; this replica is fed by {rows[0][0]}" if rows else ""


if TYPE_CHECKING:
    _own: type[SelfServicePassword] = PostgresSession
    _own_check: type[SelfServiceCheck] = PostgresSession
    _transactional: type[TransactionalPassword] = PostgresSession
    _admin: type[AccountAdmin] = PostgresSession
    _clones: type[CloneAdmin] = PostgresSession
