"""What accounts may do, as sets; and whether a stored hash is a password's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.engines.mysql.accounts import native_hash
from rotators.engines.mysql.grants import GrantedRight, administers, beyond, lacking, parse, statements
from rotators.engines.mysql.quoting import quote_account, quote_name, quote_role, quote_text
from rotators.engines.mysql.verifiers import accepts, sha256_crypt

CLONE = "'app_clone'@'%'"

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).map(
    lambda name: "`" + name.replace("`", "``") + "`"
)
objects = st.one_of(
    st.just("*.*"),
    names.map(lambda name: f"{name}.*"),
    st.tuples(names, names).map(lambda pair: f"{pair[0]}.{pair[1]}"),
    st.tuples(names, names).map(lambda pair: f"PROCEDURE {pair[0]}.{pair[1]}"),
)
privileges = st.one_of(
    st.sampled_from(["SELECT", "CREATE TEMPORARY TABLES", "BINLOG ADMIN", "APPLICATION_PASSWORD_ADMIN"]),
    names.map(lambda name: f"UPDATE ({name})"),
)
some_rights = st.sets(
    st.one_of(
        st.builds(lambda name, on: GrantedRight("privilege", name, on), privileges, objects),
        st.builds(lambda on: GrantedRight("grant option", "GRANT OPTION", on), objects),
        st.builds(lambda name: GrantedRight("role", name), names.map(lambda name: f"{name}@`%`")),
    ),
    max_size=6,
)


@given(wanted=some_rights, present=some_rights)
def test_what_is_run_leads_from_what_there_is_to_what_is_wanted(
    wanted: set[GrantedRight], present: set[GrantedRight]
) -> None:
    """The statements are read back as SHOW GRANTS would be."""
    now = set(present)
    for statement in statements(wanted, present, CLONE):
        if statement.startswith("GRANT"):
            now |= parse([statement])
        elif statement.startswith("REVOKE GRANT OPTION"):
            on = statement.removeprefix("REVOKE GRANT OPTION ON ").removesuffix(f" FROM {CLONE}")
            now -= {right for right in now if right.kind == "grant option" and right.on == on}
        else:
            as_grant = "GRANT" + statement.removeprefix("REVOKE").removesuffix(f" FROM {CLONE}") + f" TO {CLONE}"
            now -= parse([as_grant])
        assert now >= wanted & present, "something that is wanted was taken away on the way"
    assert now == wanted


def test_privileges_on_one_object_are_given_and_taken_together() -> None:
    wanted = parse(["GRANT SELECT (`a`), INSERT ON `d`.`t` TO `u`@`%`", "GRANT SELECT, UPDATE ON `d`.* TO `u`@`%`"])
    present = parse(["GRANT DELETE, DROP ON `d`.`t` TO `u`@`%`", "GRANT SELECT ON `d`.* TO `u`@`%`"])
    assert list(statements(wanted, present, CLONE)) == [
        f"GRANT UPDATE ON `d`.* TO {CLONE}",
        f"GRANT INSERT, SELECT (`a`) ON `d`.`t` TO {CLONE}",
        f"REVOKE DELETE, DROP ON `d`.`t` FROM {CLONE}",
    ]


def test_a_dynamic_privileges_own_option_is_not_everybodys() -> None:
    """Issue 12, C12."""
    wanted = parse(["GRANT SELECT ON *.* TO `u`@`%`", "GRANT XA_RECOVER_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION"])
    assert GrantedRight("grant option", "GRANT OPTION", "*.*") not in wanted
    assert list(statements(wanted, parse(["GRANT SELECT ON *.* TO `u`@`%`"]), CLONE)) == [
        f"GRANT XA_RECOVER_ADMIN ON *.* TO {CLONE} WITH GRANT OPTION"
    ]
    without = {right for right in wanted if right.kind != "dynamic option"}
    assert list(statements(without, wanted, CLONE)) == [
        f"REVOKE XA_RECOVER_ADMIN ON *.* FROM {CLONE}",
        f"GRANT XA_RECOVER_ADMIN ON *.* TO {CLONE}",
    ]


def test_options_partial_revokes_and_default_roles() -> None:
    lines = [
        "GRANT USAGE ON *.* TO `app`@`%`",
        "GRANT `r`@`%`,`q`@`%` TO `app`@`%` WITH ADMIN OPTION",
        "GRANT PROXY ON `x`@`y` TO `app`@`%` WITH GRANT OPTION",
        "GRANT SELECT ON *.* TO `app`@`%`",
        "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
    ]
    wanted = parse(lines)
    assert list(statements(wanted, set(), CLONE)) == [
        f"GRANT SELECT ON *.* TO {CLONE}",
        f"GRANT `q`@`%` TO {CLONE} WITH ADMIN OPTION",
        f"GRANT `r`@`%` TO {CLONE} WITH ADMIN OPTION",
        f"GRANT PROXY ON 'x'@'y' TO {CLONE} WITH GRANT OPTION",
        f"REVOKE GRANT OPTION ON *.* FROM {CLONE}",
        f"REVOKE SELECT ON `mysql`.* FROM {CLONE}",
    ]
    without = {right for right in wanted if right.kind not in {"admin option", "revoked"}}
    assert list(statements(without, wanted, CLONE)) == [
        f"REVOKE `q`@`%` FROM {CLONE}",
        f"GRANT `q`@`%` TO {CLONE}",
        f"REVOKE `r`@`%` FROM {CLONE}",
        f"GRANT `r`@`%` TO {CLONE}",
        f"GRANT SELECT ON `mysql`.* TO {CLONE}",
    ]
    # A partial revoke goes with what it limits: a GRANT for it would then be a right of its own.
    assert list(statements(set(), parse(lines[-2:]), CLONE)) == [f"REVOKE SELECT ON *.* FROM {CLONE}"]
    proxy = parse(["GRANT PROXY ON `x`@`y` TO `app`@`%` WITH GRANT OPTION"])
    assert list(statements(proxy, parse(["GRANT PROXY ON `x`@`y` TO `app`@`%`"]), CLONE)) == [
        f"REVOKE PROXY ON 'x'@'y' FROM {CLONE}",
        f"GRANT PROXY ON 'x'@'y' TO {CLONE} WITH GRANT OPTION",
        f"REVOKE GRANT OPTION ON *.* FROM {CLONE}",
    ]


def test_the_option_of_everything_comes_with_a_proxys_and_goes_with_dynamic_ones() -> None:
    """Issue 12, C12: as both servers do it; see tests/engines/test_mysql_clone.py."""
    proxy = "GRANT PROXY ON `x`@`y` TO `u`@`%` WITH GRANT OPTION"
    dynamic = "GRANT XA_RECOVER_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION"
    everything = "GRANT USAGE ON *.* TO `u`@`%` WITH GRANT OPTION"
    revoke, again = f"REVOKE GRANT OPTION ON *.* FROM {CLONE}", dynamic.replace("`u`@`%`", CLONE)
    given = f"GRANT PROXY ON 'x'@'y' TO {CLONE} WITH GRANT OPTION"
    assert list(statements(parse([proxy, everything]), set(), CLONE)) == [
        f"GRANT USAGE ON *.* TO {CLONE} WITH GRANT OPTION",
        given,
    ]
    first = f"REVOKE XA_RECOVER_ADMIN ON *.* FROM {CLONE}"
    assert list(statements(parse([proxy, dynamic]), parse([dynamic]), CLONE)) == [first, given, revoke, again]
    assert list(statements(parse([dynamic]), parse([dynamic, everything]), CLONE)) == [first, revoke, again]
    assert list(statements(set(), parse([dynamic, everything]), CLONE)) == [first, revoke]
    assert list(statements(parse([proxy]), parse([proxy]), CLONE)) == []


def test_a_grant_of_a_form_that_is_not_known_is_no_right() -> None:
    with pytest.raises(ValueError, match="TO"):
        parse(["GRANT SELECT ON `d`.*"])


def test_a_dynamic_privilege_and_its_option_need_one_grant() -> None:
    wanted = parse(["GRANT CONNECTION_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION"])
    assert lacking(wanted, set(), wanted) == ["GRANT CONNECTION_ADMIN ON *.*"]


def test_what_an_admin_lacks_is_named() -> None:
    admin = parse(
        [
            "GRANT SELECT, INSERT ON *.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT EXECUTE ON `p`.* TO `a`@`%` WITH GRANT OPTION",
        ]
    )
    wanted = parse(
        [
            "GRANT SELECT (`x`), DELETE ON `d`.`t` TO `u`@`%`",
            "GRANT EXECUTE ON `p`.* TO `u`@`%`",
            "GRANT EXECUTE ON PROCEDURE `p`.`f` TO `u`@`%`",
            "GRANT `r`@`%` TO `u`@`%`",
            "GRANT PROXY ON `x`@`y` TO `u`@`%`",
        ]
    )
    assert lacking(wanted, admin, wanted) == [
        "GRANT DELETE ON `d`.`t`",
        "GRANT PROXY ON 'x'@'y'",
        "GRANT `r`@`%`",
    ]
    anybody = parse(
        [
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT PROXY ON ''@'' TO `a`@`%` WITH GRANT OPTION",
        ]
    )
    assert not lacking(wanted, anybody, wanted)


def test_an_admin_with_partial_revokes_can_not_pass_on_the_whole() -> None:
    """Issue 12, C12: whom such an admin grants, is restricted as well."""
    admin = parse(["GRANT SELECT ON *.* TO `a`@`%` WITH GRANT OPTION", "REVOKE SELECT ON `mysql`.* FROM `a`@`%`"])
    whole = parse(["GRANT SELECT ON *.* TO `u`@`%`"])
    assert lacking(set(), admin, whole) == ["GRANT SELECT ON `mysql`.*"]
    assert not lacking(set(), admin, whole | {GrantedRight("revoked", "SELECT", "`mysql`.*")})


@pytest.mark.parametrize(
    ("right", "power"),
    [
        ("SELECT ON `d`.`t`", "SELECT ON `d`.*"),
        ("SELECT (`a`) ON `d`.`t`", "SELECT ON `d`.`t`"),
        ("SELECT (`a`) ON `d`.`t`", "SELECT ON *.*"),
        ("EXECUTE ON PROCEDURE `d`.`p`", "EXECUTE ON `d`.*"),
        ("INSERT ON `d`.*", "ALL PRIVILEGES ON `d`.*"),
    ],
)
def test_a_wider_right_comprises_a_narrower_one(right: str, power: str) -> None:
    one, other = parse([f"GRANT {right} TO `u`@`%`"]), parse([f"GRANT {power} TO `u`@`%`"])
    assert beyond(one, other) is None
    assert beyond(other, one) is not None


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT SELECT ON `e`.* TO `u`@`%`",
        "GRANT SELECT ON `d`.* TO `u`@`%` WITH GRANT OPTION",
        "GRANT `r`@`%` TO `u`@`%`",
        "GRANT PROXY ON `x`@`y` TO `u`@`%`",
        "GRANT SYSTEM_USER ON *.* TO `u`@`%`",
        "GRANT UPDATE ON `mysql`.`user` TO `u`@`%`",
    ],
)
def test_what_one_has_and_the_other_has_not_is_found(grant: str) -> None:
    power = parse(["GRANT SELECT, INSERT ON `d`.* TO `v`@`%`"])
    assert beyond(parse([grant]), power) is not None
    assert beyond(set(), power) is None


def test_a_partial_revoke_is_no_whole() -> None:
    limited = parse(["GRANT SELECT ON *.* TO `v`@`%`", "REVOKE SELECT ON `mysql`.* FROM `v`@`%`"])
    whole = parse(["GRANT SELECT ON *.* TO `u`@`%`"])
    assert beyond(whole, limited) == GrantedRight("privilege", "SELECT", "`mysql`.*")
    assert beyond(limited, whole) is None


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT CREATE USER ON *.* TO `u`@`%`",
        "GRANT SUPER ON *.* TO `u`@`%`",
        "GRANT ALL PRIVILEGES ON *.* TO `u`@`%`",
        "GRANT UPDATE ON *.* TO `u`@`%`",
        "GRANT INSERT ON `mysql`.* TO `u`@`%`",
        "GRANT INSERT ON `my%`.* TO `u`@`%`",
        "GRANT UPDATE (`Priv`) ON `mysql`.`global_priv` TO `u`@`%`",
        "GRANT SYSTEM_USER ON *.* TO `u`@`%`",
    ],
)
def test_an_admins_account_is_known_by_any_right_that_makes_it_one(grant: str) -> None:
    assert administers(parse([grant]), admin=set()) is not None


@pytest.mark.parametrize(
    "grants",
    [
        ["GRANT SELECT ON *.* TO `u`@`%`"],
        ["GRANT ALL PRIVILEGES ON `mysqlx`.* TO `u`@`%`"],
        ["GRANT ALL PRIVILEGES ON `my\\_ql`.* TO `u`@`%`"],
        ["GRANT UPDATE ON *.* TO `u`@`%`", "REVOKE UPDATE ON `mysql`.* FROM `u`@`%`"],
        ["GRANT SELECT ON `mysql`.* TO `u`@`%`"],
    ],
)
def test_an_applications_user_is_no_admin(grants: list[str]) -> None:
    assert administers(parse(grants), admin=set()) is None


def test_system_user_is_above_an_admin_without_it() -> None:
    power = parse(["GRANT SYSTEM_USER ON *.* TO `u`@`%`"])
    assert administers(power, admin=power) is None


@given(st.text(), st.text())
def test_quoted_texts_and_names_end_where_they_should(user: str, host: str) -> None:
    """Put together, and found again by their quotes alone."""
    for quoted, quote, text in ((quote_text(user), "'", user), (quote_name(user), "`", user)):
        assert quoted[0] == quoted[-1] == quote
        assert quoted[1:-1].replace(quote * 2, quote) == text
        assert quoted[1:-1].replace(quote * 2, "").count(quote) == 0
    assert quote_account(user, host) == f"{quote_text(user)}@{quote_text(host)}"
    assert quote_role("r", "") == "`r`"


def test_the_native_hash_is_the_servers() -> None:
    # SELECT PASSWORD('password') on any server that has the function.
    assert native_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


@pytest.mark.parametrize(
    ("password", "salt", "hashed"),
    [
        ("Hello world!", "saltstring", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        ("This is just a test", "saltstringsaltst", "x/zpfu1wRdjMeUna2pNrIP8Ex4hjxvm4nrkMHIHcl65"),
        ("Hello world!", "0123456789abcdef", "iwtal7EDnW3Ts3mURAdsgwwJMDONlOpKqRHd/eVLyQ0"),
        (
            "pässwörd that is longer than one block of sixty-four bytes, to be sure of it",
            "abc",
            "CgVZabFcHd0m1nuQGlgu5q4avn9G9ThPEryoFOcvde.",
        ),
    ],
)
def test_the_crypt_is_the_one_of_openssl(password: str, salt: str, hashed: str) -> None:
    # openssl passwd -5 -salt SALT PASSWORD
    assert sha256_crypt(password.encode(), salt.encode(), 5000).decode() == hashed


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_hash_is_its_own_passwords_and_no_others(password: str, other: str) -> None:
    salt = b"abcdefghijklmnopqrst"
    stored = {
        "mysql_native_password": native_hash(password),
        "caching_sha2_password": f"$A$001${salt.decode()}{sha256_crypt(password.encode(), salt, 1000).decode()}",
        "sha256_password": f"$5$rounds=7${salt.decode()}${sha256_crypt(password.encode(), salt, 7).decode()}",
    }
    for plugin, text in stored.items():
        assert accepts(plugin, text, password)
        assert accepts(plugin, text, other) == (other == password)


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password", "sha256_password", "ed25519", ""])
@pytest.mark.parametrize(
    "stored", ["", "*", "$A$005$", "$5$x", "$A$00G$" + "x" * 63, "THISISACOMBINATIONOFINVALIDSALT"]
)
def test_what_is_no_hash_is_nobodys(plugin: str, stored: str) -> None:
    assert not accepts(plugin, stored, "")
    assert not accepts(plugin, stored, "x")
