"""What the records of a market say: estimates, tests and screens, each with its error rate."""
