"""What undoes the change of the pixels, as it is stored in the restoring element."""
