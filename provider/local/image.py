"""What local machines boot from: a Debian root file system, and above it a layer with the serving environment.

Both are built once into the cache, under a name made from what went into them, and shared read-only by every machine.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provider import places
from provider.local.host import locked, run
from provider.resource import Refused

Say = Callable[[str], None]

VENV: Final = "/opt/liftoff/venv"
MARKER: Final = "liftoff-requirements.sha256"
"""File in the environment that holds the SHA-256 of the requirements it was made from."""
BOOT_PROGRAM: Final = Path(__file__).parents[2] / "cloud-init" / "boot"

_RELEASE: Final = "bookworm"
_MIRROR: Final = "https://deb.debian.org"
_PACKAGES: Final = (
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "udev",
    "cloud-init",
    "python3-minimal",
    "python3-venv",
    "ca-certificates",
    "curl",
    "iproute2",
    "netbase",
    "procps",
    "nginx-light",
    "libgomp1",
    "libnuma1",
    "libtcmalloc-minimal4",
)
_SOURCES: Final = (
    f"deb {_MIRROR}/debian {_RELEASE} main",
    f"deb {_MIRROR}/debian {_RELEASE}-updates main",
    f"deb {_MIRROR}/debian-security {_RELEASE}-security main",
)
_UNUSED_UNITS: Final = (
    "nginx.service",  # Debian's own pages; ours is liftoff-proxy.service
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-networkd.service",  # the namespace comes with its address
    "systemd-networkd.socket",
)
_FILES: Final = {
    # Only the seed folder is looked at: no machine here has a metadata service.
    "etc/cloud/cloud.cfg.d/90-liftoff.cfg": (
        "datasource_list: [NoCloud, None]\nlocale: C.UTF-8\nnetwork: {config: disabled}\n"
    ),
    "etc/hostname": "liftoff\n",
}


@dataclass(frozen=True)
class Release:
    """A release of a distribution that machines boot.

    Attributes:
        name: its code name.
        sources: lines of sources.list.
        keyring: what its archive is signed with; None where this host trusts it already.
    """

    name: str
    sources: tuple[str, ...]
    keyring: Path | None = None


DEBIAN: Final = Release(_RELEASE, _SOURCES)


def ensure_root(say: Say, release: Release = DEBIAN) -> Path:
    """Return the root file system; build it on the first call (about half a minute).

    Raises:
        Refused: mmdebstrap is missing or failed.
    """
    made_of = (_PACKAGES, release.sources, _UNUSED_UNITS, sorted(_FILES.items()))
    folder = _images() / f"root-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}"
    with locked(_images() / "lock"):
        if not folder.exists():
            _build_root(folder, release, say)
    return folder


def ensure_baked(requirements: str, say: Say) -> Path:
    """Return the layer with the serving environment; build it on the first call (minutes).

    Raises:
        Refused: the installation failed; the message has its last words.
    """
    root = ensure_root(say)
    digest = hashlib.sha256(f"{root.name}\n{requirements}".encode()).hexdigest()[:16]
    folder = _images() / f"serving-{digest}"
    with locked(_images() / "lock"):
        if not folder.exists():
            _build_baked(root, requirements, folder, say)
    return folder


def _images() -> Path:
    return places.cache_folder() / "images"


def _build_root(folder: Path, release: Release, say: Say) -> None:
    began = time.monotonic()
    with _scratch() as scratch:
        target = scratch / "root"
        command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
        command += [f"--keyring={release.keyring}"] if release.keyring else []
        _follow(
            [*command, release.name, str(target), *release.sources],
            lambda line: say(f"root file system: {line.removeprefix('I: ')}") if line.startswith("I: ") else None,
        )
        for name, text in _FILES.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
        (target / "var/lib/cloud/seed/nocloud").mkdir(parents=True, exist_ok=True)
        (target / "etc/resolv.conf").unlink(missing_ok=True)
        (target / "etc/resolv.conf").touch()
        # Each machine is a new one: its id is made when it boots.
        (target / "etc/machine-id").write_text("")
        for unit in _UNUSED_UNITS:
            (target / "etc/systemd/system" / unit).unlink(missing_ok=True)
            (target / "etc/systemd/system" / unit).symlink_to("/dev/null")
        _bring_authorities(target)
        target.rename(folder)
    say(f"root file system: built in {time.monotonic() - began:.0f} s")


def _bring_authorities(target: Path) -> None:
    """Add the authorities that this host trusts besides Debian's own, as behind a company's proxy."""
    own = Path("/usr/local/share/ca-certificates")
    if own.is_dir() and any(own.rglob("*.crt")):
        shutil.copytree(own, target / own.relative_to("/"), dirs_exist_ok=True)
        run(["chroot", target, "update-ca-certificates"])


def _build_baked(root: Path, requirements: str, folder: Path, say: Say) -> None:
    began = time.monotonic()
    wheels = places.cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    with _scratch() as scratch:
        (scratch / "requirements.txt").write_text(requirements)
        with _overlay(scratch, root) as (merged, upper):
            _follow(_install_command(merged, wheels, scratch), lambda line: say(f"serving environment: {line}"))
            marker = upper / VENV.lstrip("/") / MARKER
            if not marker.exists() or marker.read_text().strip() != hashlib.sha256(requirements.encode()).hexdigest():
                raise Refused(
                    "unknown",
                    "bake_failed",
                    f"the serving environment was installed without its marker {MARKER}",
                    hint="run again: liftoff local images; if it stays, report it",
                )
        # Only the environment is kept: what the run left in /var and /tmp is no part of the image.
        layer = scratch / "layer"
        (layer / "opt").mkdir(parents=True)
        (upper / "opt" / "liftoff").rename(layer / "opt" / "liftoff")
        layer.rename(folder)
    say(f"serving environment: built in {time.monotonic() - began:.0f} s")


def _install_command(merged: Path, wheels: Path, scratch: Path) -> list[str]:
    """Return how the node's own installer is run above the root file system, with this host's network."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--pipe",
        f"--directory={merged}",
        f"--bind={wheels}:/root/.cache/uv",
        f"--bind-ro={BOOT_PROGRAM}:/usr/local/lib/liftoff/boot",
        f"--bind-ro={scratch / 'requirements.txt'}:/root/requirements.txt",
        "--bind-ro=/etc/resolv.conf",
        # The cache is another file system than the overlay, so that nothing can be linked.
        "--setenv=UV_LINK_MODE=copy",
        "--chdir=/usr/local/lib/liftoff",
        *("python3", "-m", "boot", "install", "--requirements", "/root/requirements.txt", "--venv", VENV),
    ]


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder beside the images, so that the finished one is moved by a rename."""
    _images().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="building-", dir=_images()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        run(["rm", "-rf", "--one-file-system", folder], check=False)


@contextmanager
def _overlay(scratch: Path, *lower: Path) -> Iterator[tuple[Path, Path]]:
    merged, upper, work = scratch / "merged", scratch / "upper", scratch / "work"
    for folder in (merged, upper, work):
        folder.mkdir()
    mount_overlay(merged, upper, work, lower)
    try:
        yield merged, upper
    finally:
        run(["umount", "--recursive", merged])


def mount_overlay(merged: Path, upper: Path, work: Path, lower: Sequence[Path]) -> None:
    """Mount a writable view of read-only layers, the topmost first."""
    layers = ":".join(str(layer) for layer in lower)
    run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={upper},workdir={work}", merged])


def _follow(command: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Run a program and pass each of its lines on; raise with its last ones when it fails."""
    if shutil.which(command[0]) is None:
        raise Refused(
            "configuration",
            "program_missing",
            f"{command[0]} is not installed on this host",
            hint="install what local machines need: make packages",
        )
    last: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    ) as process:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.rstrip()
            if line:
                last = [*last[-9:], line]
                on_line(line)
    if process.returncode != 0:
        raise Refused(
            "unknown",
            "image_build_failed",
            f"{command[0]} ended with {process.returncode}: {' | '.join(last)}",
            hint="check the network and the free disk space, and run again: liftoff local images",
        )
