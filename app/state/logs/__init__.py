"""What the lines of a server's log say of its loads and rates."""
