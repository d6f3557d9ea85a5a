"""A function that rotates secrets, of one engine or by a user's own rotator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from rotators.cdk import permissions
from rotators.cdk.flags import set_flags
from rotators.cdk.function_network import Place
from rotators.cdk.grants import Grants
from rotators.cdk.layers import ARCHITECTURES, code
from rotators.cdk.managed_admin import ManagedAdmin
from rotators.cdk.own_statement import OwnStatement
from rotators.cdk.secret_reference import SecretReference
from rotators.packaging.archive import Archive
from rotators.packaging.bundles import HANDLER
from rotators.packaging.platforms import Platform

_WILDCARDS = Acknowledgment(
    id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
    reason="Lambda makes the function's network interfaces under names that nobody knows before, and X-Ray has no "
    "resources to name; a second policy denies the function's own code to touch the network",
)

_LISTS = Acknowledgment(
    id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
    reason="Redshift Serverless tells the endpoint of a namespace in its list of workgroups only, and a list takes no "
    "resource",
)


def grant(
    grants: Grants, function_arn: str, secrets: Iterable[SecretReference], admins: Iterable[SecretReference]
) -> None:
    """Allow a function to rotate secrets, to read admin secrets, and to use the KMS keys of both.

    Args:
        grants: the policies of the function's role.
        function_arn: the ARN that the secrets name as their rotation function.
        secrets: the secrets that it rotates.
        admins: the admin secrets that it reads.

    Raises:
        ConfigurationError: there are more secrets than a role's policies can name.
    """
    for listing, ones in ((permissions.rotate(function_arn), list(secrets)), (permissions.read_admins(), list(admins))):
        for one in ones:
            grants.allow_each(listing, one.arn)
    for ones, write in ((list(secrets), True), (list(admins), False)):
        for one in ones:
            if one.key_arn is not None:
                grants.allow_each(permissions.use_key(one.key_arn, write=write), one.arn)


@dataclass(frozen=True)
class FunctionOptions:
    """The settings of a function.

    Args:
        target: the runtime and architecture.
        memory: the memory in MB.
        timeout: the time-out of a step, in seconds.
        reserved_concurrency: the reserved concurrency; None: the account's limit applies.
        tracing: whether to use X-Ray.
        snap_start: whether to use SnapStart, and an alias for rotations.
        role_arn: a role to use; None: one is made.
        code_signing_config_arn: the code signing configuration; only signed code is then deployed.
        log_retention: how long logs are kept.
        log_key_arn: the KMS key that encrypts the logs.
        name: the name of the function and its role; None: CloudFormation names them.
    """

    target: Platform
    memory: int = 256
    timeout: int = 60
    reserved_concurrency: int | None = None
    tracing: bool = False
    snap_start: bool = False
    role_arn: str | None = None
    code_signing_config_arn: str | None = None
    log_retention: logs.RetentionDays = logs.RetentionDays.THREE_MONTHS
    log_key_arn: str | None = None
    name: str | None = None


class BundledFunction(Construct):
    """A function, its role, its log and its security group.

    Args:
        archive: its code.
        layers: its layers.
        options: its settings.
        environment: its environment variables.
        description: its description.
        place: says where it runs, and may make constructs for it below the function; None: outside a VPC.
        role: an existing role, which gets the permissions; by default one is made.
        log_group: an existing log group; by default one is made.
        handler: the handler that Lambda calls.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        archive: Archive,
        layers: Sequence[lambda_.ILayerVersion],
        options: FunctionOptions,
        environment: Mapping[str, str],
        description: str,
        place: Callable[[Construct], Place | None] | None = None,
        role: iam.IRole | None = None,
        log_group: logs.ILogGroup | None = None,
        handler: str = HANDLER,
    ) -> None:
        super().__init__(scope, id_)
        set_flags(self)
        where = None if place is None else place(self)
        self.options = options
        self.log_group = log_group or logs.LogGroup(
            self,
            "Log",
            retention=options.log_retention,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            encryption_key=self._key(options.log_key_arn),
        )
        self.role, unchanged = self._role(options, role)
        in_network = (
            {}
            if where is None
            else {"vpc": where.vpc, "vpc_subnets": where.subnets, "security_groups": list(where.security_groups)}
        )
        variables = dict(environment) | (
            {} if where is None or where.url is None else {"SECRETS_MANAGER_ENDPOINT": where.url}
        )
        signing = options.code_signing_config_arn
        self.function = lambda_.Function(
            self,
            "Function",
            code=code(archive),
            handler=handler,
            runtime=lambda_.Runtime(options.target.runtime, lambda_.RuntimeFamily.PYTHON, supports_snap_start=True),
            architecture=ARCHITECTURES[options.target.architecture],
            layers=list(layers),
            environment=variables,
            function_name=options.name,
            description=description,
            memory_size=options.memory,
            timeout=Duration.seconds(options.timeout),
            reserved_concurrent_executions=options.reserved_concurrency,
            tracing=lambda_.Tracing.ACTIVE if options.tracing else lambda_.Tracing.DISABLED,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if options.snap_start else None,
            recursive_loop=lambda_.RecursiveLoop.TERMINATE,
            role=unchanged,
            log_group=self.log_group,
            allow_public_subnet=where is not None,
            code_signing_config=None
            if signing is None
            else lambda_.CodeSigningConfig.from_code_signing_config_arn(self, "Signing", signing),
            **in_network,  # type: ignore[arg-type]
        )
        self.alias = (
            lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
            if options.snap_start
            else None
        )
        # Must exist before the function: Lambda checks that its role can attach it to the network.
        before = [permissions.write_logs(self.log_group.log_group_arn)]
        if options.tracing:
            before.append(permissions.trace())
        if where is not None:
            before.append(permissions.attach_to_network())
        attached = iam.Policy(self, "Runs", statements=before, roles=[self.role])
        Validations.of(attached).acknowledge(_WILDCARDS)
        self.function.node.add_dependency(attached)
        # Must exist before the function is invoked. Not the whole construct: schedules may be below it.
        self.ready: list[IConstruct] = [self.function, attached, *([] if self.alias is None else [self.alias])]
        # Permissions that name the function can only be made after it.
        if where is not None:
            confined = permissions.leave_the_network_alone(self.function.function_arn)
            self.ready.append(iam.Policy(self, "Confined", statements=[confined], roles=[self.role]))

    @property
    def rotation_arn(self) -> str:
        """The ARN that secrets name as their rotation function: the alias's if there is one."""
        return self.function.function_arn if self.alias is None else self.alias.function_arn

    def may_rotate(
        self,
        secrets: Sequence[SecretReference],
        admins: Sequence[SecretReference],
        managed: Sequence[ManagedAdmin] = (),
        own: Sequence[OwnStatement] = (),
    ) -> Grants:
        """Allow it to rotate secrets, to read admin secrets, and to use the KMS keys of both.

        Args:
            secrets: the secrets that it rotates.
            admins: the admin secrets that it reads.
            managed: the admins whose server's address it asks RDS or Redshift for.
            own: further statements for its rotator.

        Returns:
            The policies. The secrets' schedules must depend on them.

        Raises:
            ConfigurationError: there are more secrets than a role's policies can name.
        """
        made = Grants(self, "Rotates", role=self.role)
        grant(made, self.rotation_arn, secrets, admins)
        for statement in permissions.ask_for_endpoints(managed):
            made.allow(statement)
        for one in managed:
            made.allow_each(permissions.look_at_admins(), one.secret.arn)
        for number, asked in enumerate(own, start=1):
            made.allow(asked.of(number), asked.characters)
        explained = [reason for asked in own for reason in asked.acknowledgments()]
        for policy in made.policies:
            Validations.of(policy).acknowledge(_LISTS, *explained)
        return made

    def _role(self, options: FunctionOptions, own: iam.IRole | None) -> tuple[iam.IRole, iam.IRole]:
        """The role, and the role to pass to the function, to which aws-cdk-lib can't add permissions."""
        if own is not None:
            return own, own.without_policy_updates() if isinstance(own, iam.Role) else own
        arn = options.role_arn
        if arn is not None:
            given = iam.Role.from_role_arn(self, "Role", arn)
            return given, iam.Role.from_role_arn(self, "RoleAsItIs", arn, mutable=False)
        made = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Rotates secrets",
            role_name=options.name,
        )
        return made, made.without_policy_updates()

    def _key(self, arn: str | None) -> kms.IKey | None:
        return None if arn is None else kms.Key.from_key_arn(self, "LogKey", arn)
