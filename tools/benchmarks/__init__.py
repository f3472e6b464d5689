"""Measures this project against stock Twisted, side by side; `make bench` starts it.

Every row has two sides, ours and another, and is the ratio between them. They are measured in turn,
ours, theirs, ours, theirs; the first pair does not count. A ratio is taken of each pair, and its
median is what counts; quartiles are shown beside it. So a machine that is slow, or slow for a
while, slows both. Absolute times are for orientation. `by cpu` is the median of the ratios of
processor time, user's and system's, where that can be had; it does not know of time spent waiting.

The interpreter is the one that runs this, in virtual environments: `stock` has Twisted, `real` has
autobahn, daphne, magic-wormhole-transit-relay, txtorcon and wokkel besides, which bring six
drop-ins to Twisted's 18. All modules are compiled and in the page cache. Processes
inherit no environment variables, and those that read run with `-I`.

Readers, reading.py. Times are taken by the process itself; its start and its end do not count.

lookup
    `list(getPlugins(I, twisted.plugins))`, once, for an interface I that nobody provides, in
    `real`. Both libraries and the plugin package have been imported before. Both read the same
    caches, which our update has written.
lookup-loading
    The same for `IServiceMaker`, which has been imported before; its plugins' modules are imported.
flattened
    As `lookup`. The drop-ins and the caches all have one time, an old one, and the file system is
    read-only; the drop-ins have been compiled after that.
start-zope, start-twisted
    From the first statement of a program to its first plugin: import of the library, of a plugin
    package `application.plugins` with a cache and 18 drop-ins, and `next(getPlugins(IPlugin))`. The
    time between the first and the last statement of the drop-in itself is subtracted. The other
    side is `import zope.interface` alone, or the same program with `twisted.plugin` as its library.
start-zope-whole
    Whole processes, the interpreter's start and all imports included.
cached-N
    `getCache`, the mean of several calls after one that does not count. 18 drop-ins are Twisted's
    own; 1,000 and 10,000 are generated, of two plugins each, in one directory. Both sides read the
    same caches, which our reader has written.
growth, floor-growth
    `cached-10000` against `cached-1000`, ours; and what they cannot do without, as in `polled-N`.
first-N
    The first call of a process.
polled-N
    As `cached-N`; the other side is a loop over the same `__path__` that calls `os.scandir` for
    each directory and `os.stat` for each module and cache in it, and does nothing with what it
    gets.

Updates, updating.py. Whole processes, from before the start until the end is known; sandboxed, for
root; written and synchronised to the disk that the work directory is on.

trigger-18, trigger-1000
    What hooks/trigger runs, `dropin-cache update --trigger`, by hooks/bin/dropin-cache with this
    interpreter and its packages; with Twisted's drop-ins, and with 982 generated ones more. These
    import 280 generated modules, and Twisted's some 320 of Twisted and the standard library. An
    earlier run has found everything up to date. The other side is `python -I -c pass`.
trigger-18-pip
    The same by the command that pip has installed.
update-real
    `update -q --force` without a cache in a copy of `real`: imports and writes everything. The
    other side is the one-liner of Twisted's guide, without a cache, in another copy, which lets
    every plugin module into its own process.
floor-real
    In the place of our side the imports alone: an interpreter for each of the six packages, as many
    at once as there are processors, without a sandbox.
update-upgraded
    `update -q` after daphne's files have been written again; the other side is the one-liner after
    the same, with the cache that it has written before.
update-all
    As `update-real`, of Twisted's plugin modules and 1,000 generated ones of one package.
processors
    `update-all`, ours, against the same by one of the processors.
command-twistd, command-twist
    Stock Twisted's commands with `--help`, by nobody where root measures: in `real` with the cache
    that our update has written, and in a copy without a cache.

Memory, memory.py. The peak of resident memory that the kernel tells, of a program that ends after
that: up to the first plugin as in `start-twisted`; `getCache` of 10,000 drop-ins; and `update -q
--force` as in `update-all`, for the process that writes, for the largest of its child processes,
and for the sum of these. The other side is stock Twisted doing the same, and the one-liner.

Debian, debian.py; only with `--apt`. Debian 12, or the suite that DROPIN_CACHE_SUITE names, with
python3-twisted and every package that brings plugins for it, as a system of its own; on another one
just like it, our packages too. `dpkg-trigger` activates the trigger, and `dpkg --triggers-only` is
timed. Its files are in memory.

apt
    daphne's plugin module has changed before.
apt-twisted
    A module of Twisted's has, which all plugin modules import.
apt-unchanged
    None has. python3-twisted's own trigger does the same in all cases.
"""
