"""Where artifacts run: a worker on each device, and the host's side of it."""
