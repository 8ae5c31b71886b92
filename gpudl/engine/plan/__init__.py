"""Records of steps, and the plans that replay them.

`recorder` records the ops of a step as instructions (`ir`), which `passes`, `rewrite` and `elementwise_fusion`
optimise; `arena` packs their buffers, and `plan` binds kernels to addresses. `trace` records steps and looks up their
plans, `capture` captures a plan as a CUDA graph, `footprint` estimates memory, `plan_cache` keeps plans for later
calls.
"""
