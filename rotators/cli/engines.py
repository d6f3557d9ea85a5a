"""Makes a function's rotator in this process, with the engines that are installed here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from rotators.database import DatabaseRotator
from rotators.engines.names import serving
from rotators.engines.specs import SPECS
from rotators.environment import Environment
from rotators.errors import ConfigurationError
from rotators.versions import SecretVersions

# Engines whose module has another engine's name.
_PACKAGES = {"mariadb": "mysql"}


def local_rotator(engine: str | None, versions: SecretVersions, variables: Mapping[str, str]) -> DatabaseRotator:
    """Make a rotator like the function's, in this process.

    Args:
        engine: the engine's name in the secret; None if it names none.
        versions: reads the secret.
        variables: the function's settings.

    Raises:
        ConfigurationError: there is no such engine, or its driver is not installed.
    """
    name = None if engine is None else serving(engine)
    if name is None:
        raise ConfigurationError(
            f"the secret names {'no engine' if engine is None else f'the engine {engine!r}'}",
            f"put one of {', '.join(sorted(SPECS))} as 'engine' into it",
        )
    try:
        module = importlib.import_module(f"rotators.engines.{_PACKAGES.get(name, name)}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the driver {error.name} of the engine {name} is not installed", f"pip install 'rotators[{name}]'"
        ) from None
    return DatabaseRotator(getattr(module, f"{name.capitalize()}Engine")(), versions, Environment(dict(variables)))
