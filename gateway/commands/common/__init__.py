"""What several commands share: options, files, batches, printing, exit codes."""
