"""The running gateway: assembled, started, watched, reloaded and stopped."""
