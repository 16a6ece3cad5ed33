"""Abada and Lambin (2023), replicated in a logit market."""
