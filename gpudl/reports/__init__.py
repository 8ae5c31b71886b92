"""Reports about a model: its layers, the plan of a step, and where the time goes."""
