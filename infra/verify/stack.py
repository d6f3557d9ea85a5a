"""The stack of a verification: an isolated network, a database, the packaged functions, and the one with the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aws_cdk import ArnFormat, Aws, CfnOutput, Duration, Fn, RemovalPolicy, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.verify import kit
from infra.verify.databases import ADMIN, Licence, make, port_of
from infra.verify.inside.facts import NO_FUNCTION
from infra.verify.offers import Offer
from rotators.cdk.base_layer import shared_base_layer
from rotators.cdk.bundled_function import BundledFunction, FunctionOptions
from rotators.cdk.ca_bundle import CaBundle
from rotators.cdk.endpoint import HTTPS, SecretsManagerEndpoint
from rotators.cdk.flags import set_flags
from rotators.cdk.function_network import Place
from rotators.cdk.layers import BundledLayer
from rotators.cdk.rotation_function import RotationFunction
from rotators.cdk.trust_layer import TrustLayer
from rotators.engines.specs import SPECS
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import Platform, usual_architecture

TAG = "rotators-verify"
_COLON = ArnFormat.COLON_RESOURCE_NAME
_ADDRESSES = "10.83.0.0/24"
_SUBNET_BITS = 26
# Lambda's longest: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_SECONDS, _MEGABYTES = 900, 1769
# More time for a rotation, because RDS sets users' passwords by its own tasks.
_ROTATION_SECONDS = 300
_SERVICE = "secretsmanager.amazonaws.com"
# An engine's strategies, other than single user.
_PAIRED = "alternating-users"
_TWO_PASSWORDS = "dual-password"
_LOOKS = (
    "CreateSecret", "PutSecretValue", "GetSecretValue", "DescribeSecret", "ListSecretVersionIds",
    "UpdateSecretVersionStage", "RotateSecret", "CancelRotateSecret", "DeleteSecret", "RestoreSecret", "TagResource",
)  # fmt: skip
_PROBES = ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "TagResource")


def stack_name(offer: Offer) -> str:
    """The name of an offer's stack: always the same, so that its leftovers can be found."""
    return f"{TAG}-{offer.name}"


def prefix(offer: Offer) -> str:
    """The beginning of the names of its secrets."""
    return f"{stack_name(offer)}/"


def strategies(engine: str) -> tuple[str, ...]:
    """The strategies of an engine."""
    return ("single-user", _PAIRED, *((_TWO_PASSWORDS,) if SPECS[engine].second_password else ()))


class VerificationStack(Stack):
    """All resources of a verification; none of them stays afterwards.

    Args:
        offer: which database.
        certificates: RDS's CA certificates, as PEM; None: those of the functions' operating system.
        licence: the user's own, if the offer needs one.
        bundles: makes the layers and functions for a platform.
        kits: makes the code and the layer of the function that runs the tests.

    Raises:
        ConfigurationError: a licence is missing.
        PackagingFailed: something can't be packed.
    """

    def __init__(
        self,
        scope: Construct,
        offer: Offer,
        *,
        certificates: str | None,
        licence: Licence | None = None,
        bundles: Callable[[Platform], Bundles] = Bundles,
        kits: Callable[[Platform], kit.Kit] = kit.Kit,
    ) -> None:
        super().__init__(scope, stack_name(offer), description=f"Verifies rotators on {offer.title}; remove it")
        set_flags(self)
        Tags.of(self).add(TAG, offer.name)
        self._offer, self._certificates = offer, certificates
        self._target = Platform(usual_architecture(offer.engine))
        self._bundles, self._kit = bundles(self._target), kits(self._target)
        self._make_bundles = bundles
        port = port_of(offer, SPECS[offer.engine].port)
        self._vpc = self._network()
        self._endpoint = SecretsManagerEndpoint(
            self,
            "Endpoint",
            vpc=self._vpc,
            subnets=self._vpc.isolated_subnets,
            private_dns_for=[self._vpc.vpc_cidr_block],
        )
        self._let_only_this_account_through()
        group = ec2.SecurityGroup(
            self, "DatabaseGroup", vpc=self._vpc, description="The database", allow_all_outbound=False
        )
        reached = ec2.Connections(security_groups=[group], default_port=ec2.Port.tcp(port))
        self._admin = secretsmanager.Secret(
            self,
            "Admin",
            secret_name=f"{prefix(offer)}admin",
            description="The database's admin",
            removal_policy=RemovalPolicy.DESTROY,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=f'{{"username": "{ADMIN}"}}',
                generate_string_key="password",
                password_length=28,
                exclude_punctuation=True,
                require_each_included_type=True,
            ),
        )
        values = make(
            Construct(self, "Database"),
            offer,
            admin=self._admin,
            vpc=self._vpc,
            group=group,
            port=port,
            licence=licence,
        )
        self._functions: list[lambda_.Function] = []
        rotated = {strategy: self._rotated(strategy, reached) for strategy in strategies(offer.engine)}
        probe = self._looking("Probe", kit.PROBE, [], {}, seconds=60)
        self._may("Probes", probe, _PROBES, f"{prefix(offer)}fact-*")
        lambda_.CfnPermission(
            self,
            "ProbeInvocation",
            action="lambda:InvokeFunction",
            function_name=probe.function.function_arn,
            principal=_SERVICE,
            source_account=Aws.ACCOUNT_ID,
        )
        self._functions.append(probe.function)
        verifier = self._looking(
            "Verifier",
            kit.HANDLER,
            self._drivers(),
            {
                "ENGINE": offer.engine,
                "PREFIX": prefix(offer),
                "PROBE": probe.function.function_arn,
                "ADMIN_SECRET": self._admin.secret_arn,
                "ADMIN_VALUES": self.to_json_string(values),
                "SECRETS": self.to_json_string({name: secret.secret_arn for name, secret in rotated.items()}),
            },
            seconds=_SECONDS,
        )
        reached.allow_default_port_from(verifier.function, "The function that runs the tests")
        self._may("Looks", verifier, _LOOKS, f"{prefix(offer)}*")
        self._may_have_rotated(verifier)
        CfnOutput(self, "VerifierName", value=verifier.function.function_name)

    def _network(self) -> ec2.Vpc:
        """Subnets without a route to the internet, with an endpoint for Secrets Manager."""
        zones = [Fn.select(number, Fn.get_azs()) for number in range(self._offer.availability_zones)]
        return ec2.Vpc(
            self,
            "Network",
            ip_addresses=ec2.IpAddresses.cidr(_ADDRESSES),
            availability_zones=zones,
            nat_gateways=0,
            create_internet_gateway=False,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=_SUBNET_BITS
                )
            ],
        )

    def _let_only_this_account_through(self) -> None:
        self._endpoint.endpoint.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["secretsmanager:*"],
                resources=[self._secrets(f"{prefix(self._offer)}*")],
                conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
            )
        )

    def _rotated(self, strategy: str, database: ec2.Connections) -> secretsmanager.Secret:
        """A secret, and the packaged function that rotates it."""
        secret = secretsmanager.Secret(
            self,
            f"Secret-{strategy}",
            secret_name=f"{prefix(self._offer)}{strategy}",
            description=f"Rotated by {strategy}",
            removal_policy=RemovalPolicy.DESTROY,
        )
        certificates = self._certificates
        function = RotationFunction(
            self,
            f"Rotation-{strategy}",
            engine=self._offer.engine,
            vpc=self._vpc,
            vpc_subnets=self._subnets,
            endpoint=self._endpoint,
            ca_bundle=CaBundle(certificates),
            strategy=strategy,
            timeout=Duration.seconds(_ROTATION_SECONDS),
            log_group=self._log(f"Log-{strategy}"),
            bundles=self._make_bundles,
        )
        function.add_rotation(secret, target=database, admin=self._admin)
        self._functions.append(function.function)
        return secret

    def _looking(
        self,
        id_: str,
        handler: str,
        more: Sequence[lambda_.ILayerVersion],
        environment: dict[str, str],
        *,
        seconds: int,
    ) -> BundledFunction:
        """A function with the suites."""
        layers = [shared_base_layer(self, self._bundles), self._kit_layer(), *more]
        group = ec2.SecurityGroup(
            self, f"{id_}Group", vpc=self._vpc, description=f"{id_} of a verification", allow_all_outbound=False
        )
        made = BundledFunction(
            self,
            id_,
            archive=self._kit.code(),
            layers=layers,
            options=FunctionOptions(target=self._target, memory=_MEGABYTES, timeout=seconds),
            environment=environment,
            description=f"{id_} of a verification of rotators",
            place=lambda _: Place(self._vpc, self._subnets, [group]),
            log_group=self._log(f"{id_}Log"),
            handler=handler,
        )
        made.function.connections.allow_to(self._endpoint.security_group, ec2.Port.tcp(HTTPS), "To Secrets Manager")
        return made

    def _kit_layer(self) -> lambda_.ILayerVersion:
        found = self.node.try_find_child("KitLayer")
        return found or BundledLayer(  # type: ignore[return-value]
            self, "KitLayer", archive=self._kit.layer(), description="moto, pytest and drivers", target=self._target
        )

    def _drivers(self) -> list[lambda_.ILayerVersion]:
        """The packages that the suites need, other than the kit."""
        archives = [self._bundles.base(), self._kit.code(), self._kit.layer()]
        trust = self._certificates
        layers: list[lambda_.ILayerVersion] = []
        if trust is not None:
            archives.append(self._bundles.trust(trust))
            layers.append(TrustLayer(self, "Trust", bundles=self._bundles, certificates=trust))
        kit.check_size(archives)
        return layers

    def _may(self, id_: str, function: BundledFunction, operations: Sequence[str], name: str) -> None:
        iam.Policy(
            self,
            id_,
            roles=[function.role],
            statements=[
                iam.PolicyStatement(
                    actions=[f"secretsmanager:{one}" for one in operations], resources=[self._secrets(name)]
                )
            ],
        )

    def _may_have_rotated(self, function: BundledFunction) -> None:
        """The caller of RotateSecret must be allowed to invoke the secret's function.

        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
        """
        nobody = self.format_arn(service="lambda", resource="function", resource_name=NO_FUNCTION, arn_format=_COLON)
        iam.Policy(
            self,
            "HasRotated",
            roles=[function.role],
            statements=[
                iam.PolicyStatement(
                    actions=["lambda:InvokeFunction"],
                    resources=[*(one.function_arn for one in self._functions), nobody],
                )
            ],
        )

    def _log(self, id_: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            id_,
            retention=logs.RetentionDays.ONE_DAY,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _secrets(self, name: str) -> str:
        return self.format_arn(service="secretsmanager", resource="secret", resource_name=name, arn_format=_COLON)

    @property
    def _subnets(self) -> ec2.SubnetSelection:
        return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
