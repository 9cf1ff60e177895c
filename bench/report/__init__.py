"""Reports: what was found as one data structure, and the forms it is written in."""
