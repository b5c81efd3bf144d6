"""Training: one loop on accelerate (loop.py), and recipes of network, loss and data (recipes/)."""
