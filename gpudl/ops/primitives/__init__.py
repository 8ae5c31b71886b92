"""The primitives: ops with a rule for shapes, a reference and a gradient each, one family per file."""
