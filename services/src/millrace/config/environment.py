"""What is wrong with the environment of a process, in lines that say what to do."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

NO_SETTINGS = ("MILLRACE_SECRETS_DIR", "MILLRACE_VAULT_FILE", "MILLRACE_VAULT_PASSWORD_FILE")
"""Variables that are read elsewhere: before the settings, or by the playbooks in the same shell."""
TESTS = "MILLRACE_TEST_"
LIST = 'a list is written as JSON, like ["a", "b"]'


def unknown(names: Iterable[str], prefix: str, settings: Collection[str]) -> list[str]:
    """A line for each variable with our prefix that no setting has: who set it, set another."""
    right = {prefix + setting.upper() for setting in settings} | set(NO_SETTINGS)
    lines = []
    for name in sorted(set(names)):
        upper = name.upper()
        if not upper.startswith(prefix) or upper.startswith(TESTS) or upper in right:
            continue
        lines.append(f"{name}: there is no such setting; {instead(upper, right)}")
    return lines


def instead(name: str, right: Collection[str]) -> str:
    """What to do about a name that is not among the right ones."""
    nearest = get_close_matches(name, sorted(right), 1)
    return f"is {nearest[0]} meant?" if nearest else "remove it"


def unreadable(error: Exception, prefix: str) -> str:
    """What pydantic-settings could not read: it names the field in quotes, and no value."""
    _, field, _ = str(error).split('"', 2)
    if isinstance(error.__cause__, UnicodeDecodeError):
        return f"the secret file {field} is no text in UTF-8"
    if isinstance(error.__cause__, UserWarning):
        return f"the secret file {field} is a folder, or a link out of the secrets directory"
    if isinstance(error.__cause__, OSError):
        return f"cannot read the secret file {field}: {error.__cause__.strerror}"
    return f"{prefix}{field.upper()}: {LIST}"


def refused(place: tuple[int | str, ...], kind: str, said: str, prefix: str) -> str:
    """A value that a setting cannot have: which item of a list it is, counted from 1."""
    name, *items = place
    if items or kind == "list_type":
        said = LIST if kind in {"list_type", "string_type"} else said
    item = "".join(f"item {int(number) + 1}: " for number in items)
    return f"{prefix}{str(name).upper()}: {item}{said}"
