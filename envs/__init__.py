"""Markets to train in: PettingZoo environments, one file a scenario, and a batched view of them."""
