"""For services that make the keys themselves and allow an account two keys at a time."""

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
    """A live key as the service lists it, without its secret.

    Args:
        id: the key's id at the service.
        label: the label that ``create_key`` gave it; empty if the service stores none.
    """

    id: str
    label: str = ""


class TwoKeys(Rotator[ValueT]):
    """A rotator for a service that makes a key, shows its secret once, and allows two live keys. Subclass it.

    ::

        class ReportsKey(TwoKeys[SecretValue]):
            fields = ("id", "key")

            def list_keys(self, rotation): ...
            def create_key(self, rotation, label): ...
            def delete_key(self, rotation, key): ...
            def verify(self, rotation): ...

    A rotation deletes the key in AWSPREVIOUS, creates a key, stores it in AWSPENDING, logs in with it and makes it
    AWSCURRENT. The former key becomes AWSPREVIOUS and stays valid until the next rotation. The key in AWSCURRENT is
    never deleted.

    If the answer with a new key is lost, the next attempt finds the key by its label. Its secret is lost, so the key is
    deleted, and another one is created. A key is only deleted if the secret or a label shows that it belongs to this
    secret. If another key leaves no room, an error names it before anything is changed.

    Unlike :meth:`Rotator.propose`, ``propose`` makes a change here: the service makes the key, and shows it only once,
    so it must be stored at once.
    """

    fields: ClassVar[tuple[str, ...]] = ("id", "key")
    """The names in the secret's JSON that hold a key. The first holds the key's id."""
    limit: ClassVar[int] = 2
    """How many live keys the service allows."""

    @abstractmethod
    def list_keys(self, rotation: Rotation[ValueT]) -> Sequence[Key]:
        """List all live keys of the account, with ``rotation.current``."""

    @abstractmethod
    def create_key(self, rotation: Rotation[ValueT], label: str) -> Mapping[str, str]:
        """Create a key, with ``rotation.current``.

        Args:
            rotation: the step.
            label: to store with the key (as its name, description or tag), and to return from :meth:`list_keys`.

        Returns:
            The new values of :attr:`fields`.
        """

    @abstractmethod
    def delete_key(self, rotation: Rotation[ValueT], key: Key) -> None:
        """Delete a key that was just listed or created, with ``rotation.current``."""

    def is_abandoned(self, rotation: Rotation[ValueT], key: Key) -> bool:
        """Whether no one has the secret of a key that is in no labelled version.

        By default the key's label decides. If the service stores no label, override this method with an equally certain
        test: that the key was never used, or that the account is used only by this secret.

        Args:
            rotation: the step.
            key: a key that is not in AWSCURRENT, AWSPENDING or AWSPREVIOUS.
        """
        prefix, _, version = key.label.rpartition("/")
        return prefix == _prefix(rotation) and (version == rotation.event.version_id or version not in rotation.stages)

    def propose(self, rotation: Rotation[ValueT]) -> ValueT:
        """Create a key, or return the one that an earlier attempt stored."""
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
        # Only an earlier attempt of this rotation can have stored a value, and it left a key.
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
                f"delete {others} if it is not in use, or give the secret its own account",
            )
        for key in doomed:
            self._delete(rotation, key)
        made = self.create_key(rotation, label)
        return self._with_key(rotation, made, keys)

    def apply(self, rotation: Rotation[ValueT]) -> None:
        """Check that the pending key is live. The service made it in createSecret."""
        pending = self._id(rotation.pending)
        if pending in self._list(rotation):
            return
        try:
            # A new key may be missing in a list for a while.
            self.verify(rotation)
        except LoginRefused:
            raise PendingUnusable(
                f"the key {pending} of AWSPENDING of secret {rotation.secret_id} was deleted",
                "rotate again: the next rotation creates another",
            ) from None

    def require_unedited(self, rotation: Rotation[ValueT]) -> None:
        """Compare everything but the key, so that an edit is not overwritten."""
        edited = sorted(rotation.current.differing_keys(rotation.pending, besides=self.fields))
        if edited:
            raise PendingUnusable(
                f"secret {rotation.secret_id} was edited while it rotated, in {', '.join(edited)}",
                "rotate again: the next rotation starts from the edited value",
            )

    def dismiss(self, rotation: Rotation[ValueT], proposed: ValueT) -> None:
        """Delete the key that is not needed."""
        made = self._id(proposed)
        if made != self._id(rotation.pending):
            self._delete(rotation, Key(made))

    def _current_id(self, rotation: Rotation[ValueT]) -> str:
        # Reads may be stale: a key that was just promoted must not be mistaken for an old one.
        if CURRENT not in rotation.stages.get(rotation.current_version_id, ()):
            raise SecretsManagerError(
                f"Secrets Manager returned two versions of secret {rotation.secret_id} as {CURRENT}",
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
                f"create_key of {type(self).__name__} returned {', '.join(sorted(made)) or 'nothing'}",
                f"return the values of {', '.join(self.fields)}",
            )
        name = made[self.fields[0]]
        if name in before:
            raise ServiceFailed(f"the service returned the key {name} as a new one, and it was there before")
        redactor.show([name])
        logger.info("a key was created", key=name)
        return rotation.current.replace(**made)


def _prefix(rotation: Rotation[ValueT]) -> str:
    """The beginning of the labels of this secret's keys, and of no other secret's."""
    digest = hashlib.sha256(rotation.secret_id.encode()).hexdigest()[:_DIGEST]
    return f"{_LABEL}/{digest}"
