"""THE CLASSICS: four well-known systems on one pair of networks, so that what differs is what their papers changed.

The networks are DCGAN's (`sparring.networks.dcgan`) with a quarter of its channels, 32 instead of 128, and two maps
instead of four, for digits are small. Batches are of 64, latents of 100 normal numbers, images of any size; lengths are
ours: some ten minutes of two CPU cores each, on 28 x 28 gray images. What else is not as in a paper, its recipe says.
"""

from sparring.recipes.parts import Adam, DCGANDiscriminator, DCGANGenerator
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import VALIDATION_SHARE

EPOCH = 900
"""Batches of 64 in MNIST's 57,600 digits."""


def dcgan() -> Recipe:
    """Radford et al. 2016 (arXiv:1511.06434, section 4): BatchNorm in both networks, Adam(2e-4) with a momentum of .5.

    Each step updates D once, on real images and fakes that BatchNorm sees apart, then G. The paper has batches of 128
    and uniform latents.

    Run: `sparring train dcgan`.
    """
    return _classic("dcgan", "Radford et al. 2016 (DCGAN)", Adam(2e-4, beta1=0.5), steps=20 * EPOCH, milliseconds=33.0)


def lsgan() -> Recipe:
    """Mao et al. 2017 (arXiv:1611.04076): the same, with squares of the logits' distances for a loss.

    Real images are to lie at 1, fakes at -1, and G aims at 0: the paper's first choice, of which a Pearson divergence
    follows. Its pictures were made with the second, 1, 0 and 1, and it found both alike.

    Run: `sparring train lsgan`.
    """
    adam = Adam(2e-4, beta1=0.5)
    recipe = _classic("lsgan", "Mao et al. 2017 (LSGAN)", adam, steps=20 * EPOCH, milliseconds=33.0)
    return recipe.replace(loss="least-squares")


def wgan_gp() -> Recipe:
    """Gulrajani et al. 2017 (arXiv:1704.00028, algorithm 1): D's slope is held at 1 between real images and fakes.

    Its weight is 10; D learns from five batches a step, without a normalisation; Adam(1e-4, 0, .9).

    Run: `sparring train wgan-gp`.
    """
    adam = Adam(1e-4, beta1=0.0, beta2=0.9)
    recipe = _classic("wgan-gp", "Gulrajani et al. 2017 (WGAN-GP)", adam, steps=22 * EPOCH // 5, milliseconds=160.0)
    return recipe.replace(
        loss="wasserstein",
        gradient_penalty=10.0,
        discriminator_steps=5,
        **{"discriminator.normalization": "none"},
    )


def sngan() -> Recipe:
    """Miyato et al. 2018 (arXiv:1802.05957): each layer of D is divided by its largest singular value; the hinge loss.

    D learns from five batches a step; Adam(2e-4, 0, .9), as the paper has it for its residual networks.

    Run: `sparring train sngan`.
    """
    adam = Adam(2e-4, beta1=0.0, beta2=0.9)
    recipe = _classic("sngan", "Miyato et al. 2018 (SNGAN)", adam, steps=35 * EPOCH // 5, milliseconds=100.0)
    return recipe.replace(loss="hinge", discriminator_steps=5, **{"discriminator.normalization": "spectral"})


def _classic(name: str, source: str, adam: Adam, *, steps: int, milliseconds: float) -> Recipe:
    return Recipe(
        name=name,
        source=source,
        generator=DCGANGenerator(channels=32),
        discriminator=DCGANDiscriminator(channels=32),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=100,
        batch_size=64,
        data_order="shuffle",
        steps=steps,
        grid_every=steps // 20,
        grid_rows=8,
        grid_columns=8,
        log_every=20,
        milliseconds_per_step=milliseconds,
        discriminator_fakes="training",
        validation=VALIDATION_SHARE,
        judge_every=steps // 20,
    )
