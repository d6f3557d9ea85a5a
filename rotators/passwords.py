"""Makes new passwords from the operating system's randomness, by AWS's settings and each engine's limits."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Self

from rotators.environment import Environment
from rotators.errors import ConfigurationError

# Only the punctuation that a URL, a .pgpass line, a shell word, DMS and CloudFormation accept unquoted.
# 32 of these 66 characters give 193 bits: more kinds would only cause trouble.
UNRESERVED_PUNCTUATION = "-._~"
_SHORTEST = 8


@dataclass(frozen=True)
class PasswordLimits:
    """The passwords that an engine accepts.

    Args:
        longest: the most characters.
        never: characters that the engine refuses or garbles.
    """

    longest: int = 128
    never: str = ""


@dataclass(frozen=True)
class PasswordPolicy:
    """The form of new passwords.

    Args:
        length: the number of characters.
        kinds: the sets of characters to draw from (digits, lower case, …), none of them empty.
        require_each: whether every kind must occur.
    """

    length: int = 32
    kinds: tuple[str, ...] = (
        string.ascii_lowercase,
        string.ascii_uppercase,
        string.digits,
        UNRESERVED_PUNCTUATION,
    )
    require_each: bool = True

    @classmethod
    def from_environment(cls, environment: Environment, limits: PasswordLimits) -> Self:
        """Read the variables of AWS's rotation functions.

        EXCLUDE_CHARACTERS, PASSWORD_LENGTH, EXCLUDE_NUMBERS, EXCLUDE_PUNCTUATION, EXCLUDE_UPPERCASE,
        EXCLUDE_LOWERCASE and REQUIRE_EACH_INCLUDED_TYPE, with GetRandomPassword's meaning:
        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html

        EXCLUDE_CHARACTERS replaces this package's default: any character that it does not name may occur.

        Args:
            environment: the variables.
            limits: the engine's.

        Raises:
            ConfigurationError: a value is wrong, or leaves no characters to draw from.
        """
        excluded = environment.text("EXCLUDE_CHARACTERS")
        punctuation = UNRESERVED_PUNCTUATION if excluded is None else string.punctuation
        by_variable = {
            "EXCLUDE_LOWERCASE": string.ascii_lowercase,
            "EXCLUDE_UPPERCASE": string.ascii_uppercase,
            "EXCLUDE_NUMBERS": string.digits,
            "EXCLUDE_PUNCTUATION": punctuation,
        }
        forbidden = (excluded or "") + limits.never
        kinds = [
            "".join(c for c in characters if c not in forbidden)
            for variable, characters in by_variable.items()
            if not environment.flag(variable, default=False)
        ]
        length = environment.whole_number("PASSWORD_LENGTH", default=min(32, limits.longest))
        if not _SHORTEST <= length <= limits.longest:
            raise ConfigurationError(
                f"PASSWORD_LENGTH is {length}", f"set it to a number from {_SHORTEST} to {limits.longest}"
            )
        require_each = environment.flag("REQUIRE_EACH_INCLUDED_TYPE", default=True)
        if not any(kinds) or (require_each and not all(kinds)):
            raise ConfigurationError(
                "EXCLUDE_CHARACTERS excludes every character of a kind that passwords must have",
                "exclude fewer characters, exclude that kind with EXCLUDE_NUMBERS, EXCLUDE_PUNCTUATION, "
                "EXCLUDE_UPPERCASE or EXCLUDE_LOWERCASE, or set REQUIRE_EACH_INCLUDED_TYPE=false",
            )
        return cls(length, tuple(filter(None, kinds)), require_each)

    def generate(self) -> str:
        """A new password.

        It begins with a letter if letters are allowed: some programs misread a leading ``-`` or ``~``, and Oracle
        refuses a leading digit.
        """
        alphabet = "".join(self.kinds)
        first = "".join(c for c in alphabet if c.isalpha()) or alphabet
        while True:
            password = secrets.choice(first) + "".join(secrets.choice(alphabet) for _ in range(self.length - 1))
            # Draw again rather than place one of each kind: every allowed password stays equally likely.
            if not self.require_each or all(any(c in kind for c in password) for kind in self.kinds):
                return password


def placeholder_password() -> str:
    """A password that is never stored, for a user who must have one until the real one is set.

    It has characters of every kind, as a server's policy may require, and at most 30 characters, for Oracle.
    """
    return f"Aa1-{secrets.token_hex(13)}"
