"""The network access of functions: only to their databases and to Secrets Manager."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from rotators.cdk.endpoint import HTTPS, SecretsManagerEndpoint


@dataclass(frozen=True)
class Place:
    """Where a function runs.

    Args:
        vpc: the VPC.
        subnets: the subnets; None: the private ones.
        security_groups: its security groups.
        url: the URL of the Secrets Manager endpoint to use; None: the service's usual name.
    """

    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup]
    url: str | None = None


class FunctionNetwork(Construct):
    """Where functions run.

    Args:
        vpc_id: the VPC.
        subnet_ids: its subnets.
        endpoint: the way to Secrets Manager: a new endpoint, or the security group of an existing one; None: a NAT
            gateway.
        security_group_id: an existing security group for all functions, whose rules are managed elsewhere; None: one
            is made for each function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        vpc_id: str,
        subnet_ids: Sequence[str],
        endpoint: SecretsManagerEndpoint | str | None,
        security_group_id: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.vpc, self._subnets = known_vpc(self, vpc_id, subnet_ids)
        self.endpoint = endpoint if isinstance(endpoint, SecretsManagerEndpoint) else None
        self._endpoint_group_id = endpoint if isinstance(endpoint, str) else None
        if self.endpoint is not None:
            self._endpoint_group_id = self.endpoint.security_group.security_group_id
        self._given = (
            None
            if security_group_id is None
            else ec2.SecurityGroup.from_security_group_id(self, "Given", security_group_id, mutable=False)
        )

    def place(self, scope: Construct, databases: Sequence[tuple[str, int]], purpose: str) -> Place:
        """Where a function runs, with a security group that allows its databases and Secrets Manager.

        The ingress rules at the databases belong to this stack, so that no other stack depends on it.

        Args:
            scope: the scope of the security group.
            databases: each database's security group or address range (CIDR), and its port.
            purpose: the security group's description.
        """
        url = None if self.endpoint is None or self.endpoint.private_dns else self.endpoint.url
        subnets = ec2.SubnetSelection(subnets=list(self._subnets))
        group = self._given
        if group is None:
            group = self._security_group(scope, databases, purpose)
        elif self._endpoint_group_id is not None and self.endpoint is not None:
            _let_in(scope, "FromEndpoint", self._endpoint_group_id, group, HTTPS, purpose=purpose)
        return Place(self.vpc, subnets, [group], url)

    def _security_group(
        self, scope: Construct, databases: Sequence[tuple[str, int]], purpose: str
    ) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(scope, "SecurityGroup", vpc=self.vpc, description=purpose, allow_all_outbound=False)
        for number, (database, port) in enumerate(dict.fromkeys(databases)):
            if "/" in database:
                group.add_egress_rule(ec2.Peer.ipv4(database), ec2.Port.tcp(port), "To the database")
                continue
            group.add_egress_rule(ec2.Peer.security_group_id(database), ec2.Port.tcp(port), "To the database")
            # The id of another stack's group is not known yet.
            name = number if Token.is_unresolved(database) else database
            _let_in(scope, f"From-{name}-{port}", database, group, port, purpose=purpose)
        https = ec2.Port.tcp(HTTPS)
        if self._endpoint_group_id is None:
            group.add_egress_rule(ec2.Peer.any_ipv4(), https, "To Secrets Manager, through the NAT gateway")
        else:
            group.add_egress_rule(ec2.Peer.security_group_id(self._endpoint_group_id), https, "To Secrets Manager")
            _let_in(scope, "FromEndpoint", self._endpoint_group_id, group, HTTPS, purpose=purpose)
        return group


def known_vpc(scope: Construct, vpc_id: str, subnet_ids: Sequence[str]) -> tuple[ec2.IVpc, Sequence[ec2.ISubnet]]:
    """A VPC and its subnets by their ids.

    Availability Zones are not looked up, because that needs credentials. Nothing here depends on them.
    """
    zones = [f"zone-{number}" for number, _ in enumerate(subnet_ids)]
    vpc = ec2.Vpc.from_vpc_attributes(
        scope, "Vpc", vpc_id=vpc_id, availability_zones=zones, private_subnet_ids=list(subnet_ids)
    )
    return vpc, vpc.private_subnets


def _let_in(scope: Construct, id_: str, group_id: str, source: ec2.ISecurityGroup, port: int, *, purpose: str) -> None:
    ec2.CfnSecurityGroupIngress(
        scope,
        id_,
        group_id=group_id,
        source_security_group_id=source.security_group_id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=purpose,
    )
