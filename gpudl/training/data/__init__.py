"""What turns the data of a user into the batches of a step."""
