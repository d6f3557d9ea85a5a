"""What was granted to a user: the catalog's views, read into values.

https://www.ibm.com/docs/en/db2/11.5.x?topic=views-road-map-catalog
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotators.engines.rights import Right

if TYPE_CHECKING:
    from rotators.engines.db2.session import Db2Session

# Who owns an object has its rights from the system itself, and they can't be revoked.
_SYSTEM = "SYSIBM"
_GROUPS = "SELECT RTRIM(G.GROUP) FROM TABLE(SYSPROC.AUTH_LIST_GROUPS_FOR_AUTHID(CAST(? AS VARCHAR(128)))) AS G"
_KNOWN = "SELECT COUNT(*) FROM SYSIBMADM.AUTHORIZATIONIDS WHERE AUTHID = ? AND AUTHIDTYPE = 'U'"
_AUTHORITIES = """
SELECT RTRIM(A.AUTHORITY)
FROM TABLE(SYSPROC.AUTH_LIST_AUTHORITIES_FOR_AUTHID(CAST(? AS VARCHAR(128)), 'U')) AS A
WHERE 'Y' IN (A.D_USER, A.D_GROUP, A.ROLE_USER, A.ROLE_GROUP)
"""
# Given by rdsadmin.dbadm_grant alone: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-granting-revoking-privileges.html
ADMINISTRATIVE = {"DBADM", "SECADM", "ACCESSCTRL", "DATAACCESS", "SQLADM", "WLMADM"}


@dataclass(frozen=True)
class _View:
    """A view of the catalog.

    Args:
        name: of the view, in SYSCAT.
        kind: what its rights are on.
        columns: those that name the object.
        on: the object as GRANT takes it, of those columns, quoted.
        privileges: as GRANT takes them, by the view's column.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    on: str
    privileges: dict[str, str]

    @property
    def statement(self) -> str:
        """Reads a user's rows."""
        columns = ", ".join(("GRANTOR", *(f"RTRIM({column})" for column in self.columns), *self.privileges))
        return f"SELECT {columns} FROM SYSCAT.{self.name} WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"  # noqa: S608  # ours


_TABLE = {
    "CONTROLAUTH": "CONTROL",
    "ALTERAUTH": "ALTER",
    "DELETEAUTH": "DELETE",
    "INDEXAUTH": "INDEX",
    "INSERTAUTH": "INSERT",
    "REFAUTH": "REFERENCES",
    "SELECTAUTH": "SELECT",
    "UPDATEAUTH": "UPDATE",
}
_DATABASE = {
    "CONNECTAUTH": "CONNECT",
    "CREATETABAUTH": "CREATETAB",
    "BINDADDAUTH": "BINDADD",
    "IMPLSCHEMAAUTH": "IMPLICIT_SCHEMA",
    "LOADAUTH": "LOAD",
    "EXTERNALROUTINEAUTH": "CREATE_EXTERNAL_ROUTINE",
    "NOFENCEAUTH": "CREATE_NOT_FENCED_ROUTINE",
    "QUIESCECONNECTAUTH": "QUIESCE_CONNECT",
    "EXPLAINAUTH": "EXPLAIN",
    "CREATESECUREAUTH": "CREATE_SECURE_OBJECT",
}
_VIEWS = (
    _View("DBAUTH", "database", (), "DATABASE", _DATABASE),
    _View("TABAUTH", "table", ("TABSCHEMA", "TABNAME"), "TABLE {}.{}", _TABLE),
    _View("INDEXAUTH", "index", ("INDSCHEMA", "INDNAME"), "INDEX {}.{}", {"CONTROLAUTH": "CONTROL"}),
    _View(
        "SCHEMAAUTH",
        "schema",
        ("SCHEMANAME",),
        "SCHEMA {}",
        {"ALTERINAUTH": "ALTERIN", "CREATEINAUTH": "CREATEIN", "DROPINAUTH": "DROPIN"},
    ),
    _View(
        "PACKAGEAUTH",
        "package",
        ("PKGSCHEMA", "PKGNAME"),
        "PACKAGE {}.{}",
        {"CONTROLAUTH": "CONTROL", "BINDAUTH": "BIND", "EXECUTEAUTH": "EXECUTE"},
    ),
    _View(
        "SEQUENCEAUTH",
        "sequence",
        ("SEQSCHEMA", "SEQNAME"),
        "SEQUENCE {}.{}",
        {"ALTERAUTH": "ALTER", "USAGEAUTH": "USAGE"},
    ),
    _View("TBSPACEAUTH", "tablespace", ("TBSPACE",), "TABLESPACE {}", {"USEAUTH": "USE"}),
    _View(
        "VARIABLEAUTH",
        "variable",
        ("VARSCHEMA", "VARNAME"),
        "VARIABLE {}.{}",
        {"READAUTH": "READ", "WRITEAUTH": "WRITE"},
    ),
    _View("MODULEAUTH", "module", ("MODULESCHEMA", "MODULENAME"), "MODULE {}.{}", {"EXECUTEAUTH": "EXECUTE"}),
    _View("WORKLOADAUTH", "workload", ("WORKLOADNAME",), "WORKLOAD {}", {"USAGEAUTH": "USAGE"}),
)
_COLUMNS = """
SELECT GRANTOR, RTRIM(TABSCHEMA), TABNAME, COLNAME, PRIVTYPE, GRANTABLE
FROM SYSCAT.COLAUTH WHERE GRANTEE = ? AND GRANTEETYPE = 'U'
"""
_COLUMN_PRIVILEGES = {"U": "UPDATE", "R": "REFERENCES"}
_ROUTINES = """
SELECT GRANTOR, RTRIM(SCHEMA), SPECIFICNAME, ROUTINETYPE, EXECUTEAUTH
FROM SYSCAT.ROUTINEAUTH WHERE GRANTEE = ? AND GRANTEETYPE = 'U' AND EXECUTEAUTH <> 'N'
"""
_ROUTINE_KINDS = {"F": "FUNCTION", "P": "PROCEDURE", "M": "METHOD"}
_ROLES = "SELECT GRANTOR, ROLENAME, ADMIN FROM SYSCAT.ROLEAUTH WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"


@dataclass(frozen=True)
class Grants:
    """What a user may do.

    Args:
        explicit: what somebody granted.
        implicit: what it has as the owner.
    """

    explicit: frozenset[Right]
    implicit: frozenset[Right]

    @property
    def all(self) -> set[Right]:
        """Both."""
        return set(self.explicit | self.implicit)


def quoted(name: str) -> str:
    """A name in a statement, which nothing is pasted into.

    https://www.ibm.com/docs/en/db2/11.5.x?topic=elements-identifiers
    """
    return '"' + name.replace('"', '""') + '"'


def authid(user: str) -> str:
    """A user of the host as the catalog has it."""
    return user.upper()


def groups(session: Db2Session, user: str) -> set[str]:
    """The groups of the host that a user is in."""
    return {str(group) for (group,) in session.execute(_GROUPS, (authid(user),))} - {"PUBLIC"}


def is_known(session: Db2Session, user: str) -> bool:
    """Whether anything was ever granted to a user of that name."""
    return bool(session.execute(_KNOWN, (authid(user),))[0][0])


def authorities(session: Db2Session, user: str) -> set[str]:
    """A user's authorities over the database, by whatever group or role."""
    return {str(authority) for (authority,) in session.execute(_AUTHORITIES, (authid(user),))}


def grants(session: Db2Session, user: str) -> Grants:
    """All that a user has in the present database."""
    found = list(_read(session, authid(user)))
    return Grants(
        frozenset(right for grantor, right in found if grantor != _SYSTEM),
        frozenset(right for grantor, right in found if grantor == _SYSTEM),
    )


def _read(session: Db2Session, user: str) -> Iterator[tuple[str, Right]]:
    for view in _VIEWS:
        for grantor, *values in session.execute(view.statement, (user,)):
            names, states = values[: len(view.columns)], values[len(view.columns) :]
            on = view.on.format(*(quoted(str(name)) for name in names))
            for privilege, state in zip(view.privileges.values(), states, strict=True):
                # Of CONTROL and what is on the database, nothing can be passed on.
                if state in {"Y", "G"}:
                    yield str(grantor).strip(), Right(view.kind, privilege, on, state == "G")
    for grantor, schema, table, column, privilege, option in session.execute(_COLUMNS, (user,)):
        what = f"{_COLUMN_PRIVILEGES[privilege]} ({quoted(column)})"
        yield str(grantor).strip(), Right("column", what, f"TABLE {quoted(schema)}.{quoted(table)}", option == "G")
    for grantor, schema, name, kind, state in session.execute(_ROUTINES, (user,)):
        word = _ROUTINE_KINDS[kind]
        # Without a name: on all of the schema, also those to come.
        on = f"{word} {quoted(schema)}.*" if name is None else f"SPECIFIC {word} {quoted(schema)}.{quoted(name)}"
        yield str(grantor).strip(), Right("routine", "EXECUTE", on, state == "G")
    for grantor, role, admin in session.execute(_ROLES, (user,)):
        yield str(grantor).strip(), Right("role", f"ROLE {quoted(role)}", passed_on=admin == "Y")
