import torch
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.frames import Split
from fedefm.finetune.few import take_share
from support.splits import images_of, masks_of, split_of


def of_patients(patients: list[int]) -> Split:
    n = len(patients)
    numbers = torch.arange(n)
    images = numbers.view(n, 1, 1, 1).expand(n, 1, 4, 4).float()
    return split_of(images, numbers.view(n, 1, 1).expand(n, 4, 4), [f"patient-{p}" for p in patients])


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.floats(0.01, 1), st.integers(0, 5))
def test_whole_patients_come_and_the_rest_of_them_agrees(patients: list[int], share: float, seed: int) -> None:
    split = of_patients(patients)
    few = take_share(split, share, seed)
    chosen, everyone = set(few.patients), set(split.patients)
    assert share * len(everyone) - 1e-6 <= len(chosen) < share * len(everyone) + 1
    kept = [k for k, patient in enumerate(split.patients) if patient in chosen]
    assert few.names == tuple(f"frame-{k}" for k in kept)
    assert images_of(few)[:, 0, 0, 0].tolist() == masks_of(few)[:, 0, 0].tolist() == kept


@given(st.integers(0, 9), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_smaller_share_is_part_of_a_larger_one(seed: int, a: float, b: float) -> None:
    split = of_patients(list(range(20)))
    small, large = (set(take_share(split, share, seed).patients) for share in sorted((a, b)))
    assert small <= large


def test_seeds_differ() -> None:
    split = of_patients(list(range(20)))
    assert len({take_share(split, 0.2, seed).patients for seed in range(10)}) > 5
