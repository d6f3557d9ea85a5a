"""The value of a secret's version: a mapping that never shows its content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self

from rotators.client.errors import SecretNotJson

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


class SecretValue(Mapping[str, Any]):
    """A version's value. ``value["username"]`` reads a key of its JSON; ``repr`` and ``str`` show the version only.

    It can't be pickled: a value must not end up in a file or a queue. ``dict(value)`` gives its content.

    Args:
        arn: the secret.
        version_id: the version. Its value never changes.
        stage: the staging label by which it was read.
        text: SecretString; None if the secret is binary.
        binary: SecretBinary; None if the secret is a string.
    """

    __slots__ = ("_keys", "arn", "binary", "stage", "text", "version_id")

    def __init__(self, arn: str, version_id: str, stage: str, *, text: str | None, binary: bytes | None = None) -> None:
        self.arn = arn
        self.version_id = version_id
        self.stage = stage
        self.text = text
        self.binary = binary
        self._keys: dict[str, Any] | None = None

    @property
    def keys_of_json(self) -> dict[str, Any] | None:
        """The value as a JSON object; None if it is something else."""
        if self._keys is None and self.text is not None:
            try:
                parsed = json.loads(self.text)
            except ValueError:
                return None
            self._keys = parsed if isinstance(parsed, dict) else None
        return self._keys

    @property
    def name(self) -> str:
        """The version's id and label, for messages."""
        return f"{self.version_id} ({self.stage})"

    def same_content(self, other: SecretValue) -> bool:
        """Whether the other version has the same content."""
        return (self.text, self.binary) == (other.text, other.binary)

    def _parsed(self) -> dict[str, Any]:
        keys = self.keys_of_json
        if keys is None:
            raise SecretNotJson(
                f"version {self.name} of secret {self.arn} is not a JSON object: use its .text, or store one"
            )
        return keys

    def __getitem__(self, key: str) -> Any:
        return self._parsed()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return f"<SecretValue {self.version_id} ({self.stage}) of {self.arn}>"

    # Mapping compares like a dict and has no hash. Two versions are equal if their ids are.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and (self.arn, self.version_id) == (other.arn, other.version_id)

    def __hash__(self) -> int:
        return hash((self.arn, self.version_id))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret's value can't be pickled: pass the secret's id on, and read it there")
