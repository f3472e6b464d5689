"""What `check` finds, as monitoring has it: a plugin of Nagios', and metrics for Prometheus."""

from __future__ import annotations

from dropin_cache.commands.findings import summary
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.report import FRESH, Report
from dropin_cache.update.text import one_line

# https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Return Codes", by our exit status:
# what cannot be told is no state of the caches.
_OK, _WARNING, _CRITICAL, _UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_STATES = {0: _OK, 1: _WARNING, 3: _WARNING, 4: _CRITICAL}
# https://prometheus.io/docs/instrumenting/exposition_formats/
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_METRICS = (
    ("fresh", "Whether readers can use the cache of a plugin directory."),
    ("modules", "Plugin modules in a directory."),
    ("plugins", "Plugins in the cache of a directory."),
    ("broken_modules", "Plugin modules that cannot be imported."),
)


def told(form: str, found: Report, status: int) -> tuple[str, int]:
    """Return what monitoring is told of the caches, and the exit status.

    Args:
        form: nagios or prometheus.
        found: What a check has found.
        status: The exit status of that.
    """
    return _prometheus(found, status) if form == "prometheus" else _nagios(found, status)


def failed(form: str, error: str, status: int) -> tuple[str, int]:
    """Return what monitoring is told where nothing could be found out, and the exit status.

    Args:
        form: nagios or prometheus.
        error: Why not.
        status: The exit status of that.
    """
    if form == "prometheus":
        return _status(status), 0
    return f"{_heading(_UNKNOWN)} - {_plain(error)}", _UNKNOWN


def _nagios(found: Report, status: int) -> tuple[str, int]:
    state = _STATES.get(status, _UNKNOWN)
    own = found.own
    fresh = sum(each.state == FRESH for each in own)
    broken = sum(len(each.broken) for each in own)
    figures = {"fresh": fresh, "stale": len(own) - fresh, "broken": broken}
    data = " ".join(f"{name}={value};;;0" for name, value in figures.items())
    problems: list[DropinCacheError] = [
        *found.problems,
        *(each.error for each in own if each.error is not None),
    ]
    counts = f"fresh caches: {fresh} of {len(own)}, broken plugin modules: {broken}"
    first = str(problems[0]) if problems else counts
    lines = [*map(str, problems[1:]), *summary(found)]
    lines += [f"{each.module}: {each.error}" for directory in own for each in directory.broken]
    heading = f"{_heading(state)} - {_plain(first)} | {data}"
    return "\n".join([heading, *map(_plain, lines)]), state


def _heading(state: int) -> str:
    return f"DROPIN_CACHE {_WORDS[state]}"


def _plain(text: str) -> str:
    """Return a line in which nothing begins the data about performance."""
    return one_line(text).replace("|", "/")


def _prometheus(found: Report, status: int) -> tuple[str, int]:
    lines = []
    for name, purpose in _METRICS if found.own else ():
        lines += [f"# HELP dropin_cache_{name} {purpose}", f"# TYPE dropin_cache_{name} gauge"]
        for each in found.own:
            values = {
                "fresh": int(each.state == FRESH),
                "modules": each.modules,
                "plugins": each.plugins,
                "broken_modules": len(each.broken),
            }
            path, package = (text.translate(_ESCAPES) for text in (each.path, each.package))
            lines.append(f'dropin_cache_{name}{{path="{path}",package="{package}"}} {values[name]}')
    # Whoever reads this looks at the metrics; another status would keep them from being there.
    return "\n".join([*lines, _status(status)]), 0


def _status(status: int) -> str:
    name = "dropin_cache_check_status"
    return (
        f"# HELP {name} Exit status of dropin-cache check; 0 is fresh, 1 stale, 3 broken.\n"
        f"# TYPE {name} gauge\n{name} {status}"
    )
