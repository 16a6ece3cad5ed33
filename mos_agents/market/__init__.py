"""The economics of the laboratory: quotes, arrivals, execution, positions; pure arrays throughout."""
