"""A session: one login to Redshift."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.base import AccountAdmin, CloneAdmin, SelfServicePassword, TransactionalPassword
from rotators.engines.identity import Account, Pair
from rotators.engines.inspection import ServerFacts
from rotators.engines.libpq.session import LibpqSession
from rotators.engines.redshift import catalog, clone
from rotators.engines.redshift.passwords import verifier
from rotators.errors import ServiceError
from rotators.passwords import placeholder_password

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection
    from rotators.engines.redshift.catalog import RedshiftUser

# The catalog's own views first; and no statement longer than the time-out.
_PREPARE = "SET search_path TO pg_catalog; SET statement_timeout TO {}"
# Behind the PostgreSQL that it grew from: https://docs.aws.amazon.com/redshift/latest/dg/r_VERSION.html
_VERSION = re.compile(r"Redshift (\S+)$")


class RedshiftSession(LibpqSession):
    """One login.

    Args:
        connection: an open connection in autocommit.
    """

    def __init__(self, connection: LibpqConnection) -> None:
        super().__init__(connection)
        try:
            connection.execute(sql.SQL(_PREPARE).format(sql.Literal(connection.statement_timeout)))
            number, name = catalog.logged_in(connection)
            self.require_whole_name(name)
            self._account = Account(catalog.server(connection), number, name)
        except ServiceError:
            self.close()
            raise

    @property
    def account(self) -> Account:
        """The user that logged in, by its ``usesysid``, in the namespace that answered."""
        return self._account

    def facts(self) -> ServerFacts:
        """The cluster's version; SHOW knows Redshift's own parameters only, and its version is none of them."""
        [(text,)] = self.connection.execute(sql.SQL("SELECT VERSION()"))
        found = _VERSION.search(str(text))
        return ServerFacts(self.connection.product, found[1] if found else "of an unknown version")

    def check_rotatable(self) -> None:
        """Refuse users without a password."""
        clone.require_user(self.connection, self._account)

    def check_can_set_own_password(self) -> None:
        """Set a placeholder, and roll that back.

        Raises:
            PermissionRefused: the user may not.
        """
        with self.connection.rolled_back():
            self._set_password(self._account.name, placeholder_password())

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # Redshift does not ask for it
        """Set the password of the user who is logged in, as a verifier."""
        self._set_password(self._account.name, new)

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # a usesysid is one user's
        """The user of a ``usesysid``.

        Raises:
            UserNotRotatable: it is gone, or has no password.
        """
        return self._as_account(clone.require_user(self.connection, account))

    def find_account(self, name: str) -> Account | None:
        """The user of a name, to the letter."""
        found = catalog.by_name(self.connection, name)
        return None if found is None else self._as_account(found)

    def check_can_set_password(self, account: Account) -> None:
        """See that the admin may change this user, and that it is an application's.

        Raises:
            UserNotRotatable: it is a superuser, or may set others' passwords.
            PermissionRefused: the admin is not a superuser.
        """
        clone.require_admin(self.connection)
        clone.require_application(self.connection, clone.require_user(self.connection, account))

    def set_password(self, account: Account, new: str) -> None:
        """Set another user's password, as a verifier."""
        user = clone.require_user(self.connection, account)
        clone.require_application(self.connection, user)
        self._set_password(user.name, new)

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        clone.require_admin(self.connection)
        return clone.inspect(self.connection, current, other_name, self._as_account)

    def check_can_sync(self, pair: Pair) -> None:
        """Make the clone in a transaction, and roll it back; in the other databases, read."""
        clone.check(self.connection, pair)

    def sync_clone(self, pair: Pair) -> Account:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return self._as_account(clone.sync(self.connection, pair))

    def _as_account(self, user: RedshiftUser) -> Account:
        return Account(self._account.server, user.number, user.name)

    def _set_password(self, user: str, new: str) -> None:
        self.connection.execute(
            sql.SQL("ALTER USER {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier(user, new))),
            advice=f"the admin '{self.connection.user}' must be a superuser",
            password_of=user,
        )


if TYPE_CHECKING:
    _own: type[SelfServicePassword] = RedshiftSession
    _transactional: type[TransactionalPassword] = RedshiftSession
    _admin: type[AccountAdmin] = RedshiftSession
    _clone: type[CloneAdmin] = RedshiftSession
