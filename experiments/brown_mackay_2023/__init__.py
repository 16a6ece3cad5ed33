"""Brown and MacKay (2023), replicated."""
