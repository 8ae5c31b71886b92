"""The engine: ops applied through one function, gradients by ops.

`spec`, `tensor` and `op` say what a value and a computation are; `grad` differentiates; `flat` keeps variables in one
buffer. `plan`, which none of these knows, records steps and replays them.
"""
