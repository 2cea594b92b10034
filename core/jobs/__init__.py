"""Jobs: work that outlives the click that started it."""
