"""Both APIs on loopback, with real measurements, for trying and testing without an account."""
