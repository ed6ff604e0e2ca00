"""A network with all that `fedefm segment` does around it, in a form that torch writes into one file.

TorchScript reads this source: its functions take plain tensors, and call nothing of numpy or of this package. What they
must give is what `fedefm.inference` gives; `fedefm.export.torchscript_file` compares the two before a file is kept.
"""

# No postponed annotations here: TorchScript reads them as they stand.
from collections.abc import Sequence
from typing import no_type_check

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedefm.data.normalise import BLACK, CLIP, PERCENTILES

TOGETHER = 4  # frames that go through the network at once, as `fedefm segment` does


@no_type_check  # a checking wrapper around a function hides its source from TorchScript
class WholeWay(nn.Module):
    """Grey images of any size to probabilities on their own pixels.

    The frames of one call belong together, as those of one file do: one grey scale is measured over all of them.

    Args:
        network: (b, 1, size, size) normalised images to (b, k, size, size) logits.
        size: side of the network's square in pixels.
        classes: foreground class names; the file tells them with background before them, so that a label is an index.
    """

    def __init__(self, network: nn.Module, size: int, classes: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.classes = ["background", *classes]
        self.lowest, self.highest = PERCENTILES[0] / 100, PERCENTILES[1] / 100
        self.least, self.most = CLIP
        self.black = BLACK
        self.tiny = torch.finfo(torch.float32).tiny
        self.together = TOGETHER

    def forward(self, image: Tensor) -> Tensor:
        """(frames, 1, rows, columns) grey values to (frames, 1 + classes, rows, columns) probabilities, float32."""
        found = []
        for square in self.prepare(image).split(self.together):
            found.append(self.restore(self.network(square), image.shape[2], image.shape[3]))
        return torch.cat(found)

    @torch.jit.export
    def labels(self, image: Tensor) -> Tensor:
        """(frames, 1, rows, columns) grey values to (frames, rows, columns) labels, uint8; 0 is background."""
        found = []
        for square in self.prepare(image).split(self.together):
            scores = self.restore(self.network(square), image.shape[2], image.shape[3])
            found.append(scores.argmax(1).to(torch.uint8))
        return torch.cat(found)

    @torch.jit.export
    def prepare(self, image: Tensor) -> Tensor:
        """(frames, 1, rows, columns) grey values to what the network sees: (frames, 1, size, size), float32."""
        if image.dim() != 4 or image.shape[1] != 1 or image.numel() == 0:
            raise RuntimeError("give grey images as (frames, 1, rows, columns); turn colours to grey first")
        frames = self.normalise(image.to(torch.float32))
        rows, columns = self.inner(image.shape[2], image.shape[3])
        if (rows, columns) != (image.shape[2], image.shape[3]):
            frames = functional.interpolate(frames, [rows, columns], mode="bilinear", antialias=True)
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        around = [left, self.size - columns - left, top, self.size - rows - top]
        return functional.pad(frames, around, value=self.black)

    @torch.jit.export
    def restore(self, logits: Tensor, height: int, width: int) -> Tensor:
        """(b, k, size, size) logits to (b, k, height, width) probabilities on the pixels of the image."""
        rows, columns = self.inner(height, width)
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        inside = logits.to(torch.float32).softmax(1)[:, :, top : top + rows, left : left + columns]
        if (rows, columns) == (height, width):
            return inside
        return functional.interpolate(inside, [height, width], mode="bilinear", align_corners=False)

    def inner(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the scaled picture inside the square; as `Letterbox.inner`."""
        scale = self.size / max(height, width)
        rows, columns = int(round(height * scale)), int(round(width * scale))  # noqa: RUF046 (TorchScript's is a float)
        return max(1, rows), max(1, columns)

    def normalise(self, frames: Tensor) -> Tensor:
        """The 0.5 and 99.5 percentiles to -2 and 2, clipped to -6 and 6; NaN is padding, and the darkest value."""
        known = frames[~frames.isnan()]
        if known.numel() == 0:
            return torch.zeros_like(frames)
        if bool(known.isinf().any()):
            raise RuntimeError("an image with infinite pixels; replace them, or mark padding as NaN")
        least = known.min()
        frames = torch.where(frames.isnan(), least, frames)
        values = frames.flatten()
        low, high = self.percentile(values, self.lowest), self.percentile(values, self.highest)
        if not high > low:
            low, high = float(least), float(values.max())
        start, span = torch.tensor(low, dtype=torch.float32), torch.tensor(high - low, dtype=torch.float32)
        if float(span) < self.tiny:
            return torch.zeros_like(frames)
        unit = (frames - start) / span
        return (unit.clamp(self.least, self.most) - 0.5) / 0.25

    def percentile(self, values: Tensor, share: float) -> float:
        """Linear between the two nearest of all values in order, as numpy's default."""
        position = share * (values.numel() - 1)
        rank = int(position)
        below = float(values.kthvalue(rank + 1).values)
        above = float(values.kthvalue(min(rank + 2, values.numel())).values)
        return below + (above - below) * (position - rank)
