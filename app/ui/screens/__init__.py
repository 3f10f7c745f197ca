"""The screens: the dashboard, a page per GPU and per model, help."""
