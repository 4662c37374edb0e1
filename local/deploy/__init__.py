"""`pulumi up` on one machine: the program's AWS resources on the emulator, its releases handed to local pods."""
