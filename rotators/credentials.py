"""A secret's JSON as a value: typed, validated, and careful with what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NoReturn, Self

from rotators.errors import SecretMalformed

_HIGHEST_PORT = 65535
_TRUE = {"true", "1", "yes", "y", "on"}
_FALSE = {"false", "0", "no", "n", "off"}


class SecretValue(Mapping[str, Any]):
    """The JSON object a secret holds: a read-only mapping that keeps every key.

    Its ``repr`` shows a key's value only where the class names that key in ``public``.

    Args:
        values: the object's keys and values.
        source: where it was read, for error messages: ``secret 'app', version AWSCURRENT``.
    """

    public: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, values: Mapping[str, Any], source: str = "the secret") -> None:
        self._values = dict(values)
        self.source = source

    @classmethod
    def from_json(cls, text: str, source: str) -> Self:
        """Read a secret's text.

        Args:
            text: the SecretString.
            source: where it was read, for error messages.

        Raises:
            SecretMalformed: the text is no JSON object, or lacks what this class needs.
        """
        shape = 'the value must be a JSON object such as {"username": …, "password": …}'
        try:
            values = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            # json's own error object carries the whole text: it must not travel on.
            place = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
            raise SecretMalformed(f"{source} is not JSON{place}", shape) from None
        if not isinstance(values, dict):
            raise SecretMalformed(f"{source} is JSON, but not an object", shape)
        return cls(values, source)

    def to_json(self) -> str:
        """The text to store."""
        return json.dumps(self._values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some keys changed or added; all others stay as they are."""
        return type(self)({**self._values, **changes}, self.source)

    def hidden_values(self) -> Iterator[str]:
        """Every text in it that must never be shown, nested ones included."""
        for key, value in self._values.items():
            if key not in self.public:
                yield from _texts(value)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = (f"{key}={value!r}" if key in self.public else f"{key}=***" for key, value in self._values.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def text(self, key: str) -> str | None:
        """A key's text; None where the key is missing, null or empty.

        Raises:
            SecretMalformed: the key holds something that is not text.
        """
        value = self._values.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise SecretMalformed(f"{self.source}: the key '{key}' is not text", f"put '{key}' in quotes")
        if "\0" in value:
            raise SecretMalformed(f"{self.source}: the key '{key}' holds a NUL character", "remove it")
        return value

    def required_text(self, key: str) -> str:
        """A key's text.

        Raises:
            SecretMalformed: the key is missing, empty or not text.
        """
        value = self.text(key)
        if value is None:
            raise SecretMalformed(f"{self.source}: the key '{key}' is missing or empty", f"add '{key}' to the secret")
        return value


class Credentials(SecretValue):
    """The secret of a database user, in the JSON that AWS's rotation functions use.

    The keys and their meaning: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """

    public: ClassVar[frozenset[str]] = frozenset(
        {
            "engine", "host", "port", "username", "dbname", "masterarn", "ssl", "tlsServerName",
            "dbInstanceIdentifier", "dbClusterIdentifier", "authenticationDatabase", "namespaceName",
        }
    )  # fmt: skip

    @property
    def username(self) -> str:
        """The user to log in as."""
        return self.required_text("username")

    @property
    def password(self) -> str:
        """The user's password."""
        return self.required_text("password")

    @property
    def host(self) -> str:
        """The server's host name or address."""
        return self.required_text("host").strip()

    @property
    def engine(self) -> str | None:
        """The engine's name as the secret spells it, in lower case; None where it has none."""
        engine = self.text("engine")
        return engine.strip().lower() if engine else None

    @property
    def dbname(self) -> str | None:
        """The database to log in to; None where the engine's own default is meant."""
        return self.text("dbname")

    @property
    def admin_arn(self) -> str | None:
        """The secret of the admin who sets the other user's password (``masterarn``)."""
        return self.text("masterarn")

    @property
    def tls_server_name(self) -> str | None:
        """The name to verify in the server's certificate, where it is not the host's."""
        return self.text("tlsServerName")

    @property
    def wants_tls(self) -> bool:
        """False only where the secret says ``ssl: false``.

        Raises:
            SecretMalformed: ``ssl`` is neither true nor false.
        """
        value = self.get("ssl")
        spelled = str(value).strip().lower()
        if value is None or spelled in _TRUE | {""}:
            return True
        if spelled in _FALSE:
            return False
        raise SecretMalformed(f"{self.source}: the key 'ssl' is neither true nor false", "write true, or remove it")

    def port(self, default: int) -> int:
        """The server's port.

        Args:
            default: the engine's own, where the secret has none (missing, null or empty).

        Raises:
            SecretMalformed: it is no whole number from 1 to 65535.
        """
        value = self.get("port")
        if value is None or value == "":
            return default
        spelled = value.strip() if isinstance(value, str) else value
        try:
            number = int(spelled) if not isinstance(spelled, bool | float) else 0
        except (TypeError, ValueError):
            number = 0
        if not 1 <= number <= _HIGHEST_PORT:
            raise SecretMalformed(
                f"{self.source}: the key 'port' is not a port number", f"write a number from 1 to {_HIGHEST_PORT}"
            )
        return number

    def validate(self, default_port: int) -> Self:
        """Check all that every engine needs, so that nothing fails half-way.

        Raises:
            SecretMalformed: a key is missing or wrong.
        """
        _ = self.username, self.password, self.host, self.engine, self.dbname, self.admin_arn
        _ = self.tls_server_name, self.wants_tls, self.port(default_port)
        return self

    def same_server(self, other: Credentials, default_port: int) -> bool:
        """Whether both name the same host (in any case, with or without the final dot) and port."""
        return _host(self.host) == _host(other.host) and self.port(default_port) == other.port(default_port)

    def same_cluster(self, other: Credentials) -> bool:
        """Whether both name the same RDS cluster or instance, or the same namespace of Redshift Serverless.

        By ``dbClusterIdentifier``, ``dbInstanceIdentifier`` or ``namespaceName``.
        """
        keys = ("dbClusterIdentifier", "dbInstanceIdentifier", "namespaceName")
        return any(self.text(key) is not None and self.text(key) == other.text(key) for key in keys)


def _host(name: str) -> str:
    return name.rstrip(".").casefold()


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, which no other reader of the secret would.
    raise ValueError(name)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
