"""A function that rotates secrets of one engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs import permissions
from infra.constructs.function_network import FunctionNetwork
from infra.constructs.layers import ARCHITECTURES, code
from infra.constructs.managed_admin import ManagedAdmin
from infra.constructs.secret_reference import SecretReference
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


@dataclass(frozen=True)
class FunctionOptions:
    """What a function is made of.

    Args:
        target: runtime and architecture.
        memory: MB.
        timeout: seconds for a step.
        reserved_concurrency: how many run at once; None: as many as the account allows.
        tracing: X-Ray.
        snap_start: SnapStart, and an alias that rotations go through.
        role_arn: a role to use; None: one is made.
        code_signing_config_arn: only code signed by it is deployed.
        log_retention: how long logs are kept.
        log_key_arn: the key that encrypts them.
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


class RotationFunction(Construct):
    """A function, its role, its log and its security group.

    Args:
        archive: its code.
        layers: what it needs.
        options: what it is made of.
        environment: its variables.
        description: what it does.
        network: where it runs; None: outside of a VPC.
        databases: the security group and port of each database that it must reach there.
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
        network: FunctionNetwork | None = None,
        databases: Sequence[tuple[str, int]] = (),
    ) -> None:
        super().__init__(scope, id_)
        self.options = options
        self.log_group = logs.LogGroup(
            self,
            "Log",
            retention=options.log_retention,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            encryption_key=self._key(options.log_key_arn),
        )
        self.role, unchanged = self._role(options.role_arn)
        in_network = (
            {}
            if network is None
            else {
                "vpc": network.vpc,
                "vpc_subnets": network.subnets,
                "security_groups": [network.security_group(self, databases, f"Rotation: {description}"[:255])],
            }
        )
        signing = options.code_signing_config_arn
        self.function = lambda_.Function(
            self,
            "Function",
            code=code(archive),
            handler=HANDLER,
            runtime=lambda_.Runtime(options.target.runtime, lambda_.RuntimeFamily.PYTHON, supports_snap_start=True),
            architecture=ARCHITECTURES[options.target.architecture],
            layers=list(layers),
            environment=dict(environment),
            description=description,
            memory_size=options.memory,
            timeout=Duration.seconds(options.timeout),
            reserved_concurrent_executions=options.reserved_concurrency,
            tracing=lambda_.Tracing.ACTIVE if options.tracing else lambda_.Tracing.DISABLED,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if options.snap_start else None,
            recursive_loop=lambda_.RecursiveLoop.TERMINATE,
            role=unchanged,
            log_group=self.log_group,
            allow_public_subnet=network is not None,
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
        # What must be there before the function is made: Lambda checks that its role can attach it to the network.
        before = [permissions.write_logs(self.log_group.log_group_arn)]
        if options.tracing:
            before.append(permissions.trace())
        if network is not None:
            before.append(permissions.attach_to_network())
        attached = iam.Policy(self, "Runs", statements=before, roles=[self.role])
        Validations.of(attached).acknowledge(_WILDCARDS)
        self.function.node.add_dependency(attached)
        # What names the function can only come after it.
        if network is not None:
            confined = permissions.leave_the_network_alone(self.function.function_arn)
            iam.Policy(self, "Confined", statements=[confined], roles=[self.role])

    @property
    def rotation_arn(self) -> str:
        """What secrets name as their function: the alias where there is one."""
        return self.function.function_arn if self.alias is None else self.alias.function_arn

    def may_rotate(
        self,
        secrets: Sequence[SecretReference],
        admins: Sequence[SecretReference],
        managed: Sequence[ManagedAdmin] = (),
    ) -> iam.Policy:
        """Permit it to rotate secrets, to read their admins', and to use the keys of both.

        Args:
            secrets: those that it rotates.
            admins: those that it reads.
            managed: those of the admins whose server's address it asks of RDS or Redshift.

        Returns:
            the policy, on which the secrets' schedules are to depend.
        """
        statements = [permissions.rotate(secrets, self.rotation_arn)]
        if admins:
            statements.append(permissions.read_admins(admins))
        if managed:
            statements += [permissions.look_at_admins(managed), *permissions.ask_for_endpoints(managed)]
        with_keys = [(one, True) for one in secrets if one.key_arn] + [(one, False) for one in admins if one.key_arn]
        statements += [
            permissions.use_key(number, one, write=write) for number, (one, write) in enumerate(with_keys, start=1)
        ]
        policy = iam.Policy(self, "Rotates", statements=statements, roles=[self.role])
        Validations.of(policy).acknowledge(_LISTS)
        return policy

    def _role(self, arn: str | None) -> tuple[iam.IRole, iam.IRole]:
        """The role, and the same as the function sees it: aws-cdk-lib must not add what it thinks is needed."""
        if arn is not None:
            given = iam.Role.from_role_arn(self, "Role", arn)
            return given, iam.Role.from_role_arn(self, "RoleAsItIs", arn, mutable=False)
        made = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description="Rotates secrets"
        )
        return made, made.without_policy_updates()

    def _key(self, arn: str | None) -> kms.IKey | None:
        return None if arn is None else kms.Key.from_key_arn(self, "LogKey", arn)
