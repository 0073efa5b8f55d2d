"""What the service says over HTTP: health and metrics."""
