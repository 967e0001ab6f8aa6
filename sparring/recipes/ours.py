"""OUR OWN RECIPES: one system in three lengths, for images of any size. `docs/results.md` has the measurements.

After R3GAN (Huang et al. 2024): the relativistic loss, R1 and R2 (on every fourth image, scaled with its size), no
normalisation, learning rates that fall by half a cosine, and samples from an EMA of the generator's params. With few
images the discriminator's images are augmented (`sparring.gan.augmentation`). Where the images have classes, the
networks are conditional. The networks are our own
(`sparring.networks.patch`). Times are for two CPU cores and gray images of 28 x 28 pixels.
"""

from sparring.recipes.parts import Adam, PatchDiscriminator, PatchGenerator
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import VALIDATION_SHARE


def quick() -> Recipe:
    """The default: better after a minute than any of the five tutorials at full length.

    Run: `sparring train quick`.
    """
    recipe = _ours("quick", steps=2_400, batch_size=32, learning_rate=3e-3)
    # At this learning rate one large gradient could make the params diverge.
    clipped = {f"{network}_optimizer.largest_update": 1.0 for network in ("generator", "discriminator")}
    # In so few steps the penalties of the longer recipes keep D from seeing details, unless it sees few images often.
    return recipe.replace(judge_every=0, r1=None, r2=None, **clipped)


def good() -> Recipe:
    """Ten minutes: 1.3 times the distance of real digits from one another, 3.2 without classes.

    Run: `sparring train good`.
    """
    return _ours("good", steps=16_000, batch_size=64, learning_rate=1e-3)


def best() -> Recipe:
    """An hour: 1.4 times the distance of real digits from one another without classes.

    Run: `sparring train best`.
    """
    return _ours("best", steps=100_000, batch_size=64, learning_rate=1e-3)


def _ours(name: str, *, steps: int, batch_size: int, learning_rate: float) -> Recipe:
    adam = Adam(learning_rate=learning_rate, beta1=0.0, beta2=0.99)
    return Recipe(
        name=name,
        source="ours, after R3GAN (Huang et al. 2024)",
        generator=PatchGenerator(checkerboard_free=True),
        discriminator=PatchDiscriminator(),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=64,
        conditional=None,
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
        ema_half_life=1000.0,
        schedule_steps=steps,
        learning_rate_end=0.1,
        augment="auto",
        validation=VALIDATION_SHARE,
        judge_every=steps // 20,
    )
