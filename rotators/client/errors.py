"""The errors of the client. If a driver refused a login, its error is the ``__cause__``.

::

    ClientError
    ├── SecretUnavailable     Secrets Manager returns no value, and no cached value is recent enough
    ├── SecretNotJson         a key was read, and the secret's value is not a JSON object
    ├── CredentialsRefused    no version of the secret logs in, or the budget of refused logins is spent
    └── LoginsUnderWay        other logins of this process have not ended for too long
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of the client's errors. The text is one line: what happened, where, and what to do next."""


class SecretUnavailable(ClientError):
    """Secrets Manager returns no value, and no cached value is recent enough."""


class SecretNotJson(ClientError):
    """A key was read, and the secret's value is not a JSON object."""


class CredentialsRefused(ClientError):
    """No version of the secret logs in, or the budget of refused logins is spent."""


class LoginsUnderWay(ClientError):
    """Other logins of this process have not ended for too long."""
