"""The meaning of SQLSTATEs, for PostgreSQL and servers derived from it.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from rotators.engines.mapping import GRANT_ADVICE, POLICY_ADVICE, REPEATED, ErrorMap, Meaning
from rotators.errors import ConnectionLost, PasswordRefused, PermissionRefused, ReadOnlyServer, ServiceFailed

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
_CONNECTION_EXCEPTIONS = ("08000", "08001", "08003", "08004", "08006", "08007", "08P01")


class LockHeld(ServiceFailed):
    """Another session holds a lock longer than the time-out."""


class NoAnswer(ConnectionLost):
    """The server did not answer, and the connection was closed."""


STATEMENT = ErrorMap(
    {
        "42501": Meaning(PermissionRefused, GRANT_ADVICE),
        "25006": Meaning(ReadOnlyServer, "put the writer's endpoint as 'host' into the secret"),
        **dict.fromkeys(
            (LOCK_NOT_AVAILABLE, QUERY_CANCELED), Meaning(LockHeld, f"another session holds a lock; {REPEATED}")
        ),
    },
    otherwise=f"{REPEATED}; the database's log tells more",
    # What passwordcheck, credcheck and their like raise from the hook that looks at a new password.
    of_passwords=dict.fromkeys(("22023", "28000", "28P01"), Meaning(PasswordRefused, POLICY_ADVICE)),
    lost=frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", *_CONNECTION_EXCEPTIONS}),
)
