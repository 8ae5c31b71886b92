"""The base of all layers: calls, weights, dtype policies, input checks."""
