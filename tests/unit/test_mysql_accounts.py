"""SHOW CREATE USER and SHOW GRANTS, taken apart and put together."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.engines.mysql.accounts import account, native_hash
from rotators.engines.mysql.grants import Right, lacking, rights, statements

TWIN = "'app_clone'@'%'"

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
        st.builds(lambda name, on: Right("privilege", name, on), privileges, objects),
        st.builds(lambda on: Right("grant option", "GRANT OPTION", on), objects),
        st.builds(lambda name: Right("role", name), names.map(lambda name: f"{name}@`%`")),
    ),
    max_size=6,
)


@given(wanted=some_rights, present=some_rights)
def test_what_is_run_leads_from_what_there_is_to_what_is_wanted(wanted: set[Right], present: set[Right]) -> None:
    """The statements are read back as SHOW GRANTS would be."""
    now = set(present)
    for statement in statements(wanted, present, TWIN):
        if statement.startswith("GRANT"):
            now |= rights([statement])
        elif statement.startswith("REVOKE GRANT OPTION"):
            on = statement.removeprefix("REVOKE GRANT OPTION ON ").removesuffix(f" FROM {TWIN}")
            now -= {right for right in now if right.kind == "grant option" and right.on == on}
        else:
            as_grant = "GRANT" + statement.removeprefix("REVOKE").removesuffix(f" FROM {TWIN}") + f" TO {TWIN}"
            now -= rights([as_grant])
        assert now >= wanted & present, "something that is wanted was taken away on the way"
    assert now == wanted


def test_all_privileges_are_taken_whole_and_what_is_wanted_comes_back() -> None:
    wanted = {Right("privilege", "SELECT", "`d`.*")}
    present = {Right("privilege", "ALL PRIVILEGES", "`d`.*"), Right("grant option", "GRANT OPTION", "`d`.*")}
    assert list(statements(wanted, present, TWIN)) == [
        f"REVOKE ALL PRIVILEGES ON `d`.* FROM {TWIN}",
        f"GRANT SELECT ON `d`.* TO {TWIN}",
        f"REVOKE GRANT OPTION ON `d`.* FROM {TWIN}",
    ]
    assert list(statements({Right("privilege", "ALL PRIVILEGES", "`d`.*")}, wanted, TWIN)) == [
        f"GRANT ALL PRIVILEGES ON `d`.* TO {TWIN}"
    ]


def test_options_partial_revokes_and_default_roles() -> None:
    lines = [
        "GRANT USAGE ON *.* TO `app`@`%`",
        "GRANT `r`@`%`,`q`@`%` TO `app`@`%` WITH ADMIN OPTION",
        "GRANT PROXY ON `x`@`y` TO `app`@`%` WITH GRANT OPTION",
        "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
        "SET DEFAULT ROLE `r` FOR `app`@`%`",
    ]
    wanted = rights(lines)
    assert list(statements(wanted, set(), TWIN)) == [
        f"GRANT `q`@`%` TO {TWIN}",
        f"GRANT `r`@`%` TO {TWIN}",
        f"GRANT `q`@`%` TO {TWIN} WITH ADMIN OPTION",
        f"GRANT `r`@`%` TO {TWIN} WITH ADMIN OPTION",
        f"GRANT PROXY ON `x`@`y` TO {TWIN}",
        f"GRANT PROXY ON `x`@`y` TO {TWIN} WITH GRANT OPTION",
        f"REVOKE SELECT ON `mysql`.* FROM {TWIN}",
        f"SET DEFAULT ROLE `r` FOR {TWIN}",
    ]
    without = {right for right in wanted if right.kind not in {"admin option", "default role", "revoked"}}
    assert list(statements(without, wanted, TWIN)) == [
        f"REVOKE `q`@`%` FROM {TWIN}",
        f"GRANT `q`@`%` TO {TWIN}",
        f"REVOKE `r`@`%` FROM {TWIN}",
        f"GRANT `r`@`%` TO {TWIN}",
        f"SET DEFAULT ROLE NONE FOR {TWIN}",
        f"GRANT SELECT ON `mysql`.* TO {TWIN}",
    ]


def test_a_grant_of_a_form_that_is_not_known_is_no_right() -> None:
    with pytest.raises(ValueError, match="TO"):
        rights(["GRANT SELECT ON `d`.*"])


def test_what_an_admin_lacks_is_named() -> None:
    admin = rights(
        [
            "GRANT SELECT, INSERT ON *.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT EXECUTE ON `p`.* TO `a`@`%` WITH GRANT OPTION",
        ]
    )
    wanted = rights(
        [
            "GRANT SELECT (`x`), DELETE ON `d`.`t` TO `u`@`%`",
            "GRANT EXECUTE ON `p`.* TO `u`@`%`",
            "GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%`",
            "GRANT `r`@`%` TO `u`@`%`",
        ]
    )
    assert lacking(wanted, admin, frozenset({"SELECT", "INSERT"})) == ["GRANT DELETE ON `d`.`t`", "GRANT `r`@`%`"]
    assert "GRANT ALL PRIVILEGES ON `d`.*" in lacking(wanted, admin, frozenset({"SELECT", "DROP"}))


@pytest.mark.parametrize(
    ("text", "plugin", "alternatives", "attributes", "locked"),
    [
        ("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL", "mysql_native_password", (),
         "REQUIRE SSL", False),
        ("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*AB' WITH MAX_USER_CONNECTIONS 2", "mysql_native_password", (),
         "WITH MAX_USER_CONNECTIONS 2", False),
        ("CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'x' OR mysql_native_password USING '*A' ACCOUNT LOCK",
         "ed25519", ("mysql_native_password",), "ACCOUNT LOCK", True),
        ("CREATE USER `a`@`%` IDENTIFIED WITH 'AWSAuthenticationPlugin' AS 'RDS' REQUIRE NONE ACCOUNT UNLOCK",
         "AWSAuthenticationPlugin", (), "REQUIRE NONE ACCOUNT UNLOCK", False),
        ("CREATE USER a IDENTIFIED WITH 'sha256_password' AS <secret> REQUIRE NONE PASSWORD EXPIRE ACCOUNT UNLOCK",
         "sha256_password", (), "REQUIRE NONE ACCOUNT UNLOCK", False),
    ],
)  # fmt: skip
def test_an_account_is_read_as_the_server_shows_it(
    text: str, plugin: str, alternatives: tuple[str, ...], attributes: str, locked: bool
) -> None:
    found = account(text)
    assert (found.plugin, found.alternatives, found.attributes, found.locked) == (
        plugin,
        alternatives,
        attributes,
        locked,
    )


def test_no_hash_stays_in_what_was_read() -> None:
    found = account("CREATE USER `a`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 'it''s-a-hash' REQUIRE SSL")
    assert not re.search("hash", repr(found))


def test_the_native_hash_is_the_servers() -> None:
    # SELECT PASSWORD('password') on any server that has the function.
    assert native_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
