"""What one login to Redshift can do."""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import sql

from rotators.engines.libpq import LibpqSession
from rotators.engines.redshift import catalog
from rotators.engines.redshift import twin as twins
from rotators.engines.redshift.passwords import verifier
from rotators.errors import UserNotRotatable

# Users of IAM and of an identity provider, who have no password here:
# https://docs.aws.amazon.com/redshift/latest/mgmt/generating-iam-credentials-steps.html
_EXTERNAL = ("IAM:", "IAMR:", "AWSIDC:")


class RedshiftSession(LibpqSession):
    """One login; satisfies ``OwnPassword``, ``Staged``, ``OtherPassword`` and ``TwinMaker``."""

    product = "Redshift"
    begin = ("BEGIN",)

    def prepare(self, milliseconds: int) -> sql.Composable:
        """Bound the time, and find the catalog's own views first."""
        return sql.SQL("SET statement_timeout TO {}; SET search_path TO pg_catalog").format(sql.Literal(milliseconds))

    def check_rotatable(self) -> None:
        """Refuse users without a password."""
        self.require_password_user(self.user)

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # Redshift does not ask for it
        """Set the password of the user who is logged in, as a verifier."""
        self._set_password(self.user, new)

    def check_user(self, user: str) -> None:
        """See that the admin may change this user."""
        self.require_password_user(user)
        twins.require_admin(self)

    def set_password(self, user: str, new: str) -> None:
        """Set another user's password, as a verifier."""
        self.require_password_user(user)
        self._set_password(user, new)

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Make the twin in a transaction, and roll it back; in the other databases, read."""
        twins.require_admin(self)
        original, derived = twins.pair(self, user, twin)
        twins.check(self, user, twin, acquainted)
        with self.rehearsal():
            twins.level_user(self, original, derived)
            twins.level_database(self, original, derived)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Make the twin and level both, database by database; set its password last."""
        original, derived = twins.pair(self, user, twin)
        with self.transaction():
            twins.level_user(self, original, derived)
            twins.level_database(self, original, derived)
        for dbname in twins.other_databases(self):
            with self.elsewhere(dbname) as other, other.transaction():
                twins.level_database(other, original, derived)
        self.set_password(twin, password)

    def require_password_user(self, user: str) -> catalog.User:
        """A user who may have a password.

        Raises:
            UserNotRotatable: there is none, or it logs in by IAM.
        """
        if user.startswith(_EXTERNAL):
            raise UserNotRotatable(
                f"'{user}' at {self.host} logs in by IAM or an identity provider", "it has no password to rotate"
            )
        found = catalog.find(self, user)
        if found is None:
            raise UserNotRotatable(f"there is no user '{user}' at {self.host}", "create it, or correct the secret")
        return found

    def _set_password(self, user: str, new: str) -> None:
        self.execute(
            sql.SQL("ALTER USER {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier(user, new))),
            advice=f"the admin '{self.user}' must be a superuser",
            password_of=user,
        )
