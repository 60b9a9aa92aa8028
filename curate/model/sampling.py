"""Which images are trained on, as a function of seeds and numbers alone: runs can be resumed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

import torch


class Stream:
    """Indices of endless passes over `length` items, each pass in a new order.

    The same position always gives the same index, whatever was asked for before.
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed = length, seed
        self._orders: dict[int, torch.Tensor] = {}

    def take(self, start: int, count: int) -> torch.Tensor:
        """Indices (count,) at the positions start, ..., start + count - 1."""
        positions = torch.arange(start, start + count)
        passes = positions // self._length
        orders = {number: self._order(number) for number in sorted(set(passes.tolist()))}
        self._orders = orders  # replaced whole: several threads may take at once
        parts = [
            order[positions[passes == number] % self._length] for number, order in orders.items()
        ]
        return torch.cat(parts)

    def _order(self, number: int) -> torch.Tensor:
        known = self._orders.get(number)
        return (
            known
            if known is not None
            else torch.randperm(self._length, generator=step_generator(self._seed, number))
        )


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step, on the CPU.

    Both numbers are hashed together, for the generator heeds only 32 bits of its seed.
    """
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def reservoir(hashes: Iterable[str], limit: int, seed: int) -> tuple[str, ...]:
    """At most `limit` of the hashes, chosen by a keyed digest, so that the choice is stable."""
    keyed = ((hashlib.sha256(f"{seed}:{name}".encode()).digest(), name) for name in hashes)
    return tuple(name for _, name in heapq.nsmallest(limit, keyed))


def stratified(scores: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """A random sample of `count` from `scores` (N,): bool (N,), one from each of as many strata.

    The strata follow one another in the order of the scores and are as large as one another, or
    one larger; so the sample has as many high ones as the rest has, but for chance in a stratum.
    """
    order, edges = scores.argsort(stable=True), torch.arange(count + 1) * len(scores) // count
    within = torch.rand(count, generator=step_generator(seed, 0)) * edges.diff()
    drawn = torch.zeros(len(scores), dtype=torch.bool)
    drawn[order[edges[:-1] + within.long()]] = True
    return drawn
