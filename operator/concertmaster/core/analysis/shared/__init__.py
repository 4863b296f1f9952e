"""What runs share: caches, semaphores, and the models they ask."""
