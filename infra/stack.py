"""The stack of a ``rotations.yaml``: wires constructs, and defines no resource of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config.engines import PORTS, PUBLIC_CA
from infra.config.environment import environment
from infra.config.functions import Group, groups
from infra.config.model import Rotations, Secret
from infra.config.schedule import rules
from infra.constructs.alarms import FunctionAlarms
from infra.constructs.base_layer import BaseLayer
from infra.constructs.created_secret import CreatedSecret
from infra.constructs.driver_layer import DriverLayer
from infra.constructs.encryption_key import EncryptionKey
from infra.constructs.failure_events import FailureEvents
from infra.constructs.function_network import FunctionNetwork
from infra.constructs.managed_admin import ManagedAdmin
from infra.constructs.naming import construct_id
from infra.constructs.notifications import Notifications
from infra.constructs.other_account import OtherAccount
from infra.constructs.overdue_watch import OverdueWatch, WatchedSecret
from infra.constructs.rotation_dashboard import RotationDashboard
from infra.constructs.rotation_function import FunctionOptions, RotationFunction
from infra.constructs.secret_reference import SecretReference
from infra.constructs.secret_rotation import SecretRotation, permit
from infra.constructs.trust_layer import TrustLayer
from infra.flags import set_flags
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import DRIVERS, Platform

# A function's resource policy may have 20 KB: up to so many secrets are named one by one.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_NAMED = 20


class RotationStack(Stack):
    """Rotating secrets.

    Args:
        rotations: what ``rotations.yaml`` says.
        certificates: the CA certificates to trust, as PEM; None: those of the functions' operating system.
        bundles: makes the layers and functions for a platform.
    """

    def __init__(
        self,
        scope: Construct,
        rotations: Rotations,
        *,
        certificates: str | None,
        bundles: Callable[[Platform], Bundles] = Bundles,
    ) -> None:
        super().__init__(scope, rotations.stack, description="Rotation of secrets by rotators")
        set_flags(self)
        self._rotations = rotations
        self._certificates = certificates
        self._make_bundles = bundles
        self._bundles: dict[Platform, Bundles] = {}
        self._drivers: dict[tuple[str, Platform], DriverLayer] = {}
        self._networks: dict[str, FunctionNetwork] = {}
        self._reached: dict[FunctionNetwork, tuple[list[SecretReference], list[SecretReference]]] = {}
        self._keys = {
            name: EncryptionKey(self, f"Key-{name}", description=str(key.create)).key if key.arn is None else None
            for name, key in rotations.keys.items()
        }
        notifications = Notifications(self, "Notifications", topic_arn=rotations.alarms.topic)
        self._topic = notifications.topic
        FailureEvents(self, "Failures", topic=self._topic, publisher=notifications.publisher)
        watched: list[WatchedSecret] = []
        functions = {}
        for group in groups(rotations):
            functions[group.name] = self._function(group, watched)
        for network, (rotated, admins) in self._reached.items():
            network.let_through(rotated, admins)
        watch = self._watch(watched) if watched else None
        RotationDashboard(self, "Dashboard", functions=functions, watch=watch)

    def _function(self, group: Group, watched: list[WatchedSecret]) -> RotationFunction:
        scope = Construct(self, construct_id(group.name))
        options = self._options(group)
        bundles = self._bundles_for(options.target)
        network = self._network(group)
        function = RotationFunction(
            scope,
            "Rotation",
            archive=bundles.function(group.engine),
            layers=[self._base, self._driver(group.engine, options.target), *self._trusted_by(group.engine)],
            options=options,
            environment=environment(group),
            description=f"Rotates {group.engine} secrets: {group.name}",
            network=network,
            databases=_databases(group),
        )
        FunctionAlarms(scope, "Alarms", function=function, topic=self._topic)
        references = [(secret, self._secret(secret)) for _, secret in group.secrets]
        admins: dict[str, SecretReference] = {}
        managed: dict[str, ManagedAdmin] = {}
        for _, secret in group.secrets:
            if secret.admin is not None:
                admins[secret.admin] = self._known(secret.admin, secret.admin_kms_key)
                if secret.admin_database is not None:
                    managed[secret.admin] = ManagedAdmin(admins[secret.admin], secret.admin_database)
        rotated = [reference for _, reference in references]
        policy = function.may_rotate(rotated, list(admins.values()), list(managed.values()))
        if network is not None:
            reached = self._reached.setdefault(network, ([], []))
            reached[0].extend(rotated)
            reached[1].extend(admins.values())
        shared = None if len(references) <= _NAMED else permit(scope, "Invocation", function)
        for secret, reference in references:
            schedule = rules(secret)
            # By the secret's name alone: which function rotates it is changed in place, and not by a new schedule, for
            # CloudFormation deletes the old one afterwards, and that switches the rotation off.
            id_ = construct_id("/".join(part for part in (reference.account, reference.label) if part))
            permission = shared
            if permission is None or reference.account is not None:
                permission = permit(self, f"Invocation-{id_}", function, reference)
            if reference.account is not None:
                OtherAccount(
                    self,
                    f"For-{id_}",
                    secret=reference,
                    function=function,
                    expression=schedule.expression,
                    duration=schedule.duration,
                )
                continue
            SecretRotation(
                self,
                f"Of-{id_}",
                secret=reference,
                function=function,
                permission=permission,
                policy=policy,
                expression=schedule.expression,
                duration=schedule.duration,
                rotate_immediately=secret.rotate_immediately,
            )
            watched.append(WatchedSecret(reference, function.rotation_arn, schedule.expression, schedule.duration))
        CfnOutput(scope, "FunctionArn", value=function.rotation_arn, description=f"The function {group.name}")
        CfnOutput(scope, "RoleArn", value=function.role.role_arn, description=f"The role of {group.name}")
        return function

    def _watch(self, secrets: list[WatchedSecret]) -> OverdueWatch:
        bundles = self._bundles_for(Platform())
        return OverdueWatch(
            self,
            "Overdue",
            archive=bundles.overdue(),
            layers=[self._base],
            options=FunctionOptions(
                Platform(), log_retention=self._retention, log_key_arn=self._rotations.logs.kms_key
            ),
            secrets=secrets,
            topic=self._topic,
        )

    def _secret(self, secret: Secret) -> SecretReference:
        key = self._key(secret.kms_key)
        if secret.create is not None:
            return CreatedSecret(
                self,
                f"Secret-{construct_id(secret.label)}",
                name=secret.create.name,
                description=secret.create.description,
                key_arn=key,
                replicas=secret.create.replicas,
                protect=secret.create.protect,
            ).reference
        if secret.arn is None:
            return SecretReference.by_name(secret.label, key)
        here = self._rotations.account in {None, secret.account}
        return SecretReference(secret.label, secret.arn, secret.arn, key, None if here else secret.account)

    def _known(self, name_or_arn: str, key: str | None) -> SecretReference:
        if name_or_arn.startswith("arn:"):
            return SecretReference(name_or_arn, name_or_arn, name_or_arn, self._key(key))
        return SecretReference.by_name(name_or_arn, self._key(key))

    def _key(self, name_or_arn: str | None) -> str | None:
        if name_or_arn is None or name_or_arn.startswith("arn:"):
            return name_or_arn
        made: kms.Key | None = self._keys[name_or_arn]
        return self._rotations.keys[name_or_arn].arn if made is None else made.key_arn

    def _options(self, group: Group) -> FunctionOptions:
        settings = group.settings
        return FunctionOptions(
            target=Platform(group.architecture),
            memory=settings.memory,
            timeout=settings.timeout,
            reserved_concurrency=settings.reserved_concurrency,
            tracing=settings.tracing,
            snap_start=settings.snap_start,
            role_arn=settings.role,
            code_signing_config_arn=settings.code_signing_config,
            log_retention=self._retention,
            log_key_arn=self._rotations.logs.kms_key,
        )

    @property
    def _retention(self) -> logs.RetentionDays:
        return _RETENTION[self._rotations.logs.retention_days]

    @cached_property
    def _base(self) -> BaseLayer:
        return BaseLayer(self, "BaseLayer", bundles=self._bundles_for(Platform()))

    @cached_property
    def _trust(self) -> list[lambda_.ILayerVersion]:
        if self._certificates is None:
            return []
        return [TrustLayer(self, "TrustLayer", bundles=self._bundles_for(Platform()), certificates=self._certificates)]

    def _trusted_by(self, engine: str) -> list[lambda_.ILayerVersion]:
        bundle = self._rotations.ca_bundle
        of_ones_own = bundle is not None and bundle.file is not None
        return self._trust if of_ones_own or engine not in PUBLIC_CA else []

    def _driver(self, engine: str, target: Platform) -> DriverLayer:
        key = (DRIVERS[engine], target)
        if key not in self._drivers:
            id_ = f"Driver-{key[0]}-{target.architecture}"
            self._drivers[key] = DriverLayer(self, id_, bundles=self._bundles_for(target), engine=engine)
        return self._drivers[key]

    def _bundles_for(self, target: Platform) -> Bundles:
        if target not in self._bundles:
            self._bundles[target] = self._make_bundles(target)
        return self._bundles[target]

    def _network(self, group: Group) -> FunctionNetwork | None:
        network, name = group.network, group.first.network
        if network is None or name is None:
            return None
        if name not in self._networks:
            ways = {"nat": None, "create-endpoint": "create"}
            self._networks[name] = FunctionNetwork(
                self,
                f"Network-{name}",
                vpc_id=network.vpc,
                subnet_ids=network.subnets,
                endpoint=ways.get(network.secrets_manager, network.secrets_manager),
            )
        return self._networks[name]


# aws-cdk-lib names them in words.
_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


def _databases(group: Group) -> list[tuple[str, int]]:
    """The security group and port of each database."""
    if group.network is None:
        return []
    return [
        (secret.database_security_group or group.network.database_security_group, port)
        for _, secret in group.secrets
        for port in _ports(secret)
    ]


def _ports(secret: Secret) -> list[int]:
    """The database's port, and the admin's where it is another one."""
    ports = [secret.port or PORTS[secret.engine]]
    _, of_the_admin = secret.admin_address or ("", None)
    if of_the_admin is not None and of_the_admin not in ports:
        ports.append(of_the_admin)
    return ports
