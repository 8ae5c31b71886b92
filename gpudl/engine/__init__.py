"""The engine: ops applied through one function, gradients by ops, steps recorded once and replayed.

`spec`, `tensor` and `op` say what a value and a computation are; `grad` differentiates; `trace` records a step,
`plan` turns the record into bound kernel calls in one arena (`memory`); `flat` keeps variables in one buffer.
"""
