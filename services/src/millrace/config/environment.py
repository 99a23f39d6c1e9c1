"""What is wrong with the environment of a process, in lines that say what to do."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

NO_SETTINGS = ("MILLRACE_SECRETS_DIR", "MILLRACE_VAULT_FILE", "MILLRACE_VAULT_PASSWORD_FILE")
"""Variables that are read elsewhere: before the settings, or by the playbooks in the same shell."""
TESTS = "MILLRACE_TEST_"


def unknown(names: Iterable[str], prefix: str, settings: Collection[str]) -> list[str]:
    """A line for each variable with our prefix that no setting has: who set it, set another."""
    right = {prefix + setting.upper() for setting in settings} | set(NO_SETTINGS)
    lines = []
    for name in sorted(set(names)):
        upper = name.upper()
        if not upper.startswith(prefix) or upper.startswith(TESTS) or upper in right:
            continue
        nearest = get_close_matches(upper, sorted(right), 1)
        instead = f"is {nearest[0]} meant?" if nearest else "remove it"
        lines.append(f"{name}: there is no such setting; {instead}")
    return lines


def unreadable(error: Exception, prefix: str) -> str:
    """What pydantic-settings could not decode: it names the field in quotes, and no value."""
    _, field, _ = str(error).split('"', 2)
    return f'{prefix}{field.upper()}: a list is written as JSON, like ["a", "b"]'
