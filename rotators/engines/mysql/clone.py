"""Synchronizes one user with another, as the admin: each account, its facts and its rights.

The source is the user without ``_clone``, unless a mark says that it was made as the other's clone. What is granted to
the source or revoked from it reaches the clone at the next rotation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.mysql.accounts import Row, require_password
from rotators.engines.mysql.dialects import Dialect
from rotators.engines.mysql.grants import GrantedRight, administers, beyond, lacking, statements
from rotators.engines.mysql.hosts import covering
from rotators.engines.mysql.quoting import quote_account, quote_role
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable
from rotators.logs import logger
from rotators.passwords import placeholder_password


@dataclass(frozen=True)
class _Stranger:
    """An account without a mark that may do more than the user.

    Args:
        row: the account.
        right: what it may do.
    """

    row: Row
    right: GrantedRight

    def __str__(self) -> str:
        return f"{self.row} ({self.right})"


class _Beside:
    """Compares each account of the other user with the account that the user in use has on that host, or around it.

    If that user has none there, the account that logged in is compared.

    Args:
        dialect: the server.
        current: the user in use.
        current_rows: its accounts, by their hosts.
        others: all accounts of the other's name.

    Raises:
        UserNotRotatable: one that belongs to the pair is an admin's.
    """

    def __init__(self, dialect: Dialect, current: Account, current_rows: dict[str, Row], others: list[Row]) -> None:
        self._current_rows = current_rows
        self._own = current_rows[_host(current)]
        admin = dialect.own_power()
        self._power = {
            host: refuse_admin(dialect, row, admin, proven=True, own=_look_at(dialect, row))
            for host, row in current_rows.items()
        }
        self._others: dict[str, set[GrantedRight]] = {}
        self.is_source = _is_source(current, current_rows.values(), others)
        self.marked: list[Row] = []
        self.related: list[Row] = []
        self.strangers: list[_Stranger] = []
        for row in others:
            if self._is_marked(row):
                refuse_admin(dialect, row, admin, proven=True, own=_look_at(dialect, row))
                self.marked.append(row)
                continue
            self._others[row.host] = dialect.power(row, _look_at(dialect, row))
            surplus = beyond(self._others[row.host], self._power_beside(row))
            if surplus is None:
                self.related.append(row)
            else:
                self.strangers.append(_Stranger(row, surplus))

    @property
    def in_the_way(self) -> list[_Stranger]:
        """Strangers that would take the second user's logins, or the source of the clone's privileges."""
        return [one for one in self.strangers if self._is_levelled(one.row)]

    @property
    def unproven(self) -> list[Row]:
        """Accounts without a mark: their rights alone suggest that the two are a pair.

        If other accounts have a mark, those on further hosts do not matter, because nothing is synchronized there.
        """
        beside = [row for row in self.related if self._is_levelled(row)]
        return beside if beside or self.marked else self.related

    def lost(self) -> str:
        """What the user in use would lose if an account without a mark became its source; empty if nothing."""
        for row in self.unproven:
            right = beyond(self._power_beside(row), self._others[row.host])
            if right is not None:
                return f"{self._beside(row)}, which is in use, may {right}, and {row} may not"
        return ""

    def _is_marked(self, row: Row) -> bool:
        beside = self._beside(row)
        if self.is_source:
            return row.clone_of == beside.user
        return beside.host == row.host and beside.clone_of == row.user

    def _beside(self, row: Row) -> Row:
        host = covering(self._current_rows, row.host)
        return self._own if host is None else self._current_rows[host]

    def _is_levelled(self, row: Row) -> bool:
        """Whether a sync counts on the account: a clone's also where a wider account of its source is around it.

        A further account of the source's name was there before its clone, and may be another person's.
        """
        return row.host in self._current_rows or (self.is_source and covering(self._current_rows, row.host) is not None)

    def _power_beside(self, row: Row) -> set[GrantedRight]:
        return self._power[self._beside(row).host]


def inspect_pair(dialect: Dialect, current: Account, other_name: str) -> Pair:
    """Look at the two users of a secret; see :meth:`rotators.engines.base.CloneAdmin.inspect_pair`.

    Each account of the other user is inspected separately. It belongs to this secret if it has a mark, or if the user
    in use has the same rights on that host or where it logged in. Others belong to someone else.
    """
    current_rows, others = rows_of(dialect, current), dialect.rows(other_name)
    beside = _Beside(dialect, current, current_rows, others)
    if not others:
        return Pair(current, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    ours = beside.marked + beside.related
    pair = Pair(current, other_name, _account(dialect, current, ours), beside.is_source, Relation.MARKED)
    if beside.in_the_way or not (ours or beside.is_source):
        return _refused(dialect, pair, others, (beside.in_the_way or beside.strangers)[0])
    if beside.strangers:
        logger.warning("accounts that may do more are left alone", accounts=list(map(str, beside.strangers)))
    if not ours:
        return replace(pair, relation=Relation.ABSENT)
    lost = "" if beside.is_source else beside.lost()
    if lost:
        return replace(pair, relation=Relation.UNRELATED, reason=lost, remedy=_remedy(dialect, pair, others))
    return replace(pair, relation=Relation.RELATED) if beside.unproven else pair


def check_can_sync(dialect: Dialect, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed, by reading; see the protocol.

    Raises:
        PermissionRefused: the admin can't pass on what the source may do.
        UserNotRotatable: one of the two logs in without a password, is locked, or has what can't be copied.
    """
    _check(dialect, pair)


@dataclass(frozen=True)
class _Checked:
    """What was read when a pair was checked: a user may have thousands of rights.

    Args:
        sources: the source's accounts, by their hosts.
        clones: the clone's.
        levels: where the clone is brought level, and the host of the source's account that counts there.
        rights: on each of these, what the source may do, and what the clone may.
    """

    sources: dict[str, Row]
    clones: dict[str, Row]
    levels: dict[str, str]
    rights: dict[str, tuple[set[GrantedRight], set[GrantedRight]]]


def _check(dialect: Dialect, pair: Pair) -> _Checked:
    admin = dialect.own_power()
    sources, clones, levels = _rows(dialect, pair)
    rights: dict[tuple[str, str], set[GrantedRight]] = {}
    if pair.current_is_source or pair.other is None:
        checked = [sources[host] for host in sorted(sources)] + [clones[host] for host in levels if host in clones]
    else:
        checked = list(sources.values())

    def read(row: Row) -> set[GrantedRight]:
        key = row.user, row.host
        if key not in rights:
            rights[key] = _seen(dialect, row)
        return rights[key]

    for row in checked:
        require_usable(dialect, row)
        power = refuse_admin(dialect, row, admin, proven=True, own=read(row))
        if row.user != pair.clone_name:
            _refuse_own_clone(dialect, row, power, pair.clone_name)
    both = {
        host: (read(sources[around]), read(clones[host]) if host in clones else set())
        for host, around in levels.items()
    }
    for host, (wanted, present) in both.items():
        needed = lacking(wanted - present, admin, wanted, gives_roles=dialect.gives_roles)
        if needed:
            grants = "; ".join(f"{grant} TO {dialect.admin} WITH {_option(grant)} OPTION" for grant in needed)
            raise PermissionRefused(
                f"the admin {dialect.admin} at {dialect.where} can't pass on all that {sources[levels[host]]} may do",
                f"as a user who may, run: {grants}",
            )
        default = dialect.lacking_for_default_roles(sources[levels[host]], clones.get(host), admin)
        if default:
            raise PermissionRefused(
                f"the admin {dialect.admin} at {dialect.where} can't give the default role of {sources[levels[host]]}",
                f"as a user who may, run: {'; '.join(f'{grant} TO {dialect.admin}' for grant in default)}",
            )
    return _Checked(sources, clones, levels, both)


def _refuse_own_clone(dialect: Dialect, source: Row, power: set[GrantedRight], clone: str) -> None:
    """Refuse a source that has its own clone as a role: nobody can be granted itself.

    Raises:
        UserNotRotatable: it has, by whatever roles are between.
    """
    roles = {right.name for right in power if right.kind == "role"}
    # Most users have none, and then the accounts need not be read.
    found = sorted(roles & {quote_role(clone, row.host) for row in dialect.rows(clone)}) if roles else []
    if found:
        raise UserNotRotatable(
            f"{source} at {dialect.where} has its second user as a role, directly or by another one: {found[0]}",
            f"what that role gives, grant to {source} itself, and run: REVOKE {found[0]} FROM {source}",
        )


def _look_at(dialect: Dialect, row: Row) -> set[GrantedRight]:
    """Read an account's rights, and keep them for :func:`_seen`."""
    found = dialect.looked_at[row.user, row.host] = dialect.rights(row.user, row.host, row.revoked)
    return found


def _seen(dialect: Dialect, row: Row) -> set[GrantedRight]:
    """What inspecting the pair has just read. Given only once, so that later steps read again."""
    found = dialect.looked_at.pop((row.user, row.host), None)
    return dialect.rights(row.user, row.host, row.revoked) if found is None else found


def sync(dialect: Dialect, pair: Pair) -> Account:
    """Give the clone exactly what the source has, on each host; see the protocol.

    An account of the clone on a host from where the source logs in by a wider one (its own was dropped, say) takes the
    clone's logins from there: so it is brought level with that wider one.

    Where the clone is the user in use, only those of its accounts that are there are brought level, and none is made,
    locked or given a password: an account on a narrower host would take logins away from the one that is used now.

    Returns:
        The second user's accounts, whose password is set next.
    """
    checked = _check(dialect, pair)
    sources, clones, levels = checked.sources, checked.clones, checked.levels
    clone_is_other = pair.current_is_source or pair.other is None
    name = pair.clone_name
    for host, around in levels.items():
        source = sources[around]
        if host not in clones:
            # Placeholder; the real password is set in the last statement.
            dialect.create(source, name, placeholder_password())
            clones[host] = _row(dialect, name, host)
        clone = clones[host]
        dialect.mark(clone, source.user)
        if clone_is_other:
            dialect.match_plugin(source, clone, placeholder_password())
            if clone.locked:
                dialect.unlock(clone)
        dialect.copy_facts(source, clone)
        _sync_rights(dialect, clone, *checked.rights[host])
        dialect.set_default_roles(source, clone)
    if clone_is_other:
        for host, clone in clones.items():
            if host not in levels and not clone.locked:
                # A clone of AWS's template is on any host: where the user may not log in, its clone may not either.
                logger.warning("an account of the clone is locked: its user has none on that host", account=str(clone))
                dialect.lock(clone)
    _compare(dialect, [(sources[around], _row(dialect, name, host)) for host, around in levels.items()])
    if not clone_is_other and pair.other is not None:
        return pair.other
    host = _host(pair.current)
    return Account(pair.current.server, (name, host), name, tuple(levels))


def explain(dialect: Dialect, pair: Pair) -> list[str]:
    """What :func:`sync` would grant and revoke, found without a change.

    Returns:
        The statements for each host. What is copied besides rights is described in words.
    """
    sources, clones, levels = _rows(dialect, pair)
    name = pair.clone_name
    found = []
    for host, around in levels.items():
        source, clone = sources[around], clones.get(host)
        account = quote_account(name, host)
        if clone is None:
            found.append(f"CREATE USER {account}")
        differing = (
            source.copied
            if clone is None
            else {what: value for what, value in source.copied.items() if clone.copied[what] != value}
        )
        found += [f"ALTER USER {account}: {what} as {source}" for what, value in sorted(differing.items()) if value]
        wanted = dialect.rights(source.user, source.host, source.revoked)
        present = set() if clone is None else dialect.rights(clone.user, host, clone.revoked)
        found += statements(wanted, present, account)
    return found


def rows_of(dialect: Dialect, account: Account) -> dict[str, Row]:
    """The accounts that an :class:`Account` comprises, by their hosts.

    Raises:
        UserNotRotatable: one is gone.
    """
    found = {row.host: row for row in dialect.rows(account.name) if row.host in account.scope}
    missing = [host for host in account.scope if host not in found]
    if missing:
        raise UserNotRotatable(
            f"{account} at {dialect.where} is gone from {', '.join(missing)}", "create it again, or correct the secret"
        )
    return found


def require_usable(dialect: Dialect, row: Row) -> None:
    """Require that an account's password can be set, and that it can log in then.

    Raises:
        UserNotRotatable: it logs in without a password, is locked, or has something that can't be copied.
    """
    require_password(row, dialect.plugins, dialect.where)
    if row.locked and not row.locked_by_us:
        raise UserNotRotatable(f"{row} at {dialect.where} is locked", "unlock it, or drop that account")
    if row.unknown:
        raise UserNotRotatable(
            f"{row} at {dialect.where} has what can't be copied: {', '.join(row.unknown)}",
            "remove it from the account, or rotate it as a single user",
        )


def refuse_admin(
    dialect: Dialect,
    row: Row,
    admin: set[GrantedRight],
    *,
    proven: bool = False,
    own: set[GrantedRight] | None = None,
) -> set[GrantedRight]:
    """Require that an account is not an admin's.

    Args:
        dialect: the server.
        row: the account.
        admin: all that the function's admin may do.
        proven: whether its own password has logged in, or it is the clone of an account whose password has.
        own: the grants to the account itself, if they were just read.

    Returns:
        All rights of the account.

    Raises:
        UserNotRotatable: it may act as any user.
    """
    power = dialect.power(row, own)
    right = administers(power, admin, proven=proven)
    if right is not None:
        raise UserNotRotatable(
            f"{row} at {dialect.where} is an admin's account: it may {right}",
            "rotate it as a single user without an admin secret, or revoke that right from it",
        )
    return power


def _is_source(current: Account, current_rows: Iterable[Row], others: list[Row]) -> bool:
    if others and any(row.clone_of == others[0].user for row in current_rows):
        return False
    return any(row.clone_of == current.name for row in others) or not current.name.endswith(CLONE_SUFFIX)


def _host(account: Account) -> str:
    """The host of the account that logged in."""
    key = account.key
    return str(key[1]) if isinstance(key, tuple) else account.scope[0]


def _account(dialect: Dialect, current: Account, rows: list[Row]) -> Account | None:
    if not rows:
        return None
    hosts = tuple(row.host for row in rows)
    own = dialect.admin_host if rows[0].user == dialect.user and dialect.admin_host in hosts else None
    first = own or (_host(current) if _host(current) in hosts else hosts[0])
    return Account(current.server, (rows[0].user, first), rows[0].user, hosts)


def _refused(dialect: Dialect, pair: Pair, others: list[Row], stranger: _Stranger) -> Pair:
    whole = _account(dialect, pair.current, others)
    return replace(
        pair,
        other=whole,
        relation=Relation.MORE_POWERFUL,
        reason=f"{stranger.row} may {stranger.right}, and {pair.current} may not",
        remedy=_remedy(dialect, pair, others),
    )


def _remedy(dialect: Dialect, pair: Pair, others: list[Row]) -> str:
    """The statement that marks each unproven account of the clone."""
    if pair.current_is_source:
        hosts = [row.host for row in others if row.host in pair.current.scope] or [row.host for row in others]
        return dialect.mark_statement([(pair.other_name, host) for host in hosts], pair.current.name)
    return dialect.mark_statement([(pair.current.name, host) for host in pair.current.scope], pair.other_name)


def _rows(dialect: Dialect, pair: Pair) -> tuple[dict[str, Row], dict[str, Row], dict[str, str]]:
    """The source's accounts, the clone's, and where the clone is to be brought level, with which of the source's."""
    current = rows_of(dialect, pair.current)
    other = {} if pair.other is None else rows_of(dialect, pair.other)
    if pair.current_is_source or pair.other is None:
        around = {host: covering(current, host) for host in sorted(current.keys() | other.keys())}
        return current, other, {host: source for host, source in around.items() if source is not None}
    return other, current, {host: host for host in sorted(other.keys() & current.keys())}


def _row(dialect: Dialect, name: str, host: str) -> Row:
    for row in dialect.rows(name):
        if row.host == host:
            return row
    raise UserNotRotatable(f"'{name}'@'{host}' at {dialect.where} is gone", "it was dropped meanwhile: rotate again")


def _sync_rights(dialect: Dialect, clone: Row, wanted: set[GrantedRight], present: set[GrantedRight]) -> None:
    # As they were read a moment ago: what has changed since is found by _compare.
    own = sorted(str(right) for right in present - wanted if right.kind != "revoked")
    if own:
        logger.warning("what the clone may do and its user may not is revoked", account=str(clone), rights=own)
    for statement in statements(wanted, present, str(clone)):
        dialect.change_right(statement)


def _compare(dialect: Dialect, pairs: list[tuple[Row, Row]]) -> None:
    """Read both again: a clone that differs from its source gets no password.

    Raises:
        ServiceFailed: something differs.
    """
    for source, clone in pairs:
        differing = [what for what, value in source.copied.items() if clone.copied[what] != value]
        wanted = dialect.rights(source.user, source.host, source.revoked)
        present = dialect.rights(clone.user, clone.host, clone.revoked)
        differing += [f"it may not {right}" for right in sorted(wanted - present)]
        differing += [f"it may {right}" for right in sorted(present - wanted)]
        if clone.locked:
            differing.append("it is locked")
        if differing:
            raise ServiceFailed(
                f"{clone} at {dialect.where} is not yet the equal of {source}: {'; '.join(differing)}",
                "no password was set; the rotation will be repeated, and if it stays so, the admin lacks a right or is "
                "restricted itself (partial_revokes)",
            )


def _option(grant: str) -> str:
    return "GRANT" if " ON " in grant else "ADMIN"
