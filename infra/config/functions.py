"""Which secrets share a function, and what that function is like."""

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
        name: the function's.
        secrets: those that it rotates, and each one's number in the file.
        settings: what it is made of.
        network: where it runs; None: outside of a VPC.
    """

    name: str
    secrets: tuple[tuple[int, Secret], ...]
    settings: NamedFunction
    network: Network | None

    @property
    def first(self) -> Secret:
        """The one that stands for all where they must agree."""
        return self.secrets[0][1]

    @property
    def engine(self) -> str:
        """The kind of database, or ``custom``."""
        return self.first.engine

    @property
    def architecture(self) -> str:
        """What it runs on."""
        return self.settings.architecture or (ARM64 if self.engine == CUSTOM else usual_architecture(self.engine))

    @property
    def admins(self) -> set[str]:
        """The admins' secrets."""
        return {secret.admin for _, secret in self.secrets if secret.admin is not None}

    @property
    def admin_host(self) -> str | None:
        """Where its admins work whose secrets name no host; None where nothing is said, or AWS is asked."""
        told = (secret.admin_host for _, secret in self.secrets if secret.admin_address is not None)
        return next(told, None)

    @property
    def users(self) -> dict[str, str]:
        """The users that are named, each by its secret: by the ARN where that is known, else by the name."""
        return {secret.arn or secret.label: secret.named_user for _, secret in self.secrets if secret.named_user}

    @property
    def values(self) -> dict[str, dict[str, Any]]:
        """What the secrets that are made hold beside the password, each by its secret's name."""
        return {secret.label: secret.made_values for _, secret in self.secrets if secret.create is not None}

    @property
    def admin(self) -> str | None:
        """The one admin's secret that the function itself is told of; None where the secrets name theirs."""
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
    """A function's settings: those for all, and what is different for it."""
    general, own = rotations.function.model_dump(exclude_unset=True), rotations.functions.get(name, {})
    environment = {**general.get("environment", {}), **(own.get("environment") or {})}
    return NamedFunction.model_validate(general | own | ({"environment": environment} if environment else {}))
