"""A network on plain arrays: as a run of files goes through it, on the array's own pixels."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from torch import nn

from fedefm.data.letterbox import Letterbox, fit_images
from fedefm.data.normalise import normalise
from fedefm.errors import CheckpointError, ConfigError, DataError
from fedefm.inference.model import Segmenter, load
from fedefm.inference.predict import load_network
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from fedefm.models.checkpoint import load_weights
from fedefm.models.spec import ModelSpec
from support.runs import CLASSES, Bright, bright, square, weights
from support.small_networks import SMALLEST


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "theta.safetensors")


@pytest.fixture
def model(path: Path) -> Segmenter:
    return load(path)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


class BrightWithWeights(Bright):
    """`Bright`, with a parameter to find its device by."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))


def test_it_knows_what_it_is(model: Segmenter, path: Path) -> None:
    assert isinstance(model, nn.Module) and not model.training and not model.network.training
    assert (model.classes, model.size, model.spec) == (CLASSES, 64, SMALLEST)
    assert isinstance(model.spec, ModelSpec)
    assert model.sha256 == load_weights(path).sha256
    assert model.sha256 in repr(model)
    assert load(str(path)).sha256 == model.sha256


def test_it_comes_on_the_device_that_is_named(path: Path) -> None:
    found = {value.device.type for value in load(path, device="auto").network.parameters()}
    assert found == {"cuda" if torch.cuda.is_available() else "cpu"}
    with pytest.raises(ConfigError, match="not on this machine"):
        load(path, device="cuda:99")


@pytest.mark.parametrize(
    ("stack", "kind"),
    [
        (noise(3, 40, 70), np.uint8),
        (noise(2, 90, 33).astype(np.int16) * 7 - 900, np.int16),
        (noise(2, 64, 64) / np.float32(977), np.float32),
    ],
    ids=["uint8", "int16", "float32"],
)
def test_a_stack_gets_the_labels_that_a_file_of_it_gets(
    model: Segmenter, path: Path, tmp_path: Path, stack: np.ndarray, kind: type
) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(stack.astype(kind)), tmp_path / "run.nii.gz")
    segment(open_run(tmp_path / "run.nii.gz"), load_network(path, "cpu"), tmp_path / "out", Wanted(("nifti",), None))
    written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "out" / "labels.nii.gz"))
    labels = model(stack.astype(kind))
    assert labels.dtype == np.uint8 and labels.shape == stack.shape
    assert len(np.unique(labels)) > 1  # a network of random weights marks something
    np.testing.assert_array_equal(labels, written)


def test_a_mask_lies_on_the_pixels_of_the_array() -> None:
    model = Segmenter(bright()._replace(model=BrightWithWeights()))
    found = model(square())
    assert found.shape == (120, 200)
    there = square() > 100
    assert 2 * ((found == 1) & there).sum() / ((found == 1).sum() + there.sum()) > 0.95


def test_one_frame_is_a_stack_of_one(model: Segmenter) -> None:
    frame = noise(50, 80)
    np.testing.assert_array_equal(model(frame), model(frame[None])[0])
    np.testing.assert_array_equal(model.probabilities(frame), model.probabilities(frame[None])[0])
    assert model(frame.tolist()).shape == (50, 80)


def test_a_stack_has_one_scale(model: Segmenter) -> None:
    stack = np.stack([noise(64, 64), noise(64, 64, seed=1) // 8])
    np.testing.assert_allclose(
        model.prepare(stack), fit_images(normalise(stack.astype(np.float32)), Letterbox(64, 64, 64)), atol=1e-6
    )
    assert not np.allclose(model.prepare(stack)[1], model.prepare(stack[1])[0])


def test_probabilities_sum_to_one_and_the_greatest_is_the_label(model: Segmenter) -> None:
    stack = noise(3, 45, 31)
    chances = model.probabilities(stack)
    assert chances.dtype == np.float32 and chances.shape == (3, 1 + len(CLASSES), 45, 31)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(chances.argmax(1), model(stack))


def test_neither_batch_nor_grey_range_counts(model: Segmenter) -> None:
    stack = noise(3, 64, 50)
    chances = model.probabilities(stack)
    np.testing.assert_allclose(model.probabilities(stack, batch=2), chances, atol=1e-5)
    np.testing.assert_allclose(model.probabilities(stack * 16.0 - 1000), chances, atol=1e-4)


def test_nan_is_padding_and_counts_as_the_darkest_value(model: Segmenter) -> None:
    frame = noise(64, 64).astype(np.float32)
    dark = frame.copy()
    frame[:, :9], dark[:, :9] = np.nan, np.nanmin(frame[:, 9:])
    np.testing.assert_array_equal(model.probabilities(frame), model.probabilities(dark))


def test_features_are_the_encoders_deepest_map_without_gradients(model: Segmenter) -> None:
    stack = noise(2, 64, 64)
    found = model.features(stack)
    deepest = model.network.encoder(model.prepare(stack))[-1]
    assert not found.requires_grad
    torch.testing.assert_close(found, deepest.detach().flatten(2).transpose(1, 2))
    assert model.features(stack, level=-2).shape[1] == 4 * found.shape[1]


def test_its_number_type_can_be_changed(model: Segmenter) -> None:
    frame = noise(64, 64)
    before = model.probabilities(frame)
    after = model.double().probabilities(frame)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_it_runs_on_a_gpu(model: Segmenter) -> None:
    frame = noise(64, 64)
    before = model.probabilities(frame)
    np.testing.assert_allclose(model.to("cuda").probabilities(frame), before, atol=1e-3)
    assert model.features(frame).is_cuda


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros(5), r"shape \(5,\); give one frame"),
        (np.zeros((1, 1, 5, 5)), "give one frame"),
        (np.zeros((0, 5)), "give one frame"),
        (np.zeros((64, 64, 3)), "looks like colours"),
        (np.full((8, 8), np.inf), "infinite"),
        (np.full((8, 8), 1e300), "infinite"),
        (np.zeros((8, 8), complex), "complex128; give an array of real numbers"),
        ("frame.png", "give an array of real numbers"),
    ],
)
def test_what_is_no_grey_image_is_refused_in_one_line(model: Segmenter, image: object, words: str) -> None:
    for method in (model, model.probabilities, model.prepare, model.features):
        with pytest.raises(DataError, match=words) as refused:
            method(image)
        assert "\n" not in str(refused.value)


def test_a_batch_of_none_is_refused(model: Segmenter) -> None:
    with pytest.raises(ConfigError, match="batch 0: give 1 or more"):
        model(noise(8, 8), batch=0)


def test_a_file_that_is_not_there_or_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "theta.safetensors")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(CheckpointError, match="not safetensors"):
        load(tmp_path / "text")
