"""The form of passwords: for the first one, made by the service, and for the function's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Generator:
    """The form of passwords: of the first one, which the service makes, and of those that the function makes.

    Args:
        length: the number of characters.
        exclude_characters: characters that never occur; None: all punctuation except ``-._~``.
        exclude: kinds that never occur: ``numbers``, ``punctuation``, ``uppercase``, ``lowercase``.
        require_each_included_type: whether every other kind must occur.
    """

    length: int = 32
    exclude_characters: str | None = None
    exclude: frozenset[str] = frozenset()
    require_each_included_type: bool = True

    def environment(self) -> dict[str, str]:
        """The function's variables, so that its passwords have the same form as the service's."""
        variables = {"PASSWORD_LENGTH": str(self.length)}
        if self.exclude_characters is not None:
            variables["EXCLUDE_CHARACTERS"] = self.exclude_characters
        variables |= {f"EXCLUDE_{kind.upper()}": "true" for kind in sorted(self.exclude)}
        if not self.require_each_included_type:
            variables["REQUIRE_EACH_INCLUDED_TYPE"] = "false"
        return variables
