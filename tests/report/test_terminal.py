import io
from pathlib import Path

from rich.console import Console

from fedefm.report.terminal import print_comparison, print_summary
from support.fake_report import drop_theta, fake_report, shown_scores


def printed(show, report, width: int = 120, **more) -> str:
    stream = io.StringIO()
    show(report, Console(file=stream, width=width, color_system=None), **more)
    return stream.getvalue()


def row(output: str, *starts: str) -> list[str]:
    """The cells of the first table row that begins with these cells."""
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip("│┃").split("│")]
        if tuple(cells[: len(starts)]) == starts:
            return cells
    raise AssertionError(f"no row {starts} in\n{output}")


def test_summary_has_every_dice_with_its_mark(report):
    output = printed(print_summary, report)
    for site in report["sites"]:
        expected = []
        for name, value in report["dice"]["by_site"][site].items():
            mark = "●" if name in report["corpora"][site] else "○"
            expected.append(f"{'not labelled' if value is None else f'{value:.3f}'} {mark}")
        assert row(output, site)[1:-1] == expected


def test_summary_names_hash_costs_losses_and_page(report):
    output = printed(print_summary, report, folder=Path("runs/demo"))
    assert report["theta"]["sha256"] in output
    assert f"{report['seconds']['total']:.3f} s" in output
    assert f"{report['bytes']['total'] / 1e6:.3f} MB" in output
    assert "animal in round 3 at overseas (visitor phantom): no answer within 60 s" in output
    assert str(Path("runs/demo/report.html")) in output
    assert f"mean pooled Dice {report['dice']['mean']:.3f}" in output
    assert "synthetic data" in output


def test_summary_of_a_calm_run(report):
    report |= {"lost": [], "config": {}, "synthetic": []}
    output = printed(print_summary, report)
    assert "no site was lost" in output
    assert "synthetic" not in output


def test_a_run_without_a_shared_model(report):
    drop_theta(report)
    output = printed(print_summary, report)
    home = report["dice"]["by_model"]["human"]["human"]
    assert [cell[:5] for cell in row(output, "human")[1:-1]] == [f"{value:.3f}" for value in home.values()]
    assert "shares no model" in output


def test_names_are_no_markup():
    report = fake_report(sites=("[red]x[/red]", "[/]"))
    report["name"] = "[bold]"
    output = printed(print_summary, report)
    assert "[red]x[/red]" in output
    assert "[/]" in output
    assert "[bold]" in output


def test_the_hash_is_on_one_line_of_a_narrow_terminal(report):
    assert report["theta"]["sha256"] in printed(print_summary, report, width=60)


def test_comparison_has_every_method_s_numbers(comparison):
    output = printed(print_comparison, comparison)
    for name, value in comparison["dice"]["by_method"].items():
        assert row(output, name)[1] == f"{value:.3f}"
    runs = comparison["methods"].values()
    for site in comparison["sites"]:
        for name in comparison["classes"]:
            mark = "●" if name in comparison["corpora"][site] else "○"
            values = [shown_scores(run, "dice", site)[name] for run in runs]
            cells = [cell.removesuffix(" ★") for cell in row(output, site, f"{mark} {name}")[2:]]
            assert cells == ["not labelled" if value is None else f"{value:.3f}" for value in values]


def test_the_star_is_at_the_highest(comparison):
    cells = row(printed(print_comparison, comparison), "animal", "● catheter")[2:]
    best = max(range(3), key=lambda index: float(cells[index].split()[0]))
    assert [cell.endswith("★") for cell in cells] == [index == best for index in range(3)]


def test_a_silo_that_lost_weight_in_the_last_round_is_named(report):
    report["reputation"] = {
        "9": {"human": 0.0, "animal": 1.0, "phantom": 1.0},
        "10": {"human": 1.0, "animal": 0.25, "phantom": 0.5},
    }
    rated = [line for line in printed(print_summary, report).splitlines() if line.startswith("Rated")]
    assert [line.split()[1:5] for line in rated] == [
        ["animal", "counts", "0.25", "of"],
        ["phantom", "counts", "0.50", "of"],
    ]
    assert "Rated" not in printed(print_summary, report | {"reputation": {}})


def test_teachers_that_students_doubted_in_the_last_round_are_named(report):
    doubted = {"0": {"a": {"c": 0.0}}, "1": {"a": {"b": 0.25}, "c": {"b": 0.0}}}
    lines = printed(print_summary, report | {"doubted": doubted}).splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("Doubted")] == ["b as a teacher, by a, c"]
