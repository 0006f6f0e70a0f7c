"""The page of a run: what its folder holds, charts, and the page itself."""
