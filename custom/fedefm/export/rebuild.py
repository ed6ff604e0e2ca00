"""The network of a model repository, by segmentation-models-pytorch; the model card shows this file as it stands."""

import json
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from timm.layers import BatchNormAct2d, GroupNormAct


def rebuild(folder: str) -> torch.nn.Module:
    """The network with its weights, ready to predict; its GroupNorm layers are those that it was trained with."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    model = smp.create_model(**config["network"])
    for name, groups in config["group_norm"].items():  # where this library builds a BatchNorm
        old = model.get_submodule(name)
        holds_more = isinstance(old, BatchNormAct2d)  # dropout and activation
        new = (GroupNormAct if holds_more else torch.nn.GroupNorm)(
            num_channels=old.num_features, num_groups=groups, eps=old.eps
        )
        if holds_more:
            new.drop, new.act = old.drop, old.act
        model.set_submodule(name, new)
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model.eval()
