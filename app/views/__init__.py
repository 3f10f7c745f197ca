"""From the state to what the widgets are handed: pure functions, one module per panel."""
