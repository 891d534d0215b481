"""What the service does with a job."""
