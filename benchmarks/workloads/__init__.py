"""What is compared: each workload says how each side does it. The sides' programs stand beside each other."""

from __future__ import annotations

from benchmarks.workloads import attention, convolutions, images, layers, networks, recurrent, small
from benchmarks.workloads.base import Settings, Work, Workload

__all__ = ["GROUPS", "WORKLOADS", "Settings", "Work", "Workload", "chosen"]

_MODULES = {
    "networks": networks,
    "small": small,
    "convolutions": convolutions,
    "images": images,
    "layers": layers,
    "recurrent": recurrent,
    "attention": attention,
}
GROUPS = {name: [workload.name for workload in module.WORKLOADS] for name, module in _MODULES.items()}
WORKLOADS = {workload.name: workload for module in _MODULES.values() for workload in module.WORKLOADS}


def chosen(names: list[str], groups: list[str]) -> list[Workload]:
    """Return the workloads of these names and groups, each once; without any all of them."""
    wanted = dict.fromkeys([*names, *(name for group in groups for name in GROUPS[group])])
    return [WORKLOADS[name] for name in wanted or WORKLOADS]
