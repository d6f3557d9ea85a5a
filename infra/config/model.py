"""What ``rotations.yaml`` may hold. Each field's description is what an editor shows (``rotations.schema.json``)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from rotators.settings import address

Engine = Literal["postgres", "mysql", "mariadb", "oracle", "sqlserver", "db2", "mongo", "redshift"]
Strategy = Literal["auto", "single-user", "dual-password", "alternating-users"]
Architecture = Literal["arm64", "x86_64"]

_ARN = r"^arn:(aws|aws-cn|aws-us-gov):"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}$")]
SecretArn = Annotated[
    str, StringConstraints(pattern=_ARN + r"secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+$")
]
KeyArn = Annotated[str, StringConstraints(pattern=_ARN + r"kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]
TopicArn = Annotated[str, StringConstraints(pattern=_ARN + r"sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")]
RoleArn = Annotated[str, StringConstraints(pattern=_ARN + r"iam::\d{12}:role/[\w+=,.@/-]+$")]
CodeSigningArn = Annotated[
    str, StringConstraints(pattern=_ARN + r"lambda:[a-z0-9-]+:\d{12}:code-signing-config:csc-[a-z0-9]+$")
]
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$")]
SecurityGroupId = Annotated[str, StringConstraints(pattern=r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$")]
Account = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
# The databases whose admin's secret AWS manages, and which tell their endpoint:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.html
_DATABASE = re.compile(
    _ARN
    + r"(rds:[a-z0-9-]+:\d{12}:(db|cluster):[A-Za-z0-9-]+|redshift:[a-z0-9-]+:\d{12}:cluster:[a-z0-9-]+"
    + r"|redshift-serverless:[a-z0-9-]+:\d{12}:namespace/[a-z0-9-]+)$"
)
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Password(_Model):
    """How passwords look: the first one and each that follows."""

    length: int | None = Field(None, ge=8, le=128, description="Characters; by default 32, and 30 for Oracle.")
    exclude_characters: str | None = Field(
        None, description="Characters that never occur; by default all punctuation but -._~"
    )
    exclude_numbers: bool = Field(default=False, description="No digits.")
    exclude_punctuation: bool = Field(default=False, description="No punctuation.")
    exclude_uppercase: bool = Field(default=False, description="No capital letters.")
    exclude_lowercase: bool = Field(default=False, description="No small letters.")
    require_each_included_type: bool = Field(default=True, description="At least one character of each kind.")


class Create(_Model):
    """A secret to make."""

    name: SecretName = Field(description="Its name.")
    description: str | None = Field(None, description="What it is for.")
    values: dict[str, Any] = Field(
        description="Its JSON but for the password: username, host, port, dbname. The secret is made with a password "
        "alone, and each rotation writes these, so that an edit arrives with the next one; the username is written once. "
        "Set the user's password to the secret's, or have the admin do so with allow_admin_reset."
    )
    replicas: list[Region] = Field(default_factory=list, description="Regions to copy it to.")
    protect: bool = Field(default=True, description="A resource policy that denies everybody to delete it.")

    @model_validator(mode="after")
    def _check(self) -> Create:
        if "password" in self.values:
            raise ValueError("holds a password, which would stand in the template: leave it out, the service makes one")
        if not isinstance(self.values.get("username"), str):
            raise ValueError("names no username")  # noqa: TRY004  # what pydantic makes a message of
        return self


class Rotating(_Model):
    """What a secret has of its own or from ``defaults``."""

    strategy: Strategy = Field("auto", description="How the next credential is made; see docs/reference/strategies.md.")
    every: str | None = Field(None, description="'30 days' or '12 hours'; 'never': on demand only.")
    schedule: str | None = Field(None, description="rate(…) or cron(…), in UTC, as RotateSecret takes it.")
    stagger: str | None = Field(
        None, description="'4h': begin up to so many hours later, by the secret's name; for a cron with one hour."
    )
    window: str | None = Field(None, description="'3h': how long the window is; by default to the end of the UTC day.")
    rotate_immediately: bool = Field(
        default=False, description="Rotate at once when this is deployed or its schedule changes; else only test."
    )
    network: Label | None = Field(None, description="One of networks; without any the function runs outside of a VPC.")
    kms_key: str | None = Field(None, description="The key that encrypts the secret: one of keys, or an ARN.")
    password: Password | None = Field(None, description="How passwords look.")
    test_query: str | None = Field(None, description="A statement to run as the new user in testSecret.")
    allow_admin_reset: bool = Field(default=False, description="The admin may repair a user who can't log in.")
    twin: Literal["manage", "adopt"] = Field(
        "manage", description="adopt: the two users were made by hand, only their passwords are rotated."
    )


class Secret(Rotating):
    """A secret that rotates."""

    name: SecretName | None = Field(None, description="The name of one that is there.")
    arn: SecretArn | None = Field(None, description="The ARN of one that is there, perhaps in another account.")
    create: Create | None = Field(None, description="One to make.")
    engine: Engine = Field(description="The kind of database.")
    admin: str | None = Field(None, description="The admin's secret, by name or ARN: for alternating users.")
    admin_named_in_secret: bool = Field(
        default=False, description="The secret itself names its admin as masterarn; admin then only permits to read it."
    )
    admin_kms_key: str | None = Field(None, description="The key that encrypts the admin's secret.")
    admin_host: str | None = Field(
        None,
        description="Where the admin logs in, if its secret names no host; needed where RDS or Redshift manages it. "
        "The writer's endpoint, with or without a port; or the ARN of the DB instance, cluster or namespace, and the "
        "function asks for its endpoint.",
    )
    user: str | None = Field(
        None,
        min_length=1,
        description="The user's name in the database: needed for allow_admin_reset and for twin: adopt, which hold for "
        "this user and its second one alone. By default the username of a secret to make.",
    )
    port: int | None = Field(None, ge=1, le=65535, description="The database's port, where it is not the engine's.")
    database_security_group: SecurityGroupId | None = Field(
        None, description="The database's security group, where it is not the network's."
    )
    function: Label | None = Field(None, description="The function that rotates it, where it needs one of its own.")

    @field_validator("admin_host")
    @classmethod
    def _check_admin_host(cls, text: str | None) -> str | None:
        if text is not None and not _DATABASE.match(text):
            try:
                address(text)
            except ValueError:
                raise ValueError(
                    f"is '{text}': write a host, host:port, or the ARN of a DB instance, a DB cluster, or a cluster or "
                    "namespace of Redshift"
                ) from None
        return text

    @property
    def admin_database(self) -> str | None:
        """The ARN of the database that is asked for the admin's address."""
        return self.admin_host if self.admin_host is not None and _DATABASE.match(self.admin_host) else None

    @property
    def admin_address(self) -> tuple[str, int | None] | None:
        """The admin's host and port, where they are named."""
        return address(self.admin_host) if self.admin_host is not None and self.admin_database is None else None

    @property
    def admin_manager(self) -> str | None:
        """The service that manages the admin's secret: ``rds`` or ``redshift``. Nobody else's name may hold a ``!``."""
        name = str(self.admin).rpartition(":secret:")[2]
        return next((service for service in ("rds", "redshift") if name.startswith(f"{service}!")), None)

    @property
    def names_its_user(self) -> bool:
        """Whether an order of the file is for one user, who must be named."""
        return self.allow_admin_reset or self.twin == "adopt"

    @property
    def named_user(self) -> str | None:
        """The user as the file names it."""
        if self.user is None and self.names_its_user and self.create is not None:
            return str(self.create.values["username"])
        return self.user

    @property
    def made_values(self) -> dict[str, Any]:
        """What a secret to make holds beside the password."""
        values = {} if self.create is None else {"engine": self.engine, **self.create.values}
        if self.admin is not None and self.admin_named_in_secret:
            values.setdefault("masterarn", self.admin)
        return values

    @property
    def label(self) -> str:
        """What it is called in a message: its name, or the name in its ARN."""
        if self.arn is not None:
            # An ARN ends in a hyphen and six characters that Secrets Manager has added.
            return re.sub(r"-[A-Za-z0-9]{6}$", "", self.arn.split(":", 6)[6])
        return self.create.name if self.create is not None else str(self.name)

    @property
    def account(self) -> str | None:
        """The account it is known to be in."""
        return self.arn.split(":")[4] if self.arn is not None else None

    @property
    def function_label(self) -> str:
        """The function that rotates it: by default one for all that share engine, network and strategy."""
        parts = (self.engine, self.network, None if self.strategy == "auto" else self.strategy)
        return self.function or "-".join(part for part in parts if part)


class Network(_Model):
    """Where functions run to reach databases in a VPC."""

    vpc: VpcId = Field(description="The VPC.")
    subnets: list[SubnetId] = Field(min_length=1, description="The subnets, one or more.")
    kind: Literal["private", "isolated", "public"] = Field(
        description="private: with a route to a NAT gateway; isolated: without; public: to an internet gateway."
    )
    secrets_manager: Literal["nat", "create-endpoint"] | SecurityGroupId = Field(
        description="How the functions reach Secrets Manager: through the NAT gateway, by an endpoint to be made, or "
        "by one that is there: its security group."
    )
    database_security_group: SecurityGroupId = Field(description="The databases' security group: it lets us in.")


class Function(_Model):
    """What a function is made of."""

    architecture: Architecture | None = Field(None, description="By default arm64, and x86_64 for Db2.")
    memory: int = Field(256, ge=128, le=10240, description="MB.")
    timeout: int = Field(60, ge=10, le=900, description="Seconds for a step.")
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
    reserved_concurrency: int | None = Field(None, ge=10, le=1000, description="10 or more: fewer throttle rotations.")
    tracing: bool = Field(default=False, description="X-Ray.")
    snap_start: bool = Field(default=False, description="SnapStart, and an alias that rotations go through.")
    role: RoleArn | None = Field(None, description="A role of yours; it gets our permissions, but no others.")
    code_signing_config: CodeSigningArn | None = Field(None, description="Only code signed by it is deployed.")


class Key(_Model):
    """A KMS key: one that is there, or one to make."""

    arn: KeyArn | None = Field(None, description="The ARN of one that is there.")
    create: str | None = Field(None, description="The description of one to make.")

    @model_validator(mode="after")
    def _check(self) -> Key:
        if (self.arn is None) == (self.create is None):
            raise ValueError("needs either arn or create")
        return self


class CaBundle(_Model):
    """The CA certificates that functions trust."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="RDS's own bundle, fetched from AWS when deploying: the hash of the one that you looked at."
    )
    file: str | None = Field(None, description="A file of CA certificates (PEM), beside rotations.yaml.")

    @model_validator(mode="after")
    def _check(self) -> CaBundle:
        if (self.sha256 is None) == (self.file is None):
            raise ValueError("needs either sha256 or file")
        return self


class Logs(_Model):
    """The functions' logs."""

    retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653] = Field(
        90, description="Days that they are kept."
    )
    kms_key: KeyArn | None = Field(None, description="The key that encrypts them; its policy must let CloudWatch in.")


class Alarms(_Model):
    """Who is told."""

    topic: TopicArn | None = Field(None, description="An SNS topic that is there; else one is made.")


class Rotations(_Model):
    """The whole file."""

    stack: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")] = Field(
        "Rotations", description="The name of the CloudFormation stack."
    )
    account: Account | None = Field(None, description="The account it is deployed to: tells other accounts' secrets.")
    region: Region | None = Field(None, description="The Region it is deployed to.")
    ca_bundle: CaBundle | None = Field(None, description="The CA certificates that functions trust.")
    alarms: Alarms = Field(default=Alarms(), description="Who is told.")
    logs: Logs = Field(default=Logs(), description="The functions' logs.")
    defaults: dict[str, Any] = Field(
        default_factory=dict, description="What holds for every secret that does not say otherwise."
    )
    keys: dict[Label, Key] = Field(default_factory=dict, description="KMS keys, by a name of yours.")
    networks: dict[Label, Network] = Field(default_factory=dict, description="Networks, by a name of yours.")
    function: Function = Field(default=Function(), description="What holds for every function.")
    functions: dict[Label, dict[str, Any]] = Field(
        default_factory=dict, description="What is different for one, by the function's name."
    )
    secrets: list[Secret] = Field(min_length=1, description="The secrets that rotate.")

    @property
    def partition(self) -> str:
        """The partition of the Region that is deployed to: ``aws`` where none is named."""
        prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
        region = self.region or ""
        return next((name for prefix, name in prefixes.items() if region.startswith(prefix)), "aws")
