"""Keep what Python compiles of the zip files in which Ansible sends its modules.

Each module comes in a zip file of its own, with all that it imports, and Python keeps nothing of
what it compiles of one: that is two fifths of a module's processor time. In the environment of
tests, as `scripts/bootstrap dev` makes it, and on emulated hosts every Python imports this at its
start. What runs is the same code; elsewhere Python is as it is.
"""

import contextlib
import os
import sys
import zipimport
from pathlib import Path
from types import CodeType

CACHE = Path(sys.prefix, "lib", "compiled_modules")
NOT_READ = (OSError, EOFError, ValueError, TypeError)
"""What reading a file ends with that is not there, or that is damaged"""

_compile = zipimport._compile_source  # type: ignore[attr-defined]


def compiled(path: str, source: bytes) -> CodeType:
    """The code of a file in an archive: as it was compiled before, if its text is the same."""
    # Other programs should not wait for these at their start.
    import hashlib
    import marshal

    name = path.rpartition(".zip")[2]
    digest = hashlib.sha256(f"{name}\0".encode() + source).hexdigest()
    file = CACHE / f"{digest}.{sys.implementation.cache_tag}"
    with contextlib.suppress(*NOT_READ):
        return marshal.loads(file.read_bytes())  # type: ignore[no-any-return]
    code: CodeType = _compile(path, source)
    with contextlib.suppress(OSError):
        CACHE.mkdir(exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_bytes(marshal.dumps(code))
        beside.replace(file)
    return code


zipimport._compile_source = compiled  # type: ignore[attr-defined]
