"""Which package installed a file: people want to know, and each owner has a sandbox of its own.

dpkg and RPM know best. What they do not know is asked of the metadata that pip leaves. Whatever
goes wrong here, the answer is that nobody knows; then it is a file of the administrator's own.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from dropin_cache.errors import UntrustedError
from dropin_cache.update.discovery import distributions
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files

_DPKG = "/usr/bin/dpkg-query"
_RPM = "/usr/bin/rpm"
# Only where there is a database may rpm be asked: as root it would make one.
_RPM_DATABASES = ("/usr/lib/sysimage/rpm", "/usr/share/rpm", "/var/lib/rpm")
_RPM_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
# hier(7) leaves these to the administrator, so no package of the system has files there.
_LOCAL = (
    *("/usr/local/", "/home/", "/root/", "/srv/", "/mnt/", "/media/", "/var/cache/"),
    "/tmp/",  # noqa: S108
)
_DPKG_LISTS = "/var/lib/dpkg/info"
_MAX_LIST = 16 << 20  # bytes
_TIMEOUT = 10.0  # seconds; both answer in less than one
_BATCH = 256  # paths on a command line: far from its limit of some 2 MiB
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
# What both call a package. Nothing else of what they print gets into a report.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
# Where /usr is merged, hier(7)'s directories of the root are links to those of the same name.
_MERGED = re.compile(r"(/usr)?(/(?:bin|sbin|lib(?:32|64|x32)?)(?:/.*)?)", re.DOTALL)
_DIVERSION = re.compile(r"diversion by (\S+) from")


class Owner(NamedTuple):
    """A package that installed a file.

    Attributes:
        name: What the package is called; of several, all of them, separated by commas.
        kind: Who says so: dpkg, rpm or pip.
        metadata: The directory that tells of it if that was pip, else empty. Packages of dpkg's and
            rpm's are known by their names; a distribution can call itself what it likes.
    """

    name: str
    kind: str
    metadata: str = ""


def key_of(owner: Owner | None, path: str, import_root: str) -> str:
    """Return what tells owners apart, whose plugin modules must not influence each other's.

    Args:
        owner: Who installed a file, None if nobody claims it.
        path: The file.
        import_root: The import root that it is in.
    """
    if owner is None:
        return f"local {import_root}"
    several = "," in owner.name  # no one of them can answer for it
    apart = path if several else owner.metadata
    return f"{owner.kind} {owner.name}: {apart}" if apart else f"{owner.kind} {owner.name}"


def name_in(key: str) -> str | None:
    """Return what the owner of a key is called, None for one that is no package."""
    kind, _, name = key.partition(" ")
    return name.partition(": ")[0] if kind in {"dpkg", "rpm", "pip"} else None


class Owners:
    """Who owns which file. What has been found out once is remembered."""

    def __init__(self, root: str | None = None, files: Files | None = None) -> None:
        """Ask nobody yet.

        Args:
            root: Directory of the system that is asked about; paths are inside it.
            files: How to open what pip left, inside that; without, as the user may.
        """
        self._files = files or Files(enforced=False, root=root)
        self._root = "" if root is None else os.path.abspath(root).rstrip("/")
        self._known: dict[tuple[str, tuple[str, ...]], Owner | None] = {}

    @property
    def in_image(self) -> bool:
        """Whether another system is asked about than this one."""
        return bool(self._root)

    def owner_of(self, path: str, import_roots: Sequence[str] = ()) -> Owner | None:
        """Return who installed a file, also if it is gone; None if nobody says so.

        Args:
            path: The file, absolute.
            import_roots: Directories in which metadata of pip's may be, absolute.
        """
        return self.owners_of([path], import_roots)[path]

    def owners_of(
        self, paths: Iterable[str], import_roots: Sequence[str] = ()
    ) -> dict[str, Owner | None]:
        """Return who installed each of several files, for less than the price of each."""
        roots = tuple(import_roots)
        wanted = list(dict.fromkeys(paths))
        new = [path for path in wanted if (path, roots) not in self._known]
        # A line break would look like the end of an answer, and NUL cannot be asked about.
        asked = [path for path in new if path.startswith("/") and not re.search(r"[\n\0]", path)]
        systems = [
            path
            for path in asked
            if not all(name.startswith(_LOCAL) for name in self._other_names(path))
        ]
        found = {path: Owner(name, "dpkg") for path, name in self._ask_dpkg(systems).items()}
        for path, name in self._ask_rpm([path for path in systems if path not in found]).items():
            found[path] = Owner(name, "rpm")
        rest = [path for path in asked if path not in found]
        for path, claims in distributions.distributions(rest, roots, self._files).items():
            names = ", ".join(claim.name for claim in claims)
            found[path] = Owner(names, "pip", claims[0].metadata)
        self._known.update(((path, roots), found.get(path)) for path in new)
        return {path: self._known[path, roots] for path in wanted}

    def still_owns(self, key: str, path: str) -> bool:
        """Tell whether the owner of a key still has a file, without asking about all packages.

        Args:
            key: As `key_of` has it; of dpkg's packages only it can be told.
            path: The file.
        """
        name = name_in(key) if key.startswith("dpkg ") and ":" not in key else None
        if name is None:
            return False
        line = os.fsencode(f"\n{path}\n")
        for each in (f"{name}.list", *(f"{name}:{machine}.list" for machine in ("amd64", "arm64"))):
            with contextlib.suppress(OSError, UntrustedError):
                descriptor = self._files.file(f"{_DPKG_LISTS}/{each}")
                return line in b"\n" + read(descriptor, _MAX_LIST)
        return False

    def _ask_dpkg(self, paths: list[str]) -> dict[str, str]:
        """Ask dpkg-query(1), once for many files."""
        if not paths:
            return {}
        names = {path: self._other_names(path) for path in paths}
        every = list(dict.fromkeys(name for some in names.values() for name in some))
        command = [_DPKG, f"--admindir={self._root}/var/lib/dpkg", "--search", "--"]
        owners: dict[str, str] = {}
        for start in range(0, len(every), _BATCH):
            batch = every[start : start + _BATCH]
            # These are patterns, and a drop-in may be called anything.
            patterns = [re.sub(r"([*?\[\\])", r"\\\1", name) for name in batch]
            # The status is 1 as soon as one of them belongs to nobody.
            owners.update(_parse_dpkg(_run([*command, *patterns], statuses=(0, 1))))
        return {
            path: next(owners[name] for name in some if name in owners)
            for path, some in names.items()
            if not owners.keys().isdisjoint(some)
        }

    def _other_names(self, path: str) -> list[str]:
        """List the paths under which a package may have a file, the likeliest first.

        dpkg compares text: on a system whose /lib is a link to /usr/lib, a file may be known as
        either, and Python's path may lead through other links.
        """
        names = [path]
        if not self._root:  # else links would be followed out of the image
            directory, name = os.path.split(path)
            names += [os.path.join(os.path.realpath(directory), name), os.path.realpath(path)]
        for name in tuple(names):
            match = _MERGED.fullmatch(name)
            if match and os.path.islink(f"{self._root}/{match[2].split('/')[1]}"):
                names.append(match[2] if match[1] else f"/usr{name}")
        return list(dict.fromkeys(names))

    def _ask_rpm(self, paths: list[str]) -> dict[str, str]:
        """Ask rpm(8). It says a line for each file, in order; more if a file has several owners."""
        for directory in _RPM_DATABASES if paths else ():
            place = f"{self._root}{directory}"
            if any(os.path.exists(os.path.join(place, name)) for name in _RPM_FILES):
                command = [_RPM, *(["--root", self._root] if self._root else [])]
                command += ["--dbpath", directory, "-q", "--qf", "%{NAME}\\n", "--file", "--"]
                lines = []
                for start in range(0, len(paths), _BATCH):
                    batch = paths[start : start + _BATCH]
                    # The status is the number of files that belong to nobody.
                    said = _run([*command, *batch], statuses=range(_BATCH + 1)).splitlines()
                    if len(said) != len(batch):
                        answers = [_run([*command, path]).splitlines() for path in batch]
                        said = [", ".join(sorted(set(each))) for each in answers]
                    lines += said
                return {
                    path: names
                    for path, names in zip(paths, lines)
                    if all(_NAME.fullmatch(name) for name in names.split(", "))
                }
        return {}


def _parse_dpkg(output: str) -> dict[str, str]:
    """Read `package[:architecture][, package...]: path` lines, of which some tell of diversions.

    Of several packages with the same file only the one that diverted it has it in that place.
    """
    owners: dict[str, str] = {}
    diverters: dict[str, str] = {}
    for line in output.split("\n"):
        told, _, path = line.partition(": ")
        diversion = _DIVERSION.fullmatch(told)
        names = sorted({name.split(":")[0] for name in told.split(", ")})
        if diversion:
            diverters[path] = diversion[1]
        elif all(_NAME.fullmatch(name) for name in names):
            owners[path] = diverters[path] if diverters.get(path) in names else ", ".join(names)
    return owners


def _run(command: list[str], statuses: Container[int] = (0,)) -> str:
    """Return what a command prints; nothing if it fails."""
    import subprocess  # noqa: PLC0415 - all is well in most runs, and nobody asks

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - fixed programs, no shell
            command,
            input=b"",  # not DEVNULL: a chroot may have no such device
            capture_output=True,
            env=_ENVIRONMENT,
            cwd="/",
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode in statuses:
            return os.fsdecode(done.stdout)
    return ""
