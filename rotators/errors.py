"""The errors a rotation can end with: one tree, each with what happened, where, and what to do next.

::

    RotationError
    ├── RequestError              the event asks for something that must not be done
    │   ├── MalformedEvent            a field is missing or not of the form that Secrets Manager sends
    │   ├── UnknownStep               none of the four steps
    │   ├── RotationNotEnabled        the secret has no rotation switched on
    │   ├── VersionUnknown            the token names no version of this secret
    │   └── VersionNotPending         the version is neither AWSPENDING nor AWSCURRENT
    ├── SecretError               what the secret holds can't be rotated
    │   ├── SecretEmpty               no version has a value yet
    │   ├── SecretMalformed           not the JSON that is needed, or a key is missing or wrong
    │   │   └── PendingUnusable           the same of the version under rotation: it is discarded
    │   ├── EditedMeanwhile           AWSCURRENT was edited after the database had changed: nothing is lost
    │   ├── EngineMismatch            the secret is another engine's
    │   └── UserPairMismatch          the two users of the secret can't be a pair
    ├── ConfigurationError        an environment variable of the function is missing or wrong
    ├── SecretsManagerError       a call to Secrets Manager failed
    │   ├── SecretsManagerUnreachable no answer: network, endpoint, time-out
    │   ├── SecretsManagerDenied      the function's role, the resource policy or the KMS key says no
    │   └── SecretNotFound            the secret, or the version asked for, is not there
    ├── ServiceError              the database or service whose credential is rotated
    │   ├── Unreachable               DNS, connection refused, no route, time-out
    │   ├── ConnectionLost            the connection broke in the middle; the outcome is unknown
    │   ├── TlsFailed                 TLS refused, certificate not trusted, or of another host
    │   ├── LoginRefused              wrong user or password
    │   │   └── PasswordExpired           the right one, which is good for nothing but to set another
    │   ├── PermissionRefused         logged in, but a right is missing
    │   ├── PasswordRefused           the server's password policy says no
    │   ├── ReadOnlyServer            a replica or reader: passwords can't be changed there
    │   ├── UserNotRotatable          this user has no password that could be rotated
    │   └── ServiceFailed             the server answered with an error of another kind
    │       └── CurrentPasswordMismatch   the password to be replaced is not the user's first one
    ├── PackagingFailed           at the desk: a function, a layer or a CA bundle could not be made
    └── UnexpectedError           a fault in code: the rotator's own, whose place it names, or ours: please report that

Every text is made of names, hosts and reasons; none of them may hold a secret value. ``str(error)`` is one
line, fit for an alarm, whatever a secret or a server says.
"""

from __future__ import annotations

import re
from typing import Self

# What ends a line, moves a terminal's cursor, turns the direction of writing or can't be encoded at all:
# controls (ESC, NEL), line and paragraph separators, invisible format characters, lone surrogates.
_NOT_PRINTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_BLANKS = "\t\n\r"
CUT = "…"
"""Stands where a text was cut."""
_LONGEST = 2000
# A word that is longer is no reason to lose as much of a text.
_LONGEST_WORD = 200
_CODE = re.compile(r"[A-Za-z0-9_-]{1,16}")


def one_line(text: str) -> str:
    """A text in which nothing breaks the line: blanks for line breaks and tabs, escapes for what can't be seen.

    Character by character, so that a part of a text becomes the same as it does by itself.
    """
    return _NOT_PRINTED.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    return " " if character in _BLANKS else character.encode("unicode_escape").decode()


def cut(text: str) -> str:
    """A text of at most 2,000 characters; the end of a longer one is left out, from a blank on where there is one."""
    if len(text) <= _LONGEST:
        return text
    blank = text.rfind(" ", _LONGEST - _LONGEST_WORD, _LONGEST)
    return text[: blank if blank > 0 else _LONGEST - 1] + CUT


class RotationError(Exception):
    """The root of the tree.

    Both texts are made one line and cut, for they often hold what a server has said or a secret holds.

    Args:
        what: what happened and where, a sentence without a full stop at its end.
        advice: what to do next, a sentence likewise; empty where there is nothing to add.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        self.what = cut(one_line(what))
        self.advice = cut(one_line(advice))
        super().__init__(self.what, self.advice)

    def __str__(self) -> str:
        return f"{self.what}. {self.advice}." if self.advice else f"{self.what}."

    def reworded(self, what: str, advice: str | None = None) -> Self:
        """An error of the same kind, with the same code, and another text.

        Args:
            what: what happened and where.
            advice: what to do next; None: as before.
        """
        # Not copy.copy, which libraries replace for exceptions (tblib's shares the attributes).
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        RotationError.__init__(other, what, self.advice if advice is None else advice)
        return other


class RequestError(RotationError):
    """The event asks for something that must not be done."""


class MalformedEvent(RequestError):
    """A field of the event is missing or not of the form that Secrets Manager sends."""


class UnknownStep(RequestError):
    """The event's ``Step`` is none of the four."""


class RotationNotEnabled(RequestError):
    """The secret has no rotation switched on."""


class VersionUnknown(RequestError):
    """The event's token names no version of the secret."""


class VersionNotPending(RequestError):
    """The event's token names a version that is neither AWSPENDING nor AWSCURRENT."""


class SecretError(RotationError):
    """What the secret holds can't be rotated."""


class SecretEmpty(SecretError):
    """The secret has no current value yet."""


class SecretMalformed(SecretError):
    """The secret's value is not the JSON that is needed."""


class PendingUnusable(SecretMalformed):
    """The version under rotation holds a value that nobody could use."""


class EditedMeanwhile(SecretError):
    """AWSCURRENT was edited while the database has the pending password already: both are kept."""


class EngineMismatch(SecretError):
    """The secret is another engine's."""


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
    """The secret, or the version asked for, is not there, or has no value."""


class ServiceError(RotationError):
    """The database or service whose credential is rotated said no, or said nothing.

    Args:
        what: what happened and where.
        advice: what to do next.
        code: the server's or the driver's code: an SQLSTATE, a number, ``ORA-01017``. What has not the form of a
            code is dropped: it is shown in logs, and never a server's text.

    Attributes:
        code: it, as a text; empty where there is none.
    """

    def __init__(self, what: str, advice: str = "", *, code: str | int | None = None) -> None:
        super().__init__(what, advice)
        text = "" if code is None else str(code)
        self.code = text if _CODE.fullmatch(text) else ""


class Unreachable(ServiceError):
    """The server could not be reached: DNS, refused, no route, time-out."""


class ConnectionLost(ServiceError):
    """The connection broke in the middle: what was asked may or may not have been done."""


class TlsFailed(ServiceError):
    """The server offers no TLS, or its certificate could not be verified."""


class LoginRefused(ServiceError):
    """The server refused the user and password."""


class PasswordExpired(LoginRefused):
    """The password is the right one and has expired: whoever has it may set another, and nothing else."""


class PermissionRefused(ServiceError):
    """The login worked, but a right is missing."""


class PasswordRefused(ServiceError):
    """The server's policy refused the new password."""


class ReadOnlyServer(ServiceError):
    """The server is a replica: passwords can't be changed there."""


class UserNotRotatable(ServiceError):
    """The user has no password that could be rotated, or must not be rotated by this function."""


class ServiceFailed(ServiceError):
    """The server answered with an error of another kind."""


class CurrentPasswordMismatch(ServiceFailed):
    """The password that was to be replaced is not the user's present one."""


class PackagingFailed(RotationError):
    """A function, a layer or a CA bundle could not be made ready for deployment."""


class UnexpectedError(RotationError):
    """An error that is not of this tree reached the handler: a fault of the rotator's own code, or of ours."""
