"""Programs that try files nobody would think of; each says how it was started, so that what it finds comes again."""
