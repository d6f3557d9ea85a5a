"""The errors that a rotation can end with. Each says what happened, where, and what to do next.

::

    RotationError
    ├── RequestError              the event asks for something that must not be done
    │   ├── MalformedEvent            a field is missing, or not in the form that Secrets Manager sends
    │   ├── UnknownStep               the step is not one of the four
    │   ├── RotationNotEnabled        rotation is not enabled for the secret
    │   ├── VersionUnknown            the token names no version of this secret
    │   └── VersionNotPending         the version is neither AWSPENDING nor AWSCURRENT
    ├── SecretError               the secret's value can't be rotated
    │   ├── SecretEmpty               no version has a value yet
    │   ├── SecretMalformed           not the JSON that is needed, or a key is missing or wrong
    │   │   └── PendingUnusable           the same for the version under rotation, which is discarded
    │   ├── EditedMeanwhile           AWSCURRENT was edited after the database had changed: both values are kept
    │   ├── EngineMismatch            the secret is for another engine
    │   └── UserPairMismatch          the two users of the secret can't be a pair
    ├── ConfigurationError        an environment variable of the function is missing or wrong
    ├── SecretsManagerError       a call to Secrets Manager failed
    │   ├── SecretsManagerUnreachable no answer: network, endpoint, time-out
    │   ├── SecretsManagerDenied      the function's role, the resource policy or the KMS key does not allow it
    │   └── SecretNotFound            the secret or the version does not exist
    ├── ServiceError              an error of the database or service whose credential is rotated
    │   ├── Unreachable               DNS, connection refused, no route, time-out
    │   ├── ConnectionLost            the connection broke during a request; the outcome is unknown
    │   ├── TlsFailed                 TLS refused, certificate not trusted, or for another host
    │   ├── LoginRefused              wrong user or password
    │   │   └── PasswordExpired           the right password, which can only be used to set another
    │   ├── PermissionRefused         logged in, but a privilege is missing
    │   ├── PasswordRefused           the server's password policy refused the new password
    │   ├── ReadOnlyServer            a replica or reader: passwords can't be changed there
    │   ├── UserNotRotatable          this user has no password that can be rotated
    │   └── ServiceFailed             the server answered with an error of another kind
    │       └── CurrentPasswordMismatch   the password to replace is not the user's primary one
    ├── PackagingFailed           a function, a layer or a CA bundle could not be made for deployment
    └── UnexpectedError           a bug: in the rotator's code, whose place it names, or in rotators: please report it

Every text is made of names, hosts and reasons, and never holds a secret value. ``str(error)`` is always one line, fit
for an alarm, whatever a secret or a server contains.
"""

from __future__ import annotations

import re
from typing import Self

# What ends a line, moves a terminal's cursor, changes the writing direction or can't be encoded:
# control characters (ESC, NEL), line and paragraph separators, invisible format characters, lone surrogates.
_NOT_PRINTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_BLANKS = "\t\n\r"
CUT = "…"
"""Marks where a text was cut."""
_LONGEST = 2000
# A text is cut at a blank, unless that would lose more than this many characters.
_LONGEST_WORD = 200
_CODE = re.compile(r"[A-Za-z0-9_-]{1,16}")


def one_line(text: str) -> str:
    """The text as one line: blanks for line breaks and tabs, escapes for invisible characters.

    Each character is converted by itself, so a part of a text gives the same result alone.
    """
    return _NOT_PRINTED.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    return " " if character in _BLANKS else character.encode("unicode_escape").decode()


def cut(text: str) -> str:
    """The text, cut after at most 2,000 characters, at a blank if there is one."""
    if len(text) <= _LONGEST:
        return text
    blank = text.rfind(" ", _LONGEST - _LONGEST_WORD, _LONGEST)
    return text[: blank if blank > 0 else _LONGEST - 1] + CUT


class RotationError(Exception):
    """The base class of all errors of a rotation.

    Both texts are made one line and cut, because they often quote a server or a secret's key.

    Args:
        what: what happened and where, as a sentence without a full stop.
        advice: what to do next, likewise; empty if there is nothing to add.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        self.what = cut(one_line(what))
        self.advice = cut(one_line(advice))
        super().__init__(self.what, self.advice)

    def __str__(self) -> str:
        return f"{self.what}. {self.advice}." if self.advice else f"{self.what}."

    def reworded(self, what: str, advice: str | None = None) -> Self:
        """An error of the same class and code with another text.

        Args:
            what: what happened and where.
            advice: what to do next; None keeps the advice.
        """
        # Not copy.copy: libraries replace it for exceptions (tblib's copy shares the attributes).
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        RotationError.__init__(other, what, self.advice if advice is None else advice)
        return other


class RequestError(RotationError):
    """The event asks for something that must not be done."""


class MalformedEvent(RequestError):
    """A field of the event is missing, or not in the form that Secrets Manager sends."""


class UnknownStep(RequestError):
    """The event's ``Step`` is not one of the four."""


class RotationNotEnabled(RequestError):
    """Rotation is not enabled for the secret."""


class VersionUnknown(RequestError):
    """The event's token names no version of the secret."""


class VersionNotPending(RequestError):
    """The event's token names a version that is neither AWSPENDING nor AWSCURRENT."""


class SecretError(RotationError):
    """The secret's value can't be rotated."""


class SecretEmpty(SecretError):
    """The secret has no current value yet."""


class SecretMalformed(SecretError):
    """The secret's value is not the JSON that is needed."""


class PendingUnusable(SecretMalformed):
    """The version under rotation holds a value that can't be used."""


class EditedMeanwhile(SecretError):
    """AWSCURRENT was edited after the database got the pending password: both values are kept."""


class EngineMismatch(SecretError):
    """The secret is for another engine."""


class UserPairMismatch(SecretError):
    """The secret's two users, or its user and its admin, can't be a pair."""


class ConfigurationError(RotationError):
    """A setting of the function is missing or wrong."""


class SecretsManagerError(RotationError):
    """A call to Secrets Manager failed."""


class SecretsManagerUnreachable(SecretsManagerError):
    """Secrets Manager gave no answer."""


class SecretsManagerDenied(SecretsManagerError):
    """The function may not make this call."""


class SecretNotFound(SecretsManagerError):
    """The secret or the version does not exist, or has no value."""


class ServiceError(RotationError):
    """The database or service whose credential is rotated refused a request, or did not answer.

    Args:
        what: what happened and where.
        advice: what to do next.
        code: the server's or the driver's code: an SQLSTATE, a number, ``ORA-01017``. Anything that does not look like
            a code is dropped, because codes are logged, and a server's text must not be.

    Attributes:
        code: the code as a string; empty if there is none.
    """

    def __init__(self, what: str, advice: str = "", *, code: str | int | None = None) -> None:
        super().__init__(what, advice)
        text = "" if code is None else str(code)
        self.code = text if _CODE.fullmatch(text) else ""


class Unreachable(ServiceError):
    """The server could not be reached: DNS, refused, no route, time-out."""


class ConnectionLost(ServiceError):
    """The connection broke during a request, which may or may not have been executed."""


class TlsFailed(ServiceError):
    """The server offers no TLS, or its certificate could not be verified."""


class LoginRefused(ServiceError):
    """The server refused the user and password."""


class PasswordExpired(LoginRefused):
    """The password is right but has expired: it can only be used to set another."""


class PermissionRefused(ServiceError):
    """The login worked, but a privilege is missing."""


class PasswordRefused(ServiceError):
    """The server's policy refused the new password."""


class ReadOnlyServer(ServiceError):
    """The server is a replica: passwords can't be changed there."""


class UserNotRotatable(ServiceError):
    """The user has no password that can be rotated, or must not be rotated by this function."""


class ServiceFailed(ServiceError):
    """The server answered with an error of another kind."""


class CurrentPasswordMismatch(ServiceFailed):
    """The password to replace is not the user's current one."""


class PackagingFailed(RotationError):
    """A function, a layer or a CA bundle could not be made for deployment."""


class UnexpectedError(RotationError):
    """An error that is not a RotationError reached the handler: a bug in the rotator's code, or in this package."""
