"""Places where another user can legitimately swap names under the eyes of root's commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from areas import ATTACKER, CACHE, LEFTOVER, PLUGINS, Area
from swapping import Move, exchange, move, swap_temporary_files

_WRITES = 25  # take the time of one command
_OFTEN = 99  # take the time in which a directory is made and removed; odd, so that all have turns
_PAUSE = 0.0005  # seconds that what an administrator does may take


class Process(NamedTuple):
    """Somebody who makes moves; see `Swapping.start`."""

    moves: Sequence[Move]
    user: int = ATTACKER
    pause: float = 0


class Scene(NamedTuple):
    """What root's commands are told to do, and what others do meanwhile.

    Attributes:
        commands: The command lines.
        processes: Those who swap names.
        swapped: What they own or have a hand in: it may end as anything.
        weight: How many of these commands to run for one of others, which take longer.
    """

    commands: list[list[str]]
    processes: list[Process]
    swapped: list[Path]
    weight: int = 1


def component(area: Area, name: str) -> Scene:
    """The import root, the package or its plugin directory, where all above is the attacker's."""
    own = area.plant(area.home / "site", "of the attacker")
    area.give(own)
    swapped = area.home / name
    inner = name[len("site") :].lstrip("/")
    beside = swapped.parent  # a directory of another's cannot be moved to another parent
    area.plant(area.path / "new", "of root, elsewhere")
    (area.path / "new" / inner).rename(beside / "trusted")
    shutil.rmtree(area.path / "new", ignore_errors=True)
    (beside / "link").symlink_to(area.victims / name)
    (beside / "bare").symlink_to(area.victims / "bare" / inner)
    swaps = [exchange(swapped, beside / each) for each in ("link", "trusted", "bare")]
    moves = [
        *(swaps * _OFTEN),
        # One that is removed while somebody may have it open, and its name is another's by then.
        (beside / "new").mkdir,
        exchange(swapped, beside / "new"),
        exchange(swapped, beside / "new"),
        (beside / "new").rmdir,
    ]
    return Scene(area.commands("--path", own), [Process(moves)], [area.home])


def entries(area: Area, directory: Path) -> list[Move]:
    """Return moves that put links and other things in the place of what lies in a directory."""
    home = area.home
    (home / "link").symlink_to(area.secret)
    (home / "cache").symlink_to(area.victims / "site" / PLUGINS / CACHE)
    (home / "bytecode").symlink_to(area.victims / "site" / PLUGINS)
    os.mkfifo(home / "fifo")
    (home / "directory").mkdir()
    shutil.copy(directory / "hello.py", home / "evil.py")
    area.give(home)
    os.link(area.secret, home / "hard")
    os.link(area.victims / "program", home / "program")
    cache, dropin, bytecode = (directory / each for each in (CACHE, "hello.py", "__pycache__"))
    return [
        exchange(cache, home / "link"),
        lambda: cache.symlink_to(area.secret),
        swap_temporary_files(directory, area.secret, hard=False),
        exchange(cache, home / "cache"),
        lambda: os.link(area.victims / "program", directory / LEFTOVER),
        exchange(dropin, home / "link"),
        exchange(dropin, home / "evil.py"),
        exchange(cache, home / "hard"),
        swap_temporary_files(directory, area.secret, hard=True),
        exchange(dropin, home / "hard"),
        exchange(dropin, home / "fifo"),
        move(home / "bytecode", bytecode),
        exchange(cache, home / "program"),
        lambda: (directory / f"{LEFTOVER[:-5]}1.new").symlink_to(area.secret),
        exchange(cache, home / "directory"),
        exchange(cache, home / "fifo"),
        exchange(dropin, home / "program"),
        move(bytecode, home / "bytecode"),
    ]


def content(area: Area) -> Scene:
    """What lies in a plugin directory of the attacker's."""
    own = area.plant(area.home / "site", "of the attacker")
    area.give(own)
    moves = entries(area, own / PLUGINS)
    return Scene(area.commands("--path", own), [Process(moves)], [area.home])


def unguarded(area: Area) -> Scene:
    """The same, if it were written all the same: there may be no harm in the writing itself."""
    scene = content(area)
    commands = [["write", str(area.home / "site" / PLUGINS)]]
    return scene._replace(commands=commands, weight=_WRITES)


def lent(area: Area) -> Scene:
    """A plugin directory that an administrator gives to the attacker and takes back, in turn."""
    site = area.plant(area.path / "lent", "of root, lent")
    directory = site / PLUGINS

    def give(user: int) -> Move:
        return lambda: os.chown(directory, user, user)

    processes = [
        Process(entries(area, directory)),
        Process([give(ATTACKER), give(0)], user=0, pause=_PAUSE),
    ]
    return Scene(area.commands("--path", site), processes, [area.home, site])


def sticky(area: Area) -> Scene:
    """A site of root's in a directory like /tmp, where the attacker takes its name when it goes."""
    shared, private = area.path / "shared", area.path / "private"
    shared.mkdir()
    private.mkdir(mode=0o700)
    shared.chmod(0o1777)
    site = area.plant(shared / "site", "of root, shared")
    own = area.plant(shared / "own", "of the attacker")
    area.give(own)

    def leave() -> None:
        if site.lstat().st_uid == 0 and not site.is_symlink():
            move(site, private / "site")()

    def come_back() -> None:
        try:
            move(private / "site", site)()
        except FileExistsError:
            exchange(private / "site", site)()
            if (private / "site").is_symlink():
                (private / "site").unlink()
            else:
                move(private / "site", own)()

    moves = [
        lambda: site.symlink_to(area.victims / "site"),
        site.unlink,
        lambda: os.link(area.path / "link", site, follow_symlinks=False),
        move(own, site),
        move(site, own),
        lambda: site.symlink_to(area.victims / "bare"),
        site.unlink,
    ]
    processes = [Process(moves), Process([leave, come_back], user=0, pause=_PAUSE)]
    return Scene(area.commands("--path", site), processes, [shared, private])


def guarded(area: Area) -> Scene:
    """The same for the writing alone, by the rules of trust: the check is raced more often."""
    scene = sticky(area)
    commands = [["guarded", str(area.path / "shared" / "site" / PLUGINS)]]
    return scene._replace(commands=commands, weight=_WRITES)


def configuration(area: Area) -> Scene:
    """The configuration of an image, which the attacker owns, and would have root import from."""
    image = area.image()
    configuration = image / "etc" / "dropin-cache"
    (configuration / "packages.d").mkdir(parents=True)
    own = area.plant(image / "srv" / "site", "of the attacker")
    (image / "srv" / "python").symlink_to("/usr/bin/python3")
    wish = f"trusted-groups = {ATTACKER}\ninterpreters = /srv/python\n"
    (configuration / "dropin-cache.conf").write_text(wish)
    (configuration / "packages.d" / "app.conf").write_text("app.plugins /srv/site\n")
    for path in (configuration, image / "srv"):
        area.give(path)
    (configuration / "link.conf").symlink_to("/opt/site/app/__init__.py")
    (configuration / "link.d").symlink_to("/opt/packages.d")
    (configuration / "more.conf").symlink_to("/opt/packages.d/app.conf")
    (image / "opt" / "packages.d").mkdir()
    (image / "opt" / "packages.d" / "app.conf").write_text("app.plugins /srv/site\n")
    moves = [
        exchange(configuration / "dropin-cache.conf", configuration / "link.conf"),
        exchange(configuration / "packages.d", configuration / "link.d"),
        exchange(configuration / "packages.d" / "app.conf", configuration / "more.conf"),
        exchange(own, configuration / "link.d"),
    ]
    options = ["--root", str(image), "--path", "/opt/site"]
    commands = [["update", "app.plugins", *options], ["clean", *options]]
    return Scene(commands, [Process(moves)], [area.path / "images"])


def image(area: Area) -> Scene:
    """An image in which the attacker owns an import root, with links that would lead out of it."""
    place = area.image()
    own = area.plant(place / "srv" / "site", "of the attacker")
    area.give(place / "srv")
    (place / "srv" / "link").symlink_to(area.victims / "site")
    (place / "srv" / "way").symlink_to("../../../victims/site")
    moves = [exchange(own, place / "srv" / each) for each in ("link", "way")]
    options = ["--root", str(place), "--path", "/opt/site", "--path", "/srv/site"]
    commands = [["update", "app.plugins", *options], ["clean", *options]]
    return Scene(commands, [Process(moves)], [area.path / "images"])


def whole_image(area: Area) -> Scene:
    """An image that the attacker puts others in the place of, or a link to the machine's root."""
    images = area.image().parent
    (images / "link").symlink_to("/")
    (images / "victims").symlink_to(area.victims)
    for path in (images, images / "image"):
        os.chown(path, ATTACKER, ATTACKER)

    def put_back() -> None:
        found = next(path for path in images.iterdir() if os.path.ismount(path / "usr"))
        if found != images / "image":
            exchange(found, images / "image")()

    area.mounts.callback(put_back)  # what is mounted in there is known by that name
    moves = [exchange(images / "image", images / each) for each in ("link", "victims")]
    options = ["--root", str(images / "image"), "--path", "/site"]
    commands = [["update", "app.plugins", *options], ["clean", *options]]
    return Scene(commands, [Process(moves)], [images])
