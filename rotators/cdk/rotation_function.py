"""RotationFunction: a function for the secrets of one engine, for any CDK app."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from rotators.cdk.base_layer import shared_base_layer
from rotators.cdk.bundled_function import BundledFunction, FunctionOptions, grant
from rotators.cdk.ca_bundle import CaBundle
from rotators.cdk.driver_layer import DriverLayer
from rotators.cdk.endpoint import HTTPS, SecretsManagerEndpoint
from rotators.cdk.function_network import Place
from rotators.cdk.grants import Grants
from rotators.cdk.naming import construct_id
from rotators.cdk.overdue_watch import WatchedSecret
from rotators.cdk.password_generator import Generator
from rotators.cdk.secret_reference import SecretReference
from rotators.cdk.secret_rotation import permit, schedule_of
from rotators.cdk.trust_layer import PUBLIC_CA, TrustLayer
from rotators.errors import ConfigurationError
from rotators.packaging.bundles import HANDLER, Bundles
from rotators.packaging.custom import CustomRotator
from rotators.packaging.platforms import ARM64, DRIVERS, X86_64, Platform, check, usual_architecture
from rotators.schedules import RotationRules

# A function's resource policy may have 20 KB: up to this number, each secret is named.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_NAMED = 20
_SECONDS_AN_HOUR = 3600
CUSTOM = "custom"


class RotationFunction(BundledFunction):
    """A function, its role, its log and its security group. :meth:`add_rotation` adds secrets.

    Args:
        engine: ``postgres``, ``mysql``, ``mariadb``, ``oracle``, ``sqlserver``, ``db2``, ``mongo`` or ``redshift``; or
            ``custom``, a rotator of your own.
        rotator: for ``custom``, its source, handler and lock.
        vpc: its VPC; None: outside a VPC.
        vpc_subnets: the subnets; by default the private ones.
        security_groups: its security groups; by default one is made, which allows only its databases and Secrets
            Manager.
        endpoint: an endpoint of Secrets Manager to use; None: the service's usual name.
        ca_bundle: the CA certificates of the databases; required except for Redshift and ``custom``.
        strategy: ``auto``, ``single-user``, ``dual-password`` or ``alternating-users``.
        password: the form of passwords.
        environment: further variables (docs/reference/settings.md).
        architecture: by default ARM_64, and X86_64 for Db2.
        memory_size: the memory in MB.
        timeout: the time-out of a step; by default a minute.
        reserved_concurrent_executions: the reserved concurrency; None: the account's limit applies.
        tracing: whether to use X-Ray.
        snap_start: whether to use SnapStart, and an alias for rotations.
        role: your own role, which gets the permissions; by default one is made.
        log_group: your own log group; by default one is made, which keeps logs for 90 days.
        bundles: makes the layers and functions for a platform.

    Raises:
        ConfigurationError: ``ca_bundle`` is missing; or only one of ``custom`` and ``rotator`` is given.
        PackagingFailed: there is no such engine, its layers can't be made, or ``rotator`` is wrong.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        engine: str,
        rotator: CustomRotator | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        endpoint: SecretsManagerEndpoint | None = None,
        ca_bundle: CaBundle | None = None,
        strategy: str = "auto",
        password: Generator | None = None,
        environment: Mapping[str, str] | None = None,
        architecture: lambda_.Architecture | None = None,
        memory_size: int = 256,
        timeout: Duration | None = None,
        reserved_concurrent_executions: int | None = None,
        tracing: bool = False,
        snap_start: bool = False,
        role: iam.IRole | None = None,
        log_group: logs.ILogGroup | None = None,
        bundles: Callable[[Platform], Bundles] = Bundles,
    ) -> None:
        if (rotator is None) is (engine == CUSTOM):
            raise ConfigurationError(
                "a rotator of your own takes engine='custom' and rotator=, both of them", "give both, or neither"
            )
        if ca_bundle is None and engine not in PUBLIC_CA and rotator is None:
            raise ConfigurationError(
                "ca_bundle is missing, and without RDS's CA certificates a function trusts no database of RDS",
                "give CaBundle.from_file or CaBundle.from_rds; for a trial without, CaBundle.operating_system()",
            )
        target = Platform(_architecture(engine, architecture))
        if rotator is None:
            check(engine, target.architecture)
        made = bundles(target)
        stack = Stack.of(scope)
        seconds = 60 if timeout is None else round(timeout.to_seconds())
        own = security_groups is None

        def place(itself: Construct) -> Place | None:
            if vpc is None:
                return None
            groups = security_groups
            if groups is None:
                groups = [
                    ec2.SecurityGroup(
                        itself,
                        "SecurityGroup",
                        vpc=vpc,
                        description=f"Rotation of {engine} secrets",
                        allow_all_outbound=False,
                    )
                ]
            url = None if endpoint is None or endpoint.private_dns else endpoint.url
            return Place(vpc, vpc_subnets, groups, url)

        super().__init__(
            scope,
            id_,
            archive=made.function(engine) if rotator is None else made.custom(rotator),
            layers=[
                *_layers(stack, engine, made),
                *([] if ca_bundle is None or ca_bundle.certificates is None else [_trust(stack, made, ca_bundle)]),
            ],
            options=FunctionOptions(
                target=target,
                memory=memory_size,
                timeout=seconds,
                reserved_concurrency=reserved_concurrent_executions,
                tracing=tracing,
                snap_start=snap_start,
            ),
            environment={
                **(environment or {}),
                **({"ROTATION_STRATEGY": strategy} if rotator is None else {}),
                **({} if password is None else password.environment()),
            },
            description=f"Rotates {engine} secrets",
            handler=HANDLER if rotator is None else rotator.handler,
            place=place,
            role=role,
            log_group=log_group,
        )
        self.watched: list[WatchedSecret] = []
        self._endpoint = endpoint
        self._users: dict[str, str] = {}
        self._admin: str | None = None
        self._permissions: list[lambda_.CfnPermission] = []
        self._grants = Grants(self, "Rotates", role=self.role)
        self._in_vpc = vpc is not None
        self._checked = False
        if vpc is not None and own:
            https = ec2.Port.tcp(HTTPS)
            if endpoint is None:
                self.function.connections.allow_to_any_ipv4(https, "To Secrets Manager")
            else:
                self.function.connections.allow_to(endpoint.security_group, https, "To Secrets Manager")

    def add_rotation(
        self,
        secret: secretsmanager.ISecret,
        *,
        target: ec2.IConnectable | None = None,
        admin: secretsmanager.ISecret | None = None,
        admin_host: str | None = None,
        user: str | None = None,
        allow_admin_reset: bool = False,
        schedule: events.Schedule | None = None,
        window: Duration | None = None,
        rotate_immediately: bool = False,
        schedule_id: str = "RotationSchedule",
    ) -> secretsmanager.CfnRotationSchedule:
        """Add a secret for the function to rotate.

        The schedule has the same path in the tree, and so the same logical id, as those that aws-cdk-lib's
        ``SecretRotation`` and ``add_rotation_single_user`` make. So it replaces such a schedule with an update;
        deleting the schedule would switch the rotation off. Below an imported secret there is no such path: if
        aws-cdk-lib made its schedule, give the returned schedule the same logical id (``override_logical_id``).

        Args:
            secret: the secret.
            target: the database. Its security group will allow the function at its port.
            admin: the admin's secret, for alternating users. A function has one setting for it; if the secrets name
                several in ``masterarn``, pass each here, so that the function may read it.
            admin_host: where the admin logs in, if its secret names no host.
            user: the user's name in the database, required for ``allow_admin_reset``.
            allow_admin_reset: whether the admin may repair a user who can't log in.
            schedule: ``rate`` or ``cron``; None: on demand only.
            window: the window's length, in whole hours.
            rotate_immediately: rotate when this is deployed or changed; otherwise the service only tests the
                configuration.
            schedule_id: the id of the schedule below the secret, if an existing one has another id.

        Returns:
            The schedule.

        Raises:
            ConfigurationError: the service would refuse the schedule, or the function can't be configured for both
                this secret and the earlier ones.
        """
        if self._checked:
            raise ConfigurationError(
                "a rotation was added after the OverdueCheck, which would not see it", "add it before"
            )
        expression = None if schedule is None else schedule.expression_string
        duration = None if window is None else _hours(window)
        RotationRules.parse(expression=expression, duration=duration)
        reference = _reference(secret)
        self._tell(reference, admin, admin_host, user, allow_admin_reset=allow_admin_reset)
        self._grant(reference, None if admin is None else _reference(admin))
        if target is not None and self._in_vpc:
            target.connections.allow_default_port_from(self.function, "Rotation of its secrets")
        for one in (secret, admin):
            if one is not None:
                # As aws-cdk-lib's own rotation does: a secret that is rotated must not be deleted.
                one.deny_account_root_delete()
        self.watched.append(WatchedSecret(reference, self.rotation_arn, expression, duration))
        # A secret of another stack can't have the schedule in its stack: the stacks would depend on each other. An
        # imported secret can have no children.
        if isinstance(secret, Construct) and Stack.of(secret) is Stack.of(self):
            scope = Construct(secret, schedule_id)
        else:
            scope = Construct(self, f"Of-{construct_id(secret.node.path)}")
        return schedule_of(
            scope,
            "Resource",
            secret_id=reference.secret_id,
            function=self,
            needs=[self._permit(reference), self._grants, *([] if self._endpoint is None else [self._endpoint])],
            expression=expression,
            duration=duration,
            rotate_immediately=rotate_immediately,
        )

    def _tell(
        self,
        secret: SecretReference,
        admin: secretsmanager.ISecret | None,
        admin_host: str | None,
        user: str | None,
        *,
        allow_admin_reset: bool,
    ) -> None:
        """Set the function's variables for settings that it must not take from the secret."""
        if admin is not None:
            told = admin.secret_arn
            if self._admin not in {None, told}:
                raise ConfigurationError(
                    "a function can have only one admin's secret",
                    "make another RotationFunction for the secrets of another admin",
                )
            self._admin = told
            self.function.add_environment("ROTATION_ADMIN_SECRET", told)
        if admin_host is not None:
            self.function.add_environment("ROTATION_ADMIN_HOST", admin_host)
        if allow_admin_reset and user is None:
            raise ConfigurationError("allow_admin_reset needs a user, and none is named", "pass user")
        if allow_admin_reset:
            self.function.add_environment("ALLOW_ADMIN_RESET", "true")
        if user is not None:
            self._users[secret.arn.removesuffix("-??????")] = user
            self.function.add_environment("ROTATION_USERS", Stack.of(self).to_json_string(self._users))

    def _grant(self, secret: SecretReference, admin: SecretReference | None) -> None:
        admins = [] if admin is None else [admin]
        grant(self._grants, self.rotation_arn, [secret], admins)
        if self._endpoint is not None:
            self._endpoint.let_through([secret], admins)

    def _permit(self, secret: SecretReference) -> lambda_.CfnPermission:
        number = len(self._permissions) + 1
        if number <= _NAMED:
            self._permissions.append(permit(self, f"Invocation{number}", self, secret))
        elif number == _NAMED + 1:
            self._permissions.append(permit(self, "Invocation", self))
        return self._permissions[-1]

    def checked(self) -> Sequence[WatchedSecret]:
        """The secrets, for an overdue check. After this, none can be added."""
        self._checked = True
        return self.watched


def _architecture(engine: str, chosen: lambda_.Architecture | None) -> str:
    if chosen is None:
        return ARM64 if engine == CUSTOM else usual_architecture(engine)
    return ARM64 if chosen.name == lambda_.Architecture.ARM_64.name else X86_64


def _layers(stack: Stack, engine: str, bundles: Bundles) -> list[lambda_.ILayerVersion]:
    """The layers that all functions of a stack share."""
    base = shared_base_layer(stack, bundles)
    if engine == CUSTOM:
        return [base]
    id_ = f"RotatorsDriver-{DRIVERS[engine]}-{bundles.target.architecture}"
    driver = stack.node.try_find_child(id_) or DriverLayer(stack, id_, bundles=bundles, engine=engine)
    return [base, driver]  # type: ignore[list-item]


def _trust(stack: Stack, bundles: Bundles, bundle: CaBundle) -> lambda_.ILayerVersion:
    certificates = str(bundle.certificates)
    id_ = f"RotatorsTrustLayer-{construct_id(certificates)[-6:]}"
    return stack.node.try_find_child(id_) or TrustLayer(  # type: ignore[return-value]
        stack, id_, bundles=bundles, certificates=certificates
    )


def _reference(secret: secretsmanager.ISecret) -> SecretReference:
    whole = secret.secret_full_arn
    arn = f"{secret.secret_arn}-??????" if whole is None else whole
    key = secret.encryption_key
    name = secret.secret_name
    label = secret.node.path if Token.is_unresolved(name) else name
    return SecretReference(label, secret.secret_arn, arn, None if key is None else key.key_arn)


def _hours(window: Duration) -> str:
    seconds = round(window.to_seconds())
    if seconds % _SECONDS_AN_HOUR:
        raise ConfigurationError("a window is a number of whole hours", "write Duration.hours(3)")
    return f"{seconds // _SECONDS_AN_HOUR}h"
