"""The dashboard in a browser: who is let in, and one process for each tab, fed by the one that watches."""
