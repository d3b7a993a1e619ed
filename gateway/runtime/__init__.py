"""What every long-running part needs of Python and the system."""
