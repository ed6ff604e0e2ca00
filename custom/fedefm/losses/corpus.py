"""Label corpora: which classes a hospital annotates, and how the others fold into background."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fedefm.data.label_sets import NOTHING_KNOWN, may_be
from fedefm.errors import ConfigError

SILENT = -1e4  # minus infinity would make NaN of a sum over impossible classes


def corpus_channels(corpus: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Output channels of a label corpus, in label order; background is channel 0 and never among them.

    Raises:
        ConfigError: the corpus names a class that the job does not know.
    """
    strangers = sorted(set(corpus) - set(classes))
    if strangers:
        raise ConfigError(f"label corpus: '{strangers[0]}' is not among the job's classes {', '.join(classes)}")
    return tuple(k for k, name in enumerate(classes, 1) if name in corpus)


def fold_log_probabilities(logits: Float[Tensor, "b k h w"], channels: Sequence[int]) -> Float[Tensor, "b folded h w"]:
    """Log-probabilities where every channel outside `channels` is summed into one, which stands first.

    "Not annotated" is not "background": a hospital that labels catheters alone says of another pixel only that it is no
    catheter, so the network may see there any class but that one (marginal loss).
    """
    log_p = logits.log_softmax(1)
    rest = [k for k in range(logits.shape[1]) if k not in channels]
    return torch.cat([log_p[:, rest].logsumexp(1, keepdim=True), log_p[:, list(channels)]], 1)


def fold_target(mask: Int64[Tensor, "b h w"], channels: Sequence[int], k: int) -> Int64[Tensor, "b h w"]:
    """Map a mask of `k` channels to the channels of `fold_log_probabilities`."""
    table = torch.zeros(k, dtype=torch.int64, device=mask.device)
    for position, channel in enumerate(channels, 1):
        table[channel] = position
    return table[mask]


def fold_possible(mask: Int64[Tensor, "b h w"], channels: Sequence[int], k: int) -> Bool[Tensor, "b folded h w"]:
    """What each pixel may be, in the channels of `fold_log_probabilities`; labels may be sets of classes."""
    rest = [may_be(mask, channel) for channel in range(k) if channel not in channels]
    return torch.stack([torch.stack(rest).any(0), *(may_be(mask, channel) for channel in channels)], 1)


def condition_on_labels(
    logits: Float[Tensor, "b k h w"], mask: Int64[Tensor, "b h w"], channels: Sequence[int]
) -> Float[Tensor, "b k h w"]:
    """Logits given what a hospital's own labels say, so that softmax gives the posterior.

    Where the hospital labelled a pixel, that class is certain: what is a vessel at home is no guidewire, whatever an
    expert that never saw a vessel says. Everywhere else none of the hospital's classes can be, and the others share
    what the network gave to them. A pixel that is one of several classes keeps these; one of which nothing is known
    keeps all.

    Args:
        logits: of any network.
        mask: labels; only those of `channels` count.
        channels: the hospital's label corpus.
    """
    own = torch.isin(mask, mask.new_tensor(list(channels)))
    certain = F.one_hot(mask.clamp_min(0), logits.shape[1]).movedim(-1, 1).bool()
    open_ = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    open_[list(channels)] = False
    possible = torch.where(own.unsqueeze(1), certain, open_.view(1, -1, 1, 1))
    if bool((mask <= NOTHING_KNOWN).any()):
        said = torch.stack([may_be(mask, channel) for channel in range(logits.shape[1])], 1)
        possible = torch.where((mask <= NOTHING_KNOWN).unsqueeze(1), said, possible)
    return logits.masked_fill(~possible, SILENT)
