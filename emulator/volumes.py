"""Data volumes: loop devices over sparse files."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from emulator.settings import LabError

BLOCK = Path("/sys/block")


def command(*words: str) -> str:
    """Run a tool of the system and return what it printed."""
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{' '.join(words)}: {result.stderr.strip() or result.returncode}")
    return result.stdout.strip()


class Volumes:
    """The volumes of a lab, as files in one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self) -> list[str]:
        """The volumes with a file; a volume gets one when it is first attached."""
        return [path.stem for path in self.folder.glob("vol-*.img")]

    def file(self, volume: str) -> Path:
        """The file of a volume."""
        return self.folder / f"{volume}.img"

    def devices(self) -> dict[str, str]:
        """The files behind this machine's loop devices, and the devices' names."""
        found = {}
        for backing in BLOCK.glob("loop*/loop/backing_file"):
            # Other labs may release theirs meanwhile.
            with contextlib.suppress(OSError):
                file = backing.read_text().strip().removesuffix(" (deleted)")
                found[file] = backing.parents[1].name
        return found

    def device(self, volume: str) -> str | None:
        """The loop device of a volume, by its kernel name."""
        return self.devices().get(str(self.file(volume)))

    def attach(self, volume: str, gigabytes: int) -> str:
        """Ensure a loop device for the volume; an enlarged volume grows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.file(volume)
        size = gigabytes * 2**30
        grown = path.exists() and path.stat().st_size < size
        if not path.exists() or grown:
            with path.open("ab") as stream:
                stream.truncate(size)
        device = self.device(volume)
        if device is None:
            device = Path(command("losetup", "--find", "--show", str(path))).name
        elif grown:
            command("losetup", "--set-capacity", f"/dev/{device}")
        return device

    def release(self, volume: str) -> None:
        """Detach the loop device; while it is mounted, the kernel detaches it on unmount."""
        if device := self.device(volume):
            command("losetup", "--detach", f"/dev/{device}")

    def release_all(self) -> None:
        """Detach all devices of the directory, also if their files were deleted."""
        for file, device in self.devices().items():
            if Path(file).parent == self.folder:
                command("losetup", "--detach", f"/dev/{device}")

    def delete(self, volume: str) -> None:
        """Delete the volume and its data."""
        self.release(volume)
        self.file(volume).unlink(missing_ok=True)


def listing(devices: dict[str, str]) -> str:
    """The list for a host: kernel name, minor number, and volume id in the form of a serial."""
    lines = []
    for volume, device in sorted(devices.items()):
        major, _, minor = (BLOCK / device / "dev").read_text().strip().partition(":")
        lines.append(f"{device} {major} {minor} {volume.replace('-', '')}\n")
    return "".join(lines)
