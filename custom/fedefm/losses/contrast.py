"""The model-contrastive loss of MOON."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def contrastive_loss(
    z: Float[Tensor, "b c"], z_global: Float[Tensor, "b c"], z_previous: Float[Tensor, "b c"], temperature: float
) -> Float[Tensor, " b"]:
    """-log(e^(s_g / tau) / (e^(s_g / tau) + e^(s_p / tau))) of each image, with s the cosine to z.

    Li, He, Song, Model-Contrastive Federated Learning, CVPR 2021.

    Args:
        z: representation of the images by the network that learns.
        z_global: the same by the global network; gets no gradient.
        z_previous: the same by the hospital's own last network; gets no gradient.
        temperature: tau.
    """
    near = F.cosine_similarity(z, z_global.detach()) / temperature
    far = F.cosine_similarity(z, z_previous.detach()) / temperature
    return F.softplus(far - near)
