"""What the wrappers for PostgreSQL and MySQL share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

from rotators.client.connect import PATIENCE, connect_with
from rotators.client.pools import is_outdated
from rotators.client.secret import Secret
from rotators.client.value import SecretValue


class SecretMixin:
    """Logs in with the secret of the settings. Closes a connection of an older version between two requests."""

    # One object per id: Django makes a wrapper for each thread.
    _secrets: ClassVar[dict[str, Secret]] = {}

    settings_dict: dict[str, Any]
    connection: Any
    rotators_version: str | None = None

    @property
    def secret(self) -> Secret:
        """The secret that ``OPTIONS["secret"]`` holds or names."""
        named = self.settings_dict["OPTIONS"]["secret"]
        return named if isinstance(named, Secret) else self._secrets.setdefault(named, Secret(named))

    @contextlib.contextmanager
    def settings(self, **other: Any) -> Iterator[None]:
        """Replace settings inside a ``with`` block, for this wrapper only: Django's dict is shared between threads."""
        before = self.settings_dict
        self.settings_dict = {**before, **other}
        try:
            yield
        finally:
            self.settings_dict = before

    def get_connection_params(self) -> dict[str, Any]:
        """Django's connection parameters, without ``secret``."""
        options = {name: value for name, value in self.settings_dict["OPTIONS"].items() if name != "secret"}
        with self.settings(OPTIONS=options):
            return dict(super().get_connection_params())  # type: ignore[misc]

    def with_value(self, parameters: dict[str, Any], value: SecretValue) -> dict[str, Any]:
        """Django's connection parameters plus the secret's user and password, and its host and port if not set.

        Args:
            parameters: Django's.
            value: the secret's value.
        """
        found = {**parameters, "user": value["username"], "password": value["password"]}
        if not self.settings_dict["HOST"] and value.get("host"):
            found["host"] = value["host"]
        if not self.settings_dict["PORT"] and value.get("port"):
            found["port"] = int(value["port"])
        return found

    def get_new_connection(self, parameters: dict[str, Any]) -> Any:
        """Log in with the secret.

        Args:
            parameters: Django's connection parameters.

        Returns:
            The driver's connection.

        Raises:
            Exception: see :func:`rotators.client.connect_with`.
        """
        return self._log_in(parameters, PATIENCE)

    def _log_in(self, parameters: dict[str, Any], patience: float) -> Any:
        def log_in(value: SecretValue) -> Any:
            connection = super(SecretMixin, self).get_new_connection(  # type: ignore[misc]
                self.with_value(parameters, value)
            )
            self.rotators_version = value.version_id
            return connection

        return connect_with(self.secret, log_in, patience=patience)

    def close_if_unusable_or_obsolete(self) -> None:
        """Close a connection of an older version. Django calls this between two requests."""
        if self.connection is not None and is_outdated(self.secret, self.rotators_version, self._probe):
            self.close()  # type: ignore[attr-defined]
            return
        super().close_if_unusable_or_obsolete()  # type: ignore[misc]

    def _probe(self) -> None:
        before = self.rotators_version
        try:
            self._log_in(self.get_connection_params(), 0.0).close()
        finally:
            self.rotators_version = before
