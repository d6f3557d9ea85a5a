"""DatabaseRotator: a rotator for an engine and a strategy."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rotators.credentials import Credentials
from rotators.endpoints import ManagedEndpoints
from rotators.environment import Environment
from rotators.errors import ConfigurationError, LoginRefused, RotationError, UserPairMismatch
from rotators.logs import logger, redactor
from rotators.passwords import PasswordPolicy
from rotators.rotator import Rotation, Rotator
from rotators.settings import AUTO, DatabaseSettings
from rotators.strategies import admin
from rotators.strategies.alternating_users import AlternatingUsers
from rotators.strategies.base import DatabaseRotation, Strategy
from rotators.strategies.dual_password import DualPassword
from rotators.strategies.single_user import SingleUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotators.checks.finding import Finding
    from rotators.checks.plan import Plan
    from rotators.engines.base import Engine
    from rotators.versions import SecretVersions

# Where this package's Lambda layer puts the CA certificates of RDS.
LAYER_CA_BUNDLE = "/opt/rotators/ca-bundle.pem"


class DatabaseRotator(Rotator[Credentials]):
    """A Lambda handler that rotates a database user's secret: ``handler = DatabaseRotator(PostgresEngine())``.

    Args:
        engine: the kind of database.
        versions: the secret's versions; by default those of the function's own account and Region.
        environment: the variables to read; by default the function's own.
    """

    value_type: ClassVar[type[Credentials]] = Credentials

    def __init__(
        self, engine: Engine, versions: SecretVersions | None = None, environment: Environment | None = None
    ) -> None:
        super().__init__(versions)
        self._engine = engine
        self._environment = environment or Environment()
        self._managed = ManagedEndpoints(self._versions)

    def propose(self, rotation: Rotation[Credentials]) -> Credentials:
        """The next credential, as the strategy makes it."""
        context, strategy = self._prepare(rotation)
        return strategy.propose(context)

    def apply(self, rotation: Rotation[Credentials]) -> None:
        """Make the pending credential work, as the strategy does it."""
        context, strategy = self._prepare(rotation)
        strategy.apply(context)

    def verify(self, rotation: Rotation[Credentials]) -> None:
        """Log in with the pending credential, read, and run ROTATION_TEST_QUERY."""
        context = self._context(rotation)
        with context.connect(context.pending) as session:
            session.verify(context.settings.test_query)

    def complete(self, value: Credentials, secret_arn: str) -> Credentials:
        """The value with the keys from ROTATION_VALUES. ``username`` is only added if the secret has none.

        Args:
            value: the version's value.
            secret_arn: the secret's whole ARN.

        Raises:
            ConfigurationError: the secret is for another user than ROTATION_VALUES says.
        """
        values = dict(DatabaseSettings.from_environment(self._environment).values_of(secret_arn))
        user = value.text("username")
        named = values.pop("username", user) if user else None
        if user and not self._is_of(str(named), user):
            redactor.show([user, str(named)])
            raise ConfigurationError(
                f"{value.source} is for the user '{user}', and ROTATION_VALUES names '{named}'",
                "a secret keeps its user: make another secret for another user",
            )
        return value.replace(**values) if values else value

    def require_unedited(self, rotation: Rotation[Credentials]) -> None:
        """Compare AWSCURRENT and the pending version, as the strategy does it."""
        context, strategy = self._prepare(rotation)
        strategy.require_unedited(context)

    def _is_of(self, named: str, user: str) -> bool:
        """Whether a user is the named one, or the other of its pair."""
        if named.casefold() == user.casefold():
            return True
        try:
            return self._engine.other_name(user).casefold() == named.casefold()
        except UserPairMismatch:
            return False

    def may_repeat(self, error: RotationError) -> bool:
        """False after a refused login if the server may block users: five retries mean ten refused logins."""
        return not (isinstance(error, LoginRefused) and self._engine.blocks_users)

    def check(self, rotation: Rotation[Credentials]) -> Iterator[Finding]:
        """Check the connection to the server, the logins, the admin, and the privileges that the strategy needs."""
        from rotators.checks.database import DatabaseCheck  # noqa: PLC0415  # no rotation pays for it

        yield from DatabaseCheck(self._context(rotation), _choose).run()

    def plan(self, rotation: Rotation[Credentials]) -> Plan:
        """Run what can be rolled back, and describe the rest in words."""
        from rotators.checks.plan import plan  # noqa: PLC0415  # no rotation pays for it

        context, strategy = self._prepare(rotation)
        return plan(context, strategy)

    def _prepare(self, rotation: Rotation[Credentials]) -> tuple[DatabaseRotation, Strategy]:
        context = self._context(rotation)
        strategy = _choose(context)
        logger.append_keys(engine=self._engine.name, strategy=strategy.name)
        return context, strategy

    def _context(self, rotation: Rotation[Credentials]) -> DatabaseRotation:
        settings = DatabaseSettings.from_environment(self._environment)
        named = (settings.tls_server_name, *(settings.admin_host or ())[:1], *settings.users.values())
        redactor.show([str(name) for name in named if name])
        policy = PasswordPolicy.from_environment(self._environment, self._engine.password_limits)
        return DatabaseRotation(
            rotation,
            self._engine,
            settings,
            _ca_file(settings),
            policy.generate,
            admin.resolve,
            self._managed.find,
        )


def _choose(context: DatabaseRotation) -> Strategy:
    chosen = context.settings.strategy
    if chosen == DualPassword.name and not context.engine.second_password:
        raise ConfigurationError(
            f"ROTATION_STRATEGY is dual-password, and a user of {context.engine.name} has one password at a time",
            "use alternating-users, which causes no refused login either, or single-user",
        )
    if chosen == AUTO and context.current.admin_arn is not None:
        return AlternatingUsers()
    if chosen == AUTO and context.engine.second_password:
        return DualPassword(forced=False)
    if chosen == DualPassword.name:
        return DualPassword(forced=True)
    return AlternatingUsers() if chosen == AlternatingUsers.name else SingleUser()


def _ca_file(settings: DatabaseSettings) -> str | None:
    """The file of CA certificates to trust: ROTATION_CA_BUNDLE's, else the layer's, else the system's."""
    if settings.ca_bundle is not None:
        if not Path(settings.ca_bundle).is_file():
            raise ConfigurationError(
                f"ROTATION_CA_BUNDLE names {settings.ca_bundle}, and there is no such file",
                "name a file of CA certificates (PEM) that the function can read",
            )
        return settings.ca_bundle
    usual = (LAYER_CA_BUNDLE, ssl.get_default_verify_paths().cafile)
    return next((path for path in usual if path and Path(path).is_file()), None)
