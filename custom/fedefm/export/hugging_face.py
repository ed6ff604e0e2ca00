"""A folder that is a model repository of Hugging Face: card with front matter, configuration, weights, TorchScript.

`smp.from_pretrained` builds a network from names alone, and no name of it gives GroupNorm in place of BatchNorm. Where
a network has such layers, `config.json` therefore does not name the class that `from_pretrained` asks for, so that it
refuses; the card shows the lines that rebuild the network, and `model.ts` beside it needs none of them.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from huggingface_hub import EvalResult, ModelCardData
from torch import nn

from fedefm.errors import CheckpointError
from fedefm.export import rebuild
from fedefm.export.card import write_card
from fedefm.export.licence import write_licence
from fedefm.export.parcel import Parcel, Written
from fedefm.export.torchscript_file import TORCHSCRIPT_FILE, load_text, told, write_torchscript
from fedefm.models.restore import restore

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
LIBRARY = "segmentation-models-pytorch"
TAGS = [LIBRARY, "pytorch", "medical", "x-ray", "image-segmentation", "federated-learning"]
# Identifiers of Hugging Face by what people write; any other licence is "other" there, with its name.
LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
            "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0")  # fmt: skip
FROM_PRETRAINED = """```python
import segmentation_models_pytorch as smp

model = smp.from_pretrained(".").eval()
```
"""
REBUILD = """`smp.from_pretrained` refuses this repository, because it cannot build this network: layers that are
BatchNorm there are GroupNorm here. These lines build it:
```python
{source}


model = rebuild(".")
```
"""
ALONE = """That is the network alone: it takes what `prepare` of `model.ts` gives. `model.ts` does it all, from grey
values to labels:

"""


def write_repository(parcel: Parcel, folder: Path) -> Written:
    """The whole folder.

    Raises:
        ConfigError: as `write_torchscript`.
        CheckpointError: the weights do not fit, or what was written disagrees with torch.
    """
    checkpoint = parcel.checkpoint
    model = restore(checkpoint)
    difference = write_torchscript(parcel, folder / TORCHSCRIPT_FILE)
    shutil.copyfile(checkpoint.file, folder / WEIGHTS)  # its header is read by this package, and by no other
    norms = replaced_norms(model)
    config = configuration(parcel, model, norms)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _check(folder, model, checkpoint.size, bool(norms))
    use = REBUILD.format(source=_source()) if norms else FROM_PRETRAINED
    checks = [told(difference), f"{WEIGHTS} gives what torch gives, to the bit"]
    write_card(folder / CARD, parcel, use + ALONE + load_text(TORCHSCRIPT_FILE), checks, front_matter(parcel))
    write_licence(folder / "LICENSE", parcel)
    return Written(TORCHSCRIPT_FILE, CARD, difference)


def replaced_norms(model: nn.Module) -> dict[str, int]:
    """By layer, the groups of each GroupNorm where the library itself builds a BatchNorm."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        plain = smp.create_model(type(model).__name__, **model.config)
    names = (name for name, layer in plain.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
    return {name: model.get_submodule(name).num_groups for name in names}


def configuration(parcel: Parcel, model: nn.Module, norms: dict[str, int]) -> dict[str, Any]:
    """`config.json`: for `smp.from_pretrained`, or for `rebuild` where that would build another network."""
    kind = type(model).__name__
    if not norms:
        return {**model.config, "_model_class": kind, "_fedefm": parcel.facts()}
    return {"network": {"arch": kind, **model.config}, "group_norm": norms, "fedefm": parcel.facts()}


def front_matter(parcel: Parcel) -> str:
    """What Hugging Face reads at the top of a card, as YAML between two lines of three hyphens."""
    results = list(_results(parcel))
    data = ModelCardData(
        **_licence(parcel.licence),
        library_name=LIBRARY,
        pipeline_tag="image-segmentation",
        tags=TAGS,
        model_name="Catheters and guidewires in X-ray",
        metrics=sorted({result.metric_type for result in results}) or None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _licence(text: str) -> dict[str, str]:
    """An identifier, or the text as a name: letters, digits and dots, with hyphens between words."""
    name = "-".join(re.findall(r"[a-z0-9.]+", text.lower()))
    if name in LICENCES:
        return {"license": name}
    return {"license": "other", "license_name": name[:64] or "other", "license_link": "LICENSE"}


def _results(parcel: Parcel) -> Iterator[EvalResult]:
    """Dice by hospital and class, where it is known."""
    origin = parcel.origin
    for site, found in (origin.scores if origin else {}).items():
        for name, figures in found.items():
            if isinstance(figures.get("dice"), int | float):
                yield EvalResult(
                    task_type="image-segmentation",
                    dataset_type="private",
                    dataset_name=f"{site}, test images"
                    + (", synthetic" if origin and site in origin.synthetic else ""),
                    metric_type="dice",
                    metric_name=f"Dice of {name}",
                    metric_value=round(float(figures["dice"]), 4),
                )


def _source() -> str:
    """The code of `rebuild`, without the line that says what it is."""
    return inspect.getsource(rebuild).partition('"""\n\n')[2].rstrip()


def _check(folder: Path, model: nn.Module, size: int, has_norms: bool) -> None:
    """Load the repository as its card says, and compare."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        loaded = rebuild.rebuild(str(folder)) if has_norms else smp.from_pretrained(str(folder)).eval()
    images = torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not torch.equal(loaded(images), model(images)):
            raise CheckpointError(f"{CONFIG} and {WEIGHTS} give another network; nothing was written")
