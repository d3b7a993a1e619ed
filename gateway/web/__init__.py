"""HTTP: probes, metrics, the API, and the callers that are admitted."""
