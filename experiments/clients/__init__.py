"""Other libraries' learners in these markets: one short file each, to be copied from."""
