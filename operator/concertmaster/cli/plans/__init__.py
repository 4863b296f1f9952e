"""What ``explain`` prints about carrying recommendations out."""
