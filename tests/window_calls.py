"""How the ops that slide windows are called beside Keras's: `x` is an array of shape (2, 3)."""

from __future__ import annotations

from array_calls import Call

WINDOWS: dict[str, list[Call]] = {
    "average_pool": [lambda o, x: o.average_pool(o.reshape(x, (1, 6, 1)), 2, 1, "same")],
    "max_pool": [
        lambda o, x: o.max_pool(o.reshape(x, (1, 2, 3, 1)), 2, 1, "same"),
        lambda o, x: o.max_pool(o.reshape(x, (1, 1, 2, 3)), 2, (1, 1), data_format="channels_first"),
        lambda o, x: o.max_pool(o.reshape(x, (1, 1, 2, 3, 1)), (1, 2, 2), 1),
    ],
    "adaptive_average_pool": [
        lambda o, x: o.adaptive_average_pool(o.reshape(x, (1, 6, 1)), 4),
        lambda o, x: o.adaptive_average_pool(o.reshape(x, (1, 1, 2, 3)), (1, 2), data_format="channels_first"),
    ],
    "adaptive_max_pool": [
        lambda o, x: o.adaptive_max_pool(o.reshape(x, (1, 6, 1)), 4),
        lambda o, x: o.adaptive_max_pool(o.reshape(x, (1, 2, 3, 1)), (2, 3)),
    ],
    "conv": [
        lambda o, x: o.conv(o.reshape(x, (1, 6, 1)), o.reshape(x[0], (3, 1, 1)), dilation_rate=2),
        lambda o, x: o.conv(o.reshape(x, (1, 1, 2, 3)), o.reshape(x, (1, 3, 1, 2)), 2, "same", "channels_first"),
        lambda o, x: o.conv(o.reshape(x, (1, 3, 1, 2)), o.reshape(x, (3, 1, 1, 2))),
        lambda o, x: o.conv(o.reshape(x, (1, 1, 2, 3, 1)), o.reshape(x, (1, 2, 3, 1, 1)), padding="same"),
    ],
    "conv_transpose": [
        lambda o, x: o.conv_transpose(o.reshape(x, (1, 6, 1)), o.reshape(x[0], (3, 1, 1)), 2, "same", 1),
        lambda o, x: o.conv_transpose(o.reshape(x, (1, 2, 3, 1)), o.reshape(x, (2, 3, 1, 1)), (2, 1)),
    ],
    "depthwise_conv": [
        lambda o, x: o.depthwise_conv(o.reshape(x, (1, 3, 2)), o.reshape(x, (1, 2, 3))),
        lambda o, x: o.depthwise_conv(o.reshape(x, (1, 2, 3, 1)), o.reshape(x, (2, 3, 1, 1)), 1, "same"),
    ],
    "separable_conv": [
        lambda o, x: o.separable_conv(
            o.reshape(x, (1, 3, 2)), o.reshape(x[:, :2], (2, 2, 1)), o.reshape(x, (1, 2, 3)), padding="same"
        )
    ],
}

BLOCKS: dict[str, list[Call]] = {
    "unfold": [
        lambda o, x: o.unfold(o.reshape(x, (1, 1, 2, 3)), (1, 2)),
        lambda o, x: o.unfold(o.reshape(o.concatenate([x, x]), (1, 2, 2, 3)), 2, (1, 2), (1, 2), (2, 1)),
    ],
    "fold": [
        lambda o, x: o.fold(o.reshape(x, (1, 2, 3)), (1, 4), (1, 2)),
        lambda o, x: o.fold(o.reshape(o.concatenate([x] * 8), (3, 4, 4)), 3, 2, 1, (1, 0), (2, 1)),
        lambda o, x: o.fold(o.reshape(o.concatenate([x, x]), (1, 4, 3)), (2, 3), (2, 1)),
    ],
    "depth_to_space": [
        lambda o, x: o.depth_to_space(o.reshape(o.concatenate([x] * 4), (1, 2, 1, 12)), 2),
        lambda o, x: o.depth_to_space(o.reshape(o.concatenate([x] * 4), (1, 12, 1, 2)), 2, "channels_first"),
    ],
    "space_to_depth": [
        lambda o, x: o.space_to_depth(o.reshape(o.concatenate([x] * 4), (1, 4, 2, 3)), 2),
        lambda o, x: o.space_to_depth(o.reshape(o.concatenate([x] * 4), (1, 3, 2, 4)), 2, "channels_first"),
    ],
}
