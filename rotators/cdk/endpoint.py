"""An endpoint of Secrets Manager in a VPC, for the functions and, if wanted, for the whole VPC."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from rotators.cdk import permissions
from rotators.cdk.secret_reference import SecretReference

HTTPS = 443
# An endpoint's policy may have 20,480 characters, for two lists of ARNs. A role's policy names each secret anyway.
# https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
_ROOM = 9000
_ARN_BUT_FOR_ITS_NAME = 80


class SecretsManagerEndpoint(Construct):
    """An interface endpoint.

    Without private DNS, it changes nothing for the VPC: only the functions use its name, and its policy allows only
    what they need. With private DNS, every application in the VPC uses it for Secrets Manager, so its security group
    and its policy must allow all of them.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/vpc-endpoint-overview.html

    Args:
        vpc: the VPC.
        subnets: its subnets, one per zone.
        private_dns_for: the VPC's address ranges, for private DNS; empty: no private DNS.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        private_dns_for: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, id_)
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="The endpoint of Secrets Manager",
            allow_all_outbound=False,
        )
        for cidr in private_dns_for:
            self.security_group.add_ingress_rule(
                ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTPS), "Whatever in the VPC asks for Secrets Manager"
            )
        self.private_dns = bool(private_dns_for)
        self._taken: dict[int, int] = {}
        self.endpoint = ec2.InterfaceVpcEndpoint(
            self,
            "Endpoint",
            vpc=vpc,
            service=ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            subnets=ec2.SubnetSelection(subnets=list(subnets)),
            security_groups=[self.security_group],
            private_dns_enabled=self.private_dns,
            open=False,
        )

    @property
    def url(self) -> str:
        """The URL for the functions, with the endpoint's Regional DNS name."""
        entry = Fn.select(0, self.endpoint.vpc_endpoint_dns_entries)
        return f"https://{Fn.select(1, Fn.split(':', entry))}"

    def let_through(self, secrets: Sequence[SecretReference], admins: Sequence[SecretReference]) -> None:
        """Allow only the functions' calls. With private DNS, there is no such policy.

        Args:
            secrets: the secrets that functions rotate through it.
            admins: the admin secrets that they read.
        """
        if self.private_dns:
            return
        for actions, reached in ((permissions.ROTATE, secrets), (permissions.READ_ADMIN, admins)):
            arns = list(dict.fromkeys(one.arn for one in reached))
            taken = self._taken[len(actions)] = self._taken.get(len(actions), 0) + sum(
                len(one.label) + _ARN_BUT_FOR_ITS_NAME for one in reached
            )
            room = taken <= _ROOM
            if arns:
                # Secrets of other accounts are read by this account's roles.
                self.endpoint.add_to_policy(
                    iam.PolicyStatement(
                        principals=[iam.AnyPrincipal()],
                        actions=actions,
                        resources=arns if room else ["*"],
                        conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
                    )
                )
