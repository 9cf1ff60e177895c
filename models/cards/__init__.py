"""What is known of each family without its networks: papers, names, figures; no torch."""
