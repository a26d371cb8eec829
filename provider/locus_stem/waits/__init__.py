"""What can be waited for at the vendors' APIs: what a look asks, and whether the answers mean that it is there."""
