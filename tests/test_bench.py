"""The arithmetic of tools/benchmarks, and what it makes of it. No time is measured here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from conftest import run_python

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

from benchmarks import figures, processes, table  # noqa: E402 - this is where they are found


def a_task(kind=figures.FASTER, reach=2, unit="ms", **fields):
    """Make a task whose sides take nothing."""
    values = {
        "name": "name",
        "work": "work",
        "against": "against",
        "kind": kind,
        "reach": reach,
        "unit": unit,
        "ours": lambda: figures.Sample(1),
        "theirs": lambda: figures.Sample(1),
        "runs": 3,
    }
    return figures.Task(**{**values, **fields})


def a_row(ours, theirs, **fields):
    """Compare figures of two sides."""
    pairs = zip(map(figures.Sample, ours), map(figures.Sample, theirs))
    return figures.compare(a_task(**fields), list(pairs))


class TestSpread:
    """`Spread.of`."""

    def test_tells_quartiles(self):
        """A quarter of the figures is below the first, half below the second, and so on."""
        assert (2, 3, 4) == figures.Spread.of([5, 1, 4, 2, 3])

    def test_of_two_figures_lies_between_them(self):
        """Quartiles of few figures are interpolated."""
        assert (1.5, 2, 2.5) == figures.Spread.of([1, 3])

    def test_of_one_figure_is_that(self):
        """One figure has no spread."""
        assert (7, 7, 7) == figures.Spread.of([7])


class TestCompare:
    """`compare`."""

    def test_takes_ratios_of_pairs(self):
        """A figure counts against the one that was taken next to it, not against the median."""
        assert (1.5, 2, 2) == a_row([1, 10, 100], [2, 10, 200]).ratio

    def test_a_cost_is_the_inverse(self):
        """How many times faster, and how many times as expensive, are opposites."""
        row = a_row([2, 4], [1, 1], kind=figures.COST)
        assert (2.5, 3, 3.5) == row.ratio

    def test_keeps_processor_time_apart(self):
        """Where processor time is known for both sides, it has a ratio of its own."""
        pair = figures.Sample(10, 1), figures.Sample(10, 4)
        row = figures.compare(a_task(), [pair])
        assert (1, 4) == (row.ratio.median, row.cpu.median)

    def test_knows_no_processor_time_that_was_not_measured(self):
        """Memory takes none."""
        assert a_row([1], [1]).cpu is None

    @pytest.mark.parametrize(
        ("kind", "ratio", "expected"),
        [
            (figures.FASTER, 2.0, True),
            (figures.FASTER, 1.9, False),
            (figures.COST, 2.0, True),
            (figures.COST, 2.1, False),
        ],
    )
    def test_tells_whether_it_is_as_wanted(self, kind, ratio, expected):
        """Faster means at least so many times, cost at most."""
        sides = ([1], [ratio]) if kind == figures.FASTER else ([ratio], [1])
        assert expected is a_row(*sides, kind=kind).reached

    def test_nothing_asked_is_nothing_missed(self):
        """A row for information is neither reached nor missed."""
        assert a_row([9], [1], reach=None).reached is None

    def test_record_has_the_unit_of_the_task(self):
        """What is written for programs is milliseconds, not nanoseconds."""
        record = a_row([3_000_000], [6_000_000]).record()
        assert {"low": 3.0, "median": 3.0, "high": 3.0} == record["ours"]
        assert (2.0, True) == (record["ratio"]["median"], record["reached"])
        assert record == json.loads(json.dumps(record))


class TestMeasure:
    """`measure`."""

    def test_alternates_and_drops_the_first_pair(self):
        """Ours, theirs, ours, theirs; whatever has to warm up does that first."""
        order = []

        def side(name, values):
            def sample():
                order.append(name)
                return figures.Sample(next(values))

            return sample

        ours, theirs = side("o", iter([99, 1, 1])), side("t", iter([99, 5, 7]))
        row = figures.measure(a_task(ours=ours, theirs=theirs), 2)
        assert ["o", "t"] * 3 == order
        assert (2, (5.5, 6, 6.5)) == (row.runs, row.theirs)

    def test_measures_as_often_as_the_task_says(self):
        """If nobody says otherwise."""
        assert figures.measure(a_task(runs=4)).runs == 4


class TestTable:
    """`table`."""

    def test_shows_medians_and_quartiles(self):
        """Whoever reads it sees how far the figures are apart, and whether that is as wanted."""
        rows = [
            a_row([500_000, 3_500_000], [5_000_000, 5_000_000]),
            a_row([2048], [1024], kind=figures.COST, reach=1, unit="MiB", name="memory"),
        ]
        heading, first, second = (re.split("  +", line) for line in table.lines(rows))
        assert ["row", "ours", "theirs", "unit", "ratio", "by cpu", "reach", "runs"] == heading
        values = ["2.00 (1.25 to 2.75)", "5.00 (5.00 to 5.00)", "ms", "5.71 (3.57 to 7.86)"]
        assert ["name", *values, "-", ">= 2", "2", "reached"] == first
        values = ["2.00 (2.00 to 2.00)", "1.00 (1.00 to 1.00)", "MiB", "2.00 (2.00 to 2.00)"]
        assert ["memory", *values, "-", "<= 1", "1", "MISSED"] == second

    def test_names_what_is_missed(self):
        """Rows that are reached, or of which nothing is asked, are not in there."""
        rows = [a_row([1], [9]), a_row([1], [1], reach=None), a_row([1], [1.5])]
        assert ["name: 1.50 is not >= 2"] == table.missed(rows)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [(0.0456, "0.046"), (1.234, "1.23"), (45.67, "45.7"), (1234.5, "1234")],
    )
    def test_figures_are_short(self, value, expected):
        """Three digits mean something, further ones do not."""
        assert expected == table.figure(value)


@pytest.mark.processes
class TestDrawing:
    """`drawing`."""

    def test_draws_what_is_asked_of_rows(self, tmp_path):
        """The same rows make the same picture: names, medians and what is asked are in it."""
        if find_spec("matplotlib") is None:
            pytest.skip("matplotlib is installed for one Python only")
        code = """
            import sys
            from pathlib import Path
            from benchmarks import drawing, figures
            def row(work, kind, reach, unit, ours, theirs):
                task = figures.Task("", work, "other", kind, reach, unit, None, None, 1)
                pairs = [(figures.Sample(each), figures.Sample(theirs)) for each in ours]
                return figures.compare(task, pairs)
            rows = [
                row("look up", figures.FASTER, 2, "ms", [1, 2, 3], 8),
                row("remember", figures.COST, 1, "MiB", [3], 2),
                row("nothing asked", figures.COST, None, "MiB", [3], 2),
            ]
            drawing.draw(rows, Path(sys.argv[1]))
        """
        pictures = []
        for name in ("one.svg", "two.svg"):
            done = run_python(
                code, str(tmp_path / name), path=[TOOLS], env={"MPLCONFIGDIR": str(tmp_path)}
            )
            assert (0, "") == (done.returncode, done.stderr.replace(_BUILDING, ""))
            pictures.append((tmp_path / name).read_text(encoding="utf-8"))
        assert pictures[0] == pictures[1]
        for text in ("look up", "4.00 (≥ 2)", "remember", "1.50 (≤ 1)"):
            assert text in pictures[0]
        assert "nothing asked" not in pictures[0]


_BUILDING = "Matplotlib is building the font cache; this may take a moment.\n"


@pytest.mark.processes
class TestRunner:
    """`Runner`."""

    def test_measures_a_process(self, tmp_path):
        """It takes longer than it computes, or as long, and what it prints is known."""
        spent = processes.Runner(tmp_path).run([sys.executable, "-I", "-c", "print('done')"])
        assert spent.out == "done\n"
        assert spent.sample == (spent.wall, spent.cpu)
        assert min(spent.sample) > 0

    @pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('what?')"])
    def test_a_process_that_goes_wrong_ends_it_all(self, tmp_path, code):
        """A failure must not count as a quick success, and what is fast may have said why."""
        with pytest.raises(SystemExit, match="bench: error: exit status"):
            processes.Runner(tmp_path).run([sys.executable, "-I", "-c", code], silent=True)

    def test_hands_on_no_environment(self, tmp_path, monkeypatch):
        """What the developer's shell has set is in nobody's way."""
        monkeypatch.setenv("PYTHONSTARTUP", "elsewhere")
        code = "import os; print(sorted(os.environ))"
        spent = processes.Runner(tmp_path).run([sys.executable, "-I", "-c", code])
        assert spent.out == "['HOME', 'LANG', 'PATH']\n"


@pytest.mark.processes
class TestCommand:
    """The command line."""

    def test_names_its_options(self):
        """It explains itself without anything being measured."""
        command = [sys.executable, "-B", "-m", "benchmarks", "--help"]
        done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=True)
        for option in ("--rows", "--runs", "--apt", "--docs", "--check"):
            assert option in done.stdout
