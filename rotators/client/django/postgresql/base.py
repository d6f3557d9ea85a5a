"""PostgreSQL with a secret: ``ENGINE = "rotators.client.django.postgresql"``."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from rotators.client.django.mixin import SecretMixin
from rotators.client.psycopg_pool import pool_options


class DatabaseWrapper(SecretMixin, base.DatabaseWrapper):  # type: ignore[misc]  # Django has no types
    """Django's wrapper, logging in with a secret. With ``OPTIONS["pool"]``, so do the pool's connections."""

    @property
    def pool(self) -> Any:
        """Django's pool. Each of its connections logs in with the secret."""
        if self.alias in self._connection_pools or not self.settings_dict["OPTIONS"].get("pool"):
            return super().pool
        options = pool_options(self.secret)
        health = self.settings_dict["CONN_HEALTH_CHECKS"]
        found = super().pool
        if found is not None:
            # Set before Django opens the pool: its settings have no place for these.
            found.connection_class = options["connection_class"]
            found._check = _both(options["check"]) if health else options["check"]  # noqa: SLF001
        return found

    def get_new_connection(self, parameters: dict[str, Any]) -> Any:
        """Log in, or take a connection from the pool. See :meth:`SecretMixin.get_new_connection`."""
        if self.pool:
            return base.DatabaseWrapper.get_new_connection(self, parameters)
        return super().get_new_connection(parameters)

    def close_if_unusable_or_obsolete(self) -> None:
        """The pool replaces its connections itself."""
        if self.pool:
            base.DatabaseWrapper.close_if_unusable_or_obsolete(self)
        else:
            super().close_if_unusable_or_obsolete()


def _both(check: Any) -> Any:
    from psycopg_pool import ConnectionPool  # noqa: PLC0415  # needed with a pool alone

    def checks(connection: Any) -> None:
        ConnectionPool.check_connection(connection)
        check(connection)

    return checks
