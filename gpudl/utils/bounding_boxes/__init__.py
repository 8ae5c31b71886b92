"""Boxes around objects in images: their formats, how they move with images, how much they overlap."""

from gpudl.names import export
from gpudl.utils.bounding_boxes import deltas, formats, moving, overlap
from gpudl.utils.bounding_boxes.deltas import *  # noqa: F403
from gpudl.utils.bounding_boxes.formats import *  # noqa: F403
from gpudl.utils.bounding_boxes.moving import *  # noqa: F403
from gpudl.utils.bounding_boxes.overlap import *  # noqa: F403

export(globals(), deltas, formats, moving, overlap)
