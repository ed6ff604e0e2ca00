"""A MONAI bundle without Python files, which `python -m monai.bundle run` runs on a folder of pictures.

Preparation and restoration lie inside `models/model.ts`, not in MONAI's transforms: these measure percentiles,
antialias and pad in other ways, and masks would differ from those of `fedefm segment`. What is left to the
configuration is to read a picture as (1, rows, columns), to take the most likely class, and to save it under the
picture's name. MONAI holds a picture as (columns, rows), so it is turned before the network and back after it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedefm.errors import ConfigError, visible
from fedefm.export.card import write_card
from fedefm.export.licence import write_licence
from fedefm.export.parcel import USE, Parcel, Written
from fedefm.export.torchscript_file import TORCHSCRIPT_FILE, load_text, told, write_torchscript

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
MONAI = "1.6.1"
PACKAGES = {"pytorch-ignite": "0.5.5", "fire": "0.7.1", "pillow": "13.0.0"}
"""With MONAI's version those of `constraints.txt`: what the tests run a bundle with."""

MODEL, CARD = f"models/{TORCHSCRIPT_FILE}", "docs/README.md"
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")  # of one grey channel; what MONAI reads with pillow
LOAD = """```
pip install monai pytorch-ignite fire pillow
python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json \\
    --bundle_root . --dataset_dir PICTURES --output_dir LABELS
```
run in this folder, it writes for each grey picture (PNG, JPEG, BMP; 8 or 16 bits) of the folder PICTURES a PNG with its
labels, the same as `fedefm segment --keep-shutter` gives. `--device "$torch.device('cpu')"` names a device.

`models/model.ts` does it all, from grey values to probabilities on the picture's own pixels; without MONAI:

"""


def write_monai_bundle(parcel: Parcel, folder: Path) -> Written:
    """The whole bundle.

    Raises:
        ConfigError, CheckpointError: as `write_torchscript`.
    """
    about = metadata(parcel)
    refuse_expressions(about)
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir()
    difference = write_torchscript(parcel, folder / MODEL)
    for name, plain in (("metadata", about), ("inference", inference())):
        (folder / "configs" / f"{name}.json").write_text(json.dumps(plain, indent=4) + "\n", encoding="utf-8")
    write_card(folder / CARD, parcel, LOAD + load_text(MODEL), [told(difference)])
    write_licence(folder / "LICENSE", parcel)
    return Written(MODEL, CARD, difference)


def metadata(parcel: Parcel) -> dict[str, Any]:
    """`metadata.json`, by MONAI's schema."""
    names = {str(label): name for label, name in enumerate(parcel.labels)}
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "XA",
        "num_channels": 1,
        "spatial_shape": ["*", "*"],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "image"},
    }
    probabilities = {
        **image,
        "format": "segmentation",
        "num_channels": len(names),
        "value_range": [0, 1],
        "channel_def": names,
    }
    del probabilities["modality"]
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported"},
        "monai_version": MONAI,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": PACKAGES,
        "name": "Catheters and guidewires in X-ray",
        "task": "Segmentation of " + ", ".join(parcel.checkpoint.classes),
        "description": "A network trained by hospitals that shared no image (federated learning). See docs/README.md.",
        "authors": "The hospitals of docs/README.md",
        "copyright": parcel.licence,
        "data_type": "png",
        "image_classes": "grey values, brighter for more",
        "pred_classes": ", ".join(f"{label}: {name}" for label, name in names.items()),
        "intended_use": USE,
        "weights": parcel.facts(),
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": probabilities}},
    }


def refuse_expressions(plain: Any) -> None:
    """Refuse text that MONAI would run or look up: names of classes come from a file that others wrote.

    Args:
        plain: JSON values that should be text and numbers alone.

    Raises:
        ConfigError: a text, or a key, begins like an expression (`$`), a reference (`@`) or a macro (`%`).
    """
    if isinstance(plain, str) and plain.startswith(("$", "@", "%")):
        text = visible(plain)[:60]
        raise ConfigError(f"MONAI would run the name '{text}'; rename the class, or choose another --format")
    if isinstance(plain, Mapping):
        plain = [*plain, *plain.values()]
    if isinstance(plain, list):
        for one in plain:
            refuse_expressions(one)


def inference() -> dict[str, Any]:
    """`inference.json`: one picture at a time, of any size."""
    return {
        "imports": ["$import glob", "$import os", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/pictures'",
        "output_dir": "$@bundle_root + '/labels'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "files": "$sorted(glob.glob(os.path.join(@dataset_dir, '*')))",
        "datalist": f"$[{{'image': file}} for file in @files if file.lower().endswith({_PICTURES})]",
        "network_def": f"$torch.jit.load(os.path.join(@bundle_root, '{MODEL}'), map_location=@device)",
        "reader": "PILReader",
        "preprocessing": _compose(
            _target("LoadImaged", keys="image", reader="@reader"),
            _target("EnsureChannelFirstd", keys="image"),
            _turned("image"),
            _target("EnsureTyped", keys="image", dtype="$torch.float32"),
        ),
        "dataset": _target("Dataset", data="@datalist", transform="@preprocessing"),
        "dataloader": _target("DataLoader", dataset="@dataset", batch_size=1, shuffle=False, num_workers=0),
        "inferer": _target("SimpleInferer"),
        "postprocessing": _compose(
            _target("AsDiscreted", keys="pred", argmax=True),
            _turned("pred"),
            _target(
                "SaveImaged",
                keys="pred",
                meta_keys="image_meta_dict",
                output_dir="@output_dir",
                output_ext=".png",
                output_postfix="",
                output_dtype="$np.uint8",
                separate_folder=False,
                resample=False,
                writer="PILWriter",
            ),
        ),
        "handlers": [],
        "evaluator": _target(
            "SupervisedEvaluator",
            device="@device",
            val_data_loader="@dataloader",
            network="@network_def",
            inferer="@inferer",
            postprocessing="@postprocessing",
            val_handlers="@handlers",
        ),
        "run": ["$@evaluator.run()"],
    }


def _turned(key: str) -> dict[str, Any]:
    return _target("Transposed", keys=key, indices=[0, 2, 1])


def _compose(*transforms: Mapping[str, Any]) -> dict[str, Any]:
    return _target("Compose", transforms=list(transforms))


def _target(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, **arguments}
