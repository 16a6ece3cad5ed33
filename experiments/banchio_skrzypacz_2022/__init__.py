"""Banchio and Skrzypacz (2022), replicated."""
