"""What an operator does beside `pulumi up`: `sd-async admin …`, from the repository."""
