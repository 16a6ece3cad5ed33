"""The economics of the laboratory: quotes, arrivals, execution, positions; in pure arrays."""
