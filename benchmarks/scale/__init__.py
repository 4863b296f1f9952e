"""What many workflows cost: fleets, single cycles, idle ones, the past, the history's size, pages, and KRR beside it."""
