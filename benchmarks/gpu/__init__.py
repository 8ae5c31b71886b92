"""The proof with a card, in one command: `python -m benchmarks.gpu`."""
