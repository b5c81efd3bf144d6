"""Makes the bundled models from nothing: renders, trains, checks and packs them.

    python -m tools.train_bundled --model ict_facekit.npz

What is drawn and trained, with every size and seed: `plan`. A run that was stopped goes on where it
was, and a stage that is done is not done again.
"""
