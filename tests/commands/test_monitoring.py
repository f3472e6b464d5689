"""What monitoring is told."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from command_line import Outcome, run
from conftest import Tree
from dropin_cache.commands.monitoring import failed, told
from dropin_cache.errors import UntrustedError
from dropin_cache.update.report import Broken, DirectoryReport, Report

FRESH = DirectoryReport("/a/app/plugins", "app.plugins", "/p", "fresh", "fresh", 2, 3)
STALE = FRESH._replace(path="/b/app/plugins", state="stale")
BROKEN = FRESH._replace(broken=(Broken("app.plugins.bad", "ValueError: a|b"),))
REFUSAL = UntrustedError("/c/app", "/c", "can be written by others")
REFUSED = FRESH._replace(path="/c/app/plugins", state="refused", error=REFUSAL)


def metrics(text: str) -> dict[tuple[str, str], float]:
    """Return the values of metrics, by their names and paths, as Prometheus reads them."""
    return {
        (sample.name, sample.labels.get("path", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestNagios:
    """The output of a plugin of Nagios'."""

    @pytest.mark.parametrize(
        ("directories", "status", "expected", "state"),
        [
            ((FRESH,), 0, "OK - fresh caches: 1 of 1, broken plugin modules: 0 | fresh=1;;;0 ", 0),
            ((), 0, "OK - fresh caches: 0 of 0, broken plugin modules: 0 | fresh=0;;;0 ", 0),
            (
                (FRESH, STALE),
                1,
                "WARNING - fresh caches: 1 of 2, broken plugin modules: 0 | fresh=1;;;0 ",
                1,
            ),
            ((BROKEN,), 3, "WARNING - fresh caches: 1 of 1, broken plugin modules: 1 | ", 1),
            ((REFUSED, FRESH), 4, "CRITICAL - refused /c/app: /c can be written by others | ", 2),
            ((STALE,), 5, "UNKNOWN - ", 3),
        ],
    )
    def test_states(
        self, directories: tuple[DirectoryReport, ...], status: int, expected: str, state: int
    ) -> None:
        """The first line begins with the state, and ends with data about performance."""
        text, found = told("nagios", Report(None, directories), status)
        first = text.splitlines()[0]
        assert (state, f"DROPIN_CACHE {expected}") == (found, first[: len(expected) + 13])
        assert re.fullmatch(r"[^|]*\| fresh=\d;;;0 stale=\d;;;0 broken=\d;;;0", first)

    def test_more(self) -> None:
        """Further lines say the rest, and nothing in them looks like data."""
        text, _ = told("nagios", Report(None, (BROKEN, REFUSED), (REFUSAL,)), 4)
        assert [
            "refused /c/app: /c can be written by others",
            "fresh: /a/app/plugins (app.plugins: 2 modules, 3 plugins, 1 broken)",
            "refused: /c/app/plugins (app.plugins: 2 modules, 3 plugins)",
            "app.plugins.bad: ValueError: a/b",
        ] == text.splitlines()[1:]

    def test_failed(self) -> None:
        """What could not be found out is no state of the caches."""
        assert ("DROPIN_CACHE UNKNOWN - a/b\\n", 3) == failed("nagios", "a|b\n", 5)


class TestPrometheus:
    """Metrics for Prometheus."""

    def test_metrics(self) -> None:
        """There is one of each for each directory, and the status of all."""
        text, status = told("prometheus", Report(None, (BROKEN, STALE)), 1)
        assert 0 == status
        assert {
            ("dropin_cache_fresh", "/a/app/plugins"): 1,
            ("dropin_cache_fresh", "/b/app/plugins"): 0,
            ("dropin_cache_modules", "/a/app/plugins"): 2,
            ("dropin_cache_modules", "/b/app/plugins"): 2,
            ("dropin_cache_plugins", "/a/app/plugins"): 3,
            ("dropin_cache_plugins", "/b/app/plugins"): 3,
            ("dropin_cache_broken_modules", "/a/app/plugins"): 1,
            ("dropin_cache_broken_modules", "/b/app/plugins"): 0,
            ("dropin_cache_check_status", ""): 1,
        } == metrics(text)

    def test_any_path(self) -> None:
        """A path may have any characters."""
        path = 'a"b\\c\nd'
        text, _ = told("prometheus", Report(None, (FRESH._replace(path=path),)), 0)
        assert ("dropin_cache_fresh", path) in metrics(text)

    def test_nothing(self) -> None:
        """Where there are no caches, there is the status alone."""
        text, _ = told("prometheus", Report(None, ()), 0)
        assert {("dropin_cache_check_status", ""): 0} == metrics(text)

    def test_failed(self) -> None:
        """What could not be found out is a status, too, and no reason to write no metrics."""
        text, status = failed("prometheus", "a", 5)
        assert (0, {("dropin_cache_check_status", ""): 5}) == (status, metrics(text))


@pytest.mark.processes
class TestCheck:
    """`dropin-cache check --format`."""

    def check(self, app: Tree, form: str, *options: str) -> Outcome:
        """Check the caches of an application."""
        return run("check", "app.plugins", "--path", app.path, "--format", form, *options)

    @pytest.fixture
    def plugins(self, app: Tree) -> Path:
        """The plugin directory."""
        return app.path / "app" / "plugins"

    def test_stale_is_not_unknown(self, app: Tree, plugins: Path) -> None:
        """What is stale is told from what cannot be told."""
        assert 1 == self.check(app, "nagios").status
        outcome = self.check(app, "nagios", "--python", "/nonexistent")
        message = "DROPIN_CACHE UNKNOWN - cannot use the interpreter /nonexistent: No such file"
        assert 3 == outcome.status
        assert outcome.out.startswith(message)

    def test_fresh(self, app: Tree, plugins: Path) -> None:
        """What is fresh is."""
        run("update", "-q", "app.plugins", "--path", app.path)
        outcome = self.check(app, "nagios")
        assert (0, "") == (outcome.status, outcome.err)
        assert outcome.out.startswith("DROPIN_CACHE OK - fresh caches: 1 of 1, ")
        outcome = self.check(app, "prometheus")
        assert (0, "") == (outcome.status, outcome.err)
        assert 1 == metrics(outcome.out)["dropin_cache_fresh", os.fspath(plugins)]

    def test_usage(self) -> None:
        """A mistake in the command line is none of the caches' states."""
        for options in (["--format", "nagios"], ["--format=nagios"]):
            outcome = run("check", *options, "--nosuch")
            assert 3 == outcome.status
            assert "DROPIN_CACHE UNKNOWN - the command line has a mistake\n" == outcome.out
        assert 2 == run("check", "--format", "prometheus", "--nosuch").status
        assert 2 == run("check", "--format", "icinga").status

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_others(self, app: Tree, plugins: Path, form: str) -> None:
        """The other formats are what there is without."""
        option = ["--json"] if form == "json" else []
        expected = run("check", "app.plugins", "--path", app.path, *option)
        assert expected == self.check(app, form)

    def test_failure_as_json(self, app: Tree) -> None:
        """Failures are JSON then, too."""
        bad = ("--python", "/nonexistent")
        expected = run("check", "app.plugins", "--path", app.path, "--json", *bad)
        assert expected == self.check(app, "json", *bad)
