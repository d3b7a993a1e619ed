"""What the parts of the gateway need of Python and the operating system."""
