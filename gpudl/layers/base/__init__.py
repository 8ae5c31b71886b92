"""What every layer is made of: calls, weights, dtypes, the check of inputs."""
