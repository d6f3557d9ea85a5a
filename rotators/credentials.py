"""A secret's JSON as a value: typed, validated, and careful with what it shows."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn, Self

from rotators.errors import SecretMalformed

_HIGHEST_PORT = 65535
# Includes what drivers and libraries write for TLS. The certificate is verified with any of them.
_TRUE = {"true", "1", "yes", "y", "on", "require", "required", "prefer", "preferred"} | {
    "verify-ca", "verify-full", "verify_ca", "verify_identity"
}  # fmt: skip
_FALSE = {"false", "0", "no", "n", "off"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters of ASCII and Latin-1 (including NEL), and Unicode's line and paragraph separators.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The characters of ARNs and secret names: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
_ARN = re.compile(r"[A-Za-z0-9/_+=.@:!-]{1,2048}")  # names of secrets that AWS services manage contain "!"
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:,\[\]]+)[:,]\s*\d+")
_HOST = re.compile(r"[\w.-]+")
_LONGEST_HOST = 253  # without a final dot


class SecretValue(Mapping[str, Any]):
    """A secret's JSON object: a read-only mapping that keeps every key.

    Its ``repr`` shows the values of only those keys that the class names in ``public``. Changes are made in the text
    that was read, so everything else is stored again unchanged, to the character.

    Args:
        values: the object's keys and values.
        source: where it was read, for error messages: ``secret 'app', version AWSCURRENT``.
    """

    public: ClassVar[frozenset[str]] = frozenset()
    """The keys whose values may be shown."""
    secret: ClassVar[frozenset[str]] = frozenset({"password"})
    """The keys whose values are always hidden. Values of other keys are hidden except for the public texts in them."""

    def __init__(self, values: Mapping[str, Any], source: str = "the secret") -> None:
        self._values = dict(values)
        self._text: str | None = None
        self.source = source

    @classmethod
    def from_json(cls, text: str, source: str) -> Self:
        """Read a secret's text.

        Args:
            text: the SecretString.
            source: where it was read, for error messages.

        Raises:
            SecretMalformed: the text is not a JSON object, or lacks what this class needs.
        """
        shape = 'the value must be a JSON object such as {"username": …, "password": …}'
        try:
            values = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            # json's error holds the whole text, so it must not be chained.
            place = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
            raise SecretMalformed(f"{source} is not JSON{place}", shape) from None
        if not isinstance(values, dict):
            raise SecretMalformed(f"{source} is JSON, but not an object", shape)
        return cls(values, source)._written_as(text)  # noqa: SLF001  # one of this very class

    def to_json(self) -> str:
        """The text to store."""
        return json.dumps(self._values) if self._text is None else self._text

    def replace(self, **changes: Any) -> Self:
        """A copy with some keys changed or added. The others stay as they are.

        Args:
            changes: the keys' new values. A key that is set to None counts as missing.
        """
        changed = {key: value for key, value in changes.items() if not self._is(key, value)}
        made = type(self)({**self._values, **changed}, self.source)
        return made._written_as(replace_members(self.to_json(), changed))  # noqa: SLF001  # one of this very class

    def differing_keys(self, other: SecretValue, besides: Iterable[str]) -> list[str]:
        """The keys that only one of two values has, or whose values differ in JSON, where true does not equal 1.

        Args:
            other: the other value.
            besides: keys that are not compared.
        """
        keys = [*self, *(key for key in other if key not in self)]
        same = {key for key in keys if key in self and key in other and self._is(key, other[key])}
        return [key for key in keys if key not in {*besides, *same}]

    def _is(self, key: str, value: Any) -> bool:
        """Whether a key holds this value, in any notation: 1.50 equals 1.5, and true does not equal 1."""
        return key in self._values and json.dumps(self._values[key]) == json.dumps(value)

    def _written_as(self, text: str) -> Self:
        self._text = text
        return self

    def shown_values(self) -> Iterator[str]:
        """The strings and numbers of the public keys."""
        for key in self.public & self._values.keys():
            value = self._values[key]
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield str(value).strip()

    def secret_values(self) -> Iterator[str]:
        """The strings that are always hidden: those of the keys in ``secret``."""
        for key in self.secret & self._values.keys():
            value = self._values[key]
            yield from _texts(str(value) if isinstance(value, int | float) else value)

    def hidden_values(self) -> Iterator[str]:
        """All strings that must not be shown, nested ones included. Those that are certainly secret come first."""
        yield from self.secret_values()
        for key, value in self._values.items():
            if key not in self.secret and (key not in self.public or isinstance(value, dict | list)):
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
        """A key's string; None if the key is missing, null or empty.

        Raises:
            SecretMalformed: the value is not a string, or holds a character that no server accepts.
        """
        value = self._values.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise SecretMalformed(f"{self.source}: the key '{key}' is not text", f"put '{key}' in quotes")
        if "\0" in value:
            raise SecretMalformed(f"{self.source}: the key '{key}' holds a NUL character", "remove it")
        if _LONE_SURROGATE.search(value):
            raise SecretMalformed(
                f"{self.source}: the key '{key}' holds half a character (a lone surrogate, \\ud800 to \\udfff)",
                f"write '{key}' again; beyond U+FFFF JSON needs two escapes for a character, or the character itself",
            )
        return value

    def line(self, key: str) -> str | None:
        """Like :meth:`text`, but the string must be a single line.

        Raises:
            SecretMalformed: the value is not a string, or holds a line break or another control character.
        """
        value = self.text(key)
        found = None if value is None else _CONTROL.search(value)
        if found is not None:
            raise SecretMalformed(
                f"{self.source}: the key '{key}' holds a control character (U+{ord(found[0]):04X})",
                "remove it; it often comes with copying a line",
            )
        return value

    def required_text(self, key: str) -> str:
        """A key's string.

        Raises:
            SecretMalformed: the key is missing or empty, or its value is not a string.
        """
        return self._required(key, self.text(key))

    def _required(self, key: str, value: str | None) -> str:
        if value is None:
            raise SecretMalformed(f"{self.source}: the key '{key}' is missing or empty", f"add '{key}' to the secret")
        return value


class Credentials(SecretValue):
    """A database user's secret, in the JSON structure that AWS's rotation functions use.

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
        return self._required("username", self.line("username"))

    @property
    def password(self) -> str:
        """The user's password."""
        return self.required_text("password")

    @property
    def host(self) -> str:
        """The server's host name or address; an IPv6 address without brackets.

        Raises:
            SecretMalformed: the key is missing, or is neither a host name nor an address.
        """
        host = self._required("host", _stripped(self.text("host")))
        fault = host_fault(host)
        if fault is not None:
            raise SecretMalformed(f"{self.source}: the key 'host' {fault[0]}", fault[1])
        return host.removeprefix("[").removesuffix("]")

    @property
    def engine(self) -> str | None:
        """The engine's name in the secret, in lower case; None if it names none."""
        engine = _stripped(self.line("engine"))
        return engine.lower() if engine else None

    @property
    def dbname(self) -> str | None:
        """The database to log in to; None for the engine's default."""
        return self.line("dbname")

    @property
    def admin_arn(self) -> str | None:
        """The secret of the admin who sets the other user's password (``masterarn``).

        Raises:
            SecretMalformed: it is neither an ARN nor a secret's name.
        """
        arn = _stripped(self.text("masterarn"))
        if arn is not None and not _ARN.fullmatch(arn):
            raise SecretMalformed(
                f"{self.source}: the key 'masterarn' is not the ARN of a secret",
                "write the ARN of the admin's secret, without blanks or line breaks",
            )
        return arn

    @property
    def tls_server_name(self) -> str | None:
        """The name to verify in the server's certificate if it differs from the host; else None.

        Raises:
            SecretMalformed: it is not a host name.
        """
        name = _stripped(self.text("tlsServerName"))
        fault = None if name is None else host_fault(name)
        if fault is not None:
            raise SecretMalformed(f"{self.source}: the key 'tlsServerName' {fault[0]}", fault[1])
        return name

    @property
    def wants_tls(self) -> bool:
        """Whether to use TLS. False only for ``ssl: false``; ``prefer`` and ``require`` mean verified TLS, like true.

        Raises:
            SecretMalformed: ``ssl`` is neither true nor false.
        """
        value = self.get("ssl")
        spelled = str(value).strip().lower()
        if value is None or spelled in _TRUE | {""}:
            return True
        if spelled in _FALSE:
            return False
        raise SecretMalformed(
            f"{self.source}: the key 'ssl' is neither true nor false",
            "write true, or remove it: TLS is always verified",
        )

    def port(self, default: int) -> int:
        """The server's port.

        Args:
            default: the port to use if the secret's is missing, null or empty.

        Raises:
            SecretMalformed: it is not a whole number from 1 to 65535.
        """
        value = self.get("port")
        if value is None or value == "":
            return default
        try:
            number = int(value) if not isinstance(value, bool | float) else 0
        except (TypeError, ValueError):
            number = 0
        if not 1 <= number <= _HIGHEST_PORT:
            raise SecretMalformed(
                f"{self.source}: the key 'port' is not a port number", f"write a number from 1 to {_HIGHEST_PORT}"
            )
        return number

    def validate(self, default_port: int) -> Self:
        """Check everything that every engine needs, so that a rotation does not fail half-way.

        Args:
            default_port: the engine's port.

        Returns:
            This value.

        Raises:
            SecretMalformed: a key is missing or wrong.
        """
        _ = self.username, self.password, self.host, self.engine, self.dbname, self.admin_arn
        _ = self.tls_server_name, self.wants_tls, self.port(default_port)
        self.line("authenticationDatabase")
        return self

    def same_server(self, other: Credentials, default_port: int) -> bool:
        """Whether both name the same host (ignoring case and a final dot) and port."""
        return _host(self.host) == _host(other.host) and self.port(default_port) == other.port(default_port)


def host_fault(host: str) -> tuple[str, str] | None:
    """What is wrong with a host name or address.

    Args:
        host: as in a secret or a setting, without surrounding blanks.

    Returns:
        A phrase and what to do; None if nothing is wrong.
    """
    alone = "write only the host's name or address"
    if "://" in host:
        return "is a URL", alone
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if _is_address(bare):
        return None
    if _WITH_PORT.fullmatch(host):
        return "holds a port", f"{alone}, and the port as 'port'"
    if not _HOST.fullmatch(host):
        return "is not a host name or address", f"{alone}, without blanks, slashes, commas or the like"
    try:
        # A socket encodes a name like this. It refuses empty and long labels, and what IDNA can't encode.
        ascii_name = host.encode("idna") if len(host) <= _LONGEST_HOST + 1 else b""
    except UnicodeError:
        ascii_name = b""
    length = len(ascii_name.removesuffix(b"."))
    return None if 0 < length <= _LONGEST_HOST else ("is not a host name that DNS could have", alone)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _stripped(value: str | None) -> str | None:
    return (value.strip() or None) if value is not None else None


def _host(name: str) -> str:
    return name.rstrip(".").casefold()


def _refuse_constant(name: str) -> NoReturn:
    # Python accepts NaN and Infinity; other readers of the secret do not.
    raise ValueError(name)


# No one nests secrets deeper than this.
_DEEPEST = 8


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """All strings in a value, including those inside a string that is itself JSON."""
    if isinstance(value, str):
        yield value
        yield from _texts_in_json(value, depth)
    elif isinstance(value, dict | list):
        inside: Iterable[Any] = value.values() if isinstance(value, dict) else value
        for inner in inside:
            yield from _texts(inner, depth)


def _texts_in_json(text: str, depth: int) -> Iterator[str]:
    if depth < _DEEPEST and text.lstrip()[:1] in {"{", "["}:
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from _texts(inner, depth + 1)


_DECODER = json.JSONDecoder()
_WHITESPACE = re.compile(r"[ \t\n\r]*")


def replace_members(text: str, changes: Mapping[str, Any]) -> str:
    """Replace values in the text of a JSON object. The rest of the text stays as it is.

    Args:
        text: a JSON object.
        changes: the keys' new values. A key that occurs twice is changed twice; a new key is added at the end.

    Returns:
        The changed text.
    """
    pieces: list[str] = []
    copied = 0
    end_of_last = text.index("{") + 1
    left = dict(changes)
    members = 0
    for key, start, end in _members(text):
        members += 1
        end_of_last = end
        if key in changes:
            pieces += [text[copied:start], json.dumps(changes[key])]
            copied = end
            left.pop(key, None)
    added = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in left.items()]
    comma = ", " if members and added else ""
    pieces += [text[copied:end_of_last], comma, ", ".join(added), text[end_of_last:]]
    return "".join(pieces)


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Each key of a JSON object, with the start and end of its value in the text. The text must be valid JSON."""
    place = _after_blanks(text, text.index("{") + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        start = _after_blanks(text, _after_blanks(text, place) + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield key, start, end
        place = _after_blanks(text, end)
        if text[place] == ",":
            place = _after_blanks(text, place + 1)


def _after_blanks(text: str, place: int) -> int:
    found = _WHITESPACE.match(text, place)
    return place if found is None else found.end()
