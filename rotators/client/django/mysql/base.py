"""MySQL and MariaDB with a secret: ``ENGINE = "rotators.client.django.mysql"``."""

from __future__ import annotations

from django.db.backends.mysql import base

from rotators.client.django.mixin import SecretMixin


class DatabaseWrapper(SecretMixin, base.DatabaseWrapper):  # type: ignore[misc]  # Django has no types
    """Django's wrapper, logging in with a secret."""
