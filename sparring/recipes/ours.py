"""OUR OWN set-ups: one system in three lengths, on whatever images there are. Measured in `docs/results.md`.

After R3GAN (Huang et al. 2024): each real image is to stand above a fake, D's slope is held down at both (R1 and R2,
taken on every fourth image, the stronger the larger the images), no network has a normalisation, rates fall by half a
cosine, and samples come from a moving average of the generator's weights. Few images are augmented
(`sparring.gan.augmentation`). The networks are ours (`sparring.networks.patch`). Times are of two CPU cores, on 28 x 28
gray images.
"""

from sparring.recipes.parts import Adam, PatchDiscriminator, PatchGenerator
from sparring.recipes.recipe import HELD_OUT, Recipe


def quick() -> Recipe:
    """The default: within a minute of the command better than any of the five tutorials at full length.

    Run: `sparring train quick`.
    """
    recipe = _modern("quick", steps=2_400, batch_size=32, learning_rate=3e-3)
    # At so high a rate a sudden steep slope would throw the weights so far that they don't come back.
    no_leaps = {f"{network}_optimizer.largest_update": 1.0 for network in ("generator", "discriminator")}
    return recipe.replace(judge_every=0, **no_leaps)


def good() -> Recipe:
    """Some ten minutes: digits three times as far from real ones as real ones are from each other.

    Run: `sparring train good`.
    """
    return _modern("good", steps=16_000, batch_size=64, learning_rate=1e-3)


def best() -> Recipe:
    """As good as we get: an hour on two cores, for digits that are nearly as near to real ones as these to each other.

    Run: `sparring train best`.
    """
    return _modern("best", steps=100_000, batch_size=64, learning_rate=1e-3)


def _modern(name: str, *, steps: int, batch_size: int, learning_rate: float) -> Recipe:
    adam = Adam(learning_rate=learning_rate, beta1=0.0, beta2=0.99)
    return Recipe(
        name=name,
        source="ours, after R3GAN (Huang et al. 2024)",
        generator=PatchGenerator(),
        discriminator=PatchDiscriminator(),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=64,
        batch_size=batch_size,
        data_order="shuffle",
        steps=steps,
        grid_every=steps // 40,
        grid_rows=8,
        grid_columns=8,
        log_every=20,
        milliseconds_per_step=batch_size / 2,
        loss="relativistic",
        r1=1.0,
        r2=1.0,
        penalty_values=28 * 28,
        penalty_one_in=4,
        average_half_life=1000.0,
        schedule_steps=steps,
        learning_rate_end=0.1,
        augment="auto",
        held_out=HELD_OUT,
        judge_every=steps // 20,
    )
