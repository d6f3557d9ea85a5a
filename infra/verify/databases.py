"""The database of each offer: the smallest, encrypted, reached only by TLS and from its own network.

It is removed with the stack, without a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import CfnResource, RemovalPolicy
from aws_cdk import aws_docdb as docdb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_redshiftserverless as redshift
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.verify.offers import Offer
from rotators.errors import ConfigurationError

# Not a name that an engine reserves.
ADMIN = "rotadmin"
_DATABASE = "app"
_CLUSTER_DAYS = 1
_IBM_SITE, _IBM_CUSTOMER = "rds.ibm_site_id", "rds.ibm_customer_id"


@dataclass(frozen=True)
class Licence:
    """Ids of the user's own licence.

    Args:
        site: IBM's site id.
        customer: IBM's customer id.
    """

    site: str
    customer: str


@dataclass(frozen=True)
class _Instance:
    """RDS's settings for an engine.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbinstance.html

    Args:
        engine: RDS's name for it.
        version: a version that RDS has.
        family: the family of the parameter group.
        licence: RDS's name of the licence model; None: there is only one.
        parameters: the parameters that require TLS.
        database: what is made with it; None: none can be.
        port: where TLS is spoken; None: at the engine's own port.
        encrypted: whether RDS encrypts its storage.
        ssl_option: whether TLS is an option of its option group.
        said: what a secret has to name as its database.
    """

    engine: str
    version: str
    family: str
    licence: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    database: str | None = _DATABASE
    port: int | None = None
    encrypted: bool = True
    ssl_option: bool = False
    said: str | None = None


_FORCED = {"rds.force_ssl": "1"}
_SECURE_TRANSPORT = {"require_secure_transport": "1"}
_INSTANCES = {
    "postgres": _Instance("postgres", "17.10", "postgres17", "postgresql-license", _FORCED),
    "mysql": _Instance("mysql", "8.4.11", "mysql8.4", "general-public-license", _SECURE_TRANSPORT),
    "mariadb": _Instance("mariadb", "11.4.12", "mariadb11.4", "general-public-license", _SECURE_TRANSPORT),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.Oracle.Options.SSL.html
    "oracle": _Instance(
        "oracle-se2", "19", "oracle-se2-19", "license-included", database="ORCL", port=2484, ssl_option=True
    ),
    # RDS does not encrypt Express Edition: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.html
    "sqlserver": _Instance(
        "sqlserver-ex",
        "16.00.4265.3.v1",
        "sqlserver-ex-16.0",
        "license-included",
        _FORCED,
        database=None,
        encrypted=False,
        said="rotators_app",
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Db2.Concepts.SSL.html
    "db2": _Instance(
        "db2-se",
        "11.5.9.0.sb00090009.r1",
        "db2-se-11.5",
        "bring-your-own-license",
        {"DB2COMM": "SSL", "SSL_SVCENAME": "50443"},
        database="APP",
        port=50443,
    ),
}
_CLUSTERS = {
    "aurora-postgresql": ("aurora-postgresql", "17.9", "aurora-postgresql17", _FORCED),
    "aurora-mysql": ("aurora-mysql", "8.0.mysql_aurora.3.10.5", "aurora-mysql8.0", {"require_secure_transport": "ON"}),
}


def port_of(offer: Offer, usual: int) -> int:
    """The port for TLS.

    Args:
        offer: what is made.
        usual: the engine's own port.
    """
    instance = _INSTANCES.get(offer.name)
    return usual if instance is None or instance.port is None else instance.port


def make(
    scope: Construct,
    offer: Offer,
    *,
    admin: secretsmanager.Secret,
    vpc: ec2.Vpc,
    group: ec2.SecurityGroup,
    port: int,
    licence: Licence | None,
) -> dict[str, Any]:
    """Create an offer's database.

    Args:
        scope: where.
        offer: which.
        admin: the secret with its admin's password.
        vpc: the network; all its subnets are used.
        group: its security group.
        port: the port for TLS.
        licence: of one's own.

    Returns:
        the values of its admin's secret, other than user and password.

    Raises:
        ConfigurationError: it needs a licence of one's own.
    """
    if offer.licensed and licence is None:
        raise ConfigurationError(
            f"{offer.title} runs under a licence of your own", "give --ibm-site-id and --ibm-customer-id"
        )
    # In the template it is a reference, which CloudFormation resolves.
    password = admin.secret_value_from_json("password").unsafe_unwrap()
    subnets = [subnet.subnet_id for subnet in vpc.isolated_subnets]
    order = _Order(scope, offer, password, subnets, group, licence)
    if offer.name in _INSTANCES:
        values = _instance(order)
    elif offer.name in _CLUSTERS:
        values = _aurora(order)
    else:
        values = _documentdb(order) if offer.name == "documentdb" else _redshift(order)
    return {"engine": offer.engine, "port": port, **values}


@dataclass(frozen=True, repr=False)
class _Order:
    scope: Construct
    offer: Offer
    password: str
    subnets: list[str]
    group: ec2.SecurityGroup
    licence: Licence | None


def _gone(*resources: CfnResource) -> None:
    for resource in resources:
        resource.apply_removal_policy(RemovalPolicy.DESTROY)


def _instance(order: _Order) -> dict[str, Any]:
    told = _INSTANCES[order.offer.name]
    licence = order.licence
    own = {} if licence is None else {_IBM_SITE: licence.site, _IBM_CUSTOMER: licence.customer}
    parameters = rds.CfnDBParameterGroup(
        order.scope, "Parameters", family=told.family, description="TLS alone", parameters={**told.parameters, **own}
    )
    instance = rds.CfnDBInstance(
        order.scope,
        "Instance",
        engine=told.engine,
        engine_version=told.version,
        license_model=told.licence,
        db_instance_class=order.offer.size,
        allocated_storage=str(order.offer.gigabytes),
        storage_type="gp3",
        storage_encrypted=told.encrypted,
        db_name=told.database,
        master_username=ADMIN,
        master_user_password=order.password,
        db_parameter_group_name=parameters.ref,
        option_group_name=_tls_option(order, told).ref if told.ssl_option else None,
        db_subnet_group_name=_subnet_group(order).ref,
        vpc_security_groups=[order.group.security_group_id],
        publicly_accessible=False,
        multi_az=False,
        backup_retention_period=0,
        delete_automated_backups=True,
        deletion_protection=False,
        auto_minor_version_upgrade=False,
        copy_tags_to_snapshot=True,
    )
    _gone(instance, parameters)
    named = told.said or told.database
    return {"host": instance.attr_endpoint_address, **({} if named is None else {"dbname": named})}


def _tls_option(order: _Order, told: _Instance) -> rds.CfnOptionGroup:
    setting = rds.CfnOptionGroup.OptionSettingProperty
    options = rds.CfnOptionGroup(
        order.scope,
        "Options",
        engine_name=told.engine,
        major_engine_version=told.version,
        option_group_description="TLS",
        option_configurations=[
            rds.CfnOptionGroup.OptionConfigurationProperty(
                option_name="SSL",
                port=told.port,
                vpc_security_group_memberships=[order.group.security_group_id],
                option_settings=[
                    setting(name="SQLNET.SSL_VERSION", value="1.2"),
                    setting(name="SQLNET.CIPHER_SUITE", value="TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
                ],
            )
        ],
    )
    _gone(options)
    return options


def _subnet_group(order: _Order) -> rds.CfnDBSubnetGroup:
    made = rds.CfnDBSubnetGroup(
        order.scope, "Subnets", db_subnet_group_description="Without a way to the internet", subnet_ids=order.subnets
    )
    _gone(made)
    return made


def _aurora(order: _Order) -> dict[str, Any]:
    engine, version, family, settings = _CLUSTERS[order.offer.name]
    parameters = rds.CfnDBClusterParameterGroup(
        order.scope, "Parameters", family=family, description="TLS alone", parameters=settings
    )
    where = _subnet_group(order)
    cluster = rds.CfnDBCluster(
        order.scope,
        "Cluster",
        engine=engine,
        engine_version=version,
        database_name=_DATABASE,
        master_username=ADMIN,
        master_user_password=order.password,
        db_cluster_parameter_group_name=parameters.ref,
        db_subnet_group_name=where.ref,
        vpc_security_group_ids=[order.group.security_group_id],
        storage_encrypted=True,
        backup_retention_period=_CLUSTER_DAYS,
        delete_automated_backups=True,
        deletion_protection=False,
    )
    writer = rds.CfnDBInstance(
        order.scope,
        "Writer",
        engine=engine,
        db_cluster_identifier=cluster.ref,
        db_instance_class=order.offer.size,
        db_subnet_group_name=where.ref,
        publicly_accessible=False,
        auto_minor_version_upgrade=False,
    )
    _gone(cluster, writer, parameters)
    return {"host": cluster.attr_endpoint_address, "dbname": _DATABASE}


def _documentdb(order: _Order) -> dict[str, Any]:
    parameters = docdb.CfnDBClusterParameterGroup(
        order.scope, "Parameters", family="docdb5.0", description="TLS alone", parameters={"tls": "enabled"}
    )
    where = docdb.CfnDBSubnetGroup(
        order.scope, "Subnets", db_subnet_group_description="Without a way to the internet", subnet_ids=order.subnets
    )
    cluster = docdb.CfnDBCluster(
        order.scope,
        "Cluster",
        engine_version="5.0.0",
        master_username=ADMIN,
        master_user_password=order.password,
        db_cluster_parameter_group_name=parameters.ref,
        db_subnet_group_name=where.ref,
        vpc_security_group_ids=[order.group.security_group_id],
        storage_encrypted=True,
        backup_retention_period=_CLUSTER_DAYS,
        deletion_protection=False,
    )
    writer = docdb.CfnDBInstance(
        order.scope, "Writer", db_cluster_identifier=cluster.ref, db_instance_class=order.offer.size
    )
    _gone(cluster, writer, parameters, where)
    return {"host": cluster.attr_endpoint}


def _redshift(order: _Order) -> dict[str, Any]:
    namespace = redshift.CfnNamespace(
        order.scope,
        "Namespace",
        # Its data are always encrypted: https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-considerations.html
        namespace_name=f"rotators-verify-{order.offer.name}",
        db_name=_DATABASE,
        admin_username=ADMIN,
        admin_user_password=order.password,
    )
    workgroup = redshift.CfnWorkgroup(
        order.scope,
        "Workgroup",
        workgroup_name=f"rotators-verify-{order.offer.name}",
        namespace_name=namespace.ref,
        base_capacity=int(order.offer.size.split()[0]),
        max_capacity=int(order.offer.size.split()[0]),
        subnet_ids=order.subnets,
        security_group_ids=[order.group.security_group_id],
        publicly_accessible=False,
        enhanced_vpc_routing=True,
        config_parameters=[
            redshift.CfnWorkgroup.ConfigParameterProperty(parameter_key="require_ssl", parameter_value="true")
        ],
    )
    _gone(namespace, workgroup)
    return {"host": workgroup.attr_workgroup_endpoint_address, "dbname": _DATABASE}
