"""Checks the settings of a user's own rotator: its code, and its permissions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from infra.config.functions import settings_of
from infra.config.mistakes import Mistake, Place
from infra.config.model import CUSTOM, NamedFunction, Permission, Rotations, Secret
from rotators.errors import PackagingFailed
from rotators.packaging.custom import CustomRotator, check_handler, check_lock, check_source

# A managed policy has 6,144 characters, and every statement must fit into one.
_ROOM = 5000
_OF_CODE = ("code", "handler", "requirements", "permissions", "ports")


def rotator(settings: NamedFunction, folder: Path) -> CustomRotator:
    """The rotator that a function's settings describe.

    Args:
        settings: they name code and handler.
        folder: where the file lies.
    """
    lock = None if settings.requirements is None else folder / settings.requirements
    return CustomRotator(folder / str(settings.code), str(settings.handler), lock)


def check_own(rotations: Rotations, folder: Path) -> Iterator[Mistake]:
    """Find settings that do not fit a user's own rotator, or one of ours.

    Args:
        rotations: the file, each value of which is of the right form.
        folder: where the file lies.
    """
    first: dict[str, tuple[int, Secret]] = {}
    for number, secret in enumerate(rotations.secrets):
        first.setdefault(secret.function_label, (number, secret))
        if secret.engine == CUSTOM and secret.create is not None:
            yield Mistake(
                ("secrets", number, "create"),
                "generates a password, but only your rotator's service knows the first value: create the secret with "
                "that value, and give its name",
            )
    for name, (number, secret) in first.items():
        settings = settings_of(rotations, name)
        if secret.engine != CUSTOM:
            yield from _none_of_its_own(settings, name, secret)
        elif settings.code is None:
            yield _without_code(secret, ("secrets", number, "function"))
        else:
            yield from _code(settings, ("functions", name), folder)
            yield from _permissions(settings.permissions, ("functions", name, "permissions"))


def _none_of_its_own(settings: NamedFunction, name: str, secret: Secret) -> Iterator[Mistake]:
    for key in _OF_CODE:
        if getattr(settings, key):
            yield Mistake(
                ("functions", name, key),
                f"is only for your own rotator, and this function rotates {secret.engine}: leave it out, or write "
                "engine: custom in its secrets",
            )


def _without_code(secret: Secret, place: Place) -> Mistake:
    shown = f"functions: {{{secret.function or 'NAME'}: {{code: FOLDER, handler: MODULE.handler}}}}"
    if secret.function is None:
        return Mistake(place, f"is missing: name the function that rotates it, and its code: {shown}")
    return Mistake(place, f"is '{secret.function}', which has no code: {shown}")


def _code(settings: NamedFunction, place: Place, folder: Path) -> Iterator[Mistake]:
    own = rotator(settings, folder)
    key = "code"
    try:
        check_source(own.source)
        key = "handler"
        check_handler(own.source, own.handler)
        key = "requirements"
        if own.requirements is not None:
            check_lock(own.requirements)
    except PackagingFailed as error:
        yield Mistake((*place, key), f"is '{getattr(settings, key)}': {error.what}; {error.advice}")


def _permissions(permissions: list[Permission], place: Place) -> Iterator[Mistake]:
    for number, one in enumerate(permissions):
        for key, values in (("actions", one.actions), ("resources", one.resources)):
            wild = next((value for value in values if "*" in value or "?" in value), None)
            if wild is not None and one.because is None:
                yield Mistake(
                    (*place, number, key), f"has a wildcard, '{wild}': name each of them, or say why not in because"
                )
        characters = len(json.dumps([one.actions, one.resources, one.conditions]))
        if characters > _ROOM:
            yield Mistake(
                (*place, number),
                f"has {characters:,} characters, and an IAM policy can have {_ROOM:,}: write several permissions",
            )
