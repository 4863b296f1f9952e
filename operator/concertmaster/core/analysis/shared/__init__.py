"""Resources shared between runs: caches, semaphores, volumes and models."""
