"""What a job made on its way to the bucket: in the format that was asked for, and with an account of how it came."""
