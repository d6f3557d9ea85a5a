"""The admin of a rotation: where it acts, for whom, and what proves that it may.

Anyone who can write an application's secret chooses its names, its host and its identifiers. So none of these decides
where an admin logs in or whose password it sets. The address comes from the admin's secret or settings, and the account
from a login with the application's password at that address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rotators.engines.base import AccountAdmin, Session
from rotators.engines.identity import Account
from rotators.errors import ConfigurationError, LoginRefused, SecretMalformed, ServiceError, UserPairMismatch
from rotators.logs import logger, redactor
from rotators.strategies.base import DatabaseRotation, require

if TYPE_CHECKING:
    from rotators.credentials import Credentials

# The keys for the connection to the admin's server. They never come from an application's secret.
_PLACE = ("host", "port", "tlsServerName", "ssl")


@dataclass(frozen=True)
class Proof:
    """An account, and the password that logged in to it at the admin's server."""

    account: Account
    password: str = field(repr=False)


@dataclass(frozen=True)
class Acting:
    """An admin's session, and the account for which it acts."""

    session: Session
    admin: AccountAdmin
    account: Account


def resolve(context: DatabaseRotation) -> Credentials:
    """The admin's credential, with the address of its server.

    A managed admin secret has only a user and a password. Its host comes from ROTATION_ADMIN_HOST, else from the RDS or
    Redshift API, never from the application's secret.

    Raises:
        SecretMalformed: no admin secret is named, or it can't be used.
        UserPairMismatch: the secret names itself as its admin's.
        ConfigurationError: nothing names the admin's server.
        SecretsManagerError: the admin's secret may not be read, or does not exist.
    """
    arn = context.admin_arn
    if arn is None:
        raise SecretMalformed(
            f"{context.current.source} names no admin secret",
            "add 'masterarn' with the ARN of the admin's secret, or set ROTATION_ADMIN_SECRET of the function",
        )
    if arn == context.rotation.secret_id:
        raise UserPairMismatch(f"{context.current.source} names itself as its admin secret", "name the admin's secret")
    admin = context.rotation.admin(arn)
    if admin.text("host") is None:
        admin = admin.replace(**_address(context, arn))
    # The admin works in the application's database, and may not be allowed to connect to its own default database.
    return context.checked(admin.replace(dbname=context.current.dbname))


def _address(context: DatabaseRotation, arn: str) -> dict[str, str | int]:
    if context.settings.admin_host is not None:
        host, port = context.settings.admin_host
        return {"host": host} if port is None else {"host": host, "port": port}
    endpoint = context.managed_endpoint(arn, context.rotation.deadline)
    if endpoint is None:
        raise ConfigurationError(
            f"the admin secret {arn} names no host, and an application's secret may not name it",
            "add 'host' (and 'port') to the admin's secret; or, where RDS or Redshift manages it, set "
            "ROTATION_ADMIN_HOST of the function to the writer's endpoint (admin_host in rotations.yaml); or allow the "
            "function's role rds:DescribeDBInstances and rds:DescribeDBClusters (redshift:DescribeClusters), and "
            "secretsmanager:DescribeSecret on the admin's secret, so that it can ask",
        )
    redactor.show([endpoint.host])
    return {"host": endpoint.host, "port": endpoint.port}


def prove(
    context: DatabaseRotation, credentials: Credentials, *, own_host: bool, session: Session | None = None
) -> Proof:
    """Log in as an application's user at the admin's server.

    Without that, anyone who can write the secret could have the admin act for any user of the server
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).

    Args:
        context: the rotation.
        credentials: the user's.
        own_host: if the secret names another host than the admin's, log in there too, and require that both names are
            of one server.
        session: a login with these credentials. It is the proof itself if it used the admin's host and TLS settings.

    Raises:
        LoginRefused: the password is not accepted.
        UserPairMismatch: the two hosts are two servers.
        ServiceError: the server could not be asked.
    """
    admin = context.admin
    port = context.engine.default_port
    same_host = credentials.same_server(admin, port)
    if session is not None and same_host and _same_tls(credentials, admin):
        return Proof(session.account, credentials.password)
    with context.connect(_at(credentials, admin)) as there:
        there.check_rotatable()
        account = there.account
    if own_host and not same_host:
        with context.connect(credentials) as own:
            if own.account.server != account.server:
                raise UserPairMismatch(
                    f"{credentials.source} is for {credentials.host}:{credentials.port(port)}, and its admin secret "
                    f"{context.admin_arn} for {admin.host}:{admin.port(port)}, which is another server",
                    "name the admin secret of the same server, or the writer's endpoint as 'host' in both",
                )
    return Proof(account, credentials.password)


def _same_tls(credentials: Credentials, admin: Credentials) -> bool:
    return (credentials.tls_server_name, credentials.wants_tls) == (admin.tls_server_name, admin.wants_tls)


def _at(credentials: Credentials, admin: Credentials) -> Credentials:
    """The application's credentials, at the admin's host, as the admin reaches it."""
    return credentials.replace(**{key: admin.get(key) for key in _PLACE})


@contextmanager
def acting(context: DatabaseRotation, proof: Proof | None) -> Iterator[Acting]:
    """Log in as the admin, to act for an account that was proven, or that the deployment names.

    Args:
        context: the rotation.
        proof: from :func:`prove`; None: the user can't log in, and is the one that ROTATION_USERS names.

    Raises:
        UserPairMismatch: the account is the admin itself, or the proof was made on another server.
        ServiceError: see the engine's ``connect``. The text says that the admin logged in.
    """
    with _log_in(context) as session:
        admin = require(
            session, AccountAdmin, "this engine's admin can't set another user's password", "name no admin secret"
        )
        account = _named(context, admin) if proof is None else _proven(context, admin, proof)
        if account == admin.account:
            raise UserPairMismatch(
                f"{context.current.source} is the secret of the admin {admin.account} itself",
                "rotate it as a single user without an admin secret, or name another admin",
            )
        yield Acting(session, admin, account)


def _log_in(context: DatabaseRotation) -> Session:
    try:
        return context.connect(context.admin, admin=True)
    except ServiceError as error:
        raise error.reworded(f"as the admin of {context.admin_arn}: {error.what}") from None


def _proven(context: DatabaseRotation, admin: AccountAdmin, proof: Proof) -> Account:
    if admin.account.server != proof.account.server:
        raise UserPairMismatch(
            f"the admin of {context.admin_arn} and {proof.account} were answered by two servers at "
            f"{context.admin.host}",
            "nothing was changed; name the writer's own endpoint in the admin's secret",
        )
    return admin.recognize(proof.account, proof.password)


def _named(context: DatabaseRotation, admin: AccountAdmin) -> Account:
    name = named_user(context, "ALLOW_ADMIN_RESET")
    account = admin.find_account(name)
    if account is None:
        raise UserPairMismatch(
            f"there is no user '{name}' at {context.admin.host}, whom ROTATION_USERS names",
            "create it, or correct both",
        )
    # Without a login as proof, never set an admin's password, or that of a second user with an admin's privileges.
    admin.check_can_set_password(account)
    return account


def named_user(context: DatabaseRotation, variable: str) -> str:
    """The secret's user, if it is one of the two that the deployment names for this secret.

    Args:
        context: the rotation.
        variable: the setting that needs it: ``ALLOW_ADMIN_RESET``, ``ROTATION_TWIN``.

    Raises:
        ConfigurationError: the deployment names none.
        UserPairMismatch: the secret names another user.
    """
    user = context.current.username
    named = context.settings.user_of(context.rotation.secret_arn)
    if named is None:
        raise ConfigurationError(
            f"{variable} is set, and the function does not know for which user of secret {context.rotation.secret_id}",
            "a name in a secret is not enough: name the user at deployment, as the secret's 'user' in rotations.yaml, "
            f'or in the function\'s variable ROTATION_USERS={{"{context.rotation.secret_id}": "{user}"}}',
        )
    if user not in {named, context.engine.other_name(named)}:
        raise UserPairMismatch(
            f"{context.current.source} names the user '{user}', and ROTATION_USERS names '{named}' for it",
            "put the right user into the secret, or correct ROTATION_USERS ('user' in rotations.yaml)",
        )
    return user


def may_reset(context: DatabaseRotation) -> bool:
    """Whether the admin may set the password of a user who can't log in. :func:`named_user` says which user."""
    return context.settings.allow_admin_reset and context.admin_arn is not None


def prove_or_reset(context: DatabaseRotation, credentials: Credentials, *, own_host: bool) -> Proof | None:
    """Like :func:`prove`, but returns None if the login is refused and the admin may repair that.

    Raises:
        LoginRefused: the login is refused, and the admin may not repair it.
    """
    try:
        return prove(context, credentials, own_host=own_host)
    except LoginRefused as error:
        if not may_reset(context):
            raise error.reworded(
                f"{credentials.source} no longer logs in: {error.what} ({error.advice})",
                "set the user's password to the one in the secret, or put the right one there; or let the admin "
                "repair it with ALLOW_ADMIN_RESET=true and the user's name in ROTATION_USERS; if it happens again, "
                "another secret or person changes the same user's password",
            ) from None
        named_user(context, "ALLOW_ADMIN_RESET")
        logger.warning("the user does not log in; the admin repairs the secret", reason=error.what)
        return None
