"""Tools that a team may have already, one file each. Every one is optional, found at run time, and its absence is one sentence."""
