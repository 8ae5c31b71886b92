"""The cache of plans: the least recently used are evicted when all plans exceed their share of memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import count
from threading import local
from weakref import WeakSet

from gpudl.backend import Backend
from gpudl.engine.plan.entry import Entry
from gpudl.engine.state import layout_epoch, preparing

SHARE = 0.5
"""The fraction of the memory that is free, or used by plans, that all plans may use together."""

_uses = count()


class Plans:
    """The plans of one function in one thread, by the kind of call."""

    def __init__(self) -> None:
        self.entries: dict[Hashable, Entry] = {}
        self._epoch = layout_epoch[0]

    def find(self, key: Hashable) -> Entry | None:
        """Return the plan for `key` and mark it as used; ignore plans from before a change of the layout."""
        if self._epoch != layout_epoch[0]:
            self.entries.clear()
            self._epoch = layout_epoch[0]
        entry = self.entries.get(key)
        if entry is not None:
            entry.used = next(_uses)
        return entry

    def keep(self, key: Hashable, entry: Entry) -> None:
        """Add a new plan, and evict the least recently used ones if memory is scarce."""
        entry.used = next(_uses)
        with preparing:
            self.entries[key] = entry
            _all.add(self)
            _trim(entry)


class PlansOfThread(local):
    """The plans of one function in the current thread: two threads must not replay in one arena.

    They are freed when the thread ends.
    """

    def __init__(self) -> None:
        self.plans = Plans()


_all: WeakSet[Plans] = WeakSet()


def _kept(on: Backend) -> Iterator[tuple[Plans, Hashable, Entry]]:
    """Yield the plans on a device, with their owner and key."""
    for plans in list(_all):
        for key, entry in list(plans.entries.items()):
            if entry.plan.on is on:
                yield plans, key, entry


def _trim(new: Entry) -> None:
    kept = list(_kept(new.plan.on))
    taken = sum(entry.nbytes for _, _, entry in kept)
    most = SHARE * (new.plan.on.free_bytes() + taken)
    for plans, key, entry in sorted(kept, key=lambda found: found[-1].used):
        if taken <= most or entry is new:
            return
        plans.entries.pop(key, None)
        taken -= entry.nbytes


def drop(on: Backend) -> bool:
    """Drop all plans on a device, and return whether there were any; those in use by a loop are freed after it."""
    with preparing:
        kept = list(_kept(on))
        for plans, key, _ in kept:
            plans.entries.pop(key, None)
    return bool(kept)
