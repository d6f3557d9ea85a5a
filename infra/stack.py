"""The stack of a ``rotations.yaml``: it connects constructs, and defines no resource of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from aws_cdk import CfnOutput, Duration, Environment, Stack, Tags
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config.environment import environment
from infra.config.functions import Group, groups
from infra.config.model import CUSTOM, Rotations, Secret
from infra.config.own import rotator
from infra.config.parts import parts
from infra.config.schedule import rules
from rotators.cdk.alarms import FunctionAlarms
from rotators.cdk.base_layer import BaseLayer
from rotators.cdk.bundled_function import BundledFunction, FunctionOptions
from rotators.cdk.created_secret import CreatedSecret
from rotators.cdk.driver_layer import DriverLayer
from rotators.cdk.encryption_key import EncryptionKey
from rotators.cdk.endpoint import SecretsManagerEndpoint
from rotators.cdk.failure_events import FailureEvents
from rotators.cdk.flags import set_flags
from rotators.cdk.fleet import Fleet
from rotators.cdk.function_network import FunctionNetwork, known_vpc
from rotators.cdk.managed_admin import ManagedAdmin
from rotators.cdk.naming import construct_id
from rotators.cdk.notifications import Notifications
from rotators.cdk.other_account import OtherAccount
from rotators.cdk.overdue_watch import OverdueWatch, WatchedSecret
from rotators.cdk.own_statement import OwnStatement
from rotators.cdk.rotation_dashboard import RotationDashboard
from rotators.cdk.secret_reference import SecretReference
from rotators.cdk.secret_rotation import SecretRotation, permit
from rotators.cdk.trust_layer import PUBLIC_CA, TrustLayer
from rotators.engines.specs import SPECS
from rotators.packaging.archive import Archive
from rotators.packaging.bundles import HANDLER, Bundles
from rotators.packaging.platforms import DRIVERS, Platform

# A function's resource policy may have 20 KB, so only up to this number of secrets are named one by one.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_NAMED = 20


def make_stacks(
    scope: Construct,
    rotations: Rotations,
    *,
    certificates: str | None,
    bundles: Callable[[Platform], Bundles] = Bundles,
    folder: Path = Path(),
) -> list[RotationStack]:
    """The stacks of a file. The first has the resources that all share, and each rotates its part of the secrets.

    Args:
        scope: the app, or a stage of it.
        rotations: what ``rotations.yaml`` says.
        certificates: the CA certificates to trust, as PEM; None: those of the functions' operating system.
        bundles: makes the layers and functions for a platform.
        folder: the folder of the file, with the code of the user's own rotators.

    Raises:
        ConfigurationError: AWS would refuse what the file asks for.
    """
    made: list[RotationStack] = []
    for number, part in enumerate(parts(rotations.secrets, rotations.stacks), start=1):
        made.append(
            RotationStack(
                scope,
                rotations,
                certificates=certificates,
                bundles=bundles,
                number=number,
                part=part,
                first=made[0] if made else None,
                folder=folder,
            )
        )
        if number > 1:
            # A secret's former stack is deployed before its new one: see infra.config.parts.
            made[-1].add_stack_dependency(made[-2])
    return made


class RotationStack(Stack):
    """The stack that rotates secrets.

    Args:
        rotations: what ``rotations.yaml`` says.
        certificates: the CA certificates to trust, as PEM; None: those of the functions' operating system.
        bundles: makes the layers and functions for a platform.
        number: which of the file's stacks it is.
        part: the secrets that it rotates, with their numbers in the file; None: all of them.
        first: the file's first stack, if this is another one.
        folder: the folder of the file, with the code of the user's own rotators.
    """

    def __init__(
        self,
        scope: Construct,
        rotations: Rotations,
        *,
        certificates: str | None,
        bundles: Callable[[Platform], Bundles] = Bundles,
        number: int = 1,
        part: Sequence[tuple[int, Secret]] | None = None,
        first: RotationStack | None = None,
        folder: Path = Path(),
    ) -> None:
        super().__init__(
            scope,
            rotations.stack if number == 1 else f"{rotations.stack}-{number}",
            description="Rotation of secrets by rotators",
            env=Environment(account=rotations.account, region=rotations.region),
        )
        set_flags(self)
        for key, value in rotations.tags.items():
            Tags.of(self).add(key, value)
        if rotations.permissions_boundary is not None:
            boundary = iam.ManagedPolicy.from_managed_policy_arn(self, "Boundary", rotations.permissions_boundary)
            iam.PermissionsBoundary.of(self).apply(boundary)
        self._rotations = rotations
        self._certificates = certificates
        self._make_bundles = bundles
        self._number = number
        self._folder = folder
        self._first = first or self
        self._bundles: dict[Platform, Bundles] = {}
        self._drivers: dict[tuple[str, Platform], DriverLayer] = {}
        self._networks: dict[str, FunctionNetwork] = {}
        if first is None:
            self._make_shared()
        watched: list[WatchedSecret] = []
        foreign: list[tuple[WatchedSecret, BundledFunction]] = []
        functions = {}
        for group in groups(rotations, part):
            functions[group.name] = self._function(group, watched, foreign)
        everything = [*watched, *(one for one, _ in foreign)]
        watch = self._watch(everything) if everything else None
        for one, function in foreign:
            OtherAccount(
                self,
                f"For-{_id(one.secret)}",
                secret=one.secret,
                function=function,
                expression=one.expression,
                duration=one.duration,
                watcher=None if watch is None else watch.function.role.role_arn,
            )
        RotationDashboard(self, "Dashboard", functions=functions, watch=watch)
        if rotations.fleet is not None and functions:
            self._make_fleet(list(functions.values()), Duration.days(rotations.fleet.keep_days))

    def _make_fleet(self, functions: Sequence[BundledFunction], keep: Duration) -> None:
        fleet = Fleet(self, "Fleet", functions=functions, keep=keep, name=self._name("fleet"))
        CfnOutput(fleet, "MachineArn", value=fleet.machine.ref, description="The state machine of the fleet")
        CfnOutput(fleet, "ResultsBucket", value=fleet.results.bucket_name, description="The results of the fleet")

    def _make_shared(self) -> None:
        """The resources that all stacks use: keys, topic, endpoints, and the created secrets, which never move."""
        rotations = self._rotations
        self.keys = {
            name: EncryptionKey(
                self,
                f"Key-{name}",
                description=str(key.create),
                alias=key.alias,
                pending_window=None if key.pending_window_days is None else Duration.days(key.pending_window_days),
            ).key
            if key.arn is None
            else None
            for name, key in rotations.keys.items()
        }
        notifications = Notifications(
            self,
            "Notifications",
            topic_arn=rotations.alarms.topic,
            emails=rotations.alarms.email,
            role_name=self._name("failures"),
        )
        self.topic = notifications.topic
        FailureEvents(self, "Failures", topic=self.topic, publisher=notifications.publisher)
        self.created = {secret.label: self._make(secret) for secret in rotations.secrets if secret.create is not None}
        self.endpoints: dict[str, SecretsManagerEndpoint] = {}
        for vpc in dict.fromkeys(one.vpc for one in rotations.networks.values()):
            self._make_endpoint(vpc)

    def _make_endpoint(self, vpc_id: str) -> None:
        """One endpoint for a VPC, whatever number of networks it has, for all secrets that are rotated there."""
        networks = {
            name: one
            for name, one in sorted(self._rotations.networks.items())
            if one.vpc == vpc_id and one.secrets_manager == "create-endpoint"
        }
        secrets = [one for one in self._rotations.secrets if one.network in networks]
        if not secrets:
            return
        subnets = next(
            (one.endpoint_subnets for one in networks.values() if one.endpoint_subnets is not None),
            next(iter(networks.values())).subnets,
        )
        scope = Construct(self, f"Endpoint-{vpc_id}")
        vpc, known = known_vpc(scope, vpc_id, list(dict.fromkeys(subnets)))
        clients = dict.fromkeys(cidr for one in networks.values() for cidr in one.private_dns_for or ())
        endpoint = SecretsManagerEndpoint(
            scope, "SecretsManager", vpc=vpc, subnets=known, private_dns_for=list(clients)
        )
        admins = [self._known(one.admin, one.admin_kms_key) for one in secrets if one.admin is not None]
        endpoint.let_through([self._secret(one) for one in secrets], admins)
        self.endpoints[vpc_id] = endpoint

    def _function(
        self, group: Group, watched: list[WatchedSecret], foreign: list[tuple[WatchedSecret, BundledFunction]]
    ) -> BundledFunction:
        scope = Construct(self, construct_id(group.name))
        options = self._options(group)
        bundles = self._bundles_for(options.target)
        network = self._network(group)
        description = f"Rotates {group.engine} secrets: {group.name}"
        inside = Construct(scope, "Network") if network is not None else scope
        function = BundledFunction(
            scope,
            "Rotation",
            archive=self._archive(group, bundles),
            layers=[self._base, *self._driver(group.engine, options.target), *self._trusted_by(group.engine)],
            options=options,
            environment=environment(group),
            description=description,
            place=None
            if network is None
            else lambda _: network.place(inside, _databases(group), f"Rotation: {description}"[:255]),
            handler=group.settings.handler or HANDLER,
        )
        FunctionAlarms(scope, "Alarms", function=function, topic=self._first.topic)
        references = [(secret, self._secret(secret)) for _, secret in group.secrets]
        admins: dict[str, SecretReference] = {}
        managed: dict[str, ManagedAdmin] = {}
        for _, secret in group.secrets:
            if secret.admin is not None:
                admins[secret.admin] = self._known(secret.admin, secret.admin_kms_key)
                if secret.admin_database is not None:
                    managed[secret.admin] = ManagedAdmin(admins[secret.admin], secret.admin_database)
        rotated = [reference for _, reference in references]
        own = [
            OwnStatement(one.actions, one.resources, one.conditions, one.because) for one in group.settings.permissions
        ]
        grants = function.may_rotate(rotated, list(admins.values()), list(managed.values()), own)
        needs = [grants] if network is None or network.endpoint is None else [grants, network.endpoint]
        permissions = self._permissions(scope, function, rotated)
        for secret, reference in references:
            schedule = rules(secret)
            one = WatchedSecret(reference, function.rotation_arn, schedule.expression, schedule.duration)
            if reference.account is not None:
                foreign.append((one, function))
                continue
            # Only from the secret's name, so CloudFormation updates the schedule if the secret gets another function.
            # If it made a new schedule, it would delete the old one afterwards, which switches the rotation off.
            SecretRotation(
                self,
                f"Of-{_id(reference)}",
                secret=reference,
                function=function,
                permission=permissions[reference.arn],
                needs=[*needs, *([self._first.created[secret.label]] if secret.create is not None else [])],
                expression=schedule.expression,
                duration=schedule.duration,
                rotate_immediately=secret.rotate_immediately,
            )
            watched.append(one)
        CfnOutput(scope, "FunctionArn", value=function.rotation_arn, description=f"The function {group.name}")
        CfnOutput(scope, "RoleArn", value=function.role.role_arn, description=f"The role of {group.name}")
        return function

    def _permissions(
        self, scope: Construct, function: BundledFunction, secrets: Sequence[SecretReference]
    ) -> dict[str, lambda_.CfnPermission]:
        """Who may invoke the function: for each secret, or, with many secrets, once for each account."""
        found: dict[str, lambda_.CfnPermission] = {}
        by_account: dict[str | None, list[SecretReference]] = {}
        for secret in secrets:
            by_account.setdefault(secret.account, []).append(secret)
        for account, ones in by_account.items():
            if len(ones) > _NAMED:
                id_ = "Invocation" if account is None else f"Invocation-{account}"
                shared = permit(scope, id_, function, account=account)
                found |= {one.arn: shared for one in ones}
            else:
                found |= {one.arn: permit(self, f"Invocation-{_id(one)}", function, one) for one in ones}
        return found

    def _watch(self, secrets: list[WatchedSecret]) -> OverdueWatch:
        bundles = self._bundles_for(Platform())
        return OverdueWatch(
            self,
            "Overdue",
            archive=bundles.overdue(),
            layers=[self._base],
            options=FunctionOptions(
                Platform(),
                log_retention=self._retention,
                log_key_arn=self._rotations.logs.kms_key,
                name=self._name("overdue"),
            ),
            secrets=secrets,
            topic=self._first.topic,
        )

    def _name(self, what: str) -> str | None:
        prefix = self._rotations.prefix
        number = "" if self._number == 1 else f"-{self._number}"
        return None if prefix is None else f"{prefix}{what}{number}"

    def _make(self, secret: Secret) -> CreatedSecret:
        create = secret.create
        if create is None:
            raise ValueError(secret.label)
        return CreatedSecret(
            self,
            f"Secret-{construct_id(secret.label)}",
            name=create.name,
            description=create.description,
            key_arn=self._key(secret.kms_key),
            replicas=create.copies,
            protect=create.protect,
        )

    def _secret(self, secret: Secret) -> SecretReference:
        key = self._key(secret.kms_key)
        if secret.create is not None and self._first is self:
            return self.created[secret.label].reference
        if secret.arn is None:
            return SecretReference.by_name(secret.label, key)
        if self._rotations.account in {None, secret.account}:
            # By its name here too: if a schedule names its secret in another way, CloudFormation creates another one,
            # and the deletion of the former schedule switches the rotation off.
            return SecretReference(secret.label, secret.label, secret.arn, key)
        return SecretReference(secret.label, secret.arn, secret.arn, key, secret.account)

    def _known(self, name_or_arn: str, key: str | None) -> SecretReference:
        if name_or_arn.startswith("arn:"):
            return SecretReference(name_or_arn, name_or_arn, name_or_arn, self._key(key))
        return SecretReference.by_name(name_or_arn, self._key(key))

    def _key(self, name_or_arn: str | None) -> str | None:
        if name_or_arn is None or name_or_arn.startswith("arn:"):
            return name_or_arn
        made: kms.Key | None = self._first.keys[name_or_arn]
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
            name=self._name(group.name),
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

    def _archive(self, group: Group, bundles: Bundles) -> Archive:
        if group.engine != CUSTOM:
            return bundles.function(group.engine)
        return bundles.custom(rotator(group.settings, self._folder), group.name)

    def _driver(self, engine: str, target: Platform) -> list[DriverLayer]:
        if engine == CUSTOM:
            return []
        key = (DRIVERS[engine], target)
        if key not in self._drivers:
            id_ = f"Driver-{key[0]}-{target.architecture}"
            self._drivers[key] = DriverLayer(self, id_, bundles=self._bundles_for(target), engine=engine)
        return [self._drivers[key]]

    def _bundles_for(self, target: Platform) -> Bundles:
        if target not in self._bundles:
            self._bundles[target] = self._make_bundles(target)
        return self._bundles[target]

    def _network(self, group: Group) -> FunctionNetwork | None:
        network, name = group.network, group.first.network
        if network is None or name is None:
            return None
        if name not in self._networks:
            ways = {"nat": None, "create-endpoint": self._first.endpoints.get(network.vpc)}
            self._networks[name] = FunctionNetwork(
                self,
                f"Network-{name}",
                vpc_id=network.vpc,
                subnet_ids=network.subnets,
                endpoint=ways.get(network.secrets_manager, network.secrets_manager),
                security_group_id=network.security_group,
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


def _id(secret: SecretReference) -> str:
    return construct_id("/".join(part for part in (secret.account, secret.label) if part))


def _databases(group: Group) -> list[tuple[str, int]]:
    """The security group or the addresses, and the port, of each database."""
    network = group.network
    if network is None:
        return []
    return [
        (where, port)
        for _, secret in group.secrets
        for where in [
            secret.database_security_group
            or secret.database_cidr
            or network.database_security_group
            or network.database_cidr
        ]
        if where is not None
        for port in _ports(secret, group.settings.ports)
    ]


def _ports(secret: Secret, of_ones_own: Sequence[int]) -> list[int]:
    """The database's port, and the admin's if it differs; or the ports that the user's own rotator names."""
    if secret.port is not None:
        ports = [secret.port]
    else:
        ports = list(of_ones_own) if secret.engine == CUSTOM else [SPECS[secret.engine].port]
    _, of_the_admin = secret.admin_address or ("", None)
    if of_the_admin is not None and of_the_admin not in ports:
        ports.append(of_the_admin)
    return ports
