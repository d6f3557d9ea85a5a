"""How passwords look: for the service that makes the first one, and for the function that makes the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Generator:
    """How passwords look: the first one, which the service makes, and each that the function makes.

    Args:
        length: characters.
        exclude_characters: those that never occur; None: all punctuation but ``-._~``.
        exclude: of ``numbers``, ``punctuation``, ``uppercase`` and ``lowercase``, the kinds that never occur.
        require_each_included_type: at least one of each kind.
    """

    length: int = 32
    exclude_characters: str | None = None
    exclude: frozenset[str] = frozenset()
    require_each_included_type: bool = True

    def environment(self) -> dict[str, str]:
        """The function's variables, by which it makes the same as the service did."""
        variables = {"PASSWORD_LENGTH": str(self.length)}
        if self.exclude_characters is not None:
            variables["EXCLUDE_CHARACTERS"] = self.exclude_characters
        variables |= {f"EXCLUDE_{kind.upper()}": "true" for kind in sorted(self.exclude)}
        if not self.require_each_included_type:
            variables["REQUIRE_EACH_INCLUDED_TYPE"] = "false"
        return variables
