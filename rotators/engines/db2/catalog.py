"""Reads from the catalog's views who is logged in, and what was granted to a user.

https://www.ibm.com/docs/en/db2/11.5.x?topic=views-road-map-catalog
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotators.engines.db2.quoting import authid, host_user, quoted
from rotators.engines.identity import Account
from rotators.engines.rights import Right

if TYPE_CHECKING:
    from rotators.engines.db2.connection import Connection

# Who owns an object has its rights from the system itself, and they can't be revoked.
_SYSTEM = "SYSIBM"
_GROUPS = "SELECT RTRIM(G.GROUP) FROM TABLE(SYSPROC.AUTH_LIST_GROUPS_FOR_AUTHID(CAST(? AS VARCHAR(128)))) AS G"
_KNOWN = "SELECT COUNT(*) FROM SYSIBMADM.AUTHORIZATIONIDS WHERE AUTHID = ? AND AUTHIDTYPE = 'U'"
_AUTHORITIES = """
SELECT RTRIM(A.AUTHORITY)
FROM TABLE(SYSPROC.AUTH_LIST_AUTHORITIES_FOR_AUTHID(CAST(? AS VARCHAR(128)), 'U')) AS A
WHERE 'Y' IN (A.D_USER, A.D_GROUP, A.ROLE_USER, A.ROLE_GROUP)
"""
# Given by rdsadmin.dbadm_grant alone, or by groups of the host:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-granting-revoking-privileges.html
ADMINISTRATIVE = {
    "SYSADM", "SYSCTRL", "SYSMAINT", "DBADM", "SECADM", "ACCESSCTRL", "DATAACCESS", "SQLADM", "WLMADM"
}  # fmt: skip
# Only who has SECADM can grant these:
# https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-grant-database-authorities
BEYOND_ACCESSCTRL = {"CREATE_SECURE_OBJECT"}
# The mark of a clone: USAGE on a sequence that has no other use. Only a user who may grant everything can give it.
_MARK_SCHEMA, _MARK_NAME = "ROTATORS", "CLONE"
MARK = Right("sequence", "USAGE", f"SEQUENCE {quoted(_MARK_SCHEMA)}.{quoted(_MARK_NAME)}")
MAKE_MARK = f"CREATE SEQUENCE {quoted(_MARK_SCHEMA)}.{quoted(_MARK_NAME)}"
_HAS_MARK = "SELECT COUNT(*) FROM SYSCAT.SEQUENCES WHERE SEQSCHEMA = ? AND SEQNAME = ?"
_MARKED = """
SELECT RTRIM(GRANTOR) FROM SYSCAT.SEQUENCEAUTH
WHERE GRANTEE = ? AND GRANTEETYPE = 'U' AND SEQSCHEMA = ? AND SEQNAME = ? AND USAGEAUTH <> 'N'
"""
_MAY_GRANT = {"ACCESSCTRL", "SECADM"}
# Whom a user may become without a password. Only who has SECADM grants it:
# https://www.ibm.com/docs/en/db2/11.5.x?topic=views-syscatsurrogateauthids
_SURROGATES = "SELECT RTRIM(SURROGATEAUTHID) FROM SYSCAT.SURROGATEAUTHIDS WHERE TRUSTEDID = ? AND TRUSTEDIDTYPE = 'U'"
_CONTEXTS = "SELECT CONTEXTNAME FROM SYSCAT.CONTEXTS WHERE SYSTEMAUTHID = ?"
_LABELS = "SELECT COUNT(*) FROM SYSCAT.SECURITYLABELACCESS WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"
_EXEMPTIONS = "SELECT COUNT(*) FROM SYSCAT.SECURITYPOLICYEXEMPTIONS WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"
_PASSTHROUGH = "SELECT COUNT(*) FROM SYSCAT.PASSTHRUAUTH WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"
_SCHEMAS_OF_XML = "SELECT COUNT(*) FROM SYSCAT.XSROBJECTAUTH WHERE GRANTEE = ? AND GRANTEETYPE = 'U'"


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
        """Reads the rows of a user or role."""
        columns = ", ".join(("GRANTOR", *(f"RTRIM({column})" for column in self.columns), *self.privileges))
        return f"SELECT {columns} FROM SYSCAT.{self.name} WHERE GRANTEE = ? AND GRANTEETYPE = ?"  # noqa: S608  # ours


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
        {
            "ALTERINAUTH": "ALTERIN",
            "CREATEINAUTH": "CREATEIN",
            "DROPINAUTH": "DROPIN",
            # Since 11.5: https://www.ibm.com/docs/en/ias?topic=views-syscatschemaauth
            "SELECTINAUTH": "SELECTIN",
            "INSERTINAUTH": "INSERTIN",
            "UPDATEINAUTH": "UPDATEIN",
            "DELETEINAUTH": "DELETEIN",
            "EXECUTEINAUTH": "EXECUTEIN",
            "SCHEMAADMAUTH": "SCHEMAADM",
            "ACCESSCTRLAUTH": "ACCESSCTRL",
            "DATAACCESSAUTH": "DATAACCESS",
            "LOADAUTH": "LOAD",
        },
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
FROM SYSCAT.COLAUTH WHERE GRANTEE = ? AND GRANTEETYPE = ?
"""
_COLUMN_PRIVILEGES = {"U": "UPDATE", "R": "REFERENCES"}
_ROUTINES = """
SELECT GRANTOR, RTRIM(SCHEMA), SPECIFICNAME, ROUTINETYPE, EXECUTEAUTH
FROM SYSCAT.ROUTINEAUTH WHERE GRANTEE = ? AND GRANTEETYPE = ? AND EXECUTEAUTH <> 'N'
"""
_ROUTINE_KINDS = {"F": "FUNCTION", "P": "PROCEDURE", "M": "METHOD"}
_ROLES = "SELECT GRANTOR, ROLENAME, ADMIN FROM SYSCAT.ROLEAUTH WHERE GRANTEE = ? AND GRANTEETYPE = ?"


@dataclass(frozen=True)
class Grants:
    """What a user may do.

    Args:
        explicit: what was granted explicitly.
        implicit: what it has as the owner.
    """

    explicit: frozenset[Right]
    implicit: frozenset[Right]

    @property
    def all(self) -> set[Right]:
        """Explicit and implicit rights together."""
        return set(self.explicit | self.implicit)


def account(connection: Connection) -> Account:
    """The user who logged in, even if the session has changed to another user since.

    https://www.ibm.com/docs/en/db2/11.5.x?topic=registers-system-user
    """
    [(name,)] = connection.execute("VALUES SYSTEM_USER")
    return account_of(connection, str(name).strip())


def account_of(connection: Connection, user: str) -> Account:
    """A user as an account of this host, whatever the case of its name.

    Args:
        connection: to the host.
        user: its name.
    """
    key = authid(user)
    return Account(connection.address(), key, host_user(key))


def groups(connection: Connection, user: str) -> set[str]:
    """The groups of the host that a user is in."""
    return {str(group) for (group,) in connection.execute(_GROUPS, (user,))} - {"PUBLIC"}


def is_known(connection: Connection, user: str) -> bool:
    """Whether anything was ever granted to a user in this database, or it is in a group of the host."""
    return bool(connection.execute(_KNOWN, (user,))[0][0]) or bool(groups(connection, user))


def authorities(connection: Connection, user: str) -> set[str]:
    """A user's authorities over the database, by whatever group or role."""
    return {str(authority) for (authority,) in connection.execute(_AUTHORITIES, (user,))}


def may_grant(connection: Connection, user: str) -> bool:
    """Whether a user may grant everything in this database to anyone."""
    return bool(authorities(connection, user) & _MAY_GRANT)


def grants(connection: Connection, user: str) -> Grants:
    """Everything that a user has in the current database, except the mark of a clone."""
    found = [(grantor, right) for grantor, right in _read(connection, user, "U") if right.key != MARK.key]
    return Grants(
        frozenset(right for grantor, right in found if grantor != _SYSTEM),
        frozenset(right for grantor, right in found if grantor == _SYSTEM),
    )


def is_marked(connection: Connection, user: str) -> bool:
    """Whether a user who may grant everything has marked another user as a clone.

    The grantor is what the server has noted. Others may make such a sequence, and grant it, too.
    """
    grantors = {str(grantor) for (grantor,) in connection.execute(_MARKED, (user, _MARK_SCHEMA, _MARK_NAME))}
    return any(may_grant(connection, grantor) for grantor in sorted(grantors - {_SYSTEM, user}))


def has_mark(connection: Connection) -> bool:
    """Whether the sequence of the mark exists."""
    return bool(connection.execute(_HAS_MARK, (_MARK_SCHEMA, _MARK_NAME))[0][0])


def roles(connection: Connection, user: str) -> set[str]:
    """A user's roles, with all that they lead to."""
    return {role for role, _ in _roles(connection, user)}


def roles_to_pass_on(connection: Connection, user: str) -> set[str]:
    """The roles that a user may grant: it has them, directly or by another role, WITH ADMIN OPTION.

    https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-grant-role
    """
    return {role for role, admin in _roles(connection, user) if admin}


def beyond(connection: Connection, one: str, other: str) -> str:
    """What a user may do in the current database that another one may not: the first such thing, for messages.

    Returns:
        A phrase; empty if there is nothing.
    """
    if surplus := sorted(authorities(connection, one) - authorities(connection, other)):
        return f"it has {surplus[0]}"
    if surplus := sorted(roles(connection, one) - roles(connection, other)):
        return f"it has the role {surplus[0]}"
    of_one, of_other = grants(connection, one).all, _strongest(grants(connection, other).all)
    lack = [right for right in sorted(of_one) if not _covered(right, of_other)]
    if lack:
        # It may have the same by a role.
        for role in sorted(roles(connection, other)):
            of_other |= _strongest({right for _, right in _read(connection, role, "R")})
        lack = [right for right in lack if not _covered(right, of_other)]
    if lack:
        on = f" on {lack[0].on}" if lack[0].on else ""
        return f"it has {lack[0].what}{on}" + (" with its option" if lack[0].passed_on else "")
    extras = sorted(uncopied(connection, one) - uncopied(connection, other))
    return f"it has {extras[0]}" if extras else ""


def uncopied(connection: Connection, user: str) -> set[str]:
    """What a user has that only a user with SECADM, or no one, can give to another: phrases for messages."""
    found = {f"SETSESSIONUSER on {name}" for (name,) in connection.execute(_SURROGATES, (user,))}
    found |= {f"the trusted context {name}" for (name,) in connection.execute(_CONTEXTS, (user,))}
    for statement, phrase in (
        (_LABELS, "a security label"),
        (_EXEMPTIONS, "an exemption from a security policy"),
        (_PASSTHROUGH, "PASSTHRU on a server"),
        (_SCHEMAS_OF_XML, "a right on an XML schema"),
    ):
        if connection.execute(statement, (user,))[0][0]:
            found.add(phrase)
    return found


def _strongest(rights: set[Right]) -> dict[tuple[str, str, str], bool]:
    return {right.key: right.passed_on for right in sorted(rights)}


def _covered(right: Right, by: dict[tuple[str, str, str], bool]) -> bool:
    return right.key in by and (by[right.key] or not right.passed_on)


def _roles(connection: Connection, user: str) -> set[tuple[str, bool]]:
    waiting, seen = [(user, "U")], set()
    found: set[tuple[str, bool]] = set()
    waiting += [(group, "G") for group in groups(connection, user)]
    while waiting:
        grantee = waiting.pop()
        if grantee in seen:
            continue
        seen.add(grantee)
        for _, role, admin in connection.execute(_ROLES, grantee):
            found.add((str(role).strip(), admin == "Y"))
            waiting.append((str(role).strip(), "R"))
    return found


def _read(connection: Connection, grantee: str, kind: str) -> Iterator[tuple[str, Right]]:
    for view in _VIEWS:
        for grantor, *values in connection.execute(view.statement, (grantee, kind)):
            names, states = values[: len(view.columns)], values[len(view.columns) :]
            on = view.on.format(*(quoted(str(name)) for name in names))
            for privilege, state in zip(view.privileges.values(), states, strict=True):
                # Of CONTROL and what is on the database, nothing can be passed on.
                if state in {"Y", "G"}:
                    yield str(grantor).strip(), Right(view.kind, privilege, on, state == "G")
    for grantor, schema, table, column, privilege, option in connection.execute(_COLUMNS, (grantee, kind)):
        what = f"{_COLUMN_PRIVILEGES[privilege]} ({quoted(column)})"
        yield str(grantor).strip(), Right("column", what, f"TABLE {quoted(schema)}.{quoted(table)}", option == "G")
    for grantor, schema, name, letter, state in connection.execute(_ROUTINES, (grantee, kind)):
        word = _ROUTINE_KINDS[letter]
        # Without a name: on all of the schema, also those to come.
        on = f"{word} {quoted(schema)}.*" if name is None else f"SPECIFIC {word} {quoted(schema)}.{quoted(name)}"
        yield str(grantor).strip(), Right("routine", "EXECUTE", on, state == "G")
    for grantor, role, admin in connection.execute(_ROLES, (grantee, kind)):
        yield str(grantor).strip(), Right("role", f"ROLE {quoted(role)}", passed_on=admin == "Y")
