"""Why a model spills: who asked for what it takes, and who holds the room that it lacks."""
