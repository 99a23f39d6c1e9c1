"""Hashes of passwords are those that the dashboard checks."""

from plugins.filter.passwords import scrypt_hash
from werkzeug.security import check_password_hash, generate_password_hash


def test_a_hash_is_of_its_password_and_tells_deployments_apart() -> None:
    made = scrypt_hash("pässword", "a token")
    assert made == scrypt_hash("pässword", "a token")
    assert made != scrypt_hash("pässword", "another token")
    assert check_password_hash(made, "pässword")
    assert not check_password_hash(made, "password")


def test_it_takes_as_long_as_those_of_the_library() -> None:
    method = generate_password_hash("a").partition("$")[0]
    assert scrypt_hash("a", "b").startswith(f"{method}$")
