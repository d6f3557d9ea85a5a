"""What is known about each engine without its driver: one row each, for names, packaging, infra and the engines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NameUnit(Enum):
    """The unit in which a server counts a name's length."""

    CHARACTERS = "characters"
    BYTES = "bytes"
    UTF16_UNITS = "UTF-16 code units"

    def length(self, name: str) -> int:
        """The length of a name in this unit."""
        if self is NameUnit.BYTES:
            return len(name.encode(errors="surrogatepass"))
        if self is NameUnit.UTF16_UNITS:
            return len(name.encode("utf-16-le", "surrogatepass")) // 2
        return len(name)


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """An engine.

    Args:
        name: its handler's module, and the usual ``engine`` in a secret.
        title: the product's name, for messages.
        spellings: the values that a secret's ``engine`` may have, as in RDS's API and older secrets:
            https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
        port: where the server listens by default.
        driver_layer: the folder of ``layers/`` that holds its driver.
        longest_password: the most characters in a password.
        longest_name: the longest name of a user.
        name_unit: the unit of ``longest_name``.
        second_password: whether some version supports two passwords for a user.
        self_service: whether a user may change its own password.
        public_ca: whether its certificates are signed by a public CA, which a function's operating system trusts, and
            not by RDS's.
        x86_only: whether its driver is published for x86_64 only.
        locks: the setting that locks a user after some refused logins; empty if there is none.
        reset_statement: the statement with which an admin sets a password, to be completed by hand; ``{}`` is the user.
    """

    name: str
    title: str
    spellings: frozenset[str]
    port: int
    driver_layer: str
    longest_password: int
    longest_name: int
    name_unit: NameUnit = NameUnit.CHARACTERS
    second_password: bool = False
    self_service: bool = True
    public_ca: bool = False
    x86_only: bool = False
    locks: str = ""
    reset_statement: str = ""

    @property
    def blocks_users(self) -> bool:
        """Whether the server may block a user after wrong passwords."""
        return bool(self.locks)


_ROWS = (
    EngineSpec(
        name="postgres",
        title="PostgreSQL",
        spellings=frozenset({"postgres", "postgresql", "aurora-postgresql"}),
        port=5432,
        driver_layer="postgres",
        longest_password=128,
        # NAMEDATALEN - 1: the server would cut a longer name and say so only in a notice.
        # https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
        longest_name=63,
        name_unit=NameUnit.BYTES,
        reset_statement="ALTER ROLE \"{}\" PASSWORD '…'",
    ),
    EngineSpec(
        name="mysql",
        title="MySQL",
        spellings=frozenset({"mysql", "aurora-mysql", "aurora"}),
        port=3306,
        driver_layer="mysql",
        # Longer ones are slow to hash:
        # https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html
        longest_password=128,
        # https://dev.mysql.com/doc/refman/8.4/en/user-names.html
        longest_name=32,
        second_password=True,
        locks="FAILED_LOGIN_ATTEMPTS of the account",
        reset_statement="ALTER USER '{}'@'%' IDENTIFIED BY '…'",
    ),
    EngineSpec(
        name="mariadb",
        title="MariaDB",
        spellings=frozenset({"mariadb"}),
        port=3306,
        driver_layer="mysql",
        longest_password=128,
        # https://mariadb.com/kb/en/identifier-names/#maximum-length
        longest_name=80,
        second_password=True,
        locks="max_password_errors of the server",
        reset_statement="ALTER USER '{}'@'%' IDENTIFIED BY '…'",
    ),
    EngineSpec(
        name="oracle",
        title="Oracle",
        spellings=frozenset({"oracle"}),
        port=1521,
        driver_layer="oracle",
        # What a database link takes:
        # https://docs.oracle.com/en/database/oracle/oracle-database/19/dbseg/configuring-authentication.html
        longest_password=30,
        # From 12.2 on:
        # https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/Database-Object-Names-and-Qualifiers.html
        longest_name=128,
        name_unit=NameUnit.BYTES,
        second_password=True,
        locks="FAILED_LOGIN_ATTEMPTS of the user's profile",
        reset_statement='ALTER USER "{}" IDENTIFIED BY "…"',
    ),
    EngineSpec(
        name="sqlserver",
        title="SQL Server",
        spellings=frozenset({"sqlserver"}),
        port=1433,
        driver_layer="sqlserver",
        # https://learn.microsoft.com/sql/relational-databases/security/password-policy
        longest_password=128,
        # sysname is nvarchar(128): https://learn.microsoft.com/sql/relational-databases/databases/database-identifiers
        longest_name=128,
        name_unit=NameUnit.UTF16_UNITS,
        locks="CHECK_POLICY of the login",
        reset_statement="ALTER LOGIN [{}] WITH PASSWORD = '…'",
    ),
    EngineSpec(
        name="db2",
        title="Db2",
        spellings=frozenset({"db2"}),
        port=50000,
        driver_layer="db2",
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-sp-granting-revoking-privileges.html
        longest_password=128,
        longest_name=32,
        self_service=False,
        x86_only=True,
        locks="the host's own policy",
        reset_statement="CALL rdsadmin.change_password(?, '<database>', '{}', '…')",
    ),
    EngineSpec(
        name="mongo",
        title="MongoDB",
        spellings=frozenset({"mongo", "docdb"}),
        port=27017,
        driver_layer="mongo",
        # DocumentDB's: https://docs.aws.amazon.com/documentdb/latest/developerguide/limits.html
        longest_password=100,
        longest_name=63,
        reset_statement='db.updateUser("{}", {{pwd: passwordPrompt()}})',
    ),
    EngineSpec(
        name="redshift",
        title="Redshift",
        spellings=frozenset({"redshift"}),
        port=5439,
        driver_layer="postgres",
        # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
        longest_password=64,
        # https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
        longest_name=127,
        name_unit=NameUnit.BYTES,
        # https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-ssl-support.html
        public_ca=True,
        reset_statement="ALTER USER \"{}\" PASSWORD '…'",
    ),
)
SPECS: dict[str, EngineSpec] = {row.name: row for row in _ROWS}
"""Each engine by its name, which is its handler's module and the first of its spellings."""
