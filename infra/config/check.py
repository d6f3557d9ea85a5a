"""Checks whether the values of the file fit together, beyond the form of each value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from infra.config.environment import LIMIT, OURS, environment, size
from infra.config.functions import Group, groups, settings_of
from infra.config.mistakes import Mistake, Place
from infra.config.model import CUSTOM, KEY_ARN, NAME, SECRET_ARN, Replica, Rotations, Secret
from infra.config.own import check_own
from infra.config.parts import FOREIGN_A_STACK, FUNCTIONS_A_STACK, MADE_A_STACK, RESOURCES, SECRETS_A_STACK, parts
from infra.config.schedule import ScheduleMistake, rules
from rotators.engines.specs import SPECS
from rotators.errors import PackagingFailed
from rotators.packaging import platforms, trust

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_LONGEST_NAME = 64
# What a function reads from its environment, so all its secrets must have the same.
_OF_THE_FUNCTION = ("engine", "network", "strategy", "password", "test_query", "allow_admin_reset", "twin")


def check(rotations: Rotations, folder: Path) -> Iterator[Mistake]:
    """Find what does not fit together.

    Args:
        rotations: the file, each value of which is of the right form.
        folder: where the file lies.
    """
    for number, secret in enumerate(rotations.secrets):
        place: Place = ("secrets", number)
        yield from _identity(secret, place)
        yield from _schedule(secret, place)
        yield from _admin(secret, place)
        yield from _admin_host(rotations, secret, place)
        yield from _user(secret, place)
        yield from _references(rotations, secret, place)
        yield from _region(rotations, secret, place)
    yield from _twice(rotations)
    for part in parts(rotations.secrets, rotations.stacks):
        for group in groups(rotations, part):
            yield from _function(group)
    yield from check_own(rotations, folder)
    yield from _unused_functions(rotations)
    yield from _names(rotations)
    yield from _variables(rotations)
    yield from _stacks(rotations)
    yield from _networks(rotations)
    yield from _accounts(rotations)
    yield from _ca_bundle(rotations, folder)


def _identity(secret: Secret, place: Place) -> Iterator[Mistake]:
    given = [key for key in ("name", "arn", "create") if getattr(secret, key) is not None]
    if len(given) != 1:
        yield Mistake(place, f"has {' and '.join(given) or 'no secret'}: give one of name, arn and create")


def _schedule(secret: Secret, place: Place) -> Iterator[Mistake]:
    try:
        rules(secret)
    except ScheduleMistake as error:
        yield Mistake((*place, error.key) if error.key else place, f"{error.what}; {error.advice}")


def _admin(secret: Secret, place: Place) -> Iterator[Mistake]:
    asking = (
        ("strategy", secret.strategy == "alternating-users", "'alternating-users'"),
        ("twin", secret.twin == "adopt", "'adopt'"),
        ("allow_admin_reset", secret.allow_admin_reset, "true"),
    )
    needs = next(((key, value) for key, asked, value in asking if asked), None)
    in_secret = secret.create is not None and "masterarn" in secret.create.values
    spec = SPECS.get(secret.engine)
    if secret.admin is None and (in_secret or secret.admin_named_in_secret):
        yield Mistake((*place, "admin"), "is missing: the function needs permission to read the admin's secret")
    elif secret.admin is None and spec is not None and not spec.self_service:
        yield Mistake(
            (*place, "admin"),
            f"is missing: no user of {secret.engine} can change its own password: give the admin's secret",
        )
    elif secret.admin is None and needs is not None:
        key, value = needs
        yield Mistake(
            (*place, key),
            f"is {value} without an admin secret: give admin, the name or ARN of the admin's secret",
        )
    if secret.strategy == "dual-password" and spec is not None and not spec.second_password:
        yield Mistake(
            (*place, "strategy"),
            f"is 'dual-password', but a user of {secret.engine} can have only one password: use alternating-users",
        )
    if secret.admin is not None and secret.admin in {secret.name, secret.arn}:
        yield Mistake((*place, "admin"), "is the secret itself: name the admin's")


def _admin_host(rotations: Rotations, secret: Secret, place: Place) -> Iterator[Mistake]:
    key = (*place, "admin_host")
    if secret.admin_host is None:
        if secret.admin_manager is not None:
            service = {"rds": "RDS", "redshift": "Redshift"}[secret.admin_manager]
            yield Mistake(
                key,
                f"is missing: {service} manages the admin's secret, which has no host: give the writer's endpoint, or "
                f"the ARN of the database, and the function asks {service} for the endpoint",
            )
        return
    if secret.admin is None:
        yield Mistake(key, "needs an admin, and there is none: add admin, or leave admin_host out")
        return
    if secret.admin_database is None:
        return
    _, _, service, region, account, _ = secret.admin_database.split(":", 5)
    if secret.admin_manager is None or not service.startswith(secret.admin_manager):
        yield Mistake(
            key,
            f"is the ARN of a database of {service}, which works only for an admin's secret that {service} manages, "
            f"and '{secret.admin}' is not one: give the endpoint",
        )
    admin = secret.admin.split(":")[3:5] if re.fullmatch(SECRET_ARN, secret.admin) else [None, None]
    for given, known, what in (
        (region, {rotations.region, admin[0]} - {None}, "Region"),
        (account, {rotations.account, admin[1]} - {None}, "account"),
    ):
        if known - {given}:
            yield Mistake(key, f"is of another {what} than {' and '.join(sorted(map(str, known)))}: give the endpoint")
    network = rotations.networks.get(secret.network or "")
    if network is not None and network.secrets_manager != "nat":
        yield Mistake(
            key,
            f"is the ARN of a database, but from the network '{secret.network}' a function reaches only Secrets "
            "Manager: give the endpoint",
        )


def _user(secret: Secret, place: Place) -> Iterator[Mistake]:
    if secret.names_its_user and secret.named_user is None:
        order = "twin: adopt" if secret.twin == "adopt" else "allow_admin_reset"
        yield Mistake(
            (*place, "user"),
            f"is missing: {order} applies to one user, and the name in the secret is not trusted: give the user's name",
        )
    if secret.user is not None and secret.admin is None:
        yield Mistake((*place, "user"), "needs an admin, and there is none: add admin, or leave user out")
    made = None if secret.create is None else secret.create.values["username"]
    if secret.user is not None and made is not None and secret.user != made:
        yield Mistake((*place, "user"), f"is '{secret.user}', but the secret is created for '{made}': leave it out")


def _references(rotations: Rotations, secret: Secret, place: Place) -> Iterator[Mistake]:
    if secret.network is not None and secret.network not in rotations.networks:
        known = ", ".join(rotations.networks) or "none: add it to networks"
        yield Mistake((*place, "network"), f"is '{secret.network}', which is not in networks ({known})")
    for key in ("kms_key", "admin_kms_key"):
        value = getattr(secret, key)
        if value is not None and value.startswith("arn:"):
            yield from _key_arn(value, (*place, key), rotations.region)
        elif value is not None and value not in rotations.keys:
            known = ", ".join(rotations.keys) or "none"
            yield Mistake((*place, key), f"is '{value}', which is neither an ARN nor one of keys ({known})")
    for number, one in enumerate([] if secret.create is None else secret.create.replicas):
        if isinstance(one, Replica) and one.kms_key is not None:
            yield from _key_arn(one.kms_key, (*place, "create", "replicas", number, "kms_key"), one.region)
    network = rotations.networks.get(secret.network or "")
    reaches = secret.engine != CUSTOM or secret.port or settings_of(rotations, secret.function_label).ports
    if (
        network is not None
        and reaches
        and not (
            network.security_group
            or secret.database_security_group
            or secret.database_cidr
            or network.database_security_group
            or network.database_cidr
        )
    ):
        yield Mistake((*place, "database_security_group"), "is missing: nothing says where the database is")


def _key_arn(value: str, place: Place, region: str | None) -> Iterator[Mistake]:
    """An ARN that permissions can name: a key's, of the Region where it is used."""
    service = f"{value}::".split(":")[2]
    if service != "kms":
        yield Mistake(place, f"is an ARN of the service '{service}': give the ARN of a KMS key")
    elif ":alias/" in value:
        yield Mistake(
            place,
            "is the ARN of an alias, but permissions need the key's ARN "
            "(aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn)",
        )
    elif not re.fullmatch(KEY_ARN, value):
        yield Mistake(place, f"is '{value}', which is not the ARN of a KMS key")
    elif region not in {None, value.split(":")[3]}:
        yield Mistake(place, f"is the ARN of a key of another Region than {region}")


def _region(rotations: Rotations, secret: Secret, place: Place) -> Iterator[Mistake]:
    if secret.arn is not None and rotations.region is not None and secret.arn.split(":")[3] != rotations.region:
        yield Mistake(
            (*place, "arn"),
            f"is of another Region than {rotations.region}: rotate it in the Region of its primary, with a stack there",
        )
    if secret.arn is not None and not _whole(secret.arn):
        yield Mistake(
            (*place, "arn"),
            f"is not the whole ARN, which ends in a hyphen and six characters: give that, or name: {secret.label}",
        )
    admin = secret.admin
    if admin is None or not admin.startswith("arn:"):
        if admin is not None and not re.fullmatch(NAME, admin):
            yield Mistake((*place, "admin"), f"is '{admin}', which is neither the name nor the ARN of a secret")
        return
    if not re.fullmatch(SECRET_ARN, admin):
        yield Mistake((*place, "admin"), f"is '{admin}', which is not the ARN of a secret")
    elif not _whole(admin):
        yield Mistake(
            (*place, "admin"),
            "is not the whole ARN, which ends in a hyphen and six characters: give that, or the name "
            f"{admin.split(':')[6]}",
        )
    else:
        here = rotations.region or (secret.arn.split(":")[3] if secret.arn is not None else None)
        if here not in {None, admin.split(":")[3]}:
            yield Mistake(
                (*place, "admin"),
                f"is of another Region than {here}: the function reads it where it runs; copy it there",
            )


def _whole(arn: str) -> bool:
    return re.search(r"-[A-Za-z0-9]{6}$", arn) is not None


def _twice(rotations: Rotations) -> Iterator[Mistake]:
    seen: dict[tuple[str, str | None], int] = {}
    foreign = {secret.account for secret in rotations.secrets} - {rotations.account, None}
    for number, secret in enumerate(rotations.secrets):
        account = secret.account if rotations.account is not None and secret.account in foreign else None
        key = (secret.label, account)
        if key in seen:
            yield Mistake(
                ("secrets", number),
                f"is '{secret.label}', the same as secrets[{seen[key]}]: only one function can rotate a secret; remove "
                "one",
            )
        seen.setdefault(key, number)


def _function(group: Group) -> Iterator[Mistake]:
    number, first = group.secrets[0]
    for other, secret in group.secrets[1:]:
        for key in _OF_THE_FUNCTION:
            if getattr(secret, key) != getattr(first, key):
                yield Mistake(
                    ("secrets", other, key),
                    f"differs from that of secrets[{number}], with which it shares the function '{group.name}': give "
                    "one of them its own function (function: a-name)",
                )
    told = {secret.admin for _, secret in group.secrets if secret.admin and not secret.admin_named_in_secret}
    if len(told) > 1:
        yield Mistake(
            ("secrets", group.secrets[-1][0], "admin"),
            f"is one of several for the function '{group.name}', which can have only one: give each admin's secrets "
            "their own function (function: a-name), or put masterarn into the secrets and set admin_named_in_secret",
        )
    yield from _told_addresses(group)
    yield from _told_users(group)
    if group.engine == CUSTOM:
        return
    try:
        platforms.check(group.engine, group.architecture)
    except PackagingFailed as error:
        yield Mistake(("secrets", number, "engine"), f"is '{group.engine}': {error.what}; {error.advice}")


def _told_addresses(group: Group) -> Iterator[Mistake]:
    """A function can have one address, which it uses for every admin whose secret has none."""
    if group.admin_host is None:
        return
    for number, secret in group.secrets:
        if secret.admin is not None and secret.admin_host != group.admin_host:
            yield Mistake(
                ("secrets", number, "admin_host"),
                f"is one of several for the function '{group.name}', which can have only one ('{group.admin_host}'): "
                "give each server's secrets their own function (function: a-name)",
            )


def _told_users(group: Group) -> Iterator[Mistake]:
    by_name = {secret.label for _, secret in group.secrets if secret.named_user and secret.arn is None}
    for number, secret in group.secrets:
        if secret.arn is not None and secret.label in by_name and not secret.named_user:
            yield Mistake(
                ("secrets", number, "user"),
                f"is missing: another secret of the function '{group.name}' has the same name, and its user would be "
                "used for this one: give both users, or its own function (function: a-name)",
            )
    takes = size(environment(group))
    if takes > LIMIT:
        yield Mistake(
            ("secrets", group.secrets[-1][0]),
            f"is one too many for the function '{group.name}': its variables, which hold the users of its secrets and "
            f"the values of those to create, would have {takes:,} bytes, and Lambda allows {LIMIT:,}: give some of its "
            "secrets their own function (function: a-name)",
        )


def _unused_functions(rotations: Rotations) -> Iterator[Mistake]:
    used = {secret.function_label for secret in rotations.secrets}
    for name in rotations.functions:
        if name not in used:
            known = ", ".join(sorted(used))
            yield Mistake(("functions", name), f"is not the function of any secret: the functions are {known}")


def _names(rotations: Rotations) -> Iterator[Mistake]:
    if rotations.prefix is None:
        return
    # A name in the first stack has no number.
    suffix = f"-{rotations.stacks}" if rotations.stacks > 1 else ""
    longest = _LONGEST_NAME - len(rotations.prefix + suffix)
    for number, secret in enumerate(rotations.secrets):
        if len(secret.function_label) > longest:
            yield Mistake(
                ("secrets", number, "function"),
                f"is '{secret.function_label}', and with the prefix a function's name would be longer than "
                f"{_LONGEST_NAME} characters: give it a shorter one (function: a-name)",
            )


def _variables(rotations: Rotations) -> Iterator[Mistake]:
    for place, variables in (
        (("function",), rotations.function.environment),
        *((("functions", name), own.get("environment", {})) for name, own in rotations.functions.items()),
    ):
        for name in variables:
            if name in OURS or name.startswith("AWS_"):
                whose = "Lambda's own" if name.startswith("AWS_") else "made from other keys of this file"
                yield Mistake((*place, "environment", name), f"is {whose}: leave it out")


def _stacks(rotations: Rotations) -> Iterator[Mistake]:
    """Whether each stack has room: 500 resources and 200 outputs, and policies that name every secret.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    """
    needed = next((number for number in range(rotations.stacks, 51) if _fits(rotations, number)), None)
    made = sum(secret.create is not None for secret in rotations.secrets)
    if made > MADE_A_STACK:
        yield Mistake(
            ("secrets",),
            f"are {made:,} to create, and a stack can hold {MADE_A_STACK}: put the others into another file",
        )
    elif needed != rotations.stacks:
        more = f"write stacks: {needed}" if needed else "use several files"
        yield Mistake(
            ("stacks",), f"is {rotations.stacks}, which can't hold {len(rotations.secrets):,} secrets: {more}"
        )


def _fits(rotations: Rotations, stacks: int) -> bool:
    for part in parts(rotations.secrets, stacks):
        foreign = sum(secret.account not in {None, rotations.account} for _, secret in part)
        functions = Counter(secret.function_label for _, secret in part)
        if len(part) > SECRETS_A_STACK or foreign > FOREIGN_A_STACK or len(functions) > FUNCTIONS_A_STACK:
            return False
        # A schedule each, permissions, the resources of functions and their alarms, and the overdue check of a dozen.
        weight = len(part) + sum(min(count, 20) + 17 for count in functions.values()) + len(part) // 4
        if weight + 2 * sum(secret.create is not None for secret in rotations.secrets) > RESOURCES:
            return False
    return True


def _networks(rotations: Rotations) -> Iterator[Mistake]:
    for name, network in rotations.networks.items():
        place: Place = ("networks", name, "secrets_manager")
        for key in ("endpoint_subnets", "private_dns_for"):
            if getattr(network, key) is not None and network.secrets_manager != "create-endpoint":
                yield Mistake(
                    ("networks", name, key),
                    "is only for an endpoint that the stack makes: write secrets_manager: create-endpoint",
                )
        if network.secrets_manager == "nat" and network.kind == "public":
            yield Mistake(
                place,
                "is 'nat' in public subnets: a function gets no public address there, so it has no route to Secrets "
                "Manager; use private subnets, or create-endpoint, or the security group of an endpoint",
            )
        if network.secrets_manager == "nat" and network.kind == "isolated":
            yield Mistake(
                place,
                "is 'nat' in isolated subnets, from which there is no route to Secrets Manager; use create-endpoint, "
                "or the security group of an existing endpoint",
            )


def _accounts(rotations: Rotations) -> Iterator[Mistake]:
    accounts = sorted({secret.account for secret in rotations.secrets if secret.account is not None})
    if rotations.account is None and len(accounts) > 1:
        yield Mistake(
            ("account",),
            f"is missing, and the secrets are in {', '.join(accounts)}: name the account that you deploy to",
        )
    for number, secret in enumerate(rotations.secrets):
        if rotations.account is not None and secret.account not in {None, rotations.account} and not _full_key(secret):
            yield Mistake(
                ("secrets", number, "kms_key"),
                "must be the ARN of a key for a secret in another account: the AWS managed key can't be used from "
                "there (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html)",
            )


def _full_key(secret: Secret) -> bool:
    return secret.kms_key is not None and secret.kms_key.startswith("arn:")


def _ca_bundle(rotations: Rotations, folder: Path) -> Iterator[Mistake]:
    if rotations.ca_bundle is None or rotations.ca_bundle.file is None:
        return
    try:
        trust.read(folder / rotations.ca_bundle.file)
    except PackagingFailed as error:
        yield Mistake(("ca_bundle", "file"), f"is '{rotations.ca_bundle.file}': {error.what}; {error.advice}")
