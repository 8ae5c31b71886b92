"""The engine: ops, which are all applied through one function, and gradients, which are computed by ops.

`spec`, `tensor` and `op` define values and computations; `grad` differentiates; `flat` packs variables into one buffer.
`plan`, which none of these imports, records steps and replays them.
"""
