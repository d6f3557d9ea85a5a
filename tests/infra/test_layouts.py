"""Constructs in other people's apps: whatever stands in another stack, there is no cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from synthesis import bundles

from rotators.cdk.base_layer import BaseLayer
from rotators.cdk.bundled_function import BundledFunction, FunctionOptions
from rotators.cdk.driver_layer import DriverLayer
from rotators.cdk.function_network import FunctionNetwork
from rotators.cdk.secret_reference import SecretReference
from rotators.cdk.secret_rotation import SecretRotation, permit
from rotators.packaging.platforms import Platform

pytestmark = pytest.mark.slow


def function(stack: cdk.Stack, database_group: str) -> BundledFunction:
    made = bundles(Platform())
    network = FunctionNetwork(
        stack, "Network", vpc_id="vpc-00000001", subnet_ids=["subnet-00000001"], endpoint="sg-00000009"
    )
    return BundledFunction(
        stack,
        "Rotation",
        archive=made.function("postgres"),
        layers=[
            BaseLayer(stack, "Base", bundles=made),
            DriverLayer(stack, "Driver", bundles=made, engine="postgres"),
        ],
        options=FunctionOptions(Platform()),
        environment={},
        description="Rotates",
        place=lambda itself: network.place(itself, [(database_group, 5432)], "Rotates"),
    )


def schedule(stack: cdk.Stack, rotates: BundledFunction, secret: SecretReference) -> None:
    SecretRotation(
        stack,
        "Schedule",
        secret=secret,
        function=rotates,
        permission=permit(stack, "Permission", rotates, secret),
        needs=[rotates.may_rotate([secret], [])],
        expression="rate(30 days)",
    )


def a_secret(stack: cdk.Stack) -> SecretReference:
    made = secretsmanager.Secret(stack, "Secret")
    return SecretReference("app", made.secret_arn, made.secret_arn)


@pytest.mark.parametrize("apart", ["security group", "database", "secret", "nothing"])
def test_two_stacks_without_a_cycle(tmp_path: Path, apart: str) -> None:
    app = cdk.App(outdir=str(tmp_path / "out"))
    one, two = cdk.Stack(app, "One"), cdk.Stack(app, "Two")
    vpc: Any = ec2.Vpc.from_vpc_attributes(
        one, "Vpc", vpc_id="vpc-00000001", availability_zones=["a"], isolated_subnet_ids=["subnet-00000001"]
    )
    group = "sg-00000001"
    secret = a_secret(one if apart == "secret" else two)
    if apart == "security group":
        group = ec2.SecurityGroup(one, "Group", vpc=vpc).security_group_id
    if apart == "database":
        database = rds.DatabaseInstance(
            one,
            "Database",
            engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17),
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            credentials=rds.Credentials.from_generated_secret("app"),
        )
        group = database.connections.security_groups[0].security_group_id
        arn = str(database.secret and database.secret.secret_arn)
        secret = SecretReference("app", arn, arn)
    schedule(two, function(two, group), secret)
    assembly = app.synth()
    needs = {stack.stack_name: {one.id for one in stack.dependencies} for stack in assembly.stacks}
    assert not any("Two" in name for name in needs["One"])
    assert any("One" in name for name in needs["Two"]) == (apart != "nothing")
