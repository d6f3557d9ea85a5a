"""The function's environment variables: read at each invocation and checked. Errors name the variable."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from rotators.errors import ConfigurationError

_TRUE = {"true", "1", "y", "yes", "on"}
_FALSE = {"false", "0", "n", "no", "off"}


class Environment:
    """Typed access to environment variables. An empty variable counts as not set.

    Args:
        variables: the variables; by default those of the process.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str) -> str | None:
        """The variable's text; None if it is not set."""
        return self._variables.get(name) or None

    def flag(self, name: str, *, default: bool) -> bool:
        """A variable that is true or false.

        Raises:
            ConfigurationError: it is neither true nor false.
        """
        value = self.text(name)
        if value is None:
            return default
        spelled = value.strip().lower()
        if spelled not in _TRUE | _FALSE:
            raise ConfigurationError(f"{name} is neither true nor false", f"set {name} to true or false")
        return spelled in _TRUE

    def whole_number(self, name: str, *, default: int) -> int:
        """A variable that is a whole number.

        Raises:
            ConfigurationError: it is not a whole number.
        """
        value = self.text(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError:
            raise ConfigurationError(f"{name} is not a whole number", f"set {name} to a number") from None

    def seconds(self, name: str, *, default: float) -> float:
        """A variable that is a number of seconds above 0.

        Raises:
            ConfigurationError: it is not such a number.
        """
        value = self.text(name)
        try:
            seconds = default if value is None else float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise ConfigurationError(f"{name} is not a time in seconds", f"set {name} to a number above 0")
        return seconds

    def choice(self, name: str, choices: Collection[str], *, default: str) -> str:
        """A variable that is one of a few words, in any case.

        Args:
            name: the variable.
            choices: the words, in lower case.
            default: the word if it is not set.

        Raises:
            ConfigurationError: it is not one of them.
        """
        value = (self.text(name) or default).strip().lower()
        if value not in choices:
            raise ConfigurationError(f"{name} has an unknown value", f"set it to one of {', '.join(sorted(choices))}")
        return value
