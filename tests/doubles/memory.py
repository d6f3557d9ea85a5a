"""A database, its engine and a rotation that are a few dicts: for what a strategy does, call by call.

What the real ones do is shown by the suites on servers. Here a session can do exactly what a test gives it, refuses
what a real one would, and every call is noted in one list, in its order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions, alternate
from rotators.engines.identity import Account, Pair, Relation
from rotators.errors import CurrentPasswordMismatch, LoginRefused, PasswordRefused, SecretNotFound, SecretsManagerDenied
from rotators.passwords import PasswordLimits
from rotators.settings import DatabaseSettings
from rotators.strategies.admin import resolve
from rotators.strategies.base import DatabaseRotation

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf"
ADMIN_ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:admin-AbCdEf"
HOST = "db.example"


@dataclass
class World:
    """The servers behind each host and port, what sessions can do, and what was done.

    Attributes:
        events: every call, in its order.
        hosts: the server that answers at an address: its name, by which accounts are told apart.
        users: the passwords of each user of a server, the present one first.
        abilities: what an application's session can do: classes of this module.
        admin_abilities: the same of an admin's.
        faults: what a call raises, by its note; a list is used up, one for each time.
        remembers: the server takes no password twice.
    """

    events: list[str] = field(default_factory=list)
    hosts: dict[tuple[str, int], str] = field(default_factory=lambda: {(HOST, 5432): "one"})
    users: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {"one": {"app": ["old"], "root": ["top"]}})
    abilities: tuple[type, ...] = ()
    admin_abilities: tuple[type, ...] = ()
    faults: dict[str, list[Exception | None]] = field(default_factory=dict)
    remembers: bool = False
    siblings: dict[str, list[str]] | None = field(default_factory=dict)
    admin_sees: dict[str, list[str]] = field(default_factory=dict)
    obstacle: str | None = None
    wrong_passwords: int | None = None
    relation: Relation = Relation.ABSENT
    reason: str = ""
    remedy: str = ""
    hook: Callable[[str], None] | None = None
    """Called with each note, before the call does anything."""

    def note(self, event: str) -> None:
        """Note a call, and raise what a test has put there for it."""
        self.events.append(event)
        if self.hook is not None:
            self.hook(event)
        waiting = self.faults.get(event)
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error


class MemorySession:
    """A login that can do nothing but that."""

    def __init__(self, world: World, server: str, name: str, password: str) -> None:
        self.world = world
        self.server = server
        self.name = name
        self.password = password
        self.pending: list[Callable[[], None]] | None = None

    @property
    def account(self) -> Account:
        return Account(self.server, self.name, self.name)

    @property
    def users(self) -> dict[str, list[str]]:
        return self.world.users[self.server]

    def verify(self, test_query: str | None) -> None:
        self.world.note(f"verify {test_query}")

    def check_rotatable(self) -> None:
        self.world.note(f"check rotatable {self.name}")

    def close(self) -> None:
        self.world.note(f"close {self.name}")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set(self, name: str, passwords: list[str]) -> None:
        if self.world.remembers and passwords[0] in self.users[name]:
            raise PasswordRefused(f"'{name}' had this password before")
        if self.pending is None:
            self.users[name] = passwords
        else:
            self.pending.append(lambda: self.users.update({name: passwords}))


class SelfService(MemorySession):
    """Changes its own password."""

    def set_own_password(self, new: str, old: str) -> None:
        self.world.note(f"set own {self.name} from {old} to {new}")
        self._set(self.name, [new])


class SelfChecked(MemorySession):
    """Tells beforehand whether it may."""

    def check_can_set_own_password(self) -> None:
        self.world.note(f"check can set own {self.name}")


class Transactional(MemorySession):
    """Sets passwords at a transaction's end."""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.world.note("begin")
        self.pending = []
        try:
            yield
            made, self.pending = self.pending, None
            for change in made:
                change()
            self.world.note("commit")
        finally:
            self.pending = None


class WithSiblings(MemorySession):
    """Sees a user's accounts on other hosts; ``siblings=None``: may not."""

    def siblings(self, account: Account, password: str) -> list[str] | None:
        self.world.note(f"siblings of {account.name} with {password} as {self.name}")
        return None if self.world.siblings is None else self.world.siblings.get(password, [])


class AdminSeesSiblings(MemorySession):
    """Sees them in any case: those of ``admin_sees``."""

    def siblings(self, account: Account, password: str) -> list[str] | None:
        self.world.note(f"siblings of {account.name} with {password} as {self.name}")
        return self.world.admin_sees.get(password, [])


class Limited(MemorySession):
    """Tells after how many wrong passwords a user is blocked."""

    def wrong_passwords_allowed(self) -> int | None:
        self.world.note("wrong passwords allowed")
        return self.world.wrong_passwords


class Admin(MemorySession):
    """Sets others' passwords."""

    def recognize(self, account: Account, password: str) -> Account:
        self.world.note(f"recognize {account.name} with {password}")
        return account

    def find_account(self, name: str) -> Account | None:
        self.world.note(f"find {name}")
        return Account(self.server, name, name) if name in self.users else None

    def check_can_set_password(self, account: Account) -> None:
        self.world.note(f"check can set {account.name}")

    def set_password(self, account: Account, new: str) -> None:
        self.world.note(f"set {account.name} to {new}")
        self._set(account.name, [new])


class Second(MemorySession):
    """Keeps a second password."""

    def why_no_second_password(self) -> str | None:
        return self.world.obstacle

    def add_own_password(self, new: str, old: str) -> None:
        self.world.note(f"add own {new} beside {old}")
        if self.users[self.name][0] != old:
            raise CurrentPasswordMismatch(f"the present one is not {len(old)} characters long")
        self._set(self.name, [new, old])


class SecondAdmin(Admin):
    """Gives another user one."""

    def check_can_add_password(self, account: Account) -> None:
        self.world.note(f"check can add {account.name}")

    def add_password(self, account: Account, new: str, old: str) -> None:
        self.world.note(f"add {new} beside {old} for {account.name}")
        self._set(account.name, [new, old])


class Cloning(Admin):
    """Makes one user the equal of another."""

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        self.world.note(f"inspect {current.name} and {other_name}")
        other = Account(self.server, other_name, other_name) if other_name in self.users else None
        return Pair(
            current,
            other_name,
            other,
            current_is_source=True,
            relation=self.world.relation,
            reason=self.world.reason,
            remedy=self.world.remedy,
        )

    def check_can_sync(self, pair: Pair) -> None:
        self.world.note(f"check can sync {pair.current.name} and {pair.other_name}")

    def sync_clone(self, pair: Pair) -> Account:
        self.world.note(f"sync {pair.other_name} with {pair.current.name}")
        self.users.setdefault(pair.other_name, ["nobody knows"])
        return Account(self.server, pair.other_name, pair.other_name)


class MemoryEngine:
    """Connects to what a :class:`World` has."""

    name = "postgres"
    default_port = 5432
    second_password = True
    blocks_users = False
    password_limits = PasswordLimits()

    def __init__(self, world: World) -> None:
        self.world = world
        self.options: list[ConnectOptions] = []

    def other_name(self, username: str) -> str:
        return alternate(username)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> Any:
        self.options.append(options)
        who, host, port = credentials.username, credentials.host, credentials.port(self.default_port)
        self.world.note(f"login {who}@{host}:{port} with {credentials.password}")
        server = self.world.hosts[host, port]
        if credentials.password not in self.world.users[server].get(who, ()):
            raise LoginRefused(f"'{who}' is refused", "look at it", code="28P01")
        abilities = self.world.admin_abilities if options.admin else self.world.abilities
        return type("Session", (*abilities, MemorySession), {})(self.world, server, who, credentials.password)


class RenewingEngine(MemoryEngine):
    """Lets a user in whose password has expired, to set another."""

    def renew_expired(self, credentials: Credentials, options: ConnectOptions, new: str) -> None:
        self.options.append(options)
        self.world.note(f"renew {credentials.username} from {credentials.password} to {new}")
        self.world.users[self.world.hosts[credentials.host, 5432]][credentials.username] = [new]


class MemoryRotation:
    """One step, with values that are given."""

    secret_id = ARN
    secret_arn = ARN
    deadline = 1e12

    def __init__(
        self,
        world: World,
        current: Credentials,
        pending: Credentials | None,
        previous: Credentials | None,
        admins: dict[str, Credentials],
    ) -> None:
        self.world = world
        self.current = current
        self._pending = pending
        self.previous = previous
        self.admins = admins
        self.promoted = False
        self.time_left = 30.0
        self.without_label: list[Credentials] = []
        self.may_list = True

    @property
    def pending(self) -> Credentials:
        assert self._pending is not None, "nobody may ask for a version that has no value"
        return self._pending

    @property
    def stored(self) -> bool:
        self.world.note("read whether a value is stored")
        return self._pending is not None

    def unlabelled(self) -> Iterator[Credentials]:
        self.world.note("list versions")
        if not self.may_list:
            raise SecretsManagerDenied("ListSecretVersionIds was refused", "allow secretsmanager:ListSecretVersionIds")
        yield from self.without_label

    def promote(self) -> None:
        self.world.note("promote")
        self.promoted = True

    def demote(self) -> None:
        self.world.note("demote")
        self.promoted = False

    def admin(self, arn: str) -> Credentials:
        self.world.note(f"read {arn}")
        if arn not in self.admins:
            raise SecretNotFound(f"the admin secret {arn} does not exist")
        return self.admins[arn]


def value(source: str = "AWSCURRENT", **changes: Any) -> Credentials:
    """A secret's value: the user ``app`` with the password ``old``, but for what is changed; None removes a key."""
    values = {"engine": "postgres", "host": HOST, "username": "app", "password": "old", **changes}
    return Credentials({key: one for key, one in values.items() if one is not None}, f"secret app ({source})")


def context(
    world: World,
    *,
    current: Credentials | None = None,
    pending: Credentials | None = None,
    previous: Credentials | None = None,
    admins: dict[str, Credentials] | None = None,
    engine: MemoryEngine | None = None,
    settings: dict[str, Any] | None = None,
    endpoint: Any = None,
) -> Any:
    """A step of a rotation in a world; typed Any, for its rotation is ours. The next password is ``new``."""
    if admins is None:
        admins = {ADMIN_ARN: Credentials({"username": "root", "password": "top", "host": HOST}, "the admin's secret")}

    def managed_endpoint(arn: str, deadline: float) -> Any:
        world.note(f"ask for the endpoint of {arn} until {deadline:g}")
        return endpoint

    return DatabaseRotation(
        MemoryRotation(world, current or value(), pending, previous, admins),  # type: ignore[arg-type]
        engine or MemoryEngine(world),  # type: ignore[arg-type]
        DatabaseSettings(**(settings or {})),
        None,
        lambda: "new",
        resolve,
        managed_endpoint,
    )
