"""The Textual app: screens, keys and layout. Wires views to widgets and holds no logic of its own."""
