"""THE ALGORITHM: what a step computes, as pure functions.

gan.py           networks, loss, optimizers, EMA and schedules, made once from a recipe
state.py         everything that training changes, one pytree
step.py          the training step: updates of the discriminator, the generator and the EMA; nothing else changes params
losses.py        losses: pure functions of logits
penalties.py     gradient penalties: R1, R2, WGAN-GP
augmentation.py  DiffAugment, and its adaptive strength
schedules.py     learning rates and penalties as functions of the step
optimizers.py    from a recipe's settings to Optax
batch.py         images and labels as networks take them
randomness.py    random keys as functions of seed, purpose and step
"""
