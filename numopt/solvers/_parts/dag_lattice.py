"""Search over the lattice of sets of nodes, layer by layer: an order is a path from none to all.

A state is the set S of the nodes that come first, with the least score g(S) of a graph on them.
What the others cost is bounded from below by h(S), the sum over groups of nodes of the best order
of the group's nodes not in S, each free to have parents in all other groups. States with g + h at
or above the score of a known graph are dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.solvers._parts.dag_parents import ask


class Layer(NamedTuple):
    """States of one size in a hash table."""

    keys: np.ndarray  # sets as bit masks, -1 where free
    values: np.ndarray  # g
    last: np.ndarray  # the node that came last
    states: np.ndarray  # how many there are


class Patterns(NamedTuple):
    """Bounds of groups of nodes by the part of them in S, for several splits into groups."""

    members: np.ndarray  # (splits, groups, size): nodes, -1 at the end
    sizes: np.ndarray  # (splits, groups): nodes of each group
    squeeze: np.ndarray  # (splits, groups, bytes of S, 256): their share of the part, as bits
    tables: np.ndarray  # (splits, groups, 2^size)


def make_layer(size: int) -> Layer:
    """An empty table; `size` is a power of two."""
    keys = np.full(size, -1, np.int64)
    return Layer(keys, np.zeros(size), np.zeros(size, np.int8), np.zeros(1, np.int64))


def states_of(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sets, values and last nodes, in order of the sets."""
    full = np.flatnonzero(layer.keys >= 0)
    full = full[np.argsort(layer.keys[full])]
    return layer.keys[full], layer.values[full], layer.last[full]


@inner
def _enter(layer, key, value, last):
    """Note a state with its least value."""
    mask = layer.keys.size - 1
    mixed = (key & 0x3FFFFFFF) * 0x9E3779B1 + (key >> 30) * 0x27D4EB2F  # below 2^63
    place = mixed >> 20 & mask
    while layer.keys[place] >= 0 and layer.keys[place] != key:
        place = (place + 1) & mask
    if layer.keys[place] < 0:
        layer.keys[place], layer.values[place], layer.last[place] = key, value, last
        layer.states[0] += 1
    elif value < layer.values[place]:
        layer.values[place], layer.last[place] = value, last


@kernel
def refill(old, new):
    """Move all states to a larger table."""
    for place in range(old.keys.size):
        if old.keys[place] >= 0:
            _enter(new, old.keys[place], old.values[place], old.last[place])


@kernel
def fill_patterns(parents, before, members, size, table, start):
    """Bounds of one group, by dynamic programming over its subsets; the first subset not done.

    From all of the group downwards; stops where the trees of parents need room.
    """
    everything = (1 << parents.class_of.size) - 1
    group = 0
    for k in range(size):
        group |= 1 << members[k]
    for part in range(start, -1, -1):
        if part == (1 << size) - 1:
            table[part] = 0.0
            continue
        inside = everything & ~group
        for k in range(size):
            if part >> k & 1:
                inside |= 1 << members[k]
        least = np.inf
        for k in range(size):
            j = members[k]
            if part >> k & 1 or before[j] & group & ~inside:
                continue
            row = ask(parents, j, inside)
            if row < 0:
                return part
            least = min(least, parents.scores[row] + table[part | 1 << k])
        table[part] = least
    return -1


@inner
def rest(patterns, S, enough):
    """h(S), the largest of all splits; of a few, if that is `enough`."""
    most = -np.inf
    for split in range(patterns.sizes.shape[0]):
        total = 0.0
        for group in range(patterns.sizes.shape[1]):
            part, left = 0, S
            for byte in range(patterns.squeeze.shape[2]):
                part |= patterns.squeeze[split, group, byte, left & 255]
                left >>= 8
            total += patterns.tables[split, group, part]
        most = max(most, total)
        if most >= enough:
            break
    return most


@kernel
def bounds(patterns, sets, values):
    """Least g + h of some states."""
    least = np.inf
    for k in range(sets.size):
        least = min(least, values[k] + rest(patterns, sets[k], least - values[k]))
    return least


@kernel
def expand(parents, patterns, before, sets, values, first, stop, limit, layer):
    """Successors of the states first to stop - 1 whose bound is below `limit`, into the next layer.

    Returns the first state not done and whether the trees of parents (1) or the layer (2) need
    room. A node whose best parents of all are in S comes next, and no other: that costs nothing.
    """
    d = parents.class_of.size
    for at in range(first, stop):
        if 2 * (layer.states[0] + d) > layer.keys.size:
            return at, 2
        S = sets[at]
        only = -1
        for j in range(d):
            if not S >> j & 1 and parents.best[j] & ~S == 0 and before[j] & ~S == 0:
                only = j
                break
        for j in range(d):
            if S >> j & 1 or before[j] & ~S or (only >= 0 and j != only):
                continue
            after = S | 1 << j
            room = limit - values[at] - parents.scores[j]
            h = rest(patterns, after, room)
            if h >= room:  # even with its best parents of all
                continue
            row = ask(parents, j, S)
            if row < 0:
                return at, 1
            value = values[at] + parents.scores[row]
            if h < limit - value:
                _enter(layer, after, value, j)
    return stop, 0


def split(strength: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Label of each node's group, at most `most` in one: at random, then by exchanges.

    Nodes are exchanged while that brings stronger pairs, up to some noise, into groups.
    """
    d = len(strength)
    label = rng.permutation(np.arange(d) // most)
    count = int(label.max()) + 1
    noise = np.exp(rng.standard_normal((d, d)) / 2)
    strength = strength * noise * noise.T
    while True:
        inside = np.column_stack([strength[:, label == g].sum(1) for g in range(count)])
        gain = inside[:, label].T - inside[np.arange(d), label]  # node j in the group of i
        gain = gain + gain.T - 2 * strength
        gain[label[:, None] == label] = 0.0
        i, j = divmod(int(gain.argmax()), d)
        if not gain[i, j] > 1e-9:
            return label
        label[i], label[j] = label[j], label[i]


def make_patterns(label: np.ndarray) -> Patterns:
    """Tables for one split, not filled yet."""
    d, sizes = len(label), np.bincount(label)
    members = np.full((1, sizes.size, int(sizes.max())), -1, np.int64)
    squeeze = np.zeros((1, sizes.size, -(-d // 8), 256), np.int64)
    for group in range(sizes.size):
        for k, node in enumerate(np.flatnonzero(label == group)):
            members[0, group, k] = node
            squeeze[0, group, node // 8] |= (np.arange(256) >> node % 8 & 1) << k
    tables = np.zeros((1, sizes.size, 1 << members.shape[2]))
    return Patterns(members, sizes[None], squeeze, tables)


def bound_of(one: Patterns) -> float:
    """H of the empty set by one split."""
    return float(one.tables[0, :, 0].sum())


def joined(splits: list[Patterns]) -> Patterns:
    """Several splits as one."""
    return Patterns(*(np.concatenate(parts) for parts in zip(*splits, strict=True)))
