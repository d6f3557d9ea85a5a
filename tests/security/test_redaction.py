"""The redactor against anyone who writes a secret: what they put there hides neither a password too few nor a name."""

from __future__ import annotations

import io
import json
import string
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotators.credentials import Credentials
from rotators.errors import LoginRefused, RotationError
from rotators.logs import FIELD_NAMES, REDACTED, Redactor, logger, redactor
from rotators.rotator import Rotation, Rotator, learn
from rotators.testing import STEPS, RotationService
from rotators.versions import SecretVersions

PASSWORD = "correct-horse-battery"
SECRET: dict[str, Any] = {
    "engine": "postgres",
    "host": "orders.cluster-abc.eu-west-1.rds.amazonaws.com",
    "port": 5432,
    "username": "orders",
    "password": PASSWORD,
    "dbname": "shop",
    "masterarn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin-AbCdEf",
}
NAMES = [str(SECRET[key]) for key in ("host", "username", "dbname", "masterarn", "engine")]
# Whatever a line of ours is made of, and parts of it.
ATTACKS = sorted(
    {*FIELD_NAMES, *STEPS, *NAMES, "INFO", "ERROR", "rotators", "amazonaws", "eu-west-1", "secret:", "123456789012"}
    | {"AWSCURRENT", "AWSPENDING", "LoginRefused", "arn:aws:secretsmanager", "':", '":"', "', '", " at ", "rders"}
    | {"single-user", "alternating-users", "dual-password", "20", "true", "postgres", "cluster-abc.eu"}
)


class Refused(Rotator[Credentials]):
    """A rotator whose login is refused, in a text that names all that is public."""

    value_type = Credentials

    def propose(self, rotation: Rotation[Credentials]) -> Credentials:
        current = rotation.current
        logger.info("proposing", user=current.username, host=current.host, reason=f"as '{current.username}'")
        raise LoginRefused(text_of(current), f"see {current.admin_arn}, not '{current.password}'")

    def apply(self, rotation: Rotation[Credentials]) -> None: ...

    def verify(self, rotation: Rotation[Credentials]) -> None: ...


def text_of(value: Credentials) -> str:
    return (
        f"the user '{value.username}' is refused by {value.host}:{value.port(1)}/{value.dbname} ({value.engine}), "
        f"as the admin of {value.admin_arn}"
    )


def refused(service: RotationService, secret: dict[str, Any]) -> tuple[str, RotationError]:
    name = f"s{len(service.calls)}"
    rotator = Refused(SecretVersions(service.client, patience=0.1))
    failed = service.rotate(service.create_secret(name, secret, rotator))
    assert isinstance(failed.error, LoginRefused)
    return failed.secret_arn, failed.error


class TestWhatIsPublic:
    """Issue 11, fault 10: an application's team may write any key into its own secret."""

    @pytest.mark.parametrize("nested", [False, True])
    def test_no_unknown_key_hides_who_where_and_which_secret(
        self, rotation_service: RotationService, log: io.StringIO, *, nested: bool
    ) -> None:
        """The secret holds every word of our log lines, so that nobody may see whose rotation failed."""
        unknown: dict[str, Any] = {f"key{number}": value for number, value in enumerate(ATTACKS)}
        arn, error = refused(rotation_service, {**SECRET, **({"nested": [unknown]} if nested else unknown)})
        for name in NAMES:
            assert name in str(error)
        assert PASSWORD not in str(error) + log.getvalue()
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        assert [line["level"] for line in lines] == ["INFO", "ERROR"]
        for line in lines:
            assert (line["secret"], line["step"], line["service"]) == (arn, "createSecret", "rotators")
            assert line["timestamp"].startswith("20")
            assert set(line) <= FIELD_NAMES
        assert (lines[0]["user"], lines[0]["host"]) == (SECRET["username"], SECRET["host"])
        assert lines[1]["error"] == "LoginRefused"

    def test_what_one_secret_held_hides_nothing_of_the_next(self, rotation_service: RotationService) -> None:
        """One function rotates the secrets of several teams; one of them writes what the others' hosts are."""
        other = {**SECRET, "host": "billing.example", "username": "billing", "password": "another-password"}
        refused(rotation_service, {**SECRET, "password": "billing.example", "note": "billing"})
        _, error = refused(rotation_service, other)
        assert "'billing'" in str(error)
        assert "billing.example" in str(error)

    def test_a_password_that_repeats_the_arn_or_a_step_leaves_the_line_its_own(
        self, rotation_service: RotationService, log: io.StringIO
    ) -> None:
        for password in ("createSecret", "rotators", "ERROR", "secret", "LoginRefused", "timestamp"):
            arn, _ = refused(rotation_service, {**SECRET, "password": password})
            line = json.loads(log.getvalue().splitlines()[-1])
            assert (line["level"], line["secret"], line["step"]) == ("ERROR", arn, "createSecret")
            assert (line["service"], line["error"]) == ("rotators", "LoginRefused")

    @given(
        unknown=st.dictionaries(
            st.text(string.ascii_letters, min_size=1).map(lambda name: f"x-{name}"),
            st.one_of(
                st.text(),
                st.sampled_from(ATTACKS),
                st.builds(lambda name, cut: name[cut:], st.sampled_from(NAMES), st.integers(0, 20)),
                st.builds(
                    lambda before, name, after: before + name + after, st.text(), st.sampled_from(NAMES), st.text()
                ),
                st.lists(st.sampled_from(NAMES)),
            ),
        )
    )
    def test_names_survive_whatever_unknown_keys_hold(self, unknown: dict[str, Any]) -> None:
        redactor.forget()
        value = Credentials({**SECRET, **unknown})
        learn(value)
        text = redactor.redact(text_of(value))
        for name in NAMES:
            assert name in text
        line = {"level": "INFO", "message": "done", "user": SECRET["username"], "host": SECRET["host"]}
        shown = redactor.redact_line(line)
        assert {**shown, "message": "done"} == line


class TestWhatIsSecret:
    """Nothing that stands in a secret or in a server's answer makes a password visible."""

    def test_thousands_of_short_values_push_no_password_out(
        self, rotation_service: RotationService, log: io.StringIO
    ) -> None:
        """Issue 11, fault 10: the memory had 512 places, and the oldest went first."""
        junk = {f"k{number}": f"{number:05}" for number in range(3_000)}
        _, error = refused(rotation_service, {"password": PASSWORD, **junk, **SECRET})
        assert PASSWORD not in str(error) + log.getvalue()
        assert f"not '{REDACTED}'" in str(error)

    def test_values_within_json_within_a_value_are_hidden(self) -> None:
        redactor.forget()
        inner = json.dumps({"password": "inner-password", "deeper": json.dumps(["deepest-password"])})
        learn(Credentials({**SECRET, "connection": inner}))
        assert redactor.redact("inner-password, deepest-password") == f"{REDACTED}, {REDACTED}"

    def test_a_number_as_a_password_is_hidden(self) -> None:
        redactor.forget()
        learn(Credentials({**SECRET, "password": 12345678}))
        assert redactor.redact("it is 12345678") == f"it is {REDACTED}"

    @given(
        password=st.text(st.characters(exclude_categories=[], exclude_characters="*"), min_size=4, max_size=40),
        host=st.text(string.ascii_lowercase + ".", min_size=1, max_size=20),
        user=st.text(min_size=1, max_size=20),
        note=st.text(max_size=20),
        before=st.text(max_size=10),
        after=st.text(max_size=10),
    )
    def test_no_password_survives_in_any_spelling(
        self, *, password: str, host: str, user: str, note: str, before: str, after: str
    ) -> None:
        redactor.forget()
        # Anyone who names a user after the password has published it.
        assume(all(password not in public for public in (host, user)))
        learn(Credentials({**SECRET, "host": host, "username": user, "password": password, "note": note}))
        escaped = json.dumps(password)[1:-1]
        spellings = {
            password, escaped, json.dumps(escaped)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1],
            repr(password)[1:-1], quote(password, errors="surrogatepass"), password.replace("'", "''"),
            quote(password, safe="", errors="surrogatepass"), quote_plus(password, errors="surrogatepass"),
            password.replace('"', '""'),
        }  # fmt: skip
        for spelling in spellings:
            text = f"{before}{spelling}{after} {user}{spelling}{host}"
            for word in (redactor.redact(text), str(redactor.clean(LoginRefused(text)))):
                assert spelling not in word

    @given(
        password=st.text(string.ascii_letters + string.digits, min_size=8, max_size=40),
        pieces=st.lists(st.sampled_from(["PASSWORD", "app", "db.example", " ", "'", "@", "x"]), max_size=12),
        unknown=st.lists(st.sampled_from(["app@db", "'app'", "db.example", "xapp", "app app"])),
    )
    def test_no_neighbour_and_no_unknown_value_uncovers_a_password(
        self, password: str, pieces: list[str], unknown: list[str]
    ) -> None:
        redact = Redactor()
        redact.show(["app", "db.example"])
        redact.hide_unknown(unknown)
        redact.hide([password])
        text = "".join(pieces).replace("PASSWORD", password)
        assert password not in redact.redact(text)
