"""Training: what a step is, the loop around it, losses and metrics, and the data."""
