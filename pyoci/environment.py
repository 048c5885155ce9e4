"""What pyoci takes from the process that it runs in."""
