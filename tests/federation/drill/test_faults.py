"""What a person may type as a fault, and what is refused in one line that says what to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.federation.drill.faults import (
    EXAMPLES,
    FORMS,
    MOST_ROUNDS,
    MOST_SECONDS,
    Fault,
    Kind,
    check_together,
    hospital_named,
    read_fault,
    rounds_of,
    usual_faults,
)

HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
AT_A_ROUND = (Kind.KILL, Kind.DISABLE, Kind.FREEZE)


def read(*typed, hospitals=HOSPITALS):
    words = [line.split() for line in typed]
    return [read_fault(Kind(kind), text, hospitals) for kind, text in words]


def test_every_kind_has_a_form_and_an_example_that_is_taken():
    assert set(FORMS) == set(EXAMPLES) == set(Kind)
    for kind, text in EXAMPLES.items():
        fault = read_fault(kind, text, HOSPITALS)
        assert fault.kind is kind and fault.words and fault.typed == f"{kind.value} {text}"


@given(st.sampled_from(AT_A_ROUND), st.sampled_from(HOSPITALS), st.integers(1, MOST_ROUNDS))
def test_a_hospital_and_a_round_are_read_as_written_in_full_or_by_the_last_part(kind, name, number):
    for word in (name, name.removeprefix("hospital-")):
        fault = read_fault(kind, f"{word}@{number}", HOSPITALS)
        assert (fault.kind, fault.site, fault.round, fault.seconds) == (kind, name, number, None)


@given(st.sampled_from([Kind.CUT, Kind.FREEZE]), st.integers(1, MOST_ROUNDS), st.integers(1, MOST_SECONDS))
def test_seconds_are_read_as_written(kind, number, seconds):
    fault = read_fault(kind, f"b@{number}:{seconds}", HOSPITALS)
    assert (fault.site, fault.round, fault.seconds) == ("hospital-b", number, float(seconds))


@given(st.integers(64, 999_999))
def test_a_rate_is_bits_a_second(kilobits):
    assert read_fault(Kind.SLOW, f"a={kilobits}kbit", HOSPITALS).rate == pytest.approx(kilobits * 1000 / 8)


def test_units_are_those_of_the_network():
    rates = [read_fault(Kind.SLOW, f"a={text}", HOSPITALS).rate for text in ("500kbit", "4mbit", "1.5gbit")]
    assert rates == [62_500, 500_000, 187_500_000]


@given(st.sampled_from(list(Kind)), st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(kind, text):
    try:
        fault = read_fault(kind, text, HOSPITALS)
    except ConfigError as error:
        assert str(error).isprintable() and len(str(error)) < 400 and str(error).startswith(f"--{kind.value} ")
    else:
        assert fault.site in (*HOSPITALS, "server")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("kill b", "write HOSPITAL@ROUND, such as --kill b@3"),
        ("kill b@0", "no round 0; name one from 1 to"),
        ("kill b@2:30", "write HOSPITAL@ROUND, such as"),
        ("kill b@21", "no round 21"),
        ("cut c@2", "write HOSPITAL@ROUND:SECONDS"),
        ("cut c@2:0", "name 1 to 300 seconds"),
        ("cut c@2:301", "name 1 to 300 seconds"),
        ("freeze b@2:", "write HOSPITAL@ROUND"),
        ("slow a@2", "write HOSPITAL=RATE"),
        ("slow a=4", "write HOSPITAL=RATE"),
        ("slow a=4mb", "name a rate from 64kbit"),
        ("slow a=1kbit", "name a rate from 64kbit"),
        ("slow a=11gbit", "name a rate from 64kbit"),
        ("restart a@2", "write server@ROUND"),
        ("restart server@1", "name round 2 or a later one"),
        ("disable d@2", "'d' is none of hospital-a, hospital-b, hospital-c; write the whole name"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_remedy(typed, why):
    with pytest.raises(ConfigError, match=why) as refused:
        read(typed)
    assert str(refused.value).startswith(f"--{typed}: ")


def test_a_part_that_several_have_is_refused_and_a_whole_name_is_taken():
    names = ("b", "east-b", "west-b", "lab")
    assert hospital_named("b", names, "kill b@1") == "b"
    with pytest.raises(ConfigError, match="may be east-b or west-b"):
        hospital_named("b", names[1:], "kill b@1")
    with pytest.raises(ConfigError, match="is none of"):
        hospital_named("ab", ("lab",), "kill ab@1")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (("kill b@2", "freeze b@3"), "is out of the job from round 2 on"),
        (("freeze b@3", "disable b@2"), "is out of the job from round 2 on"),
        (("kill b@2", "cut b@2:10"), "fall in the same round"),
        (("restart server@2", "kill b@2"), "fall in the same round"),
        (("restart server@2", "restart server@3"), "one of the two"),
        (("slow a=1mbit", "slow a=2mbit"), "one of the two"),
        (("kill a@1", "freeze b@1", "disable c@2"), "leave no hospital to go on"),
    ],
)
def test_faults_that_hide_each_other_are_refused_in_any_order(typed, why):
    for order in (typed, tuple(reversed(typed))):
        with pytest.raises(ConfigError, match=why):
            check_together(read(*order), HOSPITALS)


def test_faults_that_meet_well_are_taken():
    check_together(read("kill b@3", "slow a=4mbit", "cut c@1:60", "freeze b@2:30", "restart server@4"), HOSPITALS)
    check_together(read("slow a=4mbit", "freeze c@1", "disable c@2", "slow b=1mbit"), HOSPITALS)


@given(st.lists(st.integers(1, MOST_ROUNDS), max_size=5))
def test_a_job_has_a_whole_round_after_its_last_fault(rounds):
    faults = [Fault(Kind.KILL, "hospital-a", number) for number in rounds]
    assert rounds_of(faults) == max([1, *rounds]) + 1


@given(st.integers(2, 30))
def test_the_usual_drill_fits_every_consortium(count):
    names = tuple(f"site-{number}" for number in range(count))
    faults = usual_faults(names)
    check_together(faults, names)
    assert {fault.kind for fault in faults} >= {Kind.SLOW, Kind.KILL, Kind.RESTART}


def test_one_hospital_is_no_consortium():
    with pytest.raises(ConfigError, match="needs two hospitals"):
        usual_faults(("hospital-a",))
