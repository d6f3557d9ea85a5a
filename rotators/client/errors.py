"""The errors of the client. A refused login's own error, the driver's, is each one's cause where there is one.

::

    ClientError
    ├── SecretUnavailable     Secrets Manager gives no value, and none that was read before is young enough
    ├── SecretNotJson         the secret's value is not a JSON object, and a key of it was asked for
    ├── CredentialsRefused    no version of the secret logs in, or the budget of refused logins is spent
    └── LoginsUnderWay        other logins of this process have not ended for too long
"""

from __future__ import annotations


class ClientError(Exception):
    """What the client itself raises: one line with what happened, where, and what to do next."""


class SecretUnavailable(ClientError):
    """Secrets Manager gives no value, and none that was read before is young enough."""


class SecretNotJson(ClientError):
    """The secret's value is not a JSON object, and a key of it was asked for."""


class CredentialsRefused(ClientError):
    """No version of the secret logs in, or the budget of refused logins is spent."""


class LoginsUnderWay(ClientError):
    """Other logins of this process have not ended for too long."""
