"""What we ask of the machine: files, devices, memory."""
