"""What is recorded, and what is made of it: plans that replay a step.

`recorder` notes what a step applies (`ir` says in which form), `passes`, `rewrite` and `elementwise_fusion` make fewer
instructions of it, `arena` packs their buffers, and `plan` binds kernels to addresses. `trace` records and looks up,
`capture` makes one CUDA graph of a plan, `footprint` says what would fit, `plan_cache` what is kept.
"""
