"""Services that make the keys themselves and let an account have two of them at a time."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rotators.errors import (
    LoginRefused,
    PendingUnusable,
    SecretNotFound,
    SecretsManagerError,
    ServiceFailed,
    UserNotRotatable,
)
from rotators.logs import logger, redactor
from rotators.rotator import Rotation, Rotator, ValueT
from rotators.versions import CURRENT

_LABEL = "rotators"
_DIGEST = 12


@dataclass(frozen=True)
class Key:
    """A live key, as the service lists it: without its secret.

    Args:
        id: what the service calls it.
        label: the label that ``create_key`` gave it; empty where the service keeps none.
    """

    id: str
    label: str = ""


class TwoKeys(Rotator[ValueT]):
    """A rotator for a service that makes a key, shows its secret once, and allows two live keys: subclass it.

    ::

        class ReportsKey(TwoKeys[SecretValue]):
            fields = ("id", "key")

            def list_keys(self, rotation): ...
            def create_key(self, rotation, label): ...
            def delete_key(self, rotation, key): ...
            def verify(self, rotation): ...

    A rotation deletes the key of AWSPREVIOUS, creates a key, stores it in AWSPENDING, logs in with it and makes it
    AWSCURRENT. The key before becomes AWSPREVIOUS and lives on until the next rotation. The key in AWSCURRENT is never
    deleted.

    A created key whose answer was lost is found by its label at the next attempt. Nobody knows its secret, so it is
    deleted, and another one is created. A key that neither the secret nor a label shows to be this secret's is never
    deleted: where it stands in the way, an error names it before anything is changed.

    Unlike :meth:`Rotator.propose`, ``propose`` changes something here: the service makes the key, and it must be
    stored as soon as it is shown.
    """

    fields: ClassVar[tuple[str, ...]] = ("id", "key")
    """The names in the secret's JSON that hold a key, and change with it. The first holds its id."""
    limit: ClassVar[int] = 2
    """How many live keys the service allows."""

    @abstractmethod
    def list_keys(self, rotation: Rotation[ValueT]) -> Sequence[Key]:
        """All live keys of the account, asked with ``rotation.current``."""

    @abstractmethod
    def create_key(self, rotation: Rotation[ValueT], label: str) -> Mapping[str, str]:
        """Create a key, with ``rotation.current``.

        Args:
            label: to be stored with the key (as its name, description or tag), and listed by :meth:`list_keys`.

        Returns:
            the new values of :attr:`fields`.
        """

    @abstractmethod
    def delete_key(self, rotation: Rotation[ValueT], key: Key) -> None:
        """Delete a key that was listed or created a moment ago, with ``rotation.current``."""

    def is_abandoned(self, rotation: Rotation[ValueT], key: Key) -> bool:
        """Whether nobody has the secret of a key that is in no labelled version of the secret.

        By default the key's label tells. Override it where the service keeps no label, with something as sure: that
        the key was never used, or that the account belongs to this secret alone.

        Args:
            key: neither AWSCURRENT's, nor AWSPENDING's, nor AWSPREVIOUS's.
        """
        prefix, _, version = key.label.rpartition("/")
        return prefix == _prefix(rotation) and (version == rotation.event.version_id or version not in rotation.stages)

    def propose(self, rotation: Rotation[ValueT]) -> ValueT:
        """A key that the service has just made, or the one that an earlier attempt has stored."""
        current = self._current_id(rotation)
        keys = self._list(rotation)
        if current not in keys:
            raise UserNotRotatable(
                f"the key {current} of {rotation.current.source} is not among the account's live keys",
                "put a live key of this account into the secret",
            )
        previous = None if rotation.previous is None else self._id(rotation.previous)
        unknown = [key for key in keys.values() if key.id not in {current, previous}]
        label = f"{_prefix(rotation)}/{rotation.event.version_id}"
        # Only an earlier attempt of this rotation can have stored a value, and it has left a key.
        stored = self._stored(rotation) if any(key.label in {"", label} for key in unknown) else None
        if stored is not None:
            return stored
        doomed = [key for key in unknown if self.is_abandoned(rotation, key)]
        if previous is not None and previous != current and previous in keys:
            doomed.append(keys[previous])
        kept = [key.id for key in keys.values() if key not in doomed]
        if len(kept) >= self.limit:
            others = ", ".join(name for name in kept if name != current)
            raise UserNotRotatable(
                f"the account has {len(kept)} keys, of {self.limit} that it may have, and nothing shows that "
                f"{others} belongs to secret {rotation.secret_id}",
                f"delete {others} if nobody uses it, or give the secret an account of its own",
            )
        for key in doomed:
            self._delete(rotation, key)
        made = self.create_key(rotation, label)
        return self._with_key(rotation, made, keys)

    def apply(self, rotation: Rotation[ValueT]) -> None:
        """Make sure that the pending key is alive; the service made it in createSecret."""
        pending = self._id(rotation.pending)
        if pending in self._list(rotation):
            return
        try:
            # What was just created may be missing in a list for a while.
            self.verify(rotation)
        except LoginRefused:
            raise PendingUnusable(
                f"the key {pending} of AWSPENDING of secret {rotation.secret_id} was deleted",
                "rotate again: the next rotation creates another",
            ) from None

    def require_unedited(self, rotation: Rotation[ValueT]) -> None:
        """Compare all but the key: what was edited meanwhile is not overwritten."""
        current, pending = rotation.current, rotation.pending
        edited = sorted(
            name for name in {*current, *pending} - {*self.fields} if current.get(name) != pending.get(name)
        )
        if edited:
            raise PendingUnusable(
                f"secret {rotation.secret_id} was edited while it rotated, in {', '.join(edited)}",
                "rotate again: the next rotation starts from the edited value",
            )

    def dismiss(self, rotation: Rotation[ValueT], proposed: ValueT) -> None:
        """Delete the key that was created needlessly."""
        made = self._id(proposed)
        if made != self._id(rotation.pending):
            self._delete(rotation, Key(made))

    def _current_id(self, rotation: Rotation[ValueT]) -> str:
        # Reads may lag: a key that was promoted a moment ago must not pass for an old one.
        if CURRENT not in rotation.stages.get(rotation.current_version_id, ()):
            raise SecretsManagerError(
                f"Secrets Manager tells two versions of secret {rotation.secret_id} as {CURRENT}",
                "it was changed a moment ago; Secrets Manager retries the rotation",
            )
        return self._id(rotation.current)

    def _id(self, value: ValueT) -> str:
        found = value.required_text(self.fields[0])
        redactor.show([found])
        return found

    def _list(self, rotation: Rotation[ValueT]) -> dict[str, Key]:
        keys = {key.id: key for key in self.list_keys(rotation)}
        redactor.show(keys)
        return keys

    def _stored(self, rotation: Rotation[ValueT]) -> ValueT | None:
        try:
            return rotation.pending
        except SecretNotFound:
            return None

    def _delete(self, rotation: Rotation[ValueT], key: Key) -> None:
        if key.id == self._current_id(rotation):
            raise ServiceFailed(f"the key {key.id} is the one in {CURRENT}, which is never deleted")
        self.delete_key(rotation, key)
        logger.info("a key was deleted", key=key.id)

    def _with_key(self, rotation: Rotation[ValueT], made: Mapping[str, str], before: Mapping[str, Key]) -> ValueT:
        if {*made} != {*self.fields}:
            raise ServiceFailed(
                f"create_key of {type(self).__name__} gave {', '.join(sorted(made)) or 'nothing'}",
                f"give the values of {', '.join(self.fields)}",
            )
        name = made[self.fields[0]]
        if name in before:
            raise ServiceFailed(f"the service gave the key {name} as a new one, and it was there before")
        redactor.show([name])
        logger.info("a key was created", key=name)
        return rotation.current.replace(**made)


def _prefix(rotation: Rotation[ValueT]) -> str:
    """What the labels of all keys of a secret begin with, and no other secret's."""
    digest = hashlib.sha256(rotation.secret_id.encode()).hexdigest()[:_DIGEST]
    return f"{_LABEL}/{digest}"
