"""Training: one loop on accelerate (loop.py), and recipes that name networks, loss and data (recipes/)."""
