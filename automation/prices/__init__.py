"""What the clouds ask for a machine right now, by their own APIs; the dated catalog stands in for the rest."""
