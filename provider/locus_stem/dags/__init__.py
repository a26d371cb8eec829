"""Functions that make the DAGs."""
