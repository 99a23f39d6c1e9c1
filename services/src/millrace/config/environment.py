"""Errors in the environment of a process, as lines that say what to do."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails

NO_SETTINGS = ("MILLRACE_SECRETS_DIR", "MILLRACE_VAULT_FILE", "MILLRACE_VAULT_PASSWORD_FILE")
"""Variables that are not settings: read before the settings, or by playbooks in the same shell."""
TESTS = "MILLRACE_TEST_"
LIST = 'write it as a list, like ["a", "b"]'
TEXT = 'write it as text, in quotes, like "a"'


def wrong(
    names: Iterable[str], prefix: str, settings: Collection[str], secrets: Collection[str]
) -> list[str]:
    """A line for each variable that is named like a secret, with our prefix or without, or that
    has our prefix but belongs to no setting. `secrets` are the settings that are secrets.
    """
    files = {prefix + name.upper(): f"{name} of the secrets directory" for name in secrets}
    right = {name: name for name in (*NO_SETTINGS, *(prefix + one.upper() for one in settings))}
    right |= {variable: f"the file {file}" for variable, file in files.items()}
    lines = []
    for name in sorted(set(names)):
        ours = prefix + name.upper().removeprefix(prefix)
        if ours in files:
            lines.append(
                f"{name} is not read: a secret is read from a file only;"
                f" remove the variable, and put the secret into the file {files[ours]}"
            )
        elif name.upper() == ours and ours not in right and not ours.startswith(TESTS):
            lines.append(f"{name}: there is no such setting; {instead(ours, right)}")
    return lines


def instead(name: str, right: Mapping[str, str]) -> str:
    """What to do about an unknown name. `right` maps known names to how a message calls them."""
    nearest = get_close_matches(name, sorted(right), 1)
    return f"is {right[nearest[0]]} meant?" if nearest else "remove it"


def unreadable(error: Exception, prefix: str) -> str:
    """The message for a setting that pydantic-settings could not read.

    Its error names the field in quotes, and no value.
    """
    _, field, _ = str(error).split('"', 2)
    if isinstance(error.__cause__, UnicodeDecodeError):
        return f"the secret file {field} is no text in UTF-8"
    if isinstance(error.__cause__, UserWarning):
        what = "is a folder, or a link out of the secrets directory: make it a file"
        return f"the secret file {field} {what}"
    if isinstance(error.__cause__, OSError):
        return f"cannot read the secret file {field}: {error.__cause__.strerror}"
    return f"{prefix}{field.upper()}: {LIST}"


def refused(name: str, error: ErrorDetails) -> str:
    """The message for a value that a setting cannot have.

    The error's `loc` are indexes in a list; the message counts items from 1.
    """
    said, items = error["msg"], error["loc"]
    if error["type"] == "list_type":
        said = LIST
    elif items and error["type"] == "string_type":
        said = TEXT
    item = "".join(f"item {int(number) + 1}: " for number in items)
    return f"{name}: {item}{said}"
