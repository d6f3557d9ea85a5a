"""Which secrets share a function, and the settings of that function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infra.config.model import CUSTOM, NamedFunction, Network, Rotations, Secret
from rotators.packaging.platforms import ARM64, usual_architecture


@dataclass(frozen=True)
class Group:
    """A function and its secrets.

    Args:
        name: the function's name.
        secrets: the secrets that it rotates, each with its number in the file.
        settings: its settings.
        network: where it runs; None: outside of a VPC.
    """

    name: str
    secrets: tuple[tuple[int, Secret], ...]
    settings: NamedFunction
    network: Network | None

    @property
    def first(self) -> Secret:
        """The first secret: for settings that are the same for all."""
        return self.secrets[0][1]

    @property
    def engine(self) -> str:
        """The kind of database, or ``custom``."""
        return self.first.engine

    @property
    def architecture(self) -> str:
        """The architecture that it runs on."""
        return self.settings.architecture or (ARM64 if self.engine == CUSTOM else usual_architecture(self.engine))

    @property
    def admin_host(self) -> str | None:
        """The host of its admins whose secrets have none; None if it is not set, or if AWS is asked."""
        told = (secret.admin_host for _, secret in self.secrets if secret.admin_address is not None)
        return next(told, None)

    @property
    def users(self) -> dict[str, str]:
        """The named user of each secret: by the secret's ARN if it is known, otherwise by its name."""
        return {secret.arn or secret.label: secret.named_user for _, secret in self.secrets if secret.named_user}

    @property
    def values(self) -> dict[str, dict[str, Any]]:
        """The values, other than the password, of the secrets that are created, by the secret's name."""
        return {secret.label: secret.made_values for _, secret in self.secrets if secret.create is not None}

    @property
    def admin(self) -> str | None:
        """The admin's secret in the function's own variables; None if the secrets name theirs."""
        told = {secret.admin for _, secret in self.secrets if secret.admin and not secret.admin_named_in_secret}
        return next(iter(told)) if told else None


def groups(rotations: Rotations, part: Iterable[tuple[int, Secret]] | None = None) -> list[Group]:
    """The functions of a file, in the order of their first secrets.

    Args:
        rotations: the file.
        part: the secrets of one of its stacks, with their numbers; None: all of them.
    """
    members: dict[str, list[tuple[int, Secret]]] = {}
    for number, secret in enumerate(rotations.secrets) if part is None else part:
        members.setdefault(secret.function_label, []).append((number, secret))
    return [
        Group(
            name,
            tuple(secrets),
            settings_of(rotations, name),
            rotations.networks.get(secrets[0][1].network or ""),
        )
        for name, secrets in members.items()
    ]


def settings_of(rotations: Rotations, name: str) -> NamedFunction:
    """A function's settings: those for all functions, and its own."""
    own = rotations.functions.get(name, {})
    environment = {**rotations.function.environment, **own.get("environment", {})}
    return NamedFunction.model_validate({**rotations.function.model_dump(), **own, "environment": environment})
