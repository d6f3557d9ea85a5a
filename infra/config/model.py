"""The keys of ``rotations.yaml``. Each field's description is what an editor shows (``rotations.schema.json``)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from rotators.settings import address

CUSTOM = "custom"
"""The engine of a secret that the user's own rotator rotates."""
Engine = Literal["postgres", "mysql", "mariadb", "oracle", "sqlserver", "db2", "mongo", "redshift", "custom"]
Strategy = Literal["auto", "single-user", "dual-password", "alternating-users"]
Architecture = Literal["arm64", "x86_64"]

_ARN = r"^arn:aws(-cn|-us-gov|-eusc|-iso|-iso-b|-iso-e|-iso-f)?:"
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}$")]
# Only an AWS service may use ! in a secret's name.
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
# The databases whose admin's secret AWS manages, and whose API returns the endpoint:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.html
_DATABASE = re.compile(
    _ARN
    + r"(rds:[a-z0-9-]+:\d{12}:(db|cluster):[A-Za-z0-9-]+|redshift:[a-z0-9-]+:\d{12}:cluster:[a-z0-9-]+"
    + r"|redshift-serverless:[a-z0-9-]+:\d{12}:namespace/[a-z0-9-]+)$"
)
# For a value that does not match a pattern: what it is not, in words.
FORMS = {
    SECRET_ARN: "not the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SIX6AB",
    KEY_ARN: "not the ARN of a KMS key (an alias is not allowed): arn:aws:kms:REGION:ACCOUNT:key/ID",
    _POLICY_ARN: "not the ARN of a managed policy: arn:aws:iam::ACCOUNT:policy/NAME",
    _TOPIC_ARN: "not the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME",
    _ROLE_ARN: "not the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME",
    _CODE_SIGNING_ARN: "not the ARN of a code signing configuration",
    _EMAIL: "not an email address",
    _ACTION: "not an IAM action: write service:Action, as in sqs:SendMessage",
    _RESOURCE: "neither an ARN nor '*'",
}
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Password(_Model):
    """How passwords look: the first one, and each later one."""

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
    """A secret that the stack creates."""

    name: SecretName = Field(description="Its name.")
    description: str | None = Field(None, description="What it is for.")
    values: dict[str, Any] = Field(
        description="Its JSON without the password: username, host, port, dbname. The secret is created with only a "
        "password, and each rotation writes these values: an edit takes effect with the next rotation. The username is "
        "written once. Set the secret's password for the user, or let the admin do that with allow_admin_reset."
    )
    replicas: list[Region | Replica] = Field(
        default_factory=list, description="Regions to replicate it to: each by its name, or as region and kms_key."
    )
    protect: bool = Field(default=True, description="Add a resource policy that denies its deletion to everybody.")

    @model_validator(mode="after")
    def _check(self) -> Create:
        if "password" in self.values:
            raise ValueError(
                "has a password, which would be in the template: leave it out, Secrets Manager generates one"
            )
        if not isinstance(self.values.get("username"), str):
            raise ValueError("has no username")  # noqa: TRY004  # what pydantic makes a message of
        for key, value in self.values.items():
            if not isinstance(value, str | int | float | bool | None):
                raise ValueError(f"has '{key}', which is neither text nor a number: put it in quotes")  # noqa: TRY004
        return self

    @property
    def copies(self) -> dict[str, str | None]:
        """The Regions of its replicas, and the key of each."""
        return {
            one.region if isinstance(one, Replica) else one: one.kms_key if isinstance(one, Replica) else None
            for one in self.replicas
        }


class Rotating(_Model):
    """The keys of a secret that ``defaults`` may also have."""

    strategy: Strategy = Field("auto", description="How the next credential is made; see docs/reference/strategies.md.")
    every: str | None = Field(None, description="'30 days' or '12 hours'; 'never': only on demand.")
    schedule: str | None = Field(None, description="rate(…) or cron(…), in UTC, as for RotateSecret.")
    stagger: str | None = Field(
        None, description="'4h': begin up to 4 hours later, depending on the secret's name; for a cron with one hour."
    )
    window: str | None = Field(None, description="'3h': the length of the window; by default it ends with the UTC day.")
    rotate_immediately: bool = Field(
        default=False,
        description="Rotate at once when it is deployed or its schedule changes; otherwise only testSecret runs.",
    )
    network: Label | None = Field(None, description="A name from networks; without it the function runs outside a VPC.")
    kms_key: str | None = Field(None, description="The key that encrypts the secret: a name from keys, or an ARN.")
    password: Password | None = Field(None, description="How passwords look.")
    test_query: str | None = Field(None, description="A statement to run as the new user in testSecret.")
    allow_admin_reset: bool = Field(
        default=False, description="The admin may set the password of a user that can't log in."
    )
    twin: Literal["manage", "adopt"] = Field(
        "manage", description="adopt: both users were created by hand, and only their passwords are rotated."
    )


class Defaults(Rotating):
    """The keys of ``defaults``."""

    engine: Engine | None = Field(None, description="The kind of database, or custom.")
    admin: str | None = Field(None, description="The admin's secret, by name or ARN: for alternating users.")


class Secret(Rotating):
    """A secret that rotates."""

    name: SecretName | None = Field(None, description="The name of an existing secret.")
    arn: SecretArn | None = Field(None, description="The ARN of an existing secret, also in another account.")
    create: Create | None = Field(None, description="A secret to create.")
    engine: Engine = Field(
        description="The kind of database; custom: your own code rotates it, which `functions` names."
    )
    admin: str | None = Field(None, description="The admin's secret, by name or ARN: for alternating users.")
    admin_named_in_secret: bool = Field(
        default=False,
        description="The secret itself names its admin as masterarn; admin then only adds the permission to read it.",
    )
    admin_kms_key: str | None = Field(None, description="The key that encrypts the admin's secret.")
    admin_host: str | None = Field(
        None,
        description="Where the admin logs in, if its secret has no host; required if RDS or Redshift manages the "
        "secret. The writer's endpoint, with or without a port. Or the ARN of the DB instance, cluster or namespace: "
        "the function then asks AWS for the endpoint.",
    )
    user: str | None = Field(
        None,
        min_length=1,
        description="The user's name in the database: required for allow_admin_reset and for twin: adopt, which apply "
        "only to this user and its second user. By default the username of a secret to create.",
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="The database's port, if it is not the engine's default."
    )
    database_security_group: SecurityGroupId | None = Field(
        None, description="The database's security group, if it is not the network's."
    )
    database_cidr: Cidr | None = Field(
        None, description="The database's addresses, if it has no security group of AWS."
    )
    function: Label | None = Field(None, description="The function that rotates it, if it needs its own.")

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
        """The ARN of the database whose endpoint is the admin's address."""
        return self.admin_host if self.admin_host is not None and _DATABASE.match(self.admin_host) else None

    @property
    def admin_address(self) -> tuple[str, int | None] | None:
        """The admin's host and port, if the file has them."""
        return address(self.admin_host) if self.admin_host is not None and self.admin_database is None else None

    @property
    def admin_manager(self) -> str | None:
        """The service that manages the admin's secret: ``rds`` or ``redshift``. Only such a name may have a ``!``."""
        name = str(self.admin).rpartition(":secret:")[2]
        return next((service for service in ("rds", "redshift") if name.startswith(f"{service}!")), None)

    @property
    def names_its_user(self) -> bool:
        """Whether a key of the file applies to one user, who must be named."""
        return self.allow_admin_reset or self.twin == "adopt"

    @property
    def named_user(self) -> str | None:
        """The user that the file names."""
        if self.user is None and self.names_its_user and self.create is not None:
            return str(self.create.values["username"])
        return self.user

    @property
    def made_values(self) -> dict[str, Any]:
        """The values of a secret to create, other than the password."""
        values = {} if self.create is None else {"engine": self.engine, **self.create.values}
        if self.admin is not None and self.admin_named_in_secret:
            values.setdefault("masterarn", self.admin)
        return values

    @property
    def label(self) -> str:
        """Its name in messages: its name, or the name in its ARN."""
        if self.arn is not None:
            # An ARN ends in a hyphen and six characters that Secrets Manager adds.
            return re.sub(r"-[A-Za-z0-9]{6}$", "", self.arn.split(":")[6])
        return self.create.name if self.create is not None else str(self.name)

    @property
    def account(self) -> str | None:
        """The account that it is in, if that is known."""
        return self.arn.split(":")[4] if self.arn is not None else None

    @property
    def function_label(self) -> str:
        """The function that rotates it: by default one for all secrets with its engine, network and strategy."""
        parts = (self.engine, self.network, None if self.strategy == "auto" else self.strategy)
        return self.function or "-".join(part for part in parts if part)


class Network(_Model):
    """Where functions run to reach databases in a VPC."""

    vpc: VpcId = Field(description="The VPC.")
    subnets: list[SubnetId] = Field(min_length=1, description="The subnets, one or more.")
    kind: Literal["private", "isolated", "public"] = Field(
        description="private: with a route to a NAT gateway; isolated: without a route to the internet; public: with a "
        "route to an internet gateway."
    )
    secrets_manager: Literal["nat", "create-endpoint"] | SecurityGroupId = Field(
        description="How the functions reach Secrets Manager: through the NAT gateway, through an endpoint that the "
        "stack creates, or through an existing endpoint: then write its security group."
    )
    endpoint_subnets: list[SubnetId] | None = Field(
        None,
        min_length=1,
        description="For create-endpoint: the subnets that it is in, one of each zone; by default all of subnets. EC2 "
        "refuses two subnets of one zone.",
    )
    private_dns_for: list[Cidr] | None = Field(
        None,
        min_length=1,
        description="For create-endpoint: give it private DNS, so that everything in the VPC uses it, and allow these "
        "addresses: the VPC's. By default only the functions use it.",
    )
    database_security_group: SecurityGroupId | None = Field(
        None, description="The databases' security group: the stack adds a rule that allows the functions."
    )
    database_cidr: Cidr | None = Field(
        None, description="The addresses of databases that have no security group of AWS."
    )
    security_group: SecurityGroupId | None = Field(
        None, description="Your own security group for the functions: the stack adds no rule to it."
    )


class Function(_Model):
    """The settings of a function."""

    architecture: Architecture | None = Field(None, description="By default arm64, and x86_64 for Db2.")
    memory: int = Field(256, ge=128, le=10240, description="MB.")
    timeout: int = Field(60, ge=10, le=900, description="Seconds for a step.")
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
    reserved_concurrency: int | None = Field(
        None, ge=10, le=1000, description="10 or more: with fewer, rotations are throttled."
    )
    tracing: bool = Field(default=False, description="X-Ray.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The level of the log.")
    environment: dict[VariableName, str] = Field(
        default_factory=dict,
        description="More variables: docs/reference/settings.md. Variables that other keys of this file set are "
        "refused.",
    )
    snap_start: bool = Field(default=False, description="SnapStart, and an alias that rotations use.")
    role: RoleArn | None = Field(
        None, description="Your own role; the stack adds the permissions of this page to it, and no others."
    )
    code_signing_config: CodeSigningArn | None = Field(
        None, description="The code signing configuration: only signed code is deployed."
    )


class Permission(_Model):
    """A permission that the user's own rotator needs, other than for its secrets."""

    actions: list[Action] = Field(min_length=1, description="The actions, as IAM writes them.")
    resources: list[Resource] = Field(min_length=1, description="The ARNs.")
    conditions: dict[str, dict[str, str | list[str]]] = Field(
        default_factory=dict, description="The conditions, as IAM writes them."
    )
    because: Annotated[str, StringConstraints(min_length=10, max_length=500)] | None = Field(
        None, description="Why an action or a resource has a wildcard; required if one has."
    )


class NamedFunction(Function):
    """The settings of one function: for `engine: custom`, its code too."""

    code: str | None = Field(
        None,
        description="The folder with your rotator's modules, beside rotations.yaml: docs/how-to/write-a-rotator.md.",
    )
    handler: str | None = Field(None, description="The instance of your Rotator, as Lambda names it: module.handler.")
    requirements: str | None = Field(
        None, description="The lock file, with hashes, of what it imports other than rotators, Powertools and boto3."
    )
    permissions: list[Permission] = Field(
        default_factory=list, description="Its permissions, other than for its secrets. By default none."
    )
    ports: list[Port] = Field(
        default_factory=list,
        description="In a network: the ports that it may reach at database_security_group or database_cidr, for each "
        "secret without a port. By default none.",
    )

    @model_validator(mode="after")
    def _check(self) -> NamedFunction:
        if (self.code is None) != (self.handler is None):
            raise ValueError("needs both code and handler, or neither: code: src, handler: module.handler")
        if self.code is None and self.requirements is not None:
            raise ValueError("has requirements without code: give code and handler")
        return self


class Key(_Model):
    """A KMS key: an existing one, or one to create."""

    arn: KeyArn | None = Field(None, description="The ARN of an existing key.")
    create: str | None = Field(None, description="The description of a key to create.")
    alias: KeyAlias | None = Field(None, description="The alias of a key to create, without alias/.")
    pending_window_days: int | None = Field(
        None, ge=7, le=30, description="How long a created key can be restored after its deletion; by default 30."
    )

    @model_validator(mode="after")
    def _check(self) -> Key:
        if (self.arn is None) == (self.create is None):
            raise ValueError("needs either arn or create")
        if self.arn is not None and (self.alias is not None or self.pending_window_days is not None):
            raise ValueError("has arn; alias and pending_window_days are only for a key to create")
        if self.alias is not None and self.alias.startswith("aws/"):
            raise ValueError("has an alias that begins with aws/, which AWS reserves")
        return self


class CaBundle(_Model):
    """The CA certificates that functions trust."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None,
        description="RDS's own bundle, downloaded from AWS when deploying: the hash of the bundle that you checked.",
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
        90, description="How many days they are kept."
    )
    kms_key: KeyArn | None = Field(
        None, description="The key that encrypts them; its policy must allow CloudWatch Logs."
    )


class Alarms(_Model):
    """Where alarms are sent."""

    topic: TopicArn | None = Field(None, description="An existing SNS topic; otherwise the stack creates one.")
    email: list[Email] = Field(default_factory=list, description="Email addresses that the created topic notifies.")

    @model_validator(mode="after")
    def _check(self) -> Alarms:
        if self.topic is not None and self.email:
            raise ValueError("has topic and email: subscribe to your topic yourself, or leave it out")
        return self


class Fleet(_Model):
    """A state machine that rotates many secrets at once."""

    keep_days: int = Field(90, ge=1, le=3650, description="How many days the results of its runs are kept.")


class Rotations(_Model):
    """The whole file."""

    stack: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")] = Field(
        "Rotations",
        description="The name of the CloudFormation stack. By default Rotations; if the file has another name than "
        "rotations.yaml, with that name: Rotations-Payments.",
    )
    stacks: int = Field(
        1,
        ge=1,
        le=50,
        description="How many stacks the secrets are distributed over, by their names. You may raise it later, but "
        "never lower it: docs/how-to/change.md.",
    )
    account: Account | None = Field(
        None, description="The account that you deploy to. Secrets of other accounts are recognized by it."
    )
    region: Region | None = Field(None, description="The Region that you deploy to.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of all resources.")
    permissions_boundary: PolicyArn | None = Field(None, description="The permissions boundary of every role.")
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}$")] | None = Field(
        None,
        description="The beginning of the names of functions and roles; use another one in each Region. By default "
        "CloudFormation generates the names.",
    )
    ca_bundle: CaBundle | None = Field(None, description="The CA certificates that functions trust.")
    alarms: Alarms = Field(default=Alarms(), description="Where alarms are sent.")
    logs: Logs = Field(default=Logs(), description="The functions' logs.")
    fleet: Fleet | None = Field(
        None,
        description="Create a state machine that rotates many of the secrets at once, for example after a leak: write "
        "fleet: {}; see docs/how-to/rotate-a-fleet.md. With several stacks, each has one for its secrets.",
    )
    defaults: dict[str, Any] = Field(
        default_factory=dict, description="Values for every secret that does not set its own."
    )
    keys: dict[Label, Key] = Field(default_factory=dict, description="KMS keys, by names that you choose.")
    networks: dict[Label, Network] = Field(default_factory=dict, description="Networks, by names that you choose.")
    function: Function = Field(default=Function(), description="Settings of every function.")
    functions: dict[Label, dict[str, Any]] = Field(
        default_factory=dict, description="Settings of one function, by its name."
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
        """The partition of the Region that is deployed to: ``aws`` if none is named."""
        region = self.region or ""
        return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
