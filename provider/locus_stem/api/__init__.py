"""The vendors' APIs over httpx: endpoints as data, one flow for authentication and retries."""
