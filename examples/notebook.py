"""From a consortium to a label map, in cells: a notebook for jupytext and VS Code, or `python examples/notebook.py`.

Makes a small synthetic consortium, trains a foundation model with it, labels an image, and compares the features of two
images. It takes less than half a minute on one core, and writes into a new folder `notebook`.

One round with few steps shows how it works, not how well: a useful model takes more (`make demo`).
"""

# %%
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

import fedefm
from fedefm.data.synth import CLASSES, default_sites, write_consortium

OUT = Path("notebook")

# %% [markdown]
# ## A consortium
# Two hospitals with synthetic fluoroscopy. Each looks different, and labels some classes only.

# %%
hospitals = write_consortium(OUT / "data", sites=default_sites(2), frames_per_site=8, size=64, unseen=0.5)
folders = {folder.name: folder for folder in hospitals}
print("hospitals:", ", ".join(folders))

# %% [markdown]
# ## A foundation model
# All hospitals in this process. `simulator=True` runs the same job under NVIDIA FLARE, one process a hospital, and
# gives the same Theta.

# %%
settings = fedefm.Settings(
    classes=CLASSES,
    size=64,
    model=fedefm.ModelSpec("Unet", "resnet18"),
    schedule=fedefm.Schedule(rounds=1, local_steps=4, overseas_steps=1, distil_steps=4),
)
report = fedefm.simulate(settings, folders, OUT / "run", simulator=False)
print(f"Dice of Theta: {report['dice']['mean']:.3f} (synthetic images); page: {OUT / 'run' / 'report.html'}")

# %% [markdown]
# ## Label an image
# `model` is an `nn.Module`: `model.to("cuda")` works. It takes grey arrays of any size, one frame or a stack.

# %%
model = fedefm.load(OUT / "run" / "theta.safetensors")
pictures = {name: sorted((folder / "images").iterdir())[0] for name, folder in folders.items()}
images = {name: np.asarray(Image.open(path)) for name, path in pictures.items()}
first, second = images
labels = model(images[first])
shares = {name: float((labels == k).mean()) for k, name in enumerate(("background", *model.classes))}
print("share of pixels:", ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
left.imshow(images[first], cmap="gray")
left.set_title(first)
right.imshow(images[first], cmap="gray")
marked = np.ma.masked_equal(labels, 0)
right.imshow(marked, cmap="brg", vmin=1, vmax=len(model.classes), alpha=0.5, interpolation="nearest")
right.set_title(", ".join(model.classes))
for axes in (left, right):
    axes.axis("off")
figure.savefig(OUT / "overlay.png", dpi=100)

# %% [markdown]
# ## How far apart are two images for the network?
# The Earth Mover's Distance between their feature maps: exact, batched and differentiable.

# %%
u, v = model.features(images[first]), model.features(images[second])
distance = fedefm.emd(fedefm.cosine_cost(u, v), *fedefm.node_weights(u, v))
print(f"Earth Mover's Distance between {first} and {second}: {distance.item():.4f}")
