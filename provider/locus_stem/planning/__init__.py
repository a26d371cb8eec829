"""What to ask: params, zones, intervals, slices and batches; pure functions, no I/O."""
