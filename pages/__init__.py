"""For people: the frame, and one thin file per page; no SQL, no statistics, no rules."""
