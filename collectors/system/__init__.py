"""What the operating system and the firmware say: RAM, swap, CPU, memory bandwidth."""
