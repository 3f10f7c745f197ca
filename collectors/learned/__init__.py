"""What earlier runs have learned of this machine, as the file in the state directory holds it."""
