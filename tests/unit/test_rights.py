from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rotators.engines.rights import Right, changes

rights = st.dictionaries(
    st.tuples(st.sampled_from(["table", "column"]), st.sampled_from("ABC"), st.sampled_from("xy")), st.booleans()
).map(lambda found: {Right(*key, passed_on=option) for key, option in found.items()})


def by_table(right: Right) -> tuple[str, str]:
    """A REVOKE takes what was granted on the table and on its columns."""
    return right.what, right.on


@given(wanted=rights, present=rights)
def test_any_become_any_others(wanted: set[Right], present: set[Right]) -> None:
    state = {right.key: right.passed_on for right in present}
    for granting, right in changes(wanted, present, by_table):
        if granting:
            state[right.key] = right.passed_on or state.get(right.key, False)
        else:
            assert right.key in state
            state = {key: option for key, option in state.items() if (key[1], key[2]) != by_table(right)}
    assert state == {right.key: right.passed_on for right in wanted}


@given(wanted=rights, present=rights)
def test_nobody_is_for_a_moment_without_what_stays(wanted: set[Right], present: set[Right]) -> None:
    """But for what a REVOKE takes with it: an option, or a column's privilege, of that very table."""
    kept = {right.key for right in wanted} & {right.key for right in present}
    state = {right.key for right in present}
    revoked: set[tuple[str, str]] = set()
    for granting, right in changes(wanted, present, by_table):
        if granting:
            state.add(right.key)
        else:
            revoked.add(by_table(right))
            state = {key for key in state if (key[1], key[2]) != by_table(right)}
        assert {key for key in kept - state if (key[1], key[2]) not in revoked} == set()


def test_what_is_new_comes_before_what_is_gone_goes() -> None:
    old, new = Right("role", "OLD"), Right("role", "NEW")
    assert list(changes({new}, {old}, by_table)) == [(True, new), (False, old)]


def test_an_option_goes_with_its_right_and_the_right_comes_back() -> None:
    with_option, without = Right("role", "R", passed_on=True), Right("role", "R")
    assert list(changes({without}, {with_option}, by_table)) == [(False, with_option), (True, without)]
    assert list(changes({with_option}, {without}, by_table)) == [(True, with_option)]
