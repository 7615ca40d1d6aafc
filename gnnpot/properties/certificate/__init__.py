"""What physics demands of any potential, with numbers."""
