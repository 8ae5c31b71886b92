"""From the user's data to the batches of a step."""
