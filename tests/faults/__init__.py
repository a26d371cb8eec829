"""Every fault that the APIs may have, on every pipeline: what is in the matrix, and how a cell of it is judged."""
