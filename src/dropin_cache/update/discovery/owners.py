"""Which package installed a file: people want to know, and each owner has a sandbox of its own.

dpkg and RPM know best. What they do not know is asked of the metadata that pip leaves. Whatever
goes wrong here, the answer is that nobody knows; then it is a file of the administrator's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dropin_cache.update.discovery import distributions, dpkg, rpm
from dropin_cache.update.files.trusted import Files

# hier(7) leaves these to the administrator, so no package of the system has files there.
_LOCAL = (
    *("/usr/local/", "/home/", "/root/", "/srv/", "/mnt/", "/media/", "/var/cache/"),
    "/tmp/",  # noqa: S108
)
# Where /usr is merged, hier(7)'s directories of the root are links to those of the same name.
_MERGED = re.compile(r"(/usr)?(/(?:bin|sbin|lib(?:32|64|x32)?)(?:/.*)?)", re.DOTALL)


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

    def __init__(
        self,
        root: str | None = None,
        files: Files | None = None,
        reader: rpm.Reader | None = None,
    ) -> None:
        """Ask nobody yet.

        Args:
            root: Directory of the system that is asked about; paths are inside it.
            files: How to open what pip left, inside that; without, as the user may.
            reader: Who asks rpm about such a system; without, it is not asked.
        """
        self._reader = reader
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
        canonical = {each: os.path.realpath(each) for each in {os.path.dirname(p) for p in asked}}
        names = {path: self._other_names(path, canonical) for path in asked}
        systems = [path for path in asked if not all(map(_is_local, names[path]))]
        every = list(dict.fromkeys(name for path in systems for name in names[path]))
        by_dpkg = dpkg.owners(every, self._files)
        # What dpkg knows of counts more than what RPM says, which may only build packages here.
        unknown = [path for path in systems if by_dpkg.keys().isdisjoint(names[path])]
        by_rpm = rpm.owners(
            # Of files of this machine it finds out itself what else they are called.
            [name for path in unknown for name in names[path]] if self.in_image else unknown,
            self._files,
            image=self.in_image,
            reader=self._reader,
        )
        found = {
            path: Owner(packages[name], kind)
            for kind, packages in (("rpm", by_rpm), ("dpkg", by_dpkg))
            for path in systems
            for name in reversed(names[path])  # the likeliest has the last word
            if name in packages
        }
        rest = [path for path in asked if path not in found]
        for path, claims in distributions.distributions(rest, roots, self._files).items():
            told = ", ".join(claim.name for claim in claims)
            found[path] = Owner(told, "pip", claims[0].metadata)
        self._known.update(((path, roots), found.get(path)) for path in new)
        return {path: self._known[path, roots] for path in wanted}

    def still_owns(self, key: str, path: str) -> bool:
        """Tell whether the owner of a key still has a file, without asking about all packages.

        Args:
            key: As `key_of` has it; of dpkg's packages only it can be told.
            path: The file.
        """
        name = name_in(key) if key.startswith("dpkg ") and ":" not in key else None
        return name is not None and dpkg.has(name, path, self._files)

    def _other_names(self, path: str, canonical: dict[str, str]) -> list[str]:
        """List the paths under which a package may have a file, the likeliest first.

        dpkg compares text: on a system whose /lib is a link to /usr/lib, a file may be known as
        either, and Python's path may lead through other links.

        Args:
            path: The file.
            canonical: The canonical paths of directories, that of the file among them.
        """
        names = [path]
        if not self._root:  # else links would be followed out of the image
            directory, name = os.path.split(path)
            names.append(os.path.join(canonical[directory], name))
            if os.path.islink(path):
                names.append(os.path.realpath(path))
        for name in tuple(names):
            match = _MERGED.fullmatch(name)
            if match and os.path.islink(f"{self._root}/{match[2].split('/')[1]}"):
                names.append(match[2] if match[1] else f"/usr{name}")
        return list(dict.fromkeys(names))


def _is_local(path: str) -> bool:
    return path.startswith(_LOCAL)
