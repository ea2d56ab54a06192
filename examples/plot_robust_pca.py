"""
Background and foreground of a video
====================================

A camera looks at the same place all day: every frame is a column of a matrix. What stays, up to
the light, has low rank; what moves covers few pixels at a time. Robust principal component analysis
takes the two apart exactly, as the minimum of nuclear norm plus weighted absolute values, where an
ordinary principal component analysis smears one over the other.
"""

import matplotlib.pyplot as plt
import numpy as np

import numopt
from numopt.splittings import robust_pca

rows, columns, frames = 24, 32, 60
rng = np.random.default_rng(0)
y, x = np.mgrid[0:rows, 0:columns]

# %%
# The place: a wall with windows in changing daylight, and a lamp that flickers. Two visitors walk
# by, one of them with a light.

windows = 0.4 * ((x % 8 > 2) & (x % 8 < 6) & (y > 4) & (y < 14))
lamp = 0.5 * np.exp(-((x - 26) ** 2 + (y - 6) ** 2) / 12)
daylight = 0.5 + 0.3 * np.sin(np.linspace(0, np.pi, frames))
flicker = rng.random(frames)
place = daylight[:, None, None] * (0.4 + windows) + flicker[:, None, None] * lamp
video = place.copy()
for k in range(frames):
    for start, speed, level, top in ((-6, 0.7, 0.05, 12), (40, -0.5, 1.0, 15)):
        left = start + speed * k
        inside = (x >= left) & (x < left + 3) & (y >= top) & (y < top + 8)
        video[k][inside] = level

# %%
# One problem, frames as columns. The result's x is the low-rank part, its z the sparse one.

M = video.reshape(frames, -1).T
result = numopt.solve(robust_pca(M), tol=1e-7)
low, sparse = result.x.reshape(M.shape), result.z.reshape(M.shape)
background = place.reshape(frames, -1).T
U, s, Vt = np.linalg.svd(M, full_matrices=False)
ordinary = (U[:, :2] * s[:2]) @ Vt[:2]
print(f"{result.nit} iterations, gap {float(result.certificate['gap']):.1e}")
print(f"rank of the background: {np.linalg.matrix_rank(low, tol=1e-5)}")
for name, guess in (("robust", low), ("ordinary", ordinary)):
    off = np.linalg.norm(guess - background) / np.linalg.norm(background)
    print(f"error of the background, {name}: {off:.1e}")

# %%
# Three frames: as filmed, the background by either method, and what moves.

parts = {
    "video": M, "background": low, "foreground": np.abs(sparse), "ordinary background": ordinary
}  # fmt: skip
figure, axes = plt.subplots(3, 4, figsize=(10, 6), layout="constrained")
for row, k in zip(axes, (12, 30, 48), strict=True):
    for ax, (name, part) in zip(row, parts.items(), strict=True):
        ax.imshow(part[:, k].reshape(rows, columns), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=name if k == 12 else "")
    row[0].set_ylabel(f"frame {k}")
plt.show()
