"""How a job reports to the service."""
