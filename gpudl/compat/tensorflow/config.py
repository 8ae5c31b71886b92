"""The devices, with the interface of ``tf.config``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

from gpudl import backend

__all__ = ["PhysicalDevice", "experimental", "list_physical_devices"]


class PhysicalDevice(NamedTuple):
    """A device.

    Attributes:
        name: as in ``/physical_device:GPU:0``.
        device_type: ``"CPU"`` or ``"GPU"``.
    """

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the devices that gpudl can use, or those of one type.

    Example:
        >>> list_physical_devices("CPU")
        [PhysicalDevice(name='/physical_device:CPU:0', device_type='CPU')]
    """
    names = ["CPU:0", *(name.upper() for name in backend.list_devices() if name != "cpu")]
    devices = [PhysicalDevice(f"/physical_device:{name}", name[:3]) for name in names]
    return [device for device in devices if device_type in (None, device.device_type)]


def _set_memory_growth(device: PhysicalDevice, enable: bool) -> None:
    """Do nothing: gpudl allocates memory as it needs it."""


experimental = SimpleNamespace(list_physical_devices=list_physical_devices, set_memory_growth=_set_memory_growth)
