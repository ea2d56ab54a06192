"""
Denoising a picture by total variation
======================================

Noise is removed from a photograph by moving it as little as possible while the total variation, the
sum of the differences between neighbouring pixels, gets small: flat areas turn flat and edges stay
sharp. ADMM needs one cosine transform and its inverse for each iteration, whatever the penalty
parameter, and the duality gap says how far the picture is from the best one.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import numopt
from numopt.splittings import total_variation

clean = load_sample_image("china.jpg")[60:260, 180:440].mean(axis=2) / 255
rng = np.random.default_rng(0)
noisy = clean + 0.1 * rng.standard_normal(clean.shape)


def error(picture):
    """Root mean square difference from the clean picture."""
    return np.sqrt(np.mean((picture - clean) ** 2))


# %%
# The sum over pixels of the length of both differences (isotropic) does not favour horizontal and
# vertical edges; the plain sum does.

pictures = {"clean": clean, "noisy": noisy}
for name, isotropic in (("plain", False), ("isotropic", True)):
    problem = total_variation(noisy, 0.08, isotropic=isotropic)
    result = numopt.solve(problem, tol=1e-4)
    pictures[name] = result.x.reshape(problem.shape)
    print(f"{name}: {result.nit} iterations, gap {float(result.certificate['gap']):.1e}")
    print(f"  error {error(pictures[name]):.4f}, of the noisy picture {error(noisy):.4f}")

# %%
# The part that is taken away should look like noise, with no picture in it.

figure, axes = plt.subplots(2, 3, figsize=(10, 5.4), layout="constrained")
pictures["taken away (plain)"] = noisy - pictures["plain"] + 0.5
pictures["taken away (isotropic)"] = noisy - pictures["isotropic"] + 0.5
for ax, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()
