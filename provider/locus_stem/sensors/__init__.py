"""Sensors: tasks that wait at the vendors' APIs."""
