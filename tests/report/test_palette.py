import itertools

from fedefm.report.palette import class_colours, rgb, site_strokes


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def confusable(colour: str) -> tuple[float, float]:
    """What a deuteranope tells apart: lightness and blue against yellow (Viénot 1999, simplified)."""
    red, green, blue = (channel / 255 for channel in rgb(colour))
    seen = 0.29 * red + 0.71 * green
    return seen, blue


def test_the_first_classes_differ_for_red_green_blind_readers():
    colours = list(class_colours(["catheter", "guidewire", "vessel", "d"]).values())
    for one, two in itertools.combinations(map(confusable, colours), 2):
        assert max(abs(a - b) for a, b in zip(one, two, strict=True)) > 0.08


def test_twenty_classes_and_twenty_four_sites_differ():
    assert len(set(class_colours([str(i) for i in range(20)]).values())) == 20
    assert len(set(site_strokes([str(i) for i in range(24)]).values())) == 24


def test_curves_stand_out_from_white_and_from_near_black():
    for colour, _ in site_strokes([str(i) for i in range(6)]).values():
        on_white = 1.05 / (luminance(colour) + 0.05)
        on_dark = (luminance(colour) + 0.05) / (luminance("#181c23") + 0.05)
        assert on_white > 2
        assert on_dark > 3
