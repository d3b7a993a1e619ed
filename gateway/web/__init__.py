"""HTTP: probes, metrics and the API, and who may call them."""
