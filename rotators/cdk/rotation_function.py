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

# A function's resource policy may have 20 KB: up to so many secrets are named one by one.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_NAMED = 20
_SECONDS_AN_HOUR = 3600
CUSTOM = "custom"


class RotationFunction(BundledFunction):
    """A function, its role, its log and its security group; :meth:`add_rotation` gives it secrets.

    Args:
        engine: ``postgres``, ``mysql``, ``mariadb``, ``oracle``, ``sqlserver``, ``db2``, ``mongo`` or ``redshift``; or
            ``custom``, a rotator of your own.
        rotator: with ``custom`` its source, handler and lock.
        vpc: where it runs; None: outside of a VPC.
        vpc_subnets: the subnets; by default the private ones.
        security_groups: its security groups; by default one is made, which lets it out to its databases and to Secrets
            Manager and nowhere else.
        endpoint: an endpoint of Secrets Manager to use; None: the service's own name leads there.
        ca_bundle: the CA certificates of the databases; needed but for Redshift and ``custom``.
        strategy: ``auto``, ``single-user``, ``dual-password`` or ``alternating-users``.
        password: how passwords look.
        environment: further variables (docs/reference/settings.md).
        architecture: by default ARM_64, and X86_64 for Db2.
        memory_size: MB.
        timeout: for a step; by default a minute.
        reserved_concurrent_executions: how many run at once.
        tracing: X-Ray.
        snap_start: SnapStart, and an alias that rotations go through.
        role: a role of yours; it gets our permissions.
        log_group: a log group of yours; by default one is made, which keeps logs for 90 days.
        bundles: makes the layers and functions for a platform.

    Raises:
        ConfigurationError: ``ca_bundle`` is missing; or only one of ``custom`` and ``rotator`` is given.
        PackagingFailed: there is no such engine, its layers can't be made, or ``rotator`` is not what it must be.
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
        """Have it rotate a secret.

        The schedule has the place in the tree, and so the logical id, that aws-cdk-lib's own ``SecretRotation`` and
        ``add_rotation_single_user`` give theirs: taking one's place changes it, and does not delete it, which would
        switch the rotation off. Below an imported secret there is no such place: where its schedule was made by
        aws-cdk-lib, give the one that is returned the same logical id (``override_logical_id``).

        Args:
            secret: the secret.
            target: the database; its security group lets the function in at its port.
            admin: the admin's secret, for alternating users. A function knows one; where the secrets name several in
                ``masterarn``, each still has to be given, so that it may be read.
            admin_host: where the admin logs in, if its secret names no host.
            user: the user's name in the database, needed for ``allow_admin_reset``.
            allow_admin_reset: the admin may repair a user who can't log in.
            schedule: ``rate`` or ``cron``; None: on demand only.
            window: how long the window is, in whole hours.
            rotate_immediately: rotate when this is deployed or changed; else the service only tests the configuration.
            schedule_id: the id of the schedule below the secret, where it was another one.

        Returns:
            the schedule.

        Raises:
            ConfigurationError: the service would refuse the schedule, or one function can't do both that and what it
                was asked before.
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
                # As aws-cdk-lib's own rotation does: who rotates a secret must not lose it.
                one.deny_account_root_delete()
        self.watched.append(WatchedSecret(reference, self.rotation_arn, expression, duration))
        # A secret of another stack can't have a schedule there: each stack would need the other. One that is imported
        # can have nothing below it.
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
        """Tell the function by its variables what it takes from nobody else."""
        if admin is not None:
            told = admin.secret_arn
            if self._admin not in {None, told}:
                raise ConfigurationError(
                    "a function can be told of one admin's secret",
                    "make another RotationFunction for the secrets of another admin",
                )
            self._admin = told
            self.function.add_environment("ROTATION_ADMIN_SECRET", told)
        if admin_host is not None:
            self.function.add_environment("ROTATION_ADMIN_HOST", admin_host)
        if allow_admin_reset and user is None:
            raise ConfigurationError("allow_admin_reset holds for one user, and none is named", "give user")
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
        """The secrets, for an overdue check; none can be added any more."""
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
