"""What generators of pictures and videos take: their parts, the memory they need, how long a step is."""
