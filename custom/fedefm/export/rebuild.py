"""The network of a model repository, by segmentation-models-pytorch; the model card shows this file as it stands."""

import json
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file


def rebuild(folder: str) -> torch.nn.Module:
    """The network with its weights, ready to predict; its GroupNorm layers are those that it was trained with."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    model = smp.create_model(**config["network"])
    for name, groups in config["group_norm"].items():  # where this library builds a BatchNorm
        norm = model.get_submodule(name)
        model.set_submodule(name, torch.nn.GroupNorm(groups, norm.num_features, eps=norm.eps))
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model.eval()
