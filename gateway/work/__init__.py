"""What is done with queued objects: prepared by worker processes, delivered to destinations."""
