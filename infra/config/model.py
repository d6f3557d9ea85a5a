"""What ``rotations.yaml`` may hold. Each field's description is what an editor shows (``rotations.schema.json``)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from rotators.settings import address

CUSTOM = "custom"
"""The engine of a secret that a rotator of the user's own rotates."""
Engine = Literal["postgres", "mysql", "mariadb", "oracle", "sqlserver", "db2", "mongo", "redshift", "custom"]
Strategy = Literal["auto", "single-user", "dual-password", "alternating-users"]
Architecture = Literal["arm64", "x86_64"]

_ARN = r"^arn:aws(-cn|-us-gov|-eusc|-iso|-iso-b|-iso-e|-iso-f)?:"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}$")]
# Nobody but an AWS service may have a ! in a secret's name.
NAME = r"^[A-Za-z0-9/_+=.@!-]{1,512}$"
SECRET_ARN = _ARN + r"secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+$"
SecretArn = Annotated[str, StringConstraints(pattern=SECRET_ARN)]
KEY_ARN = _ARN + r"kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$"
KeyArn = Annotated[str, StringConstraints(pattern=KEY_ARN)]
_POLICY_ARN = _ARN + r"iam::(\d{12}|aws):policy/[\w+=,.@/-]+$"
PolicyArn = Annotated[str, StringConstraints(pattern=_POLICY_ARN)]
_TOPIC_ARN = _ARN + r"sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$"
TopicArn = Annotated[str, StringConstraints(pattern=_TOPIC_ARN)]
_ROLE_ARN = _ARN + r"iam::\d{12}:role/[\w+=,.@/-]+$"
RoleArn = Annotated[str, StringConstraints(pattern=_ROLE_ARN)]
_CODE_SIGNING_ARN = _ARN + r"lambda:[a-z0-9-]+:\d{12}:code-signing-config:csc-[a-z0-9]+$"
CodeSigningArn = Annotated[str, StringConstraints(pattern=_CODE_SIGNING_ARN)]
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$")]
SecurityGroupId = Annotated[str, StringConstraints(pattern=r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$")]
Account = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$")]
# The Regions of a partition begin alike: https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "eusc-": "aws-eusc",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}
Cidr = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
Email = Annotated[str, StringConstraints(pattern=_EMAIL)]
_ACTION = r"^[a-z0-9-]+:[A-Za-z0-9*?]+$"
Action = Annotated[str, StringConstraints(pattern=_ACTION)]
_RESOURCE = r"^(\*|arn:\S+)$"
Resource = Annotated[str, StringConstraints(pattern=_RESOURCE)]
Port = Annotated[int, Field(ge=1, le=65535)]
KeyAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_-]{1,250}$")]
# Lambda's own variables begin with AWS_: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]+$")]
# The databases whose admin's secret AWS manages, and which tell their endpoint:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.html
_DATABASE = re.compile(
    _ARN
    + r"(rds:[a-z0-9-]+:\d{12}:(db|cluster):[A-Za-z0-9-]+|redshift:[a-z0-9-]+:\d{12}:cluster:[a-z0-9-]+"
    + r"|redshift-serverless:[a-z0-9-]+:\d{12}:namespace/[a-z0-9-]+)$"
)
# What a value that is not of a form is not, in words.
FORMS = {
    SECRET_ARN: "no ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SIX6AB",
    KEY_ARN: "no ARN of a KMS key, an alias' neither: arn:aws:kms:REGION:ACCOUNT:key/ID",
    _POLICY_ARN: "no ARN of a managed policy: arn:aws:iam::ACCOUNT:policy/NAME",
    _TOPIC_ARN: "no ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME",
    _ROLE_ARN: "no ARN of a role: arn:aws:iam::ACCOUNT:role/NAME",
    _CODE_SIGNING_ARN: "no ARN of a code signing configuration",
    _EMAIL: "no address of mail",
    _ACTION: "no action of IAM: write service:Action, as in sqs:SendMessage",
    _RESOURCE: "neither an ARN nor '*'",
}
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


class Replica(_Model):
    """A copy of a secret in another Region."""

    region: Region = Field(description="The Region.")
    kms_key: str | None = Field(
        None, description="The ARN of a key there; by default that Region's aws/secretsmanager."
    )


class Create(_Model):
    """A secret to make."""

    name: SecretName = Field(description="Its name.")
    description: str | None = Field(None, description="What it is for.")
    values: dict[str, Any] = Field(
        description="Its JSON but for the password: username, host, port, dbname. The secret is made with a password "
        "alone, and each rotation writes these: an edit arrives with the next one. The username is written once. "
        "Set the user's password to the secret's, or have the admin do so with allow_admin_reset."
    )
    replicas: list[Region | Replica] = Field(
        default_factory=list, description="Regions to copy it to: each by its name, or as region and kms_key."
    )
    protect: bool = Field(default=True, description="A resource policy that denies everybody to delete it.")

    @model_validator(mode="after")
    def _check(self) -> Create:
        if "password" in self.values:
            raise ValueError("holds a password, which would stand in the template: leave it out, the service makes one")
        if not isinstance(self.values.get("username"), str):
            raise ValueError("names no username")  # noqa: TRY004  # what pydantic makes a message of
        for key, value in self.values.items():
            if not isinstance(value, str | int | float | bool | None):
                raise ValueError(f"holds '{key}', which is neither text nor a number: put it in quotes")  # noqa: TRY004
        return self

    @property
    def copies(self) -> dict[str, str | None]:
        """The Regions to copy it to, and the key of each copy."""
        return {
            one.region if isinstance(one, Replica) else one: one.kms_key if isinstance(one, Replica) else None
            for one in self.replicas
        }


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


class Defaults(Rotating):
    """What ``defaults`` may hold."""

    engine: Engine | None = Field(None, description="The kind of database, or custom.")
    admin: str | None = Field(None, description="The admin's secret, by name or ARN: for alternating users.")


class Secret(Rotating):
    """A secret that rotates."""

    name: SecretName | None = Field(None, description="The name of one that is there.")
    arn: SecretArn | None = Field(None, description="The ARN of one that is there, perhaps in another account.")
    create: Create | None = Field(None, description="One to make.")
    engine: Engine = Field(
        description="The kind of database; custom: what `function` rotates by code of yours, which `functions` names."
    )
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
    database_cidr: Cidr | None = Field(None, description="Where the database is, if it has no security group of AWS.")
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
    endpoint_subnets: list[SubnetId] | None = Field(
        None,
        min_length=1,
        description="For create-endpoint: the subnets that it is in, one of each zone; by default all of subnets. EC2 "
        "refuses two of one zone.",
    )
    private_dns_for: list[Cidr] | None = Field(
        None,
        min_length=1,
        description="For create-endpoint: give it private DNS, so that everything in the VPC uses it, and let these "
        "addresses in: the VPC's. By default only the functions use it.",
    )
    database_security_group: SecurityGroupId | None = Field(
        None, description="The databases' security group: it lets us in."
    )
    database_cidr: Cidr | None = Field(None, description="Where databases are that have no security group of AWS.")
    security_group: SecurityGroupId | None = Field(
        None, description="A security group of yours for the functions: its rules are yours, and none is added to it."
    )


class Function(_Model):
    """What a function is made of."""

    architecture: Architecture | None = Field(None, description="By default arm64, and x86_64 for Db2.")
    memory: int = Field(256, ge=128, le=10240, description="MB.")
    timeout: int = Field(60, ge=10, le=900, description="Seconds for a step.")
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
    reserved_concurrency: int | None = Field(None, ge=10, le=1000, description="10 or more: fewer throttle rotations.")
    tracing: bool = Field(default=False, description="X-Ray.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What the log tells.")
    environment: dict[VariableName, str] = Field(
        default_factory=dict,
        description="Further variables: docs/reference/settings.md. Those that other keys of this file make are "
        "refused.",
    )
    snap_start: bool = Field(default=False, description="SnapStart, and an alias that rotations go through.")
    role: RoleArn | None = Field(None, description="A role of yours; it gets our permissions, but no others.")
    code_signing_config: CodeSigningArn | None = Field(None, description="Only code signed by it is deployed.")


class Permission(_Model):
    """What a rotator of one's own may do beside rotating its secrets."""

    actions: list[Action] = Field(min_length=1, description="The actions, as IAM writes them.")
    resources: list[Resource] = Field(min_length=1, description="The ARNs.")
    conditions: dict[str, dict[str, str | list[str]]] = Field(
        default_factory=dict, description="On what conditions, as IAM writes them."
    )
    because: Annotated[str, StringConstraints(min_length=10, max_length=500)] | None = Field(
        None, description="Why an action or a resource has a wildcard; none may have one without a reason."
    )


class NamedFunction(Function):
    """What one function is made of: for `engine: custom`, its code too."""

    code: str | None = Field(
        None,
        description="The folder with your rotator's modules, beside rotations.yaml: docs/how-to/write-a-rotator.md.",
    )
    handler: str | None = Field(None, description="The instance of your Rotator, as Lambda names it: module.handler.")
    requirements: str | None = Field(
        None, description="The lock of what it imports beside rotators, Powertools and boto3: with hashes, for Lambda."
    )
    permissions: list[Permission] = Field(
        default_factory=list, description="What it may do beside rotating its secrets. By default nothing."
    )
    ports: list[Port] = Field(
        default_factory=list,
        description="For a network: the ports that it reaches at database_security_group or database_cidr, for each "
        "secret that names no port. By default none.",
    )

    @model_validator(mode="after")
    def _check(self) -> NamedFunction:
        if (self.code is None) != (self.handler is None):
            raise ValueError("needs both code and handler, or neither: code: src, handler: module.handler")
        if self.code is None and self.requirements is not None:
            raise ValueError("has requirements, which are those of code: give code and handler")
        return self


class Key(_Model):
    """A KMS key: one that is there, or one to make."""

    arn: KeyArn | None = Field(None, description="The ARN of one that is there.")
    create: str | None = Field(None, description="The description of one to make.")
    alias: KeyAlias | None = Field(None, description="A name for the one to make, without alias/.")
    pending_window_days: int | None = Field(
        None, ge=7, le=30, description="How long the one to make can be had back after it was deleted; by default 30."
    )

    @model_validator(mode="after")
    def _check(self) -> Key:
        if (self.arn is None) == (self.create is None):
            raise ValueError("needs either arn or create")
        if self.arn is not None and (self.alias is not None or self.pending_window_days is not None):
            raise ValueError("has arn, and alias and pending_window_days are for one to make")
        if self.alias is not None and self.alias.startswith("aws/"):
            raise ValueError("has an alias that begins with aws/, which AWS keeps for itself")
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
    email: list[Email] = Field(default_factory=list, description="Who gets mail from the topic that is made.")

    @model_validator(mode="after")
    def _check(self) -> Alarms:
        if self.topic is not None and self.email:
            raise ValueError("has topic and email: subscribe to your topic yourself, or leave it out")
        return self


class Fleet(_Model):
    """A state machine that rotates many secrets at once."""

    keep_days: int = Field(90, ge=1, le=3650, description="Days that the results of its runs are kept.")


class Rotations(_Model):
    """The whole file."""

    stack: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")] = Field(
        "Rotations",
        description="The name of the CloudFormation stack. By default Rotations; of a file with another name than "
        "rotations.yaml, with that name: Rotations-Payments.",
    )
    stacks: int = Field(
        1,
        ge=1,
        le=50,
        description="Over how many stacks the secrets are spread, by their names. More may be chosen later, and never "
        "fewer: docs/how-to/change.md.",
    )
    account: Account | None = Field(None, description="The account it is deployed to: tells other accounts' secrets.")
    region: Region | None = Field(None, description="The Region it is deployed to.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of everything that is made.")
    permissions_boundary: PolicyArn | None = Field(None, description="The permissions boundary of every role.")
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}$")] | None = Field(
        None,
        description="What the names of functions and roles begin with; another one for each Region. By default "
        "CloudFormation makes their names.",
    )
    ca_bundle: CaBundle | None = Field(None, description="The CA certificates that functions trust.")
    alarms: Alarms = Field(default=Alarms(), description="Who is told.")
    logs: Logs = Field(default=Logs(), description="The functions' logs.")
    fleet: Fleet | None = Field(
        None,
        description="Make a state machine that rotates many of the secrets at once, as after a leak: write fleet: {}; "
        "see docs/how-to/rotate-a-fleet.md. Of several stacks each has one for its secrets.",
    )
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

    @field_validator("fleet", mode="before")
    @classmethod
    def _check_fleet(cls, given: Any) -> Any:
        if given is None:
            raise ValueError("is empty: write fleet: {}, or leave the key out")
        return given

    @property
    def partition(self) -> str:
        """The partition of the Region that is deployed to: ``aws`` where none is named."""
        region = self.region or ""
        return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
