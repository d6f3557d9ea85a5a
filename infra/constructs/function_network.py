"""A network in which functions reach their databases and Secrets Manager, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs import permissions
from infra.constructs.secret_reference import SecretReference

HTTPS = 443
# An endpoint's policy may have 20,480 characters, for two lists of ARNs; a role's policy names each secret anyhow.
# https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
_ROOM = 9000
_ARN_BUT_FOR_ITS_NAME = 80


class FunctionNetwork(Construct):
    """Where functions run.

    Args:
        vpc_id: the VPC.
        subnet_ids: its subnets.
        endpoint: how Secrets Manager is reached: the security group of an endpoint that is there, ``create`` for one
            to be made, None: through a NAT gateway.
    """

    def __init__(
        self, scope: Construct, id_: str, *, vpc_id: str, subnet_ids: Sequence[str], endpoint: str | None
    ) -> None:
        super().__init__(scope, id_)
        # Zones would have to be looked up, which takes credentials; nothing here depends on them.
        zones = [f"zone-{number}" for number, _ in enumerate(subnet_ids)]
        self.vpc = ec2.Vpc.from_vpc_attributes(
            self, "Vpc", vpc_id=vpc_id, availability_zones=zones, private_subnet_ids=list(subnet_ids)
        )
        self._endpoint: ec2.InterfaceVpcEndpoint | None = None
        self._endpoint_group = self._make_endpoint() if endpoint == "create" else None
        self._endpoint_group_id = endpoint if self._endpoint_group is None else self._endpoint_group.security_group_id

    @property
    def subnets(self) -> ec2.SubnetSelection:
        """The subnets that functions run in."""
        return ec2.SubnetSelection(subnets=self.vpc.private_subnets)

    def security_group(self, scope: Construct, databases: Sequence[tuple[str, int]], purpose: str) -> ec2.SecurityGroup:
        """A security group for a function: out to its databases and to Secrets Manager, and let in by them.

        The rules in others' groups are resources of ours, so that no stack depends on this one.

        Args:
            scope: where it is made.
            databases: each one's security group and port.
            purpose: what it is for.
        """
        group = ec2.SecurityGroup(scope, "SecurityGroup", vpc=self.vpc, description=purpose, allow_all_outbound=False)
        for number, (database, port) in enumerate(dict.fromkeys(databases)):
            group.add_egress_rule(ec2.Peer.security_group_id(database), ec2.Port.tcp(port), "To the database")
            ec2.CfnSecurityGroupIngress(
                scope,
                # A group of another stack has no name yet.
                f"From-{number if Token.is_unresolved(database) else database}-{port}",
                group_id=database,
                source_security_group_id=group.security_group_id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=purpose,
            )
        self._let_out(scope, group, purpose)
        return group

    def _let_out(self, scope: Construct, group: ec2.SecurityGroup, purpose: str) -> None:
        https = ec2.Port.tcp(HTTPS)
        if self._endpoint_group_id is None:
            group.add_egress_rule(ec2.Peer.any_ipv4(), https, "To Secrets Manager, through the NAT gateway")
            return
        group.add_egress_rule(ec2.Peer.security_group_id(self._endpoint_group_id), https, "To Secrets Manager")
        ec2.CfnSecurityGroupIngress(
            scope,
            "FromEndpoint",
            group_id=self._endpoint_group_id,
            source_security_group_id=group.security_group_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description=purpose,
        )

    def _make_endpoint(self) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "EndpointSecurityGroup",
            vpc=self.vpc,
            description="The endpoint of Secrets Manager",
            allow_all_outbound=False,
        )
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            "Endpoint",
            vpc=self.vpc,
            service=ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            subnets=self.subnets,
            security_groups=[group],
            private_dns_enabled=True,
            open=False,
        )
        self._endpoint = endpoint
        return group

    def let_through(self, secrets: Sequence[SecretReference], admins: Sequence[SecretReference]) -> None:
        """Let the functions' calls through the endpoint that was made; without one there is nothing to do.

        Args:
            secrets: those that functions in this network rotate.
            admins: those that they read.
        """
        if self._endpoint is None:
            return
        for actions, reached in ((permissions.ROTATE, secrets), (["secretsmanager:GetSecretValue"], admins)):
            arns = list(dict.fromkeys(one.arn for one in reached))
            room = sum(len(one.label) + _ARN_BUT_FOR_ITS_NAME for one in reached) <= _ROOM
            if arns:
                # Other accounts' secrets are reached by this account's roles.
                self._endpoint.add_to_policy(
                    iam.PolicyStatement(
                        principals=[iam.AnyPrincipal()],
                        actions=actions,
                        resources=arns if room else ["*"],
                        conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
                    )
                )
